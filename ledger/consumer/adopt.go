package consumer

import (
	"context"
	"fmt"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/backoff"
)

// adoptLoop takes over the slots of processes that are gone, so that what they
// recorded becomes visible and their silence holds nobody back.
func (c *Consumer) adoptLoop(ctx context.Context) {
	failing := false
	for backoff.Pause(ctx, c.config.AdoptEvery) {
		err := c.adopt(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			c.log.Warn("lapsed slots not adopted", "error", err)
		}
		failing = err != nil
	}
}

// adopt publishes each lapsed slot whole and final under a new term, then its
// closing frame, and then gives it back. The lease of the adoption lapses like any
// other: a death between two of these steps leaves the slot to be adopted again.
func (c *Consumer) adopt(ctx context.Context) error {
	// Asked before anything is read, and before a term is raised for nothing while
	// the broker is away.
	asked, err := c.watermark(ctx)
	if err != nil {
		return err
	}
	find, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	leases, err := c.store.AdoptLapsed(find, c.config.Holder, c.config.LeaseTTL)
	for _, lease := range leases {
		if err := c.bury(ctx, lease, asked); err != nil {
			return err
		}
		c.metrics.adopted.Inc()
		c.log.Info("slot adopted and closed", "slot", lease.Slot, "term", lease.Term)
	}
	return err
}

// bury closes a slot that was adopted.
func (c *Consumer) bury(ctx context.Context, lease ledger.Lease, asked time.Time) error {
	head := c.head(lease, 0, asked)
	head.Closed = true
	if err := c.publishSlot(ctx, head, lease); err != nil {
		return err
	}
	head.Number = 1
	publish, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if err := c.frames.PublishFrame(publish, &campaigns.Frame{FrameHead: head}); err != nil {
		c.metrics.publishFailures.WithLabelValues("frame").Inc()
		return fmt.Errorf("publish the closing frame of slot %d: %w", lease.Slot, err)
	}
	store, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return c.store.Release(store, lease)
}
