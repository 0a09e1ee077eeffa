package consumer

import (
	"context"
	"fmt"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
)

// publish is one tick: it asks what is complete, then collects what changed, then
// publishes both. A failure loses nothing: the rows wait for the next tick, which
// begins with a snapshot because readers may now miss a number.
func (c *Consumer) publish(ctx context.Context, w *writer) error {
	w.asking()
	asked, err := c.watermark(ctx) // before collect, which says why
	if err != nil {
		return err
	}
	n := w.collect(asked)
	if len(n.doubts) > 0 {
		// Their rows go into the next frame, and until then their bounds hold.
		rows, _, err := c.readSlot(ctx, w.lease)
		if err != nil {
			w.carry(n.rows)
			return w.note(err)
		}
		w.resolve(n.doubts, rows)
	}
	if _, _, gap := w.published(); gap {
		if err := c.snapshot(ctx, w, false); err != nil {
			w.carry(n.rows)
			return err
		}
	}
	if err := c.frame(ctx, w, n.rows, n.through, false); err != nil {
		w.carry(n.rows)
		return err
	}
	c.metrics.through.Set(float64(n.through.UnixMilli()) / 1000)
	return nil
}

// frame publishes one frame of w.
func (c *Consumer) frame(ctx context.Context, w *writer, rows []campaigns.SlotRow, through time.Time, closed bool) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	head := c.head(w.lease, w.attempt(), through)
	head.Closed = closed
	if err := c.frames.PublishFrame(ctx, &campaigns.Frame{FrameHead: head, Rows: rows}); err != nil {
		c.metrics.publishFailures.WithLabelValues("frame").Inc()
		return fmt.Errorf("publish frame %d of slot %d: %w", head.Number, head.Slot, err)
	}
	w.stored(through)
	return nil
}

// snapshot publishes w's slot whole, as the database has it. The rows of every
// frame tried so far were committed before they were collected, so what is read
// after taking the number holds them.
func (c *Consumer) snapshot(ctx context.Context, w *writer, closed bool) error {
	w.snapshots.Lock()
	defer w.snapshots.Unlock()
	number, claimed, _ := w.published()
	head := c.head(w.lease, number, claimed)
	head.Closed = closed
	return w.note(c.publishSlot(ctx, head, w.lease))
}

// publishSlot reads a slot and publishes its snapshot.
func (c *Consumer) publishSlot(ctx context.Context, head campaigns.FrameHead, lease ledger.Lease) error {
	rows, chain, err := c.readSlot(ctx, lease)
	if err != nil {
		return err
	}
	head.Chain = chain
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if err := c.frames.PublishSnapshot(ctx, &campaigns.Snapshot{FrameHead: head, Rows: rows}); err != nil {
		c.metrics.publishFailures.WithLabelValues("snapshot").Inc()
		return fmt.Errorf("publish the snapshot of slot %d: %w", lease.Slot, err)
	}
	return nil
}

// readSlot reads a slot whole: all that was recorded under the lease before the
// call, also by transactions whose answers were lost. It fails when the lease was
// taken over, so that no snapshot of a past term replaces one of a later.
func (c *Consumer) readSlot(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, campaigns.ChainHead, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rows, chain, err := c.store.Slots(ctx, lease)
	if err != nil {
		return nil, campaigns.ChainHead{}, fmt.Errorf("read slot %d: %w", lease.Slot, err)
	}
	return rows, chain, nil
}

func (c *Consumer) head(lease ledger.Lease, number int64, through time.Time) campaigns.FrameHead {
	return campaigns.FrameHead{Book: c.book, Slot: lease.Slot, Epoch: lease.Epoch, Term: lease.Term, Number: number, CountedThrough: through}
}
