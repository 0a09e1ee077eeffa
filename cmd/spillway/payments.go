package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns/status"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/broker"
	"spillway/ledger"
	"spillway/ledger/consumer"
	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
	paymentsdb "spillway/ledger/payments/postgres"
	"spillway/ledger/payments/stripe"
	ledgerdb "spillway/ledger/postgres"
	reconciledb "spillway/ledger/reconcile/postgres"
)

// paymentsCommand is the role and what looks after it.
type paymentsCommand struct {
	Run  paymentsRunCommand `cmd:"" default:"withargs" help:"Charge until told to stop; this is what 'spillway payments' alone does."`
	Pace paceCommand        `cmd:"" help:"Look at the pace of charging, change it, pause and resume it, while everything runs."`
}

// Help is shown by --help.
func (paymentsCommand) Help() string { return paymentsHelp }

type paymentsRunCommand struct{ config.Payments }

// Help is shown by --help.
func (paymentsRunCommand) Help() string { return paymentsHelp }

const paymentsHelp = `Any number of payments processes share the queue of charges and one pace, kept in the database. The schema must be there ('spillway migrate').

Examples:
    SPILLWAY_STRIPE_KEY=sk_... SPILLWAY_STRIPE_WEBHOOK_SECRETS=whsec_... \
        spillway payments --nats-url nats://spillway:password@broker:4222 \
        --database-url postgres://spillway:password@db/spillway
    spillway payments --simulator http://127.0.0.1:12111 --nats-url ... --database-url ...
    spillway payments pace status
    spillway payments pace --rate 50`

// Run charges until it is told to stop.
func (c *paymentsRunCommand) Run(p *process) error {
	switch {
	case c.NATSURL == "":
		return errNoBroker
	case c.DatabaseURL == "":
		return errNoDatabase
	case !c.Named():
		return config.ErrNoProcessor
	case c.Simulator == "" && len(c.StripeWebhookSecrets) == 0:
		return config.ErrNoWebhookSecret
	}
	if err := c.Check(); err != nil {
		return err
	}
	operators, err := newOps(c.OpsListen, "--ops-listen")
	if err != nil {
		return err
	}
	p.log.Info("payments starts", "ops", operators.url(), "node", nodeName(), "account", accountOf(c.Processor))
	group := lifecycle.New(p.log)
	traces, err := startTracing(p, c.Tracing, operators.registry, group, false)
	if err != nil {
		return errors.Join(err, operators.listener.Close(), group.Stop())
	}
	operators.exemplars = traces.on()
	group.Go(p.ctx, "operators' listener", quickStop, func(ctx context.Context) error { return operators.run(ctx, p.log) })
	t := &till{
		processor: c.Processor,
		broker:    as(broker.RolePayments, brokerAt(c.Broker, c.Topology, nil, "spillway payments "+nodeName())),
		database:  c.DatabaseURL.Reveal(), registry: operators.registry, log: p.log, traces: traces,
	}
	err = t.start(p.ctx, group)
	if err == nil {
		operators.setReady(t.ready)
		report(p.ctx, group, t.link, operators, p.log, reportedRole{status.PaymentsRole, t.ready})
		err = group.Wait(p.ctx)
	}
	return finish(p, group, err)
}

const (
	// chargeStop is what the calls under way get when the process stops: the longest
	// that a call may take. A claim left behind lapses, and its call is repeated under
	// the same key by whoever is there; tillStop has some more for the goodbye.
	chargeStop = 15 * time.Second
	tillStop   = chargeStop + 5*time.Second
	// totalsStop is for the last frames of payments' slots; one that is not closed in
	// time is adopted by another process, or by the next one here.
	totalsStop = 5 * time.Second
	// prepareRetry is the pause between two tries to reach a database that is away.
	prepareRetry = time.Second
	// endpointIntents is the processor's endpoint that charges: its pace is what
	// --pace is about. accountShare is how many times as much the account as a whole
	// gets: Stripe's defaults are 25 and 100 (docs.stripe.com/rate-limits).
	endpointIntents = "payment_intents"
	accountShare    = 4
)

// Accounts, as the pace and the journal's guard know them.
const (
	accountSimulator = "simulator"
	accountTest      = "stripe-test"
	accountLive      = "stripe"
)

// accountOf names the account that a processor's pace belongs to.
func accountOf(p config.Processor) string {
	switch {
	case p.Simulator != "":
		return accountSimulator
	case p.Live():
		return accountLive
	}
	return accountTest
}

// modeOf is which of the processor's two worlds a key is of: an endpoint may be told
// events of both.
func modeOf(p config.Processor) charge.Mode {
	switch accountOf(p) {
	case accountLive:
		return charge.LiveMode
	case accountTest:
		return charge.TestMode
	}
	return charge.AnyMode
}

// simulatorKey is what the simulator is charged with when nobody gave a key: it is
// no secret.
const simulatorKey = "sk_test_spillway_simulator"

// till is what `payments` and `up` run to charge: a slot of each book that is
// charged, and the service that works off the queue.
type till struct {
	processor config.Processor
	broker    broker.Config
	database  string
	registry  prometheus.Registerer
	log       *slog.Logger
	traces    *tracing

	// prepared is set, and begun closed, once charging has begun.
	prepared atomic.Bool
	begun    chan struct{}
	// link is the connection that start makes.
	link *broker.Broker
}

// errNotPrepared is the reason for not being ready before the database has said
// that its gifts may be charged here.
var errNotPrepared = errors.New("the database has not been asked yet whose gifts it holds")

// ready tells whether cards are being charged.
func (t *till) ready() error {
	if !t.prepared.Load() {
		return errNotPrepared
	}
	return nil
}

// say tells a person what was started.
func (t *till) say() string {
	at := "at Stripe"
	switch accountOf(t.processor) {
	case accountSimulator:
		at = "at a simulator; no money moves"
	case accountTest:
		at = "at Stripe, in test mode"
	}
	return "charge " + at
}

// start wires the till and adds its parts to the group. A database, broker or
// processor that is away is waited for by the parts themselves.
func (t *till) start(ctx context.Context, group *lifecycle.Group) error {
	client, err := t.client()
	if err != nil {
		return err
	}
	group.Add("processor's connections", quickStop, client.Close)
	slots, err := ledgerdb.Open(ledgerdb.Config{URL: t.database, Application: "spillway payments"})
	if err != nil {
		return err
	}
	group.Add("payments' slots", quickStop, slots.Close)
	group.Go(ctx, "payments' rights", quickStop, func(ctx context.Context) error { return sayRights(ctx, slots, t.log) })
	db, err := paymentsdb.Open(paymentsdb.Config{URL: t.database})
	if err != nil {
		return err
	}
	group.Add("payments' database", quickStop, db.Close)
	b, err := connect(ctx, group, t.broker, t.log)
	if err != nil {
		return err
	}
	t.link = b
	reports, err := reconciledb.Open(t.database)
	if err != nil {
		return err
	}
	group.Add("reconciliation's database", quickStop, reports.Close)
	t.begun = make(chan struct{})
	webhooks := b.Webhooks()
	group.Add("webhooks", quickStop, webhooks.Close)
	var books []charge.Book
	var consumers []*consumer.Consumer
	for _, book := range t.books() {
		shards, _, closeSources := sources(b, book, t.broker.Shards)
		group.Add(book.String()+" watermarks", quickStop, closeSources)
		recovery := charge.NewRecovery(db.Book(book), applied(shards, webhooks), t.log.With("book", book.String()))
		group.Go(ctx, book.String()+" recovery", quickStop, recovery.Run)
		shards = bounded(shards, recovery)
		slot, err := consumer.New(consumer.Config{StopTimeout: totalsStop}, consumer.Deps{
			Book: book, Shards: shards, SlotOnly: true, Store: slots.Book(book), Frames: b, Registerer: t.registry, Log: t.log,
		})
		if err != nil {
			return err
		}
		consumers = append(consumers, slot)
		commands := b.Commands(book)
		group.Add(book.String()+" commands", quickStop, commands.Close)
		noted := []*broker.Source{commands}
		if book == ledger.Live {
			noted = append(noted, webhooks) // they are of both books, and noted in one
		}
		group.Go(ctx, book.String()+" positions of commands", quickStop, func(ctx context.Context) error {
			if err := awaitSound(ctx, slots, b, t.log); err != nil {
				return err
			}
			return notePositions(ctx, slots.Book(book), t.log, noted...)
		})
		books = append(books, charge.Book{
			Book: book, Store: queue{db.Book(book), slots.Book(book)}, Slot: slot, Commands: messages{commands}, Changes: b,
		})
	}
	service, err := charge.New(charge.Config{
		Account: accountOf(t.processor), Simulator: t.processor.Simulator != "", Mode: modeOf(t.processor), Holder: nodeName(),
		StopTimeout: chargeStop, ActWithin: t.processor.ActWithin,
		AskAfter: t.processor.AskAfter, SweepEvery: t.processor.AskAfter / 2, SweepGrace: t.processor.AskAfter / 2,
	}, charge.Deps{Books: books, Processor: client, Webhooks: messages{webhooks}, Tracer: t.traces.of(paymentsService), Registerer: t.registry, Log: t.log})
	if err != nil {
		return err
	}
	// The slots outlive the service: what its last calls said still moves money.
	group.Go(ctx, "payments' totals", recorderStop, func(ctx context.Context) error {
		if err := awaitSound(ctx, slots, b, t.log); err != nil {
			return err
		}
		return runAll(ctx, consumers...)
	})
	group.Go(ctx, "reconciliation", watchStop, func(ctx context.Context) error {
		return t.watch(ctx, pacedLists{client, db.Book(ledger.Live), accountOf(t.processor)}, books, reports)
	})
	group.Go(ctx, "payments", tillStop, func(ctx context.Context) error {
		if err := awaitSound(ctx, slots, b, t.log); err != nil || ctx.Err() != nil {
			return err
		}
		if err := t.prepare(ctx, db.Book(ledger.Live)); err != nil || ctx.Err() != nil {
			return err
		}
		t.prepared.Store(true)
		close(t.begun)
		return service.Run(ctx)
	})
	return nil
}

// client speaks with whoever charges.
func (t *till) client() (*stripe.Client, error) {
	key := t.processor.StripeKey.Reveal()
	if key == "" {
		key = simulatorKey
	}
	return stripe.New(stripe.Config{Key: key, BaseURL: t.processor.Simulator}, t.registry, t.log)
}

// books are those that are charged: a rehearsal's never at a real processor.
func (t *till) books() []ledger.Book {
	if t.processor.Simulator != "" {
		return ledger.Books
	}
	return []ledger.Book{ledger.Live}
}

// errOtherAccount says that the books hold another processor's money.
var errOtherAccount = errors.New("this database's gifts were charged elsewhere")

// prepare waits for the database, refuses one whose books hold another processor's
// money, and gives a new account its pace. Nothing is charged before.
func (t *till) prepare(ctx context.Context, book *paymentsdb.Book) error {
	account := accountOf(t.processor)
	for said := false; ; {
		err := t.settlePace(ctx, book, account)
		if err == nil || errors.Is(err, errOtherAccount) {
			return err
		}
		if !said && ctx.Err() == nil {
			t.log.Warn("nothing is charged yet; trying again", "error", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(prepareRetry):
		}
	}
}

func (t *till) settlePace(ctx context.Context, book *paymentsdb.Book, account string) error {
	paces, err := book.Paces(ctx)
	if err != nil {
		return err
	}
	if other := otherAccount(paces, account); other != "" {
		return fmt.Errorf("%w: at %q, now at %q; simulated, test and real money never share a journal: take another database, or another --data",
			errOtherAccount, other, account)
	}
	perSecond := float64(t.processor.Pace)
	for endpoint, n := range map[string]float64{endpointIntents: perSecond, payments.EndpointAll: min(accountShare*perSecond, paymentsdb.PerSecondMax)} {
		if err := book.EnsurePace(ctx, account, endpoint, n, "first start"); err != nil {
			return err
		}
	}
	for _, pace := range paces {
		if pace.Endpoint == endpointIntents && pace.PerSecond != perSecond {
			t.log.Warn("the pace is not --pace: it was set before; change it with 'spillway payments pace --rate'",
				"per_second", pace.PerSecond, "flag", t.processor.Pace, "set_by", pace.ChangedBy)
		}
	}
	return nil
}

// otherAccount names an account of the pace that is not this one, "" for none.
func otherAccount(paces []payments.Pace, account string) string {
	for _, p := range paces {
		if p.Account != account {
			return p.Account
		}
	}
	return ""
}

// queue is a book's payments with the ledger's way of setting aside what can never
// be written.
type queue struct {
	*paymentsdb.Book
	ledger *ledgerdb.Book
}

func (q queue) Quarantine(ctx context.Context, rejected []ledger.Rejected) error {
	return q.ledger.Quarantine(ctx, rejected)
}

// messages hands the broker's messages to the service: two packages that do not
// know each other.
type messages struct{ *broker.Source }

func (s messages) Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]charge.Message, error) {
	fetched, err := s.Source.Fetch(ctx, maxMessages, maxBytes, wait)
	all := make([]charge.Message, len(fetched))
	for i, m := range fetched {
		all[i] = charge.Message{Data: m.Data, Sequence: m.Sequence, StoredAt: m.StoredAt, Deliveries: m.Deliveries, Handle: m}
	}
	return all, err
}
