// Package visit has people look at pages beside the gifts of a rehearsal: donors before
// and after they give, and readers who do not give, up to a hundred for each gift.
//
// The one invariant: visitors come at planned times whatever the answers to others are,
// each goes on at its own times or as soon as its own last answer is there, and what it
// waited counts from then. The generator's own lateness is measured, and a visit that it
// had no room for is counted.
//
// Goroutines, all started by Run and ended before it returns: one dispatcher; one worker
// for each connection, for pages and polls of all visitors; one for each open stream. A
// visitor who thinks is a few bytes in a heap.
package visit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"spillway/loadtest/conn"
	"spillway/loadtest/trace"
)

// Bounds of the dispatcher and of requests.
const (
	// tickLeast keeps a busy dispatcher from waking for every visitor; tickMost is how
	// late a step may be noticed that another goroutine has added.
	tickLeast = 500 * time.Microsecond
	tickMost  = 5 * time.Millisecond
	// queueMax bounds requests that wait for a connection; beyond it the dispatcher
	// waits, and that shows as lateness.
	queueMax = 1 << 16
	// blockRows is how many rows of the source are read at once.
	blockRows = 256
	// requestTimeout is when a reader gives a page up.
	requestTimeout = 10 * time.Second
)

// Config is who visits what.
type Config struct {
	Habits
	// Target is the base URL of a front-end or a proxy before many.
	Target string
	// Source is what is given when; Slugs are its campaigns at the target.
	Source trace.Source
	Slugs  []string
	// Seed draws other visits.
	Seed uint64
}

// Visitors are those of one rehearsal.
type Visitors struct {
	cfg      Config
	endpoint *conn.Endpoint
	schedule schedule
	begun    chan struct{} // closed by Begin
	start    time.Time
	jobs     chan step
	streams  sync.WaitGroup
	watching atomic.Int64 // streams open
	log      *journal
	pause    func() time.Duration // before a lost stream is opened again
}

// New checks who is to come. Errors: ErrHabits, those of the source.
func New(cfg Config) (*Visitors, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	if len(cfg.Slugs) < len(cfg.Source.Campaigns()) {
		return nil, fmt.Errorf("%d slugs for %d campaigns: %w", len(cfg.Slugs), len(cfg.Source.Campaigns()), ErrHabits)
	}
	v := &Visitors{cfg: cfg, begun: make(chan struct{}), jobs: make(chan step, queueMax), log: newJournal(), pause: reconnectPause}
	var err error
	if v.endpoint, err = conn.NewEndpoint(cfg.Target); err != nil {
		return nil, err
	}
	v.schedule = schedule{habits: &v.cfg.Habits, seed: cfg.Seed, block: make([]trace.Row, blockRows)}
	return v, nil
}

// Begin says when the gifts' schedule starts. It is called once at most.
func (v *Visitors) Begin(start time.Time) {
	v.start = start
	close(v.begun)
}

// Run has everybody come and go, from Begin until all have gone or ctx ends; those who
// are there then are counted as cut off.
func (v *Visitors) Run(ctx context.Context) (err error) {
	select {
	case <-ctx.Done():
		return nil
	case <-v.begun:
	}
	if v.schedule.stream, err = v.cfg.Source.Open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.schedule.stream.Close()) }()
	ctx, done := context.WithCancel(ctx)
	defer done()
	var workers sync.WaitGroup
	for range v.cfg.Connections {
		workers.Go(func() { v.work(ctx) })
	}
	err = v.dispatch(ctx)
	done()
	workers.Wait()
	v.streams.Wait()
	return err
}

// dispatch hands every step on at its time.
func (v *Visitors) dispatch(ctx context.Context) error {
	var due []step
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		elapsed := time.Since(v.start)
		if err := v.schedule.plan(elapsed + v.schedule.ahead()); err != nil {
			return err
		}
		var next time.Duration
		var more bool
		due, next, more = v.schedule.due(elapsed, due[:0])
		for _, s := range due {
			if !v.hand(ctx, s) {
				return nil
			}
		}
		if v.schedule.over() {
			return nil
		}
		wait := tickMost
		if more {
			wait = min(wait, max(tickLeast, next-time.Since(v.start)))
		}
		timer.Reset(wait)
	}
}

// hand gives a step to whoever does it; false when ctx has ended.
func (v *Visitors) hand(ctx context.Context, s step) bool {
	if s.watches && s.visitor.way == streams {
		if v.watching.Load() >= int64(v.cfg.Streams) {
			v.log.full()
			v.schedule.left()
			return true
		}
		v.log.late(time.Since(v.start) - s.at)
		v.log.most(v.watching.Add(1))
		v.streams.Go(func() {
			defer v.schedule.left()
			defer v.watching.Add(-1)
			v.stream(ctx, s)
		})
		return true
	}
	select {
	case v.jobs <- s:
	case <-ctx.Done():
		return false
	}
	v.log.late(time.Since(v.start) - s.at)
	if !s.watches {
		v.log.began()
	}
	return true
}
