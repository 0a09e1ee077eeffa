package loadtest

import (
	mathbits "math/bits"
	"time"

	"spillway/loadtest/gift"
	"spillway/loadtest/record"
	"spillway/loadtest/trace"
)

// history is what a record says of the sessions before this one.
type history struct {
	resume    bool
	copies    int64
	campaigns []record.Campaign
	sessions  int
	// attempted and answered tell of every row whether it ever left, and whether
	// it had a definite answer: 202 or a refusal that is not worth repeating.
	attempted, answered bits
	// edges are the probes at the edges of opening hours that had one.
	edges map[gift.Ref]bool
	// acknowledged counts the rows that had a 202.
	acknowledged int64
	// lastAccepted is when the last 202 was read.
	lastAccepted time.Time
}

func newHistory(copies int, resume bool) *history {
	return &history{resume: resume, copies: int64(copies), edges: map[gift.Ref]bool{}}
}

// visitor collects a record into the history.
func (h *history) visitor() record.Visitor {
	return record.Visitor{
		Session:  func(record.Session) error { h.sessions++; return nil },
		Campaign: func(_ int32, c record.Campaign) error { h.campaigns = append(h.campaigns, c); return nil },
		Attempt: func(a *record.Attempt) error {
			if a.Ref.Kind == gift.Row {
				h.attempted.set(h.index(a.Ref.Number, a.Ref.Copy))
			}
			return nil
		},
		Answer: func(a *record.Answer) error {
			if a.Outcome == record.Accepted && a.At.After(h.lastAccepted) {
				h.lastAccepted = a.At
			}
			if a.Outcome != record.Accepted && a.Outcome != record.Refused {
				return nil
			}
			switch a.Ref.Kind {
			case gift.Row:
				i := h.index(a.Ref.Number, a.Ref.Copy)
				if a.Outcome == record.Accepted && !h.answered.has(i) {
					h.acknowledged++
				}
				h.answered.set(i)
			case gift.Opening, gift.Closing:
				h.edges[a.Ref] = true
			}
			return nil
		},
	}
}

// index numbers rows and copies from 0.
func (h *history) index(number int64, copy uint16) int64 {
	return (number-1)*h.copies + int64(copy)
}

// bits is a set of small numbers.
type bits []uint64

func (b bits) has(i int64) bool {
	return i>>6 < int64(len(b)) && b[i>>6]&(1<<(i&63)) != 0
}

// count is how many there are.
func (b bits) count() (n int64) {
	for _, word := range b {
		n += int64(mathbits.OnesCount64(word))
	}
	return n
}

func (b *bits) set(i int64) {
	for int64(len(*b)) <= i>>6 {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

// resumption leaves out what has been answered and shifts the rest of a schedule
// that was broken off: rows that left without an answer go at once, and the first
// row that never left goes now, with the others after it at their old distances.
type resumption struct {
	*history
	base    time.Duration // planned time of the first row that never left
	reached bool
}

// left keeps, in place, the rows that still have to be sent.
func (r *resumption) left(rows []trace.Row) []trace.Row {
	if !r.resume {
		return rows
	}
	kept := rows[:0]
	for _, row := range rows {
		i := r.index(row.Number, row.Copy)
		if r.answered.has(i) {
			continue
		}
		if !r.reached && !r.attempted.has(i) {
			r.reached, r.base = true, row.Planned
		}
		if r.reached {
			row.Planned -= r.base
		} else {
			row.Planned = 0
		}
		kept = append(kept, row)
	}
	return kept
}
