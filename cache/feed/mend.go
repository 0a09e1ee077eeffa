package feed

import (
	"context"
	"slices"
	"sync"
	"time"

	"spillway/ledger"
)

// attempt is what mend knows of a slot that stands still.
type attempt struct {
	due  time.Time
	wait time.Duration // until the attempt after the next
	said bool          // that it failed
}

// mend reads the snapshots of slots that stand still, each again and again with
// growing pauses until it fits, while frames of all slots go on being applied.
func (f *Feed) mend(ctx context.Context) {
	attempts := map[SlotKey]*attempt{}
	timer := time.NewTimer(f.cfg.RetryMost)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.unwell:
		case <-timer.C:
		}
		if !f.reload(ctx) {
			return
		}
		due := f.due(attempts, f.cfg.Now())
		f.fetch(ctx, due, attempts)
		if next, any := nextDue(attempts); any {
			timer.Reset(max(0, next.Sub(f.cfg.Now())))
		}
	}
}

// reload reads every snapshot again when a book's epoch rose. It reports false when ctx ended first.
func (f *Feed) reload(ctx context.Context) bool {
	f.mu.RLock()
	rereading := slices.ContainsFunc(ledger.Books, f.rereading)
	f.mu.RUnlock()
	if !rereading {
		return true
	}
	ok := f.readAll(ctx)
	signal(f.changed)
	signal(f.progress)
	return ok
}

// due brings attempts up to what stands still now and returns those whose time
// has come, their next one already planned.
func (f *Feed) due(attempts map[SlotKey]*attempt, now time.Time) (due []SlotKey) {
	standing := map[SlotKey]bool{}
	f.mu.RLock()
	for _, b := range ledger.Books {
		for _, n := range f.state.Standing(b, nil) {
			standing[SlotKey{b, n}] = true
		}
	}
	f.mu.RUnlock()
	for k := range attempts {
		if !standing[k] {
			delete(attempts, k)
		}
	}
	for k := range standing {
		a := attempts[k]
		if a == nil {
			a = &attempt{due: now, wait: f.cfg.RetryLeast}
			attempts[k] = a
		}
		if a.due.After(now) {
			continue
		}
		due = append(due, k)
		a.due = now.Add(a.wait)
		a.wait = min(2*a.wait, f.cfg.RetryMost)
	}
	return due
}

// fetch reads these slots' snapshots, a few at a time, and applies each as it comes.
func (f *Feed) fetch(ctx context.Context, due []SlotKey, attempts map[SlotKey]*attempt) {
	places := make(chan struct{}, fetchesMost)
	var wg sync.WaitGroup
	for _, k := range due {
		places <- struct{}{}
		a := attempts[k]
		wg.Go(func() {
			defer func() { <-places }()
			f.fetchOne(ctx, k, a)
		})
	}
	wg.Wait()
}

func (f *Feed) fetchOne(ctx context.Context, k SlotKey, a *attempt) {
	asking, cancel := context.WithTimeout(ctx, f.cfg.SnapshotTimeout)
	defer cancel()
	sn, err := f.source.Snapshot(asking, k.Book, k.Slot)
	if err != nil {
		if ctx.Err() == nil {
			f.metrics.snapshotErrors.Inc()
			if !a.said {
				a.said = true
				f.log.Warn("snapshot cannot be read, trying again", "book", k.Book, "slot", k.Slot, "err", err)
			}
		}
		return
	}
	f.mu.Lock()
	v, reset := f.state.Restore(sn)
	if reset {
		f.resets[sn.Book]++
	}
	f.mu.Unlock()
	f.metrics.snapshot(sn.Book, v)
	if reset {
		signal(f.unwell)
	}
	if v == Joined {
		f.log.Info("slot is complete again", "book", k.Book, "slot", k.Slot, "term", sn.Term, "number", sn.Number)
	}
	signal(f.changed)
	signal(f.progress)
}

func nextDue(attempts map[SlotKey]*attempt) (next time.Time, any bool) {
	for _, a := range attempts {
		if !any || a.due.Before(next) {
			next, any = a.due, true
		}
	}
	return next, any
}
