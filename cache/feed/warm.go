package feed

import (
	"context"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
)

// catchUp waits until the frames kept by the broker have been applied: until the
// totals are fresh, or nobody speaks, and no slot stands still. It reports false
// when ctx ended first.
func (f *Feed) catchUp(ctx context.Context) bool {
	begun := f.cfg.Now()
	check := time.NewTicker(f.cfg.Quiet / 10)
	defer check.Stop()
	for {
		now := f.cfg.Now()
		waiting, fresh, last := f.condition(now)
		if last.Before(begun) {
			last = begun
		}
		if waiting == 0 && (fresh || now.Sub(last) >= f.cfg.Quiet) {
			return true
		}
		if now.Sub(begun) >= f.cfg.WarmMost {
			f.log.Warn("starting although slots stand still: their totals will say their age", "slots", waiting)
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-f.progress:
		case <-check.C:
		}
	}
}

// condition counts the slots that stand still and the books that are held, and
// tells whether every book that was heard of is within the stated bound.
func (f *Feed) condition(now time.Time) (waiting int, fresh bool, heardAt time.Time) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	heard := false
	fresh = true
	for _, b := range ledger.Books {
		if !f.state.Heard(b) {
			continue
		}
		heard = true
		waiting += len(f.state.Standing(b, nil))
		if f.rereading(b) {
			waiting++
		}
		fresh = fresh && campaigns.Age{AsOf: f.state.AsOf(b)}.Lag(now) <= campaigns.StaleBound
	}
	return waiting, heard && fresh, f.heardAt
}

// open ends the start: totals may be shown, and all of them are rendered.
func (f *Feed) open() {
	f.mu.Lock()
	f.opened = true
	for _, b := range ledger.Books {
		f.markAll(b)
	}
	f.mu.Unlock()
	signal(f.changed)
}

// markAll has every total of the book rendered anew, also those of campaigns that
// nothing was given to, for their epoch is new. The caller holds mu.
func (f *Feed) markAll(b ledger.Book) {
	for _, c := range f.campaigns.All() {
		if c.Book() == b {
			f.state.MarkChanged(b, c.Slug)
		}
	}
}
