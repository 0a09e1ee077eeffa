package trace

import (
	"math"
	"time"
)

// Rate is an even pace, in arrivals per second: one at the start, then one every
// 1/Rate seconds.
type Rate float64

// At is when the arrival with this index leaves, counted from 0, after the start:
// the first nanosecond at which Due counts it. It must lie within 292 years.
func (r Rate) At(index int64) time.Duration {
	at := time.Duration(math.Ceil(float64(index) / float64(r) * float64(time.Second)))
	// Rounding of the division may miss by one either way; Due decides.
	for at > 0 && r.Due(at-1) > index {
		at--
	}
	for r.Due(at) <= index {
		at++
	}
	return at
}

// Due is how many arrivals have left once elapsed has passed since the start.
func (r Rate) Due(elapsed time.Duration) int64 {
	if elapsed < 0 {
		return 0
	}
	return int64(math.Floor(float64(elapsed)*float64(r)/float64(time.Second))) + 1
}
