package consumer_test

import (
	"context"
	"time"

	"spillway/campaigns"
	"spillway/ingest/broker"
	"spillway/ledger"
)

// reader is a front-end reduced to the rules of frames and snapshots, kept apart
// from the one that serves viewers so that a mistake there hides nothing here.
type reader struct {
	broker *broker.Broker
	slots  map[int32]*readSlot
	asOf   time.Time
	// advanced is called whenever asOf has moved on, with the sums of that moment.
	advanced func(asOf time.Time, sums map[string]campaigns.SlotRow)
}

// readSlot is what the reader knows of one slot.
type readSlot struct {
	epoch, term int64
	number      int64 // everything up to this frame of the term is in rows
	standing    bool  // frames are missing: a snapshot is needed
	closed      bool
	through     time.Time
	rows        map[string]campaigns.SlotRow
}

func (s *readSlot) put(rows []campaigns.SlotRow) {
	for _, r := range rows {
		if r.Version > s.rows[r.Campaign].Version {
			s.rows[r.Campaign] = r
		}
	}
}

// run applies the live book's frames until ctx ends.
func (r *reader) run(ctx context.Context) error {
	return r.broker.ReadFrames(ctx, func(f *campaigns.Frame) {
		if f.Book == ledger.Live {
			r.hear(ctx, f)
		}
	})
}

func (r *reader) hear(ctx context.Context, f *campaigns.Frame) {
	s := r.slots[f.Slot]
	if s == nil {
		s = &readSlot{rows: map[string]campaigns.SlotRow{}}
		r.slots[f.Slot] = s
	}
	if f.Epoch < s.epoch || f.Epoch == s.epoch && f.Term < s.term {
		return
	}
	if f.Epoch > s.epoch || f.Term > s.term {
		s.epoch, s.term, s.number, s.standing, s.closed = f.Epoch, f.Term, 0, true, false
	}
	if s.standing || f.Number > s.number+1 {
		s.standing = true
		snapshot, err := r.broker.Snapshot(ctx, f.Book, f.Slot)
		if err != nil || snapshot.Epoch < s.epoch || snapshot.Term < s.term {
			return
		}
		s.put(snapshot.Rows)
		if snapshot.Term > s.term {
			return // its frames are still to come; this slot's claim stands where it was
		}
		s.number = max(s.number, snapshot.Number)
		if s.number < f.Number-1 {
			return
		}
		s.standing = false
	}
	s.put(f.Rows)
	s.number = max(s.number, f.Number)
	s.closed = s.closed || f.Closed
	if f.CountedThrough.After(s.through) {
		s.through = f.CountedThrough
	}
	r.advance()
}

// advance moves asOf to the least claim of all slots that are not closed.
func (r *reader) advance() {
	var least time.Time
	sums := map[string]campaigns.SlotRow{}
	for _, s := range r.slots {
		for c, row := range s.rows {
			sum := sums[c]
			sum.PledgedMinor += row.PledgedMinor
			sum.Donations += row.Donations
			sums[c] = sum
		}
		if !s.closed && (least.IsZero() || s.through.Before(least)) {
			least = s.through
		}
	}
	if least.After(r.asOf) {
		r.asOf = least
		r.advanced(least, sums)
	}
}
