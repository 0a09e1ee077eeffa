package campaigns

import (
	"time"

	"spillway/ledger"
	"spillway/ledger/money"
)

// SlotRow is one writer's part of one campaign's total, absolute, as the database
// returned it. Amounts may be negative: a refund may be booked by another writer
// than the gift was.
type SlotRow struct {
	Campaign     string
	Currency     money.Currency
	PledgedMinor int64
	RaisedMinor  int64
	Donations    int64
	Version      int64 // rises by one with every change of this row
}

// FrameHead says who speaks, in which order, and up to when it is complete.
type FrameHead struct {
	Book  ledger.Book
	Slot  int32
	Epoch int64 // compared first: rises when an installation is restored
	Term  int64 // compared second: rises when the slot changes hands
	// Number counts this term's frames from 1, without gaps. In a snapshot it is
	// the number of the last frame whose rows the snapshot is sure to hold.
	Number int64
	// CountedThrough promises that every donation acknowledged before it is in
	// the slots' rows published so far, as far as this slot is concerned.
	CountedThrough time.Time
	// Closed marks the last frame of a term that was ended in order: the slot's
	// rows still count, its CountedThrough no longer holds anybody back.
	Closed bool
	// Chain is the last link of the slot's journal that was there when a snapshot was
	// read; zero in frames, and while the slot has booked nothing.
	Chain ChainHead
}

// ChainHead is the last link of a slot's journal. Told to the world with every
// snapshot, it makes a tail that was cut off, or written anew, show.
type ChainHead struct {
	N    int64 // entries so far
	Hash [32]byte
}

// Frame is the news of one slot since the frame before it.
type Frame struct {
	FrameHead
	Rows []SlotRow // changed rows, absolute values
}

// Snapshot is a slot whole, at least as new as frame Number of its term.
type Snapshot struct {
	FrameHead
	Rows []SlotRow
}

// Total is a campaign's public numbers: the sum of its slots in its currency.
type Total struct {
	Campaign     string
	Currency     money.Currency
	PledgedMinor int64
	RaisedMinor  int64
	Donations    int64
	Version      int64 // sum of the slots' versions
	Epoch        int64
}

// Age says how complete published totals are. AsOf never goes back.
type Age struct {
	AsOf time.Time
}

// Lag is how far AsOf lies behind now; it grows by itself when ledger, broker or
// network are silent. Zero AsOf (nothing heard yet) is reported as StaleBound*2.
func (a Age) Lag(now time.Time) time.Duration {
	if a.AsOf.IsZero() {
		return 2 * StaleBound
	}
	return max(0, now.Sub(a.AsOf))
}

// StaleBound is the stated bound of a total's age: beyond it pages say so.
const StaleBound = 2 * time.Second
