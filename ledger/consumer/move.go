package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"spillway/campaigns"
	"spillway/ledger"
)

// ErrStopped says that the consumer is closing its slot, or has closed it, and takes
// no further move. Nothing was written. It is a ledger.ErrUnavailable: another process
// may do what this one cannot.
var ErrStopped = fmt.Errorf("the slot is being closed: %w", ledger.ErrUnavailable)

// moves are the transactions that others run under the consumer's lease.
type moves struct {
	mu      sync.Mutex
	stopped bool           // no further move
	running sync.WaitGroup // added to under mu, and never once stopped

	// life ends when the moves that still run are abandoned.
	life    context.Context
	abandon context.CancelFunc
}

func newMoves() *moves {
	m := &moves{}
	m.life, m.abandon = context.WithCancel(context.Background())
	return m
}

// begin counts a move in. False once the slot is being closed.
func (m *moves) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return false
	}
	m.running.Add(1)
	return true
}

// stop refuses further moves and returns when none runs.
func (m *moves) stop() {
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
	m.running.Wait()
}

// Move runs apply, one transaction that moves the slot, under the lease of the open
// tenure, waiting for one if need be, and puts the rows that it returned into the
// next frame. While it runs no frame claims more than was asked for before it began,
// just as for recorded batches: what it commits is published before the claim that
// covers it.
//
// apply may be called again, with another lease, when the first was taken over; then
// the first call wrote nothing (ledger.ErrFenced). It should pass its ctx on: that
// ends when Move's does, or when the consumer's own time to stop has run out.
//
// Errors: apply's, the context's, ErrStopped. After *ledger.PoisonError nothing was
// written. After any other error of apply's it may have been: what the slot then
// holds is read and published by itself, and the caller repeats what it wanted in a
// way that does nothing twice.
//
// Any number of goroutines may call Move, before, while and after Run runs; Run
// returns after every Move has.
func (c *Consumer) Move(ctx context.Context, apply func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error)) error {
	if !c.moves.begin() {
		return ErrStopped
	}
	defer c.moves.running.Done()
	asked := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.moves.life, cancel)()
	for {
		w, err := c.writer(ctx)
		switch {
		case asked.Err() != nil:
			return asked.Err()
		case err != nil: // the consumer's time to stop has run out
			return ErrStopped
		}
		c.refresh(ctx, w)
		f := w.depart()
		rows, err := apply(ctx, w.lease)
		if err == nil {
			w.carry(rows)
			w.land(f)
			return nil
		}
		if errors.Is(w.note(err), ledger.ErrFenced) {
			// Whoever adopted the slot publishes it; this flight needs no landing.
			continue
		}
		if poison := (*ledger.PoisonError)(nil); !errors.As(err, &poison) {
			w.doubt(f) // it may be committed: its answer was lost
		}
		w.land(f)
		return err
	}
}
