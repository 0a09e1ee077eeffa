package postgres

import (
	"math"
	"time"
)

// How a bucket fills, slows and recovers.
const (
	// bucketHolds is how much of a rate a bucket saves up while nobody takes from it:
	// enough that a claim that comes late by a slow commit loses nothing, little
	// enough that after a pause no burst meets the processor's own limit.
	bucketHolds = 250 * time.Millisecond
	// slowFactor is what a 429 leaves of the current rate.
	slowFactor = 0.7
	// slowEvery is how long a 429 counts for: the calls of one moment are refused
	// together, and that is one piece of news.
	slowEvery = time.Second
	// slowFloor is the share of what is allowed that 429s never go below: somebody
	// has to find out that they have ended.
	slowFloor = 0.05
	// recoverPerSecond is the share of what is allowed that comes back each second: a
	// rate that was halved is whole again after five.
	recoverPerSecond = 0.1
	// pausedWait is when a paused pace is asked again.
	pausedWait = time.Second
)

// bucket is one row of the pace. All times are the database's clock.
type bucket struct {
	endpoint  string
	perSecond float64 // what is allowed
	current   float64 // what was allowed at slowedAt
	tokens    float64 // calls that may be made, at filledAt
	filledAt  time.Time
	slowedAt  time.Time // zero: never
	paused    bool
}

// rate is what is allowed a second at the given time.
func (k *bucket) rate(now time.Time) float64 {
	if k.slowedAt.IsZero() {
		return k.perSecond
	}
	quiet := max(0, now.Sub(k.slowedAt).Seconds())
	return min(k.perSecond, k.current+quiet*recoverPerSecond*k.perSecond)
}

// fill brings the tokens up to now. A clock that was set back gives nothing and takes
// nothing.
func (k *bucket) fill(now time.Time) {
	if passed := now.Sub(k.filledAt).Seconds(); passed > 0 {
		// The rate of the start: while it recovers, a little too low and never too high.
		k.tokens += passed * k.rate(k.filledAt)
	}
	k.filledAt = now
	// One call beside what is saved up: the one that is being waited for, at rates so
	// low that a moment's delay would spill it.
	k.tokens = min(k.tokens, 1+bucketHolds.Seconds()*k.rate(now))
}

// whole is how many calls may be made now, after fill.
func (k *bucket) whole() int {
	if k.paused {
		return 0
	}
	return int(max(0, math.Floor(k.tokens)))
}

// wait is how long it takes until n calls may be made, after fill.
func (k *bucket) wait(n int, now time.Time) time.Duration {
	if k.paused {
		return pausedWait
	}
	missing := float64(n) - k.tokens
	if missing <= 0 {
		return 0
	}
	seconds := min(missing/k.rate(now), pausedWait.Seconds()) // whatever is changed meanwhile is seen
	return time.Duration(math.Ceil(seconds * float64(time.Second)))
}

// slow cuts the rate and spends what was saved up, and says whether it did.
func (k *bucket) slow(now time.Time) bool {
	if !k.slowedAt.IsZero() && now.Sub(k.slowedAt).Abs() < slowEvery {
		return false
	}
	k.current = max(slowFloor*k.perSecond, slowFactor*k.rate(now))
	k.slowedAt = now
	k.tokens = min(k.tokens, 0)
	return true
}
