package capacity

import (
	"math"
	"sort"
	"time"
)

// What the queue of charges is reckoned with.
const (
	// retryShare is the part of the payments that fail and are tried with another card: 8.5 %
	// of the attempts of one real grants round. Each asks for one more call.
	retryShare = 0.085
	// TokenLifeShort and TokenLifeLong are how long a confirmation token lives: Stripe's
	// pages say 15 minutes in one place and 12 hours in another. Who plans for the
	// first is right in both.
	TokenLifeShort = 15 * time.Minute
	TokenLifeLong  = 12 * time.Hour
)

// Queue is how long donations wait for their charge on a day, at one pace of the
// processor. Durations are in nanoseconds.
type Queue struct {
	// Pace is in calls per second.
	Pace float64 `json:"pace"`
	// LongestWait is from the donation to its call, of the donation that comes at
	// LongestAt after the opening.
	LongestWait time.Duration `json:"longest_wait_ns"`
	LongestAt   time.Duration `json:"longest_at_ns"`
	// Most donations stood in the queue at once.
	Most float64 `json:"most_queued"`
	// EmptyAt is when the queue is empty for the last time, after the opening.
	EmptyAt time.Duration `json:"empty_at_ns"`
	// BeyondShort and BeyondLong donations wait longer than a token lives.
	BeyondShort float64 `json:"beyond_15m"`
	BeyondLong  float64 `json:"beyond_12h"`
}

// QueueAt reckons second by second: what comes stands at the end of the queue, and a
// second takes as many from its head as the pace allows. Nothing is random in it, so it is
// the mean: bursts inside a second add less than one to the wait. pace is above 0.
func (d *Day) QueueAt(pace float64) Queue {
	q := Queue{Pace: pace}
	queued := 0.0
	for i, came := range d.Seconds {
		at := time.Duration(i) * time.Second
		queued += came * (1 + retryShare)
		if queued > q.Most {
			q.Most = queued
		}
		// The last one that comes in this second has all of them before it.
		wait := seconds(max(0, queued-pace) / pace)
		if wait > q.LongestWait {
			q.LongestWait, q.LongestAt = wait, at
		}
		if wait > TokenLifeShort {
			q.BeyondShort += came
		}
		if wait > TokenLifeLong {
			q.BeyondLong += came
		}
		if queued > pace {
			q.EmptyAt = at + seconds(queued/pace)
		}
		queued = max(0, queued-pace)
	}
	return q
}

// PaceFor is the lowest whole pace at which no donation waits longer.
func (d *Day) PaceFor(longest time.Duration) float64 {
	most := 1
	for _, s := range d.Seconds {
		most = max(most, int(math.Ceil(s*(1+retryShare))))
	}
	return 1 + float64(sort.Search(most-1, func(i int) bool { return d.QueueAt(float64(i+1)).LongestWait <= longest }))
}

func seconds(s float64) time.Duration {
	// Beyond 100 years it makes no difference, and it would not fit.
	return time.Duration(min(s, 3e9) * float64(time.Second))
}
