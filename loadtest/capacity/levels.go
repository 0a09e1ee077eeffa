package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Level names one of the levels that a rate has to hold.
type Level string

// The levels.
const (
	AckLevel       Level = "acknowledgement p99"
	ErrorLevel     Level = "errors and refusals"
	StalenessLevel Level = "staleness p99"
	DrainLevel     Level = "drain"
)

// Levels are what a rate has to hold to count as held.
type Levels struct {
	// AckP99 is from the planned time of a donation to its 202, at the 99th percentile.
	AckP99 time.Duration `json:"ack_p99_ns"`
	// ErrorShare is the part of all attempts, 0..1, that were refused or not answered.
	ErrorShare float64 `json:"error_share"`
	// StalenessP99 is how old totals were when they were read, at the 99th percentile.
	StalenessP99 time.Duration `json:"staleness_p99_ns"`
	// Drain is how long after the last answer everything acknowledged was shown.
	Drain time.Duration `json:"drain_ns"`
}

// DefaultLevels are the promises that donors are given.
func DefaultLevels() Levels {
	return Levels{
		// A donor is answered at once: below 100 ms nobody sees a wait, and half a second
		// is seen by all; the donor's own network takes its part of the rest.
		AckP99: 250 * time.Millisecond,
		// A tenth of the share at which operators are woken (SpillwayOverloaded).
		ErrorShare: 0.001,
		// The stated bound of every total, beyond which pages say that they are behind.
		StalenessP99: 2 * time.Second,
		// With trials of ten seconds: the ledger was at most a tenth slower than donors.
		// At rest it takes about 0.3 s, two ticks of the frames and a reading.
		Drain: time.Second,
	}
}

// Breach is one level that a trial did not hold.
type Breach struct {
	Level Level `json:"level"`
	// Text has what was measured and what was allowed, for people.
	Text string `json:"text"`
	// Times is what was measured over what was allowed; 0 when it never came.
	Times float64 `json:"times"`
	// After is how far into the trial the level was first seen broken; the trial's end
	// when that was seen in the whole alone.
	After time.Duration `json:"after_ns"`
}

// Judge lists the levels that a trial broke, the one broken earliest first.
func (l Levels) Judge(t *Trial) (all []Breach) {
	add := func(level Level, got, allowed float64, text string) {
		if !(got > allowed) {
			return
		}
		after, seen := t.BrokenAfter[level]
		if !seen {
			after = t.For
		}
		all = append(all, Breach{Level: level, Text: text, Times: got / allowed, After: after})
	}
	add(AckLevel, float64(t.AckP99), float64(l.AckP99), fmt.Sprintf("%s, allowed %s", short(t.AckP99), short(l.AckP99)))
	add(ErrorLevel, t.ErrorShare(), l.ErrorShare, fmt.Sprintf("%.2f %% of attempts, allowed %.2f %%", 100*t.ErrorShare(), 100*l.ErrorShare))
	add(StalenessLevel, float64(t.StalenessP99), float64(l.StalenessP99), fmt.Sprintf("%s, allowed %s", short(t.StalenessP99), short(l.StalenessP99)))
	if t.Drained {
		add(DrainLevel, float64(t.Drain), float64(l.Drain), fmt.Sprintf("%s, allowed %s", short(t.Drain), short(l.Drain)))
	} else {
		all = append(all, Breach{Level: DrainLevel, Text: fmt.Sprintf("not within %s, allowed %s", short(t.Drain), short(l.Drain)), After: t.For})
	}
	slices.SortStableFunc(all, func(a, b Breach) int {
		return cmp.Or(cmp.Compare(a.After, b.After), cmp.Compare(b.Times, a.Times))
	})
	return all
}

// Bounds of the generator's honesty.
const (
	// offeredTolerated is how far the rate offered may be from the one planned, and
	// offeredEnds how many requests: a moment's lateness moves one over either end of a
	// trial, which is a twentieth of a small one.
	offeredTolerated = 0.01
	offeredEnds      = 2
	// latenessLeast is what an idle machine's timers are trusted with, and latenessPart
	// the part of the level of acknowledgements that the generator may take: latency
	// counts from the planned time, so lateness only ever makes a target look worse.
	latenessLeast = 10 * time.Millisecond
	latenessPart  = 10
)

// LatenessMost is how late the generator may be, at the 99th percentile, for a trial
// to be a verdict on the target.
func (l Levels) LatenessMost() time.Duration { return max(latenessLeast, l.AckP99/latenessPart) }

// Late says in which way the generator fell short in a trial, "" when it did not.
func (l Levels) Late(t *Trial) string {
	tolerated := max(offeredTolerated*t.Rate, offeredEnds/t.For.Seconds())
	if math.Abs(t.Offered-t.Rate) > tolerated {
		return fmt.Sprintf("it offered %.0f/s where %.0f/s were planned", t.Offered, t.Rate)
	}
	if t.LatenessP99 > l.LatenessMost() {
		return fmt.Sprintf("it was late itself: p99 %s, allowed %s", short(t.LatenessP99), short(l.LatenessMost()))
	}
	return ""
}

// short writes a duration with as many digits as people read.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Minute:
		return d.Round(time.Minute).String()
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
