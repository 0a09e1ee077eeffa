package charge_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/consumer"
	"spillway/ledger/payments/charge"
	paymentsdb "spillway/ledger/payments/postgres"
	"spillway/ledger/payments/stripe"
	ledgerdb "spillway/ledger/postgres"
	"spillway/loadtest/stripesim"
)

func TestMain(m *testing.M) {
	if os.Getenv(childPoint) != "" {
		os.Exit(child())
	}
	os.Exit(pgtest.Main(m))
}

// place is where a till's servers are, and how far ahead its time of business is.
type place struct {
	database, nats, processor string
	offset                    func() time.Duration
}

// till is one payments process: the service on real adapters, as cmd wires it.
type till struct {
	db      *ledgerdb.DB
	queue   *paymentsdb.DB
	client  *stripe.Client
	slot    *consumer.Consumer
	service *charge.Service
	sources []*broker.Source
}

// accountName is the account at the simulator, and key its secret, which is none.
const (
	accountName   = "simulator"
	key           = "sk_test_sim"
	webhookSecret = "whsec_test"
)

// tillCalls bounds calls under way.
const tillCalls = 128

// tillConfig is the product's, in haste.
var tillConfig = charge.Config{
	Account: accountName, Simulator: true, CallsMax: tillCalls, CallTimeout: 1200 * time.Millisecond, ClaimFor: 1500 * time.Millisecond, Poll: 20 * time.Millisecond,
	SweepEvery: 200 * time.Millisecond, SweepGrace: time.Second, StopTimeout: patience,
}

func newTill(at place, b *broker.Broker, config charge.Config, log *slog.Logger, hook func(charge.Point, [16]byte)) (*till, error) {
	t := &till{}
	var err error
	if t.db, err = ledgerdb.Open(ledgerdb.Config{URL: at.database}); err != nil {
		return nil, err
	}
	if t.queue, err = paymentsdb.Open(paymentsdb.Config{URL: at.database, ClockOffset: at.offset}); err != nil {
		return nil, err
	}
	if t.client, err = stripe.New(stripe.Config{Key: key, BaseURL: at.processor, Timeout: time.Second}, nil, log); err != nil {
		return nil, err
	}
	donations, webhooks, commands := b.Source(ledger.Live, 0), b.Webhooks(), b.Commands(ledger.Live)
	t.sources = []*broker.Source{donations, webhooks, commands}
	t.slot, err = consumer.New(consumer.Config{LeaseTTL: time.Second, FrameEvery: 10 * time.Millisecond}, consumer.Deps{
		Book: ledger.Live, Store: t.db.Book(ledger.Live), Frames: b, SlotOnly: true, Shards: []consumer.Shard{{Stream: donations.Stream(), Source: shard{donations}}}, Log: log,
	})
	if err != nil {
		return nil, err
	}
	now := time.Now
	if at.offset != nil {
		now = func() time.Time { return time.Now().Add(at.offset()) }
	}
	t.service, err = charge.New(config, charge.Deps{
		Books: []charge.Book{{
			Book: ledger.Live, Store: store{t.queue.Book(ledger.Live), t.db.Book(ledger.Live)}, Slot: t.slot, Commands: messages{commands}, Changes: b,
		}},
		Processor: t.client, Webhooks: messages{webhooks}, Log: log, Hook: hook, Now: now,
	})
	return t, err
}

// run charges until ctx ends.
func (t *till) run(ctx context.Context) error {
	slots, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- t.slot.Run(slots) }()
	err := t.service.Run(ctx)
	stop()
	err = errors.Join(err, <-ended)
	for _, s := range t.sources {
		s.Close()
	}
	t.client.Close()
	t.queue.Close()
	t.db.Close()
	return err
}

type store struct {
	*paymentsdb.Book
	ledger *ledgerdb.Book
}

func (s store) Quarantine(ctx context.Context, rejected []ledger.Rejected) error {
	return s.ledger.Quarantine(ctx, rejected)
}

type messages struct{ *broker.Source }

func (s messages) Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]charge.Message, error) {
	fetched, err := s.Source.Fetch(ctx, maxMessages, maxBytes, wait)
	all := make([]charge.Message, len(fetched))
	for i, m := range fetched {
		all[i] = charge.Message{Data: m.Data, Sequence: m.Sequence, StoredAt: m.StoredAt, Deliveries: m.Deliveries, Handle: m}
	}
	return all, err
}

type shard struct{ *broker.Source }

func (s shard) Fetch(context.Context, int, int, time.Duration) ([]consumer.Message, error) {
	return nil, errors.New("nobody fetches donations here")
}
func (s shard) Lag(context.Context) (consumer.Lag, error) { return consumer.Lag{}, nil }

// rig is everything around a till, real: database, broker, and the simulator over
// HTTP, whose webhooks are stored in the broker's stream.
type rig struct {
	t      testing.TB
	at     place
	server *brokertest.Server
	broker *broker.Broker
	db     *ledgerdb.DB
	queue  *paymentsdb.DB
	sim    *stripesim.Server
	log    *slog.Logger
	lease  ledger.Lease
	given  [][16]byte
	// ahead is how far the time of business is ahead of the real one, here, in the
	// queue and at the simulator.
	ahead atomic.Int64
}

func (r *rig) offset() time.Duration { return time.Duration(r.ahead.Load()) }

// skip moves the time of business forward.
func (r *rig) skip(d time.Duration) {
	r.t.Helper()
	if err := r.sim.Advance(d); err != nil {
		r.t.Fatal(err)
	}
	r.ahead.Add(int64(d))
}

func newRealRig(t testing.TB, sim stripesim.Config, perSecond float64) *rig {
	t.Helper()
	return newRealRigOn(t, pgtest.URL(t), sim, perSecond)
}

// newRealRigOn uses the database at a URL.
func newRealRigOn(t testing.TB, database string, sim stripesim.Config, perSecond float64) *rig {
	t.Helper()
	r := &rig{t: t, log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	r.server = brokertest.Start(t, brokertest.WithTCP(), brokertest.WithStorage(64<<30))
	r.broker = r.server.Connect()
	if err := r.broker.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.at = place{database: database, nats: r.server.URL(), offset: r.offset}
	var err error
	if r.db, err = ledgerdb.Open(ledgerdb.Config{URL: r.at.database}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.db.Close)
	if err := r.db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.queue, err = paymentsdb.Open(paymentsdb.Config{URL: r.at.database}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.queue.Close)
	for endpoint, rate := range map[string]float64{"payment_intents": perSecond, "reads": 200, "*": 1000} {
		if err := r.queue.Book(ledger.Live).SetPace(t.Context(), accountName, endpoint, rate, "test"); err != nil {
			t.Fatal(err)
		}
	}
	if r.lease, err = r.db.Book(ledger.Live).Acquire(t.Context(), "recorder", time.Hour); err != nil {
		t.Fatal(err)
	}
	r.simulate(sim)
	return r
}

// simulate starts the simulator and the endpoint of its webhooks.
func (r *rig) simulate(config stripesim.Config) {
	verifier, err := stripe.NewVerifier([]string{webhookSecret}, 0, func() time.Time { return time.Now().Add(r.offset()) })
	if err != nil {
		r.t.Fatal(err)
	}
	webhooks := r.listen()
	endpoint := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		event, err := verifier.Verify(body, req.Header.Get("Stripe-Signature"))
		if err == nil {
			err = r.broker.PublishWebhook(req.Context(), event, body)
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = endpoint.Serve(webhooks) })
	config.Key, config.WebhookURL, config.WebhookSecret = key, "http://"+webhooks.Addr().String()+"/", webhookSecret
	config.Log, config.Seed = r.log, 11
	if r.sim, err = stripesim.New(config); err != nil {
		r.t.Fatal(err)
	}
	api := r.listen()
	r.at.processor = "http://" + api.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	serving.Go(func() {
		if err := r.sim.Run(ctx, api); err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(func() {
		cancel()
		_ = endpoint.Close()
		serving.Wait()
	})
}

func (r *rig) listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// start runs a till until stop.
func (r *rig) start(config charge.Config) (stop func()) {
	config.Holder = "test"
	t, err := newTill(r.at, r.server.Connect(), config, r.log, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- t.run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

// give records n donations of a card, as the ledger does.
func (r *rig) give(n int, card string) { r.giveUntil(n, card, time.Hour) }

// giveUntil records donations whose tokens live for so long.
func (r *rig) giveUntil(n int, card string, life time.Duration) {
	r.t.Helper()
	now := time.Now().Add(r.offset()).UTC().Truncate(time.Microsecond)
	var batch []*envelope.Donation
	for range n {
		k := fmt.Sprint("donor number ", len(r.given))
		d := &envelope.Donation{
			ID: ingest.DeriveID([]byte(k)), ReceivedAt: now, TokenExpiresAt: now.Add(life), Source: uint64(len(r.given)), Currency: "USD",
			ConfirmationToken: fmt.Sprint(card, "_", len(r.given)), Lines: []ingest.Line{{Campaign: "harbour", AmountMinor: 1000}, {Campaign: "library", AmountMinor: 501}},
			FeeCoverMinor: 60, AmountMinor: 1561,
		}
		hash := sha256.Sum256([]byte(k))
		copy(d.Fingerprint[:], hash[:])
		batch = append(batch, d)
		r.given = append(r.given, d.ID)
	}
	slices.SortFunc(batch, func(a, b *envelope.Donation) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var rows []campaigns.SlotRow
		if rows, _, err = r.db.Book(ledger.Live).Record(r.t.Context(), r.lease, batch, nil); err == nil && len(rows) > 0 {
			return
		}
		if errors.Is(err, ledger.ErrFenced) { // another process has adopted the slot meanwhile
			if r.lease, err = r.db.Book(ledger.Live).Acquire(r.t.Context(), "recorder", time.Hour); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	r.t.Fatal(err)
}

// ask runs a query of one number on the live book.
func (r *rig) ask(sql string, args ...any) (n int64) {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.at.database+"&search_path=spillway")
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(r.t.Context(), sql, args...).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// count is how many donations are in a status.
func (r *rig) count(status ...string) int64 {
	return r.ask("SELECT count(*) FROM payments WHERE status = ANY($1)", status)
}

// settled waits until every donation is in a final state, and holds the books
// against the simulator's own.
func (r *rig) settled() {
	r.t.Helper()
	deadline := time.Now().Add(3 * patience)
	for r.count("succeeded", "failed", "canceled", "refunded", "disputed") < int64(len(r.given)) {
		if time.Now().After(deadline) {
			r.t.Fatalf("of %d donations: %d accepted, %d charging, %d waiting for their donor", len(r.given), r.count("accepted"), r.count("charging"), r.count("requires_action"))
		}
		<-time.After(20 * time.Millisecond)
	}
	books, err := r.sim.Books()
	if err != nil {
		r.t.Fatal(err)
	}
	var charged int64
	for donation, charges := range books.Charged() {
		if len(charges) != 1 {
			r.t.Errorf("donation %s was charged %d times", donation, len(charges))
		}
		charged += charges[0].Amount
	}
	if got := r.ask("SELECT coalesce(sum(amount_minor), 0) FROM postings WHERE kind = 'capture' AND account = 'processor:stripe'"); got != charged {
		r.t.Errorf("the journal has captured %d, the processor %d", got, charged)
	}
	if got := r.count("succeeded"); got != int64(len(books.Charged())) {
		r.t.Errorf("%d donations succeeded, the processor charged %d", got, len(books.Charged()))
	}
	if n := r.ask("SELECT count(*) FROM (SELECT donation_id FROM entries WHERE kind = 'capture' GROUP BY 1 HAVING count(*) > 1) d"); n > 0 {
		r.t.Errorf("%d donations have more than one capture", n)
	}
	raised := r.ask("SELECT coalesce(sum(raised_minor), 0) FROM slots")
	if got := -r.ask("SELECT coalesce(sum(amount_minor), 0) FROM postings WHERE account LIKE 'gifts:%'"); got != raised {
		r.t.Errorf("raised %d, by the journal %d", raised, got)
	}
	if got := r.ask("SELECT coalesce(sum(pledged_minor), 0) FROM slots"); got != 1501*r.count("succeeded") {
		r.t.Errorf("pledged %d with %d donations that succeeded", got, r.count("succeeded"))
	}
	if n := r.ask("SELECT count(*) FROM quarantine"); n > 0 {
		r.t.Errorf("%d records set aside", n)
	}
}

// The environment of a child process: where everything is, and where it ends itself.
const (
	childPoint    = "CHARGE_TEST_POINT"
	childDatabase = "CHARGE_TEST_DATABASE"
	childNATS     = "CHARGE_TEST_NATS"
	childStripe   = "CHARGE_TEST_STRIPE"
)

// child is a payments process that kills itself, as kill -9 does, when a charge comes
// by a point: a real death, with its connections, pools and locks.
func child() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	point := charge.Point(os.Getenv(childPoint))
	at := place{database: os.Getenv(childDatabase), nats: os.Getenv(childNATS), processor: os.Getenv(childStripe)}
	b, err := broker.Connect(context.Background(), broker.Config{URL: at.nats}, log)
	if err != nil {
		log.Error("connect", "error", err)
		return 1
	}
	config := tillConfig
	config.Holder = "child"
	t, err := newTill(at, b, config, log, func(p charge.Point, _ [16]byte) {
		if p == point {
			fmt.Println(strings.ToUpper(string(p)))
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it is dead
		}
	})
	if err != nil {
		log.Error("start", "error", err)
		return 1
	}
	if err := t.run(context.Background()); err != nil {
		log.Error("run", "error", err)
	}
	return 1
}
