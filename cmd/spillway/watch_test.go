package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/cmd/spillway/internal/config"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
	paymentsdb "spillway/ledger/payments/postgres"
	ledgerdb "spillway/ledger/postgres"
	"spillway/ledger/reconcile"
	reconciledb "spillway/ledger/reconcile/postgres"
)

// leased is a slot whose lease nobody takes away.
type leased struct{ lease ledger.Lease }

func (s leased) Move(ctx context.Context, apply func(context.Context, ledger.Lease) ([]campaigns.SlotRow, error)) error {
	_, err := apply(ctx, s.lease)
	return err
}

// A fee that no event told is learnt from the processor's list, and booked once; what
// cannot be booked holds up nothing else.
func TestWatch_LearnsWhatNoEventTold(t *testing.T) {
	t.Parallel()
	d := openDay(t)
	gift := d.basket("a-basket-whose-fee-is-lost")
	d.agrees()
	// As if the capture had been told by an event alone: its fee was never heard of.
	conn := d.connect()
	for _, sql := range []string{
		"ALTER TABLE spillway.entries DISABLE TRIGGER USER", "DELETE FROM spillway.entries WHERE kind = 'processing_fee'", "ALTER TABLE spillway.entries ENABLE TRIGGER USER",
		"UPDATE spillway.payments SET fee_minor = NULL, fee_currency = NULL WHERE donation_id = '" + gift.gift.ID + "'",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}

	slots, err := ledgerdb.Open(ledgerdb.Config{URL: d.run.DatabaseURL})
	if err != nil {
		t.Fatal(err)
	}
	defer slots.Close()
	store, err := paymentsdb.Open(paymentsdb.Config{URL: d.run.DatabaseURL})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	reports, err := reconciledb.Open(d.run.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer reports.Close()
	var log bytes.Buffer
	l := learner{log: slog.New(slog.NewTextHandler(&log, nil))}
	var news []reconcile.News
	for _, book := range ledger.Books {
		lease, err := slots.Book(book).Acquire(t.Context(), "test", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		l.books = append(l.books, charge.Book{Book: book, Store: queue{store.Book(book), slots.Book(book)}, Slot: leased{lease}})
		news = append(news, reports.Book(book))
	}
	at := till{processor: config.Processor{Simulator: d.run.SimulatorURL}, log: l.log}
	client, err := at.client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	w, err := reconcile.NewWatch(reconcile.WatchConfig{}, reconcile.WatchDeps{
		Books: news, Processor: pacedLists{client, store.Book(ledger.Live), accountSimulator}, Learn: l.learn, Log: l.log,
		Now: func() time.Time { return time.Now().Add(10 * time.Minute) }, // beyond the grace
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Pass(t.Context())
	if err != nil || len(r.Differences) != 1 || r.Differences[0].Class != reconcile.Fee {
		t.Fatalf("before it is learnt: %+v, %v", r, err)
	}
	if r, err = w.Pass(t.Context()); err != nil || !r.OK() || r.Objects != 2 {
		t.Fatalf("after: %+v, %v", r, err)
	}
	d.agrees()

	// What names no gift, and facts about what is not ours.
	monthly, nonsense := journal.NewProcessorOther("txn_monthly", -500, "USD", time.Now()), journal.Entry{Kind: journal.ProcessorOther, Ref: "other:txn_nonsense"}
	strange := payments.Fact{Source: payments.FromSweep, At: time.Now(), Fee: &payments.FeeSeen{Charge: "ch_of_nobody", BalanceTransaction: "txn_1", FeeMinor: 5, Currency: "USD"}}
	for range 2 {
		if err := l.learn(t.Context(), []payments.Fact{strange}, []journal.Entry{nonsense, monthly}); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.ask("SELECT count(*)::text FROM spillway.entries WHERE kind = 'processor_other'"); n != "1" {
		t.Errorf("%s entries of one movement", n)
	}
	if !strings.Contains(log.String(), "txn_nonsense") {
		t.Errorf("nobody is told of what cannot be booked: %s", &log)
	}
	d.up.stop()
}

// flaky is a processor's list that fails in a way of each call.
type flaky struct {
	lister
	answers []error
	calls   int
}

func (f *flaky) BalanceTransactions(context.Context, time.Time, time.Time, string) (payments.Page[payments.Movement], error) {
	f.calls++
	return payments.Page[payments.Movement]{Next: "there"}, f.answers[f.calls-1]
}

// counted grants every other time.
type counted struct {
	asked, granted int
	slowed         []string
}

func (c *counted) TakePace(_ context.Context, account, endpoint string, n int) (int, time.Duration, error) {
	if c.asked++; c.asked%2 == 1 || account != "a" || endpoint != endpointReads || n != 1 {
		return 0, time.Millisecond, nil
	}
	c.granted++
	return 1, 0, nil
}

func (c *counted) Slow(_ context.Context, _, _, reason string) error {
	c.slowed = append(c.slowed, reason)
	return nil
}

// Each try takes its pace; what time heals is asked again, and a refusal is not.
func TestPacedLists(t *testing.T) {
	limited := &payments.CallError{Answer: payments.Answer{Kind: payments.Retry, RateLimited: "endpoint-rate", RetryAfter: time.Millisecond}}
	away := &payments.CallError{Answer: payments.Answer{Kind: payments.Unknown, Detail: "timeout"}}
	never := &payments.CallError{Answer: payments.Answer{Kind: payments.Definite, Detail: "permission"}}
	for name, c := range map[string]struct {
		answers []error
		calls   int
		want    error
	}{
		"at once":          {[]error{nil}, 1, nil},
		"the second time":  {[]error{limited, nil}, 2, nil},
		"never":            {[]error{never}, 1, never},
		"of another cause": {[]error{errKeyUsed}, 1, errKeyUsed},
		"away and refused": {[]error{away, never}, 2, never},
	} {
		f, pace := &flaky{answers: c.answers}, &counted{}
		page, err := pacedLists{f, pace, "a"}.BalanceTransactions(t.Context(), time.Time{}, time.Time{}, "")
		if !errors.Is(err, c.want) || f.calls != c.calls || pace.granted != c.calls || err == nil && page.Next != "there" {
			t.Errorf("%s: %v after %d calls, %d granted", name, err, f.calls, pace.granted)
		}
		if slowed := len(pace.slowed); (c.answers[0] == error(limited)) != (slowed == 1) {
			t.Errorf("%s: slowed %v", name, pace.slowed)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	f := &flaky{answers: []error{away}}
	if _, err := (pacedLists{f, &counted{}, "a"}).BalanceTransactions(ended, time.Time{}, time.Time{}, ""); !errors.Is(err, context.Canceled) || f.calls != 0 {
		t.Errorf("after the end: %v, %d calls", err, f.calls)
	}
}
