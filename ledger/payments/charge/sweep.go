package charge

import (
	"context"
	"errors"
	"time"

	"spillway/ledger/payments"
)

const (
	// sweepWindow is how much of the processor's time one list covers. Its pages are
	// newest first, so a window is only done as a whole.
	sweepWindow = 5 * time.Minute
	// sweepBack is how far back a process that starts begins with events: those of the
	// time in which nobody swept. sweepBackMost bounds what stuck payments add to that;
	// what is older is found by reconciliation.
	sweepBack     = time.Hour
	sweepBackMost = 25 * time.Hour
	// sweepAround is how far around the first call of a stuck payment its intent may
	// have been made: two clocks, and a call that waited.
	sweepAround = 2 * time.Minute
	// stuckLongest is longer than anything takes that a person need not look at: donors
	// who must act have half an hour, and banks that work on a payment tell by then.
	stuckLongest = time.Hour
	// seenMax bounds the events that are remembered as handled here, so that a sweep
	// need not ask the books about them: ten minutes at 400 events a second.
	seenMax = 1 << 18
)

// sweep asks the processor about what should have come and did not: events, by its
// list of them, and payments that wait for an answer for too long, by the list of
// intents of the time of their calls. All of it is rationed, and idempotent with
// webhooks by the events' IDs.
type sweep struct {
	s *Service
	// since is up to when events were compared; zero before the first step.
	since time.Time
	// A window under way: events of [since, until), and the next page's cursor.
	until  time.Time
	cursor string
	pages  int // that may still be read in this step
}

// sweepLoop sweeps until ctx ends.
func (s *Service) sweepLoop(ctx context.Context) {
	w := &sweep{s: s}
	loop(ctx, s.log, "sweep", s.config.SweepEvery, w.step)
}

// step reads at most SweepPages pages. It never asks for more at once: what is left
// waits for the next step, so that a sweep far behind stays within its ration.
func (w *sweep) step(ctx context.Context) (more bool, err error) {
	w.pages = w.s.config.SweepPages
	first := w.s.desks[0]
	oldest := time.Time{}
	for _, d := range w.s.desks {
		since, err := w.stuck(ctx, d)
		if err != nil {
			return false, err
		}
		if !since.IsZero() && (oldest.IsZero() || since.Before(oldest)) {
			oldest = since
		}
	}
	now := w.s.deps.Now()
	if w.since.IsZero() {
		w.since = now.Add(-sweepBack)
		if !oldest.IsZero() && oldest.Before(w.since) {
			w.since = oldest
		}
		if least := now.Add(-sweepBackMost); w.since.Before(least) {
			w.since = least
		}
		w.since = w.since.Truncate(time.Second)
	}
	for w.pages > 0 {
		if w.until.IsZero() {
			until := now.Add(-w.s.config.SweepGrace).Truncate(time.Second)
			if most := w.since.Add(sweepWindow); most.Before(until) {
				until = most
			}
			if !until.After(w.since) {
				return false, nil
			}
			w.until, w.cursor = until, ""
		}
		if err := w.events(ctx); err != nil {
			return false, err
		}
		first.metrics.sweptThrough.Set(float64(w.since.Unix()))
	}
	return false, nil
}

// events reads one page of the window under way and applies what did not come.
func (w *sweep) events(ctx context.Context) error {
	first := w.s.desks[0]
	if err := first.takePace(ctx, endpointReads); err != nil {
		return err
	}
	w.pages--
	bounded, cancel := context.WithTimeout(ctx, w.s.config.CallTimeout)
	page, err := w.s.deps.Processor.Events(bounded, w.since, w.until, w.cursor)
	cancel()
	if err != nil {
		return w.heed(ctx, err)
	}
	var missed []payments.Event
	for _, e := range page.Rows {
		if w.s.seen.has(e.ID) {
			continue
		}
		for i := range e.Facts {
			e.Facts[i].Source = payments.FromSweep
		}
		missed = append(missed, e)
	}
	// Oldest first, as they happened: what is in order needs no second thoughts.
	for i, j := 0, len(missed)-1; i < j; i, j = i+1, j-1 {
		missed[i], missed[j] = missed[j], missed[i]
	}
	refused, err := w.s.handle(ctx, roadSweep, missed)
	if err != nil {
		return err
	}
	for id, why := range refused {
		first.metrics.setAside.Inc()
		w.s.log.Error("an event that cannot be booked", "event", id, "error", why)
	}
	if w.cursor = page.Next; w.cursor == "" {
		w.since, w.until = w.until, time.Time{}
	}
	return nil
}

// stuck lists the intents of the time in which the first stuck payments of a book were
// called. It returns since when there are any.
func (w *sweep) stuck(ctx context.Context, d *desk) (since time.Time, err error) {
	bounded, cancel := ask(ctx)
	count, since, err := d.book.Store.Stuck(bounded, w.s.deps.Now().Add(-w.s.config.AskAfter))
	cancel()
	if err != nil {
		return time.Time{}, err
	}
	overdue := int64(0)
	if count > 0 && d.s.since(since) > stuckLongest {
		overdue = count
	}
	d.metrics.stuck.Set(float64(overdue))
	if count == 0 {
		return time.Time{}, nil
	}
	// A window after the other, from the first stuck one on; the next step begins with
	// the first that is stuck then, or again here, a page further.
	from := since.Add(-sweepAround)
	if !d.stuckAt.since.Equal(from) {
		d.stuckAt = stuckAt{since: from, until: from.Add(sweepWindow)}
	}
	for range w.s.config.SweepPages / 4 {
		if err := d.takePace(ctx, endpointReads); err != nil {
			return since, err
		}
		w.pages--
		bounded, cancel := context.WithTimeout(ctx, w.s.config.CallTimeout)
		page, err := w.s.deps.Processor.Intents(bounded, d.stuckAt.from(), d.stuckAt.until, d.stuckAt.cursor)
		cancel()
		if err != nil {
			return since, w.heed(ctx, err)
		}
		if err := d.applySeen(ctx, page.Rows); err != nil {
			return since, err
		}
		if d.stuckAt.cursor = page.Next; page.Next == "" && !d.stuckAt.next(w.s.deps.Now()) {
			break
		}
	}
	return since, nil
}

// stuckAt is how far the intents of a book's stuck payments were listed.
type stuckAt struct {
	since  time.Time // where the listing began: stuck payments since then
	window time.Time // beginning of the window under way; since when zero
	until  time.Time // its end
	cursor string
}

func (s *stuckAt) from() time.Time {
	if s.window.IsZero() {
		return s.since
	}
	return s.window
}

// next moves on to the next window; false when it would be in the future, and then
// the listing begins anew.
func (s *stuckAt) next(now time.Time) bool {
	s.window, s.until = s.until, s.until.Add(sweepWindow)
	if s.window.Before(now) {
		return true
	}
	*s = stuckAt{}
	return false
}

// applySeen applies intents as a list showed them.
func (d *desk) applySeen(ctx context.Context, facts []payments.Fact) error {
	for i := range facts {
		facts[i].Source = payments.FromSweep
	}
	results, err := d.apply(ctx, facts)
	for i, r := range results {
		if r.err != nil {
			d.metrics.setAside.Inc()
			d.log.Error("an intent that cannot be booked", "donation", uuid(facts[i].Donation), "error", r.err)
		}
	}
	return err
}

// heed slows down when a list was refused with a 429, and returns err.
func (w *sweep) heed(ctx context.Context, err error) error {
	var refused *payments.CallError
	if errors.As(err, &refused) {
		w.s.desks[0].heed(ctx, endpointReads, refused.Answer)
	}
	return err
}
