package loadtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"spillway/loadtest/hdr"
	"spillway/loadtest/timeline"
	"spillway/loadtest/visit"
)

// Tally is what one generator's share came to, for the one that reports for all. Its
// histograms are whole, as hdr writes them, so that percentiles over all generators are
// those of all their samples. Times are of the generator's own clock.
type Tally struct {
	Demand

	Sent       int64         `json:"sent"`
	Attempts   int64         `json:"attempts"`
	Exchanges  int64         `json:"exchanges"`
	Accepted   int64         `json:"accepted"`
	Refused    map[int]int64 `json:"refused,omitempty"`
	Unknown    int64         `json:"unknown_answers"`
	Deferred   int64         `json:"deferred"`
	Resolved   int64         `json:"resolved"`
	Unresolved int64         `json:"unresolved"`
	Wrong      int64         `json:"contradicted"`

	FirstSent     time.Time `json:"first_sent"`
	LastSent      time.Time `json:"last_sent"`
	LastAnswer    time.Time `json:"last_answer"`
	LastRowAnswer time.Time `json:"last_row_answer"`
	// TargetAhead bounds how far the target's clock is ahead of this generator's; nil
	// when nothing was accepted.
	TargetAhead *time.Duration `json:"target_ahead_ns,omitempty"`
	// BestSecond is the most 202s in one of its seconds.
	BestSecond int64 `json:"best_second"`
	// CPU is what the process used while it sent.
	CPU time.Duration `json:"cpu_ns"`
	// Stopped tells that the share was ended before its last row.
	Stopped bool `json:"stopped"`

	Latency  string `json:"latency"`
	Lateness string `json:"lateness"`
	Waiting  string `json:"waiting"`

	Line   *timeline.Part `json:"line"`
	Visits *visit.Tally   `json:"visits,omitempty"`
	// Limit is what the generator can send at most; nil when that was not measured.
	Limit *Limit `json:"limit,omitempty"`
}

// ErrTally says that what a generator handed over cannot be true.
var ErrTally = errors.New("not what a generator counts")

// tally is the meter for another process; line and visits are left to the caller.
func (m *meter) tally(demand Demand, cpu time.Duration) (*Tally, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &Tally{Demand: demand, Sent: m.sent, Attempts: m.attempts, Exchanges: m.exchanges, Accepted: m.accepted, Refused: m.refused, Unknown: m.unknown,
		Deferred: m.deferred, Resolved: m.resolved, Unresolved: m.unresolved, Wrong: m.wrong, FirstSent: m.firstSent, LastSent: m.lastSent,
		LastAnswer: m.lastAnswer, LastRowAnswer: m.lastRowAnswer, TargetAhead: m.ahead, BestSecond: m.best, CPU: cpu, Stopped: m.sent < demand.Rows}
	var err error
	encode := func(h *hdrhistogram.Histogram) string {
		text, e := hdr.Encode(h)
		err = errors.Join(err, e)
		return text
	}
	t.Latency, t.Lateness, t.Waiting = encode(m.latency), encode(m.lateness), encode(m.waiting)
	return t, err
}

// check refuses counts that contradict each other.
func (t *Tally) check() error {
	var refused int64
	for _, n := range t.Refused {
		if n < 0 {
			return fmt.Errorf("%d refused: %w", n, ErrTally)
		}
		refused += n
	}
	for _, n := range []int64{t.Sent, t.Attempts, t.Exchanges, t.Accepted, t.Unknown, t.Deferred, t.Resolved, t.Unresolved, t.Wrong, t.BestSecond, int64(t.CPU)} {
		if n < 0 {
			return fmt.Errorf("a count of %d: %w", n, ErrTally)
		}
	}
	if t.Sent > t.Rows || t.Attempts < t.Sent || t.Accepted+refused+t.Unresolved > t.Sent {
		return fmt.Errorf("%d rows, %d sent in %d attempts, %d accepted, %d refused, %d given up: %w",
			t.Rows, t.Sent, t.Attempts, t.Accepted, refused, t.Unresolved, ErrTally)
	}
	if t.Line == nil {
		return fmt.Errorf("no line of time: %w", ErrTally)
	}
	return nil
}

// merge adds another generator's tally, whose clock is ahead of ours by that much.
// Errors: ErrTally, hdr's, timeline's; then the meter counts for nothing.
func (m *meter) merge(t *Tally, ahead time.Duration) error {
	if err := t.check(); err != nil {
		return err
	}
	if err := m.line.Add(t.Line); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var counts [3]int64
	for i, h := range []struct {
		into *hdrhistogram.Histogram
		text string
	}{{m.latency, t.Latency}, {m.lateness, t.Lateness}, {m.waiting, t.Waiting}} {
		before := h.into.TotalCount()
		if err := hdr.Merge(h.into, h.text, histogramDigits); err != nil {
			return err
		}
		counts[i] = h.into.TotalCount() - before
	}
	if counts[0] != t.Accepted || counts[1] != t.Sent || counts[2] > t.Attempts {
		return fmt.Errorf("%d latencies of %d accepted, %d of %d sent, %d waits of %d attempts: %w", counts[0], t.Accepted, counts[1], t.Sent, counts[2], t.Attempts, ErrTally)
	}
	m.sent += t.Sent
	m.attempts += t.Attempts
	m.exchanges += t.Exchanges
	m.accepted += t.Accepted
	for code, n := range t.Refused {
		m.refused[code] += n
	}
	m.unknown += t.Unknown
	m.deferred += t.Deferred
	m.resolved += t.Resolved
	m.unresolved += t.Unresolved
	m.wrong += t.Wrong
	// Both sides' moments as our clock would have shown them.
	ours := func(at time.Time) time.Time {
		if at.IsZero() {
			return at
		}
		return at.Add(-ahead)
	}
	if first := ours(t.FirstSent); m.firstSent.IsZero() || !first.IsZero() && first.Before(m.firstSent) {
		m.firstSent = first
	}
	m.lastSent = latest(m.lastSent, ours(t.LastSent))
	m.lastAnswer = latest(m.lastAnswer, ours(t.LastAnswer))
	m.lastRowAnswer = latest(m.lastRowAnswer, ours(t.LastRowAnswer))
	if t.TargetAhead != nil {
		// The lesser bound holds for both; where it is another's, by way of its own clock.
		if theirs := *t.TargetAhead + ahead; m.ahead == nil || theirs < *m.ahead {
			m.ahead = &theirs
		}
	}
	// Of all generators' seconds the line knows; where it had to merge them, at least this.
	if best, ok := m.line.BestSecond(); ok {
		m.best = best
	} else {
		m.best = max(m.best, t.BestSecond)
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
