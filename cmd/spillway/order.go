package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ledger"
	"spillway/ledger/payments"
	paymentsdb "spillway/ledger/payments/postgres"
	ledgerdb "spillway/ledger/postgres"
	reconciledb "spillway/ledger/reconcile/postgres"
)

// A command of a person's is a message on the broker's disk before anything is done,
// so that a restore can replay it; a payments process carries it out, once for each ID,
// and notes what became of it in the database, where it is awaited.

const (
	// orderConnect bounds finding the broker and asking the database once.
	orderConnect = 15 * time.Second
	// orderPoll is the pace at which the outcome is asked for: one row by its key.
	orderPoll = 200 * time.Millisecond
	// orderRetry is the pause before a broker that did not answer is told again.
	orderRetry = time.Second
	// exitUnknown is the status of a command whose outcome is not known yet, as of
	// verify's for what could not be checked.
	exitUnknown = exitStatus(2)
)

// counter is where people's commands are handed in.
type counter struct {
	broker   *broker.Broker
	payments *paymentsdb.DB
	ledger   *ledgerdb.DB
	journal  *reconciledb.DB
	out      io.Writer
	wait     time.Duration
	noWait   bool

	databaseURL string
}

// openCounter finds the installation and connects to it. What it opens are parts of
// the group.
func openCounter(p *process, group *lifecycle.Group, cfg config.Order, name string) (*counter, error) {
	natsURL, databaseURL, _, err := find(cfg.Place)
	if err != nil {
		return nil, err
	}
	cfg.Broker.NATSURL = config.Secret(natsURL)
	c := &counter{out: p.stdout, wait: cfg.Wait, noWait: cfg.NoWait, databaseURL: databaseURL}
	if c.ledger, err = ledgerdb.Open(ledgerdb.Config{URL: databaseURL, Application: name}); err != nil {
		return nil, err
	}
	group.Add(name+" ledger", quickStop, c.ledger.Close)
	if c.payments, err = paymentsdb.Open(paymentsdb.Config{URL: databaseURL, Application: name}); err != nil {
		return nil, err
	}
	group.Add(name+" payments", quickStop, c.payments.Close)
	if c.journal, err = reconciledb.Open(databaseURL); err != nil {
		return nil, err
	}
	group.Add(name+" journal", quickStop, c.journal.Close)
	ctx, cancel := context.WithTimeout(p.ctx, orderConnect)
	defer cancel()
	// Commands are not spread over shards: their number does not matter here.
	if c.broker, err = broker.Connect(ctx, as(broker.RoleOperator, brokerAt(cfg.Broker, config.Topology{Shards: 1, Replicas: cfg.Replicas}, nil, name)), p.log); err != nil {
		return nil, err
	}
	group.Add(name+" broker", connectionStop, func() { logClose(p.log, c.broker) })
	return c, nil
}

// find says where an installation's broker, database and simulator are; the latter is
// "" when cards are charged elsewhere.
func find(at config.Place) (natsURL, databaseURL, simulatorURL string, err error) {
	if (at.DatabaseURL == "") != (at.NATSURL == "") {
		return "", "", "", errors.New("--database-url and --nats-url go together")
	}
	if at.DatabaseURL != "" {
		return at.NATSURL.Reveal(), at.DatabaseURL.Reveal(), "", nil
	}
	run, err := onebox.ReadRun(at.Data)
	if err != nil {
		return "", "", "", fmt.Errorf("%w; name the servers with --database-url and --nats-url", err)
	}
	return run.NATSURL, run.DatabaseURL, run.SimulatorURL, nil
}

// commandID derives a command's ID from what names it: the same asked again is the
// same command. Lengths stand before the parts, so that no two lists are one.
func commandID(parts ...string) (id [16]byte) {
	h := sha256.New()
	for _, part := range append([]string{"spillway command"}, parts...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	copy(id[:], h.Sum(nil))
	return id
}

// commanded tells what became of a command, and fails soon when nobody answers.
func (c *counter) commanded(ctx context.Context, book ledger.Book, id [16]byte) (payments.CommandResult, error) {
	ctx, cancel := context.WithTimeout(ctx, orderConnect)
	defer cancel()
	return c.payments.Book(book).Commanded(ctx, id)
}

// submit has the command stored, and waits for what becomes of it unless it is not to
// be waited for: then the result has no word. Errors: exitUnknown, when it has told the
// person already that nothing is known yet.
func (c *counter) submit(ctx context.Context, book ledger.Book, order *payments.Command) (payments.CommandResult, error) {
	body, err := payments.EncodeCommand(order)
	if err != nil {
		return payments.CommandResult{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	for {
		err := c.broker.PublishCommand(bounded, book, ingest.ID(order.ID).String(), body)
		if err == nil {
			break
		}
		if !errors.Is(err, broker.ErrUnavailable) {
			return payments.CommandResult{}, err
		}
		if !idle(bounded, orderRetry) {
			return payments.CommandResult{}, c.unknown("it may be stored or not: %v", err)
		}
	}
	fmt.Fprintf(c.out, "stored: command %s\n", ingest.ID(order.ID))
	if c.noWait {
		return payments.CommandResult{}, nil
	}
	var result payments.CommandResult
	err = c.await(bounded, "a payments process will carry it out, or refuse it", func(ctx context.Context) (done bool, err error) {
		result, err = c.commanded(ctx, book, order.ID)
		return result.Word != "", err
	})
	return result, err
}

// await asks until something is known. meanwhile says what will happen without us.
func (c *counter) await(ctx context.Context, meanwhile string, ask func(context.Context) (done bool, err error)) error {
	for {
		done, err := ask(ctx)
		if err == nil && done {
			return nil
		}
		if err != nil && !errors.Is(err, ledger.ErrUnavailable) {
			return err
		}
		if !idle(ctx, orderPoll) {
			if err != nil && ctx.Err() == nil {
				return c.unknown("%s: %v", meanwhile, err)
			}
			return c.unknown("%s", meanwhile)
		}
	}
}

// unknown tells that nothing is known yet, and what to do.
func (c *counter) unknown(format string, args ...any) error {
	fmt.Fprintf(c.out, "not known yet: "+format+"\nAsk with the very same command again: it is done once.\n", args...)
	return exitUnknown
}

// donation looks a donation up in both books.
func (c *counter) donation(ctx context.Context, text string) (ingest.ID, ledger.State, error) {
	id, err := ingest.ParseID([]byte(text))
	if err != nil {
		return id, ledger.State{}, fmt.Errorf("%q is no donation's ID", text)
	}
	ctx, cancel := context.WithTimeout(ctx, orderConnect)
	defer cancel()
	states, err := c.ledger.States(ctx, [][16]byte{id})
	if err != nil {
		return id, ledger.State{}, err
	}
	state := states[id]
	if !state.Found {
		return id, state, fmt.Errorf("donation %s is not in the ledger: it never was, or it is not recorded yet", id)
	}
	return id, state, nil
}

// now is when a command is asked, as precise as the books.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
