package feed

import (
	"time"

	"spillway/campaigns"
	"spillway/ledger/money"
)

// key names a row within a slot, and a sum within a book.
type key struct {
	campaign string
	currency money.Currency
}

// run is a stretch of frames that followed each other while the slot stood still:
// their rows have been merged, and what they claim waits for the snapshot that
// closes the gap before them.
type run struct {
	from, to int64
	through  time.Time
	closed   bool
}

// slot is what is known of one writer's part.
type slot struct {
	// term is the highest heard of. complete is the number of its last frame up to
	// which nothing is missing: every row of it and of those before is held.
	term, complete int64
	rows           map[key]campaigns.SlotRow
	// through is the slot's counted_through. It is taken from frames only, never
	// from a snapshot: a snapshot runs ahead of the frames of other slots, so its
	// claim covers rows that this reader may not hold yet.
	through time.Time
	// closed says that the current term was ended in order: rows still count,
	// through holds nobody back.
	closed bool
	// standing says that frames are missing before ahead, the last stretch heard.
	standing bool
	ahead    run
}

// begin turns to a higher term. What the slot held still counts, and its claim
// stands where it was until the new term is complete.
func (s *slot) begin(term int64) {
	s.term, s.complete, s.closed = term, 0, false
	s.standing, s.ahead = false, run{}
}

// hear takes in the head of a frame of the current term, whose rows are merged.
// fresh says that nothing was heard of the term before, so that not even its
// first frame follows something known.
func (s *slot) hear(h *campaigns.FrameHead, fresh bool) Verdict {
	follows := !fresh && !s.standing && h.Number <= s.complete+1
	switch {
	case follows && h.Number <= s.complete: // sent twice, or covered by a snapshot
		s.through = later(s.through, h.CountedThrough)
		s.closed = s.closed || h.Closed
		return Repeated
	case follows:
		s.complete = h.Number
		s.through = later(s.through, h.CountedThrough)
		s.closed = s.closed || h.Closed
		return Applied
	case s.standing && h.Number <= s.ahead.to:
		return Repeated
	case s.standing && h.Number == s.ahead.to+1:
		s.ahead.to = h.Number
		s.ahead.through = later(s.ahead.through, h.CountedThrough)
		s.ahead.closed = s.ahead.closed || h.Closed
		return Held
	}
	s.ahead = run{from: h.Number, to: h.Number, through: h.CountedThrough, closed: h.Closed}
	if s.standing {
		return Held
	}
	s.standing, s.closed = true, false
	return Gap
}

// join takes in a snapshot's head of the current term, whose rows are merged, and
// reports whether the slot is complete now.
func (s *slot) join(h *campaigns.FrameHead) bool {
	s.complete = max(s.complete, h.Number)
	if s.standing && s.complete >= s.ahead.from-1 {
		s.complete = max(s.complete, s.ahead.to)
		s.through = later(s.through, s.ahead.through)
		s.closed = s.ahead.closed
		s.standing, s.ahead = false, run{}
	}
	if !s.standing {
		s.closed = s.closed || h.Closed
	}
	return !s.standing
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
