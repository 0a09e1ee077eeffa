package charge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/backoff"
)

// storeTimeout bounds one transaction or query outside of applying facts.
const storeTimeout = 10 * time.Second

// desk is where one book is charged.
type desk struct {
	s       *Service
	book    Book
	log     *slog.Logger
	metrics *bookMetrics
	applier *applier
	breaker *breaker
	slowed  *slowdown
	// made is signalled when attempts were made, so that they are claimed at once: see wake.
	made chan struct{}

	// queued and perSecond are the due attempts and the pace as the figures loop last
	// saw them, with the attempts made since.
	queued, perSecond atomic.Int64

	late    bool    // of the figures loop: the queue outlives its tokens
	stuckAt stuckAt // of the sweep
}

func newDesk(s *Service, b Book) *desk {
	d := &desk{
		s: s, book: b, log: s.log.With("book", b.Book.String()), metrics: s.metrics.of(b.Book),
		made: make(chan struct{}, 1), slowed: newSlowdown(),
	}
	d.applier = newApplier(d)
	d.breaker = newBreaker(d)
	return d
}

// feed does the desk's work until ctx ends, and then ends what was begun, or until
// work ends.
func (d *desk) feed(ctx, work context.Context) {
	var loops sync.WaitGroup
	poll := d.s.config.Poll
	seldom := 3 * poll // nobody watches these by the second
	loops.Go(func() { d.loop(ctx, "make attempts", poll, d.expand) })
	loops.Go(func() { d.claimLoop(ctx, work) })
	loops.Go(func() { d.loop(ctx, "donors' wishes", poll, d.wishes) })
	loops.Go(func() { d.loop(ctx, "what is overdue", overdueEvery, d.overdue) })
	loops.Go(func() {
		d.loop(ctx, "cancel intents", seldom, func(ctx context.Context) (bool, error) { return d.cancels(ctx, work) })
	})
	loops.Go(func() {
		d.loop(ctx, "refunds", seldom, func(ctx context.Context) (bool, error) { return d.refunds(ctx, work) })
	})
	loops.Go(func() { d.loop(ctx, "parked events", parkedEvery, d.parked) })
	loops.Go(func() { d.loop(ctx, "figures", figuresEvery, d.figures) })
	if d.book.Commands != nil {
		loops.Go(func() { d.commandLoop(ctx, work) })
	}
	loops.Wait()
}

// loop takes a step until ctx ends: again at once while the last one says that there
// is more, else after a wait. What fails is tried again, later each time.
func (d *desk) loop(ctx context.Context, what string, wait time.Duration, step func(ctx context.Context) (more bool, err error)) {
	loop(ctx, d.log, what, wait, step)
}

func loop(ctx context.Context, log *slog.Logger, what string, wait time.Duration, step func(ctx context.Context) (more bool, err error)) {
	var retry backoff.Tries
	for ctx.Err() == nil {
		more, err := step(ctx)
		switch {
		case err == nil:
			if retry.Count() > 0 {
				log.Info("goes on", "what", what, "tries", retry.Count())
			}
			retry = backoff.Tries{}
			if !more {
				backoff.Pause(ctx, jittered(wait))
			}
		case ctx.Err() == nil:
			if retry.Count() == 0 {
				log.Warn("stands still", "what", what, "error", err)
			}
			retry.Wait(ctx)
		}
	}
}

// How much of a connection's time making attempts may take, in parts of one: half
// while the queue is short, so that a burst is recorded first and expanded behind it;
// a twentieth while it holds enough for ampleFor at the pace, and at least ampleLeast:
// some 2,500 attempts a second still (two cores, 2026-11-22), above any pace, while
// recording keeps the database to itself.
const (
	restShort = 1  // times what the work took
	restAmple = 19 // the same
	// claimAmple is how often is claimed then: what a bucket saves up (250 ms of its
	// rate) is never spilled, and 25 a second are seven claims and not twenty-five.
	claimAmple = 150 * time.Millisecond
	// applyAmple is how long facts are gathered then: a donor who is asked for 3-D
	// Secure sees it in the same blink.
	applyAmple = 200 * time.Millisecond
	ampleFor   = time.Minute
	ampleLeast = 1000 // attempts
)

// expand makes attempts of recorded donations.
func (d *desk) expand(ctx context.Context) (bool, error) {
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	made, err := d.book.Store.Expand(bounded, d.s.config.ExpandBatch)
	if err != nil || made == 0 {
		return false, err
	}
	d.metrics.attemptsMade.Add(float64(made))
	d.queued.Add(int64(made))
	d.wake()
	backoff.Pause(ctx, d.rest(time.Since(began)))
	return true, nil
}

// ample tells whether the queue holds enough to charge for a while: its donors wait by
// the minute, and a moment more buys fewer transactions.
func (d *desk) ample() bool {
	return d.queued.Load() > max(ampleLeast, d.perSecond.Load()*int64(ampleFor/time.Second))
}

// rest is how long to leave the database to others after work that took so long.
func (d *desk) rest(took time.Duration) time.Duration {
	if d.ample() {
		return restAmple * took
	}
	return restShort * took
}

// wake has the claim loop look at the queue now.
func (d *desk) wake() {
	select {
	case d.made <- struct{}{}:
	default: // it will look anyway
	}
}

// ask is d's context for one question to the store.
func ask(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, storeTimeout)
}

// persist asks the store until it answers. Errors: the context's, *ledger.PoisonError.
func (d *desk) persist(ctx context.Context, what string, try func(ctx context.Context) error) error {
	for retry := (backoff.Tries{}); ; {
		bounded, cancel := ask(ctx)
		err := try(bounded)
		cancel()
		var poison *ledger.PoisonError
		if err == nil || errors.As(err, &poison) {
			return err
		}
		if retry.Count() == 0 && ctx.Err() == nil {
			d.log.Warn("stands still", "what", what, "error", err)
		}
		if !retry.Wait(ctx) {
			return ctx.Err()
		}
	}
}

// move runs one transaction under the slot's lease until it has an outcome. One that
// goes on failing for a reason that nobody knows is taken for the data's fault, so
// that what waits behind it goes on. Errors: the context's, *ledger.PoisonError.
func (d *desk) move(ctx context.Context, what string, apply func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error)) error {
	unknown := 0
	return d.persist(ctx, what, func(ctx context.Context) error {
		err := d.book.Slot.Move(ctx, apply)
		var poison *ledger.PoisonError
		if err == nil || errors.Is(err, ledger.ErrUnavailable) || errors.As(err, &poison) || ctx.Err() != nil {
			return err
		}
		if unknown++; unknown < unknownTries {
			return err
		}
		d.log.Error("a failure without a name", "what", what, "error", err)
		return &ledger.PoisonError{Err: errUnknown}
	})
}

// errUnknown stands in quarantine for a failure whose text is in the log.
var errUnknown = errors.New("unknown: see the log")

// setAside puts what can never be applied into quarantine, however long it takes.
// Errors: the context's.
func (d *desk) setAside(ctx context.Context, r ledger.Rejected) error {
	err := d.persist(ctx, "quarantine", func(ctx context.Context) error {
		return d.book.Store.Quarantine(ctx, []ledger.Rejected{r})
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.metrics.setAside.Inc()
	// Quarantine itself refuses nothing that a stream can hold; if it did, the log is
	// the last place.
	d.log.Error("set aside", "stream", r.Stream, "sequence", r.Sequence, "reason", r.Reason, "detail", r.Detail, "error", err)
	return nil
}
