package loadtest

import (
	"time"

	"spillway/ledger/money"
	"spillway/loadtest/audit"
	"spillway/loadtest/faults"
	"spillway/loadtest/machine"
	"spillway/loadtest/timeline"
	"spillway/loadtest/visit"
)

// LatenessTrusted is how late the generator itself may be, at the 99th percentile,
// for its latencies to say something about the target: a tick of an idle timer is
// one millisecond, and beyond ten of them the generator is what is measured.
const LatenessTrusted = 10 * time.Millisecond

// Report is what a rehearsal found. Durations are in nanoseconds.
type Report struct {
	Run    string `json:"run"`
	Source string `json:"source"`
	// Scenario is the name of the one that was rehearsed; "" without one.
	Scenario string `json:"scenario,omitempty"`
	Speed    string `json:"speed,omitempty"`
	// Currency of all rows; "" when they are of several.
	Currency money.Currency `json:"currency,omitempty"`
	Target   string         `json:"target"`
	Record   string         `json:"record"`
	// Session counts the starts of this run, Resumed tells whether this one went on
	// where another was broken off.
	Session   int       `json:"session"`
	Resumed   bool      `json:"resumed"`
	StartedAt time.Time `json:"started_at"`
	// Stopped tells that the sending was ended before the source.
	Stopped bool `json:"stopped"`

	Sending Sending `json:"sending"`
	// Limit is what the generator itself can send; nil when that was not measured.
	Limit *Limit `json:"own_limit,omitempty"`
	// Busiest is the most rows of any second, as planned; 0 when nobody counted.
	Busiest int64 `json:"busiest_second,omitempty"`
	// Generators are all that sent, the leader first; none when one sent alone. What
	// Sending says is of all of them.
	Generators []Generator `json:"generators,omitempty"`

	Watch Watching `json:"watching"`
	// Visits are those of pages, nil when nobody was to visit.
	Visits *visit.Report `json:"visits,omitempty"`
	// DrainFor is how long after the last answer it took until everything
	// acknowledged was shown; Drained is false when the wait was given up.
	DrainFor time.Duration `json:"drain_ns"`
	Drained  bool          `json:"drained"`
	// Before and After count the lines of the run's campaigns, -1 when not asked.
	Before int64 `json:"before"`
	After  int64 `json:"after"`
	// Skipped rows had been answered in an earlier session.
	Skipped int64 `json:"skipped"`

	// Charging is nil when it was not waited for.
	Charging *ChargingReport `json:"charging,omitempty"`

	// Faults is what was broken on purpose; nil when nothing was.
	Faults *faults.Record `json:"faults,omitempty"`

	// Timeline is what happened second by second.
	Timeline *timeline.Timeline `json:"timeline,omitempty"`
	// Setting is where and with what it was made; nil when nobody said.
	Setting *Setting `json:"setting,omitempty"`

	AuditFor time.Duration `json:"audit_ns"`
	Audit    *audit.Result `json:"audit"`

	// Warnings say what makes the figures, not the proof, doubtful.
	Warnings []string `json:"warnings,omitempty"`
	// Failures say why the proof does not hold, one line each; empty when it does.
	Failures []string `json:"failures,omitempty"`
	// Holds tells whether the proof holds.
	Holds bool `json:"proven"`
}

// Setting is where and with what a rehearsal was made, for whoever repeats it.
type Setting struct {
	// Command repeats it, secrets left out.
	Command string `json:"command"`
	// Machine is the generator's; Together tells that the installation ran on it too.
	Machine  machine.Machine `json:"machine"`
	Together bool            `json:"together"`
	// Versions are of what took part, as far as they are known.
	Versions []Version `json:"versions"`
	// Connections are those of all generators, Watchers read totals.
	Connections int `json:"connections"`
	Watchers    int `json:"watchers"`
}

// Version is that of one part, such as go, spillway, postgres, nats-server.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Sending is what one session's rows came to, probes left out unless said.
type Sending struct {
	Planned int64 `json:"planned"` // rows of this session
	Sent    int64 `json:"sent"`
	// Attempts are all requests of rows, retries included.
	Attempts int64 `json:"attempts"`
	Accepted int64 `json:"accepted"`
	// Refused rows by status.
	Refused map[int]int64 `json:"refused,omitempty"`
	// UnknownAnswers counts attempts without a definite answer, Deferred those
	// answered 429. Resolved rows were accepted at a later attempt; Unresolved ones
	// were given up.
	UnknownAnswers int64 `json:"unknown_answers"`
	Deferred       int64 `json:"deferred"`
	Resolved       int64 `json:"resolved"`
	Unresolved     int64 `json:"unresolved"`
	// Contradicted counts 202s that do not say what the contract promises.
	Contradicted int64 `json:"contradicted"`

	For        time.Duration `json:"sending_ns"`  // from the first to the last row's leaving
	SentRate   float64       `json:"sent_rate"`   // rows per second, while sending
	AnsweredIn time.Duration `json:"answered_ns"` // from the first row to the last 202
	AckRate    float64       `json:"ack_rate"`    // 202s per second over AnsweredIn
	BestSecond int64         `json:"best_second"` // most 202s in one second
	Latency    Distribution  `json:"latency"`     // planned time to 202
	Lateness   Distribution  `json:"lateness"`    // planned time to leaving: the generator's own
	Waiting    Distribution  `json:"waiting"`     // for a free connection, part of the latency
	CPU        time.Duration `json:"cpu_ns"`      // of the generator, while sending
	Exchanges  int64         `json:"exchanges"`   // of rows and probes
	CostMicros float64       `json:"cost_micros"` // CPU per exchange
}

func (m *meter) report(planned int64, cpu time.Duration) Sending {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Sending{Planned: planned, Sent: m.sent, Attempts: m.attempts, Accepted: m.accepted, Refused: m.refused,
		UnknownAnswers: m.unknown, Deferred: m.deferred, Resolved: m.resolved, Unresolved: m.unresolved, Contradicted: m.wrong,
		For: m.lastSent.Sub(m.firstSent), BestSecond: m.best,
		Latency: distribution(m.latency), Lateness: distribution(m.lateness), Waiting: distribution(m.waiting), CPU: cpu, Exchanges: m.exchanges}
	if s.For > 0 {
		s.SentRate = float64(s.Sent) / s.For.Seconds()
	}
	if m.lastAnswer.After(m.firstSent) && s.Accepted > 0 {
		s.AnsweredIn = m.lastRowAnswer.Sub(m.firstSent)
		s.AckRate = float64(s.Accepted) / s.AnsweredIn.Seconds()
	}
	if s.Exchanges > 0 {
		s.CostMicros = float64(cpu.Microseconds()) / float64(s.Exchanges)
	}
	return s
}
