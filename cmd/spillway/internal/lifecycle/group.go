// Package lifecycle starts the parts of a process in the order in which they need
// each other and stops them in the reverse one.
//
// The one invariant: a part is told to stop only after everything that was
// started later has ended or used up its time, so that a front-end's last answers
// still find a publisher, and a ledger's last batch still finds its database.
//
// Goroutines: one per part, started by Go, ended by Stop or by the part itself;
// Stop waits for all of them, each up to its own deadline.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrEnded says that a part ended although nobody had asked it to.
var ErrEnded = errors.New("ended by itself")

// ErrSlow says that a part did not end within its time.
var ErrSlow = errors.New("did not stop in time")

// Group is the parts of one process. Its methods are called from one goroutine.
type Group struct {
	log   *slog.Logger
	parts []*part
	ended chan *part // receives every part that ends; holds as many as there are parts

	mu      sync.Mutex
	stopped bool
}

type part struct {
	name   string
	within time.Duration
	stop   func()
	done   chan struct{}
	err    error // valid once done is closed
}

// New returns an empty group. log receives how long each part took to stop.
func New(log *slog.Logger) *Group {
	return &Group{log: log, ended: make(chan *part, partsMax)}
}

// partsMax bounds the parts of a group: `up`, which is every role at once, has some sixty.
const partsMax = 128

// Go starts a part. run blocks until its context ends and everything it started
// has ended. That context is the part's own: it carries the values of ctx, not its
// end, because it ends when the part's turn in the order of stopping has come.
// within is how long it may take from then.
func (g *Group) Go(ctx context.Context, name string, within time.Duration, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := g.add(name, within, cancel)
	go func() {
		defer cancel()
		p.err = run(ctx)
		close(p.done)
		g.ended <- p
	}()
}

// Add registers something that runs already and that stop ends, blocking until it has.
func (g *Group) Add(name string, within time.Duration, stop func()) {
	p := g.add(name, within, nil)
	p.stop = func() {
		go func() {
			stop()
			close(p.done)
		}()
	}
}

func (g *Group) add(name string, within time.Duration, stop func()) *part {
	if len(g.parts) == partsMax {
		panic("lifecycle: more parts than partsMax")
	}
	p := &part{name: name, within: within, stop: stop, done: make(chan struct{})}
	g.parts = append(g.parts, p)
	return p
}

// Wait returns nil when ctx ends, and an error when a part ends before: its own,
// or ErrEnded. It stops nothing.
func (g *Group) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case p := <-g.ended:
		if p.err != nil {
			return fmt.Errorf("%s: %w", p.name, p.err)
		}
		return fmt.Errorf("%s: %w", p.name, ErrEnded)
	}
}

// Stop ends the parts in the reverse order of their start and reports those that
// failed while stopping or were too slow; a slow one is left behind and the next
// is stopped all the same. A second call does nothing.
func (g *Group) Stop() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return nil
	}
	g.stopped = true
	var errs []error
	for i := len(g.parts) - 1; i >= 0; i-- {
		if err := g.end(g.parts[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (g *Group) end(p *part) error {
	began := time.Now()
	p.stop()
	timer := time.NewTimer(p.within)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		return fmt.Errorf("%s: %w (%v)", p.name, ErrSlow, p.within)
	}
	g.log.Debug("stopped", "part", p.name, "took", time.Since(began))
	if p.err != nil && !errors.Is(p.err, context.Canceled) {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}
