package charge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"spillway/ledger/backoff"
	"spillway/ledger/payments"
)

const (
	// recoverEvery is the pace of looking how far a replay is.
	recoverEvery = 500 * time.Millisecond
	// releaseMax bounds the attempts that are given their turn in one statement.
	releaseMax = 5000
	// recoverMost is how long after a restore totals wait at most for what is looked for:
	// one call that the processor never explains would otherwise make all of them old.
	recoverMost = time.Hour
)

// Restored is a book's database as it knows of its restores. Errors of both methods:
// ledger.ErrUnavailable.
type Restored interface {
	Restoration(ctx context.Context) (payments.Restoration, error)
	EndReplay(ctx context.Context, epoch int64, most int) (given int, err error)
}

// Recovery brings a book from its restore back to work. Until everything that the
// streams held at that moment was applied again, it keeps back what may have been
// charged since the backup: what the processor told, and what donors and organisers
// wanted, is to be known first. Then it lets those attempts be looked for, and until
// that is done no frame of this process claims that the totals are newer than the
// backup: raised is not complete before.
//
// The one invariant: an attempt that may have been charged is called only after every
// message that the streams held at the restore was applied.
type Recovery struct {
	store   Restored
	applied func(ctx context.Context) (time.Time, error) // nil for one that only watches
	log     *slog.Logger

	mu    sync.Mutex
	known bool      // the database has been asked
	since time.Time // what frames may claim at most; zero for no bound, once known
}

// NewRecovery makes a recovery of a book; Run brings it to life. applied tells a time of
// the broker's such that every message stored before it, of all streams of the book and
// of the webhooks, was applied.
func NewRecovery(store Restored, applied func(ctx context.Context) (time.Time, error), log *slog.Logger) *Recovery {
	return &Recovery{store: store, applied: applied, log: log}
}

// WatchRecovery makes a recovery that leaves the work to payments and bounds frames alone,
// those of a ledger. A ledger that began to speak before payments did would otherwise
// claim that totals are complete in which money is missing that they held before, and
// pages would show that. A book that nobody charges is bound by nothing.
func WatchRecovery(store Restored, log *slog.Logger) *Recovery {
	return &Recovery{store: store, log: log}
}

// Bound is what a frame may claim that would claim through. Before the database has
// been asked it is the zero time, which claims nothing.
func (r *Recovery) Bound(through time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known {
		return time.Time{}
	}
	if r.since.IsZero() || through.Before(r.since) {
		return through
	}
	return r.since
}

func (r *Recovery) bind(since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known, r.since = true, since
}

// Run works until the book is whole again, at once when it was never restored, and then
// waits for ctx to end. It returns nil.
func (r *Recovery) Run(ctx context.Context) error {
	var recorded time.Time // when everything was recorded, by the database's clock
	var retry backoff.Tries
	for said := false; ctx.Err() == nil; {
		done, begun, err := r.step(ctx, &recorded)
		switch {
		case err != nil:
			if retry.Count() == 0 && ctx.Err() == nil {
				r.log.Warn("it is not known how far the replay is", "error", err)
			}
			retry.Wait(ctx)
			continue
		case done:
			r.bind(time.Time{})
			if said && r.applied != nil {
				r.log.Info("the restore is complete: everything that may have been charged was looked for")
			}
			<-ctx.Done()
			return nil
		case begun && !said:
			said = true
			if r.applied == nil {
				r.log.Info("restored from a backup: totals are as old as it until payments have looked for what may have been charged")
				break
			}
			r.log.Info("restored from a backup: replaying; what may have been charged is looked for afterwards")
		}
		retry = backoff.Tries{}
		backoff.Pause(ctx, recoverEvery)
	}
	return nil
}

// step looks how far the restore is and does what is next. done: nothing is left.
func (r *Recovery) step(ctx context.Context, recorded *time.Time) (done, begun bool, err error) {
	bounded, cancel := ask(ctx)
	defer cancel()
	at, err := r.store.Restoration(bounded)
	if err != nil {
		return false, false, err
	}
	if at.Epoch == 0 || at.Replayed && at.Now.Sub(at.RestoredAt) > recoverMost {
		return true, false, nil
	}
	if r.applied == nil {
		return r.watch(&at, recorded)
	}
	r.bind(at.LostSince)
	if recorded.IsZero() {
		through, err := r.applied(bounded)
		if err != nil || through.Before(at.ReplayTo) {
			return false, true, err
		}
		*recorded = at.Now
	}
	for {
		given, err := r.store.EndReplay(bounded, at.Epoch, releaseMax)
		if err != nil {
			return false, true, err
		}
		if given < releaseMax {
			break
		}
	}
	return lookedFor(&at, *recorded), true, nil
}

// watch is step for a recovery that only watches: who ended the replay had seen
// everything recorded. Payments that never come hold totals back for recoverMost.
func (r *Recovery) watch(at *payments.Restoration, recorded *time.Time) (done, begun bool, err error) {
	if !at.Charged || at.Now.Sub(at.RestoredAt) > recoverMost {
		return true, false, nil
	}
	r.bind(at.LostSince)
	if !at.Replayed {
		return false, true, nil
	}
	if recorded.IsZero() {
		*recorded = at.Now
	}
	return lookedFor(at, *recorded), true, nil
}

// lookedFor tells whether nothing is left to be looked for of what was recorded by then.
// Donations that were replayed and have no attempt yet are still to be looked for.
func lookedFor(at *payments.Restoration, recorded time.Time) bool {
	expanded := at.WaitingSince.IsZero() || at.WaitingSince.After(recorded)
	return at.Replayed && expanded && !at.Looking
}
