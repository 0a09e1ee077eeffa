package feed

import (
	"context"
	"fmt"
	"maps"

	"spillway/campaigns"
	"spillway/ledger"
)

// read applies frames until ctx ends. A reader that gives up is started again from
// the start of what is kept: what was seen before is repeated, harmlessly.
func (f *Feed) read(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.source.ReadFrames(ctx, func(frame *campaigns.Frame) { f.apply(ctx, frame) })
		if ctx.Err() != nil {
			return
		}
		f.log.Warn("frames stopped, reading again", "err", err)
		pause(ctx, f.cfg.RetryMost)
	}
}

// apply takes in a frame.
//
// After a silence it first reads every snapshot: among frames that aged out unseen
// may have been the first of a slot that is not known here, and another slot's
// claim would speak of its rows too. The snapshot of a slot is older than its
// first frame, so after this reading every slot is known that the frame knew of.
func (f *Feed) apply(ctx context.Context, frame *campaigns.Frame) {
	if f.silent() {
		f.log.Info("frames come after a silence: reading every slot again", "book", frame.Book, "slot", frame.Slot)
		if !f.readAll(ctx) {
			return
		}
	}
	f.mu.Lock()
	v, reset := f.state.Apply(frame)
	if reset {
		f.resets[frame.Book]++
	}
	f.heardAt = f.cfg.Now()
	f.mu.Unlock()
	f.metrics.frame(frame.Book, v)
	switch {
	case reset:
		f.log.Info("a new epoch: reading every slot again; what is shown stands until it is as complete", "book", frame.Book, "epoch", frame.Epoch)
		signal(f.unwell)
	case v == Gap:
		f.log.Info("frames are missing, reading the slot's snapshot",
			"book", frame.Book, "slot", frame.Slot, "term", frame.Term, "number", frame.Number)
		signal(f.unwell)
	}
	if v != Ignored {
		signal(f.changed)
	}
	signal(f.progress)
}

// silent tells whether frames may have been missed. It looks at the wall clock as
// well: the other one stands still while a machine sleeps.
func (f *Feed) silent() bool {
	now := f.cfg.Now()
	f.mu.RLock()
	defer f.mu.RUnlock()
	wall := now.Round(0).Sub(f.heardAt.Round(0))
	return now.Sub(f.heardAt) > f.cfg.SilenceMost || wall.Abs() > f.cfg.SilenceMost
}

// readSnapshots reads the newest snapshot of every slot once, and with it ends
// what waited for such a reading.
func (f *Feed) readSnapshots(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*f.cfg.SnapshotTimeout)
	defer cancel()
	f.mu.RLock()
	seen := maps.Clone(f.resets)
	f.mu.RUnlock()
	all, err := f.source.Snapshots(ctx)
	if err != nil {
		f.metrics.snapshotErrors.Inc()
		return fmt.Errorf("read every slot's snapshot: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	anew := map[ledger.Book]bool{}
	for _, sn := range all {
		v, reset := f.state.Restore(sn)
		anew[sn.Book] = anew[sn.Book] || reset
		f.metrics.snapshot(sn.Book, v)
	}
	for _, b := range ledger.Books {
		if anew[b] || f.reread[b] != seen[b] {
			f.markAll(b)
		}
		f.reread[b] = seen[b]
	}
	f.heardAt = f.cfg.Now()
	return nil
}

// readAll repeats readSnapshots until it succeeds; it reports false when ctx ended
// first.
func (f *Feed) readAll(ctx context.Context) bool {
	for wait := f.cfg.RetryLeast; ; wait = min(2*wait, f.cfg.RetryMost) {
		err := f.readSnapshots(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		f.log.Warn("totals cannot be loaded, trying again", "err", err)
		if !pause(ctx, wait) {
			return false
		}
	}
}
