package capacity

import (
	"context"
	"time"
)

// Measure makes one trial at a rate in donations per second. An error means that
// nothing could be measured, and ends the search.
type Measure func(ctx context.Context, rate float64) (Trial, error)

// Trial is what was measured at one rate. Durations are in nanoseconds.
type Trial struct {
	// Rate was planned and Offered left the generator, in donations per second.
	Rate    float64 `json:"rate"`
	Offered float64 `json:"offered"`
	// Name is the trial's own run.
	Name string `json:"name,omitempty"`
	// For is how long donations were sent, Wall how long the whole trial took, drain
	// and audit included.
	For  time.Duration `json:"for_ns"`
	Wall time.Duration `json:"wall_ns"`
	// Attempts are all requests; Failed those refused, deferred or not answered.
	Attempts int64 `json:"attempts"`
	Failed   int64 `json:"failed"`
	// Reasons are the front-ends' own counts of refusals, by status and reason.
	Reasons map[string]int64 `json:"reasons,omitempty"`

	AckP50       time.Duration `json:"ack_p50_ns"`
	AckP99       time.Duration `json:"ack_p99_ns"`
	LatenessP99  time.Duration `json:"lateness_p99_ns"`
	WaitingP99   time.Duration `json:"waiting_p99_ns"` // for one of the generator's connections
	StalenessP99 time.Duration `json:"staleness_p99_ns"`
	Drain        time.Duration `json:"drain_ns"`
	Drained      bool          `json:"drained"` // false when the wait was given up after Drain
	// BrokenAfter is how far into the trial a second first broke a level.
	BrokenAfter map[Level]time.Duration `json:"broken_after_ns,omitempty"`

	// Unproven says what the audit found broken; the search ends with the first.
	Unproven []string `json:"unproven,omitempty"`
	// Uses says how much of what the trial had, as far as it was measured.
	Uses []Use `json:"uses,omitempty"`

	// Verdict is the search's, and Breaches or Why its reasons.
	Verdict  Verdict  `json:"verdict"`
	Breaches []Breach `json:"breaches,omitempty"`
	Why      string   `json:"why,omitempty"`
}

// ErrorShare is the part of the attempts that failed.
func (t *Trial) ErrorShare() float64 {
	if t.Attempts == 0 {
		return 0
	}
	return float64(t.Failed) / float64(t.Attempts)
}

// Use is how much of a resource was used in a trial.
type Use struct {
	Name string `json:"name"`
	// Share is of what there is, 0..1; a little above 1 where the two are measured apart.
	Share float64 `json:"share"`
	// Part tells that it is a part of another resource in the list, such as one
	// process' share of the machine's processors: it is no limit by itself.
	Part bool   `json:"part,omitempty"`
	Text string `json:"text,omitempty"` // the measurement in its own unit
}

// Verdict is what a trial says about the target.
type Verdict string

// The verdicts.
const (
	Held   Verdict = "held"
	Broke  Verdict = "broke"
	Late   Verdict = "generator late" // none on the target
	Warmed Verdict = "warm-up"        // thrown away
)

// judge sets the trial's verdict. A generator that was late while every level held has
// not shown the target a rate, so it is none either.
func (l Levels) judge(t *Trial) {
	t.Breaches, t.Why = l.Judge(t), l.Late(t)
	switch {
	case t.Why != "":
		t.Verdict = Late
	case len(t.Breaches) > 0:
		t.Verdict = Broke
	default:
		t.Verdict = Held
	}
}
