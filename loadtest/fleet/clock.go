package fleet

import (
	"context"
	"fmt"
	"time"
)

// span bounds how far a member's clock is ahead of the leader's.
type span struct{ low, high time.Duration }

// ahead is the middle of the span, unsure its half: the truth is nowhere further away.
func (s span) ahead() time.Duration  { return s.low + (s.high-s.low)/2 }
func (s span) unsure() time.Duration { return (s.high - s.low + 1) / 2 }

// both is the span of a clock that was measured twice: it was somewhere between.
func (s span) both(o span) span { return span{min(s.low, o.low), max(s.high, o.high)} }

// trip narrows a span by one round trip: the member read its clock at theirs, between
// asked and answered of ours. What the network took on each way is not assumed to be equal.
func trip(asked, answered time.Time, theirs int64) span {
	return span{time.Duration(theirs - answered.UnixNano()), time.Duration(theirs - asked.UnixNano())}
}

// clocks makes round trips and returns what all of them leave open.
func (l *Leader) clocks(ctx context.Context, m *member) (s span, err error) {
	for i := range clockTrips {
		asked := time.Now()
		a, err := l.ask(ctx, m, question{Do: clock})
		answered := time.Now()
		if err != nil {
			return s, fmt.Errorf("its clock: %w", err)
		}
		t := trip(asked, answered, a.Now)
		if i == 0 {
			s = t
			continue
		}
		narrowed := span{max(s.low, t.low), min(s.high, t.high)}
		if narrowed.low > narrowed.high { // a clock was set meanwhile: it was somewhere between
			narrowed = s.both(t)
		}
		s = narrowed
	}
	return s, nil
}
