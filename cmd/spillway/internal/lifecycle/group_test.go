package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// within is ample for a machine that is busy with other tests.
const within = 30 * time.Second

func TestStop_EndsInReverseOrder(t *testing.T) {
	g := New(quiet())
	var mu sync.Mutex
	var order []string
	note := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, name)
	}
	g.Add("postgres", within, func() { note("postgres") })
	for _, name := range []string{"ledger", "publisher", "http"} {
		g.Go(t.Context(), name, within, func(ctx context.Context) error {
			<-ctx.Done()
			note(name)
			return nil
		})
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"http", "publisher", "ledger", "postgres"}; !slices.Equal(order, want) {
		t.Errorf("stopped in the order %v, want %v", order, want)
	}
}

func TestGo_CancelledStartDoesNotEndAPart(t *testing.T) {
	g := New(quiet())
	ctx, cancel := context.WithCancel(t.Context())
	ended := false
	g.Go(ctx, "ledger", within, func(ctx context.Context) error {
		<-ctx.Done()
		ended = true
		return ctx.Err()
	})
	cancel()
	if err := g.Wait(ctx); err != nil {
		t.Fatalf("Wait after the signal: %v", err)
	}
	if err := g.Stop(); err != nil {
		t.Fatalf("a cancelled part that says so is no failure: %v", err)
	}
	if !ended {
		t.Error("Stop returned before the part ended")
	}
}

func TestWait_ReportsThePartThatEndedFirst(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct{ returned, want error }{
		"with an error": {broken, broken},
		"without one":   {nil, ErrEnded},
	} {
		t.Run(name, func(t *testing.T) {
			g := New(quiet())
			g.Go(t.Context(), "steady", within, func(ctx context.Context) error { <-ctx.Done(); return nil })
			g.Go(t.Context(), "failing", within, func(context.Context) error { return c.returned })
			if err := g.Wait(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("Wait: %v, want %v", err, c.want)
			}
			if err := g.Stop(); !errors.Is(err, c.returned) {
				t.Errorf("Stop: %v, want %v", err, c.returned)
			}
		})
	}
}

func TestStop_LeavesASlowPartBehind(t *testing.T) {
	g := New(quiet())
	release := make(chan struct{})
	var stopped bool
	g.Add("postgres", within, func() { stopped = true })
	g.Go(t.Context(), "stuck", time.Millisecond, func(context.Context) error { <-release; return nil })
	if err := g.Stop(); !errors.Is(err, ErrSlow) {
		t.Errorf("Stop: %v, want ErrSlow", err)
	}
	if !stopped {
		t.Error("the part below the slow one was not stopped")
	}
	close(release)
}
