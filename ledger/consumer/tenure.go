package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"spillway/ledger"
	"spillway/ledger/backoff"
)

// tenures leases one slot after the other, until lanes ends, which says that all
// lanes have settled, or ctx. A tenure ends early when its lease was taken over.
func (c *Consumer) tenures(ctx, lanes context.Context) {
	var retry backoff.Tries
	for ctx.Err() == nil && lanes.Err() == nil {
		lease, err := c.acquire(ctx)
		if err != nil {
			if retry.Count() == 0 {
				c.log.Warn("no slot: waiting for the database", "error", err)
			}
			retry.Wait(lanes)
			continue
		}
		retry = backoff.Tries{}
		c.tenure(ctx, lanes, newWriter(lease))
	}
}

func (c *Consumer) acquire(ctx context.Context) (ledger.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return c.store.Acquire(ctx, c.config.Holder, c.config.LeaseTTL)
}

// tenure opens the writer's slot, publishes its news until the lease is lost or all
// lanes have settled, and then closes it.
func (c *Consumer) tenure(ctx, lanes context.Context, w *writer) {
	log := c.log.With("slot", w.lease.Slot, "term", w.lease.Term)
	c.metrics.term.Set(float64(w.lease.Term))
	var helpers sync.WaitGroup
	defer helpers.Wait()
	held, release := context.WithCancel(ctx) // until the lease is lost
	defer release()
	defer w.end()
	helpers.Go(func() {
		select {
		case <-w.ended:
			release()
		case <-held.Done():
		}
	})
	helpers.Go(func() { c.renewLoop(held, w) })

	var retry backoff.Tries
	for {
		err := c.openSlot(held, w)
		if err == nil {
			break
		}
		if retry.Count() == 0 && held.Err() == nil {
			log.Warn("slot not open yet", "error", err)
		}
		// The lease is left to lapse: a reader may know of the slot already, and
		// then it has to hear from an adopter that it is closed.
		if lanes.Err() != nil || !retry.Wait(held) {
			log.Info("slot left before it was open")
			return
		}
	}
	log.Info("slot open")
	c.announce(w)
	defer c.announce(nil)
	c.serve(held, lanes, w, log)
	switch {
	case !w.live():
		log.Warn("slot lost: another process has adopted it")
		c.metrics.fenced.Inc()
	case ctx.Err() != nil:
		log.Warn("slot abandoned: not closed in time")
	default:
		c.close(ctx, w, log)
	}
}

// serve publishes the writer's news until its lease is lost (held ends) or all lanes
// have settled. When it returns nothing is on its way any more.
func (c *Consumer) serve(held, lanes context.Context, w *writer, log *slog.Logger) {
	serving, stop := context.WithCancel(held)
	var snapshots sync.WaitGroup
	defer snapshots.Wait()
	defer stop()
	snapshots.Go(func() { c.snapshotLoop(serving, w) })

	tick := time.NewTimer(untilTick(time.Now(), c.config.FrameEvery))
	defer tick.Stop()
	last, failing := time.Now(), false
	for {
		select {
		case <-held.Done():
			return
		case <-lanes.Done():
			return
		case <-tick.C:
			now := time.Now()
			tick.Reset(untilTick(now, c.config.FrameEvery))
			// Half a tick of tolerance: the ticks themselves are not punctual.
			if !w.restless() && now.Sub(last) < c.silence(w, now)-c.config.FrameEvery/2 {
				continue
			}
			err := c.publish(held, w)
			if err == nil {
				last = now
			}
			if (err != nil) != failing && held.Err() == nil {
				failing = err != nil
				if failing {
					log.Warn("frames stand still", "error", err)
				} else {
					log.Info("frames go on")
				}
			}
		}
	}
}

// silence is how long w's slot may say nothing when nothing changed.
func (c *Consumer) silence(w *writer, now time.Time) time.Duration {
	if w.quiet(now, c.config.QuietAfter) {
		return max(c.config.QuietFrameEvery, c.config.IdleFrameEvery)
	}
	return c.config.IdleFrameEvery
}

// untilTick is the time until the next tick: whole multiples of every on the wall
// clock. Readers believe the least of all slots' claims, so slots that speak at the
// same moment make totals younger than slots that take turns.
func untilTick(now time.Time, every time.Duration) time.Duration {
	return now.Truncate(every).Add(every).Sub(now)
}

// openSlot publishes the slot's snapshot and its first frame, both stored by the
// broker before any lane records under it, so that every reader knows of the slot
// before another slot's claim can depend on it.
func (c *Consumer) openSlot(ctx context.Context, w *writer) error {
	if err := c.snapshot(ctx, w, false); err != nil {
		return err
	}
	return c.publish(ctx, w)
}

// renewLoop extends the lease until ctx ends or the lease is lost. Without the
// database it goes on trying: a lapsed lease that nobody adopted is still ours.
func (c *Consumer) renewLoop(ctx context.Context, w *writer) {
	for backoff.Pause(ctx, c.config.RenewEvery) {
		renew, cancel := context.WithTimeout(ctx, c.config.LeaseTTL)
		err := c.store.Renew(renew, w.lease, c.config.LeaseTTL)
		cancel()
		if w.note(err) == nil {
			c.metrics.renewed.SetToCurrentTime()
		}
	}
}

// snapshotLoop publishes the slot whole from time to time, for readers that start
// and for those that missed a frame.
func (c *Consumer) snapshotLoop(ctx context.Context, w *writer) {
	for backoff.Pause(ctx, c.config.SnapshotEvery) {
		if err := c.snapshot(ctx, w, false); err != nil && ctx.Err() == nil {
			c.log.Debug("no snapshot this time", "slot", w.lease.Slot, "error", err)
		}
	}
}

// close ends a tenure in order: the last news, then the slot whole and final, then
// the closing frame, then the lease. A death in between leaves the lease to lapse,
// and whoever adopts it publishes the same again under the next term. Nothing is
// published after the lease may be given back.
func (c *Consumer) close(ctx context.Context, w *writer, log *slog.Logger) {
	for _, step := range []func(context.Context, *writer) error{c.publishLast, c.release} {
		var retry backoff.Tries
		for {
			err := step(ctx, w)
			if err == nil {
				break
			}
			if errors.Is(err, ledger.ErrFenced) || !retry.Wait(ctx) {
				log.Warn("slot not closed: it will be adopted", "error", err)
				return
			}
		}
	}
	log.Info("slot closed")
}

func (c *Consumer) publishLast(ctx context.Context, w *writer) error {
	if err := c.publish(ctx, w); err != nil {
		return err
	}
	if err := c.snapshot(ctx, w, true); err != nil {
		return err
	}
	_, claimed, _ := w.published()
	return c.frame(ctx, w, nil, claimed, true)
}

func (c *Consumer) release(ctx context.Context, w *writer) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return c.store.Release(ctx, w.lease)
}
