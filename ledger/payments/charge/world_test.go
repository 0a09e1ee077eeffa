package charge_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
)

// patience bounds a wait for something that takes milliseconds on an idle machine.
const patience = 30 * time.Second

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still not after %v: %s", patience, what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// id makes a donation's ID of a number.
func id(n int) (d [16]byte) {
	d[0], d[1], d[15] = byte(n>>8), byte(n), 1
	return d
}

// told keeps the changes that donors were told of.
type told struct {
	mu  sync.Mutex
	all []payments.Outcome
}

func (c *told) PublishChanges(_ context.Context, changed []payments.Outcome) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, changed...)
	return nil
}

// world is everything around a service.
type world struct {
	t        *testing.T
	books    *books
	stripe   *processor
	webhooks *queue
	commands *queue
	told     *told
	registry *prometheus.Registry
	config   charge.Config
	slot     charge.Slot
	// rehearsal are the books of rehearsals, nil for none.
	rehearsal *books
	quiet     bool
	now       func() time.Time
	hook      func(charge.Point, [16]byte)
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, books: newBooks(), stripe: newProcessor(), webhooks: newQueue(), commands: newQueue(), told: &told{}, registry: prometheus.NewRegistry(), slot: slot{},
		config: charge.Config{
			Holder: "test", CallTimeout: 5 * time.Second, ClaimFor: 6 * time.Second, ClaimEvery: time.Millisecond, Poll: 2 * time.Millisecond,
			AckWait: 60 * time.Millisecond, SweepEvery: 10 * time.Millisecond, StopTimeout: patience,
		},
	}
}

// run starts a service; stop ends it and waits.
func (w *world) run() (stop func()) {
	w.t.Helper()
	log := slog.DiscardHandler
	if !w.quiet {
		log = slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	books := []charge.Book{{Book: ledger.Live, Store: w.books, Slot: w.slot, Commands: w.commands, Changes: w.told}}
	if w.rehearsal != nil {
		books = append(books, charge.Book{Book: ledger.Rehearsal, Store: w.rehearsal, Slot: w.slot})
	}
	s, err := charge.New(w.config, charge.Deps{
		Books:     books,
		Processor: w.stripe, Webhooks: w.webhooks, Registerer: w.registry, Now: w.now, Hook: w.hook,
		Log: slog.New(log),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Error(err)
			}
		case <-time.After(2 * patience):
			w.t.Error("the service does not stop")
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// another starts one more process on the same books.
func (w *world) another() (stop func()) {
	w.t.Helper()
	w.registry, w.config.Holder = prometheus.NewRegistry(), w.config.Holder+", another"
	return w.run()
}
