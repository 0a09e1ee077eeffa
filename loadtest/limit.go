package loadtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"spillway/loadtest/timeline"
	"spillway/loadtest/trace"
)

// Bounds of measuring the generator itself.
const (
	// LimitFrom is the busiest second from which on the limit is worth measuring: a
	// tenth of what two cores of 2017 send.
	LimitFrom = 2000
	// LimitRows is how many requests a measurement sends: about a second of two cores,
	// long enough that dialling is a fiftieth of it.
	LimitRows     = 30_000
	limitRowsMost = 10_000_000
	// limitTimeout is when a request of the measurement has no answer.
	limitTimeout = 10 * time.Second
)

// Limit is what a generator can send at most: measured, against a target on the same
// machine that only answers, with all that a rehearsal does for a request (record,
// histograms, the check of the answer). That target takes its part of the machine, as an installation on the same machine
// would and one elsewhere would not: there the limit is higher.
type Limit struct {
	Rate float64 `json:"rate"` // requests per second
	// CostMicros is the generator's CPU for a request at that rate; at lower rates it is
	// more, because it wakes up more often for each.
	CostMicros float64       `json:"cost_micros"`
	Cores      int           `json:"cores"`
	Requests   int64         `json:"requests"`
	For        time.Duration `json:"for_ns"`
}

// String says it for people.
func (l *Limit) String() string {
	return fmt.Sprintf("%s requests/s, %.1f µs of CPU each, %d cores (measured with %s requests against a target on this machine that only answers)",
		count(int64(l.Rate)), l.CostMicros, l.Cores, count(l.Requests))
}

// words says how the limit stands to what is asked; "" when it was not measured.
func (l *Limit) words(busiest int64) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("\town limit %s/s, busiest second asks %s", count(int64(l.Rate)), count(busiest))
}

// Ample tells whether the limit is enough for a second of so many requests.
func (l *Limit) Ample(busiest int64) bool { return l == nil || float64(busiest) <= l.Rate }

// Generators is how many of this kind a second of so many requests needs, each at four
// fifths of its limit: an open loop that runs at its limit is late.
func (l *Limit) Generators(busiest int64) int {
	const use = 0.8
	return 1 + int(float64(busiest)/(l.Rate*use))
}

// ErrLimit says that the generator's limit could not be measured.
var ErrLimit = errors.New("the generator's own limit could not be measured")

// MeasureLimit sends rows to a target that only answers (package bare) as fast as it can,
// over so many connections, and says how fast that was. CPU is this process's: the target
// has to be another one. rows is 1 to 10,000,000; 0 for LimitRows.
//
// Errors: ErrLimit, ErrConfig, the file system's.
func MeasureLimit(ctx context.Context, target string, connections int, rows int64) (l *Limit, err error) {
	if rows == 0 {
		rows = LimitRows
	}
	if rows < 0 || rows > limitRowsMost {
		return nil, fmt.Errorf("%d rows, want 1 to %d: %w", rows, limitRowsMost, ErrConfig)
	}
	dir, err := os.MkdirTemp("", "spillway-limit-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Asked for far sooner than anybody sends it, so that there is always work.
	source, err := trace.NewProfile(trace.ProfileConfig{Rate: trace.RateMax, For: time.Duration(float64(rows) / trace.RateMax * float64(time.Second))})
	if err != nil {
		return nil, err
	}
	cfg := Config{Run: "limit", Source: source, Target: target, Connections: connections, Timeout: limitTimeout, Patience: limitTimeout, Record: filepath.Join(dir, "record")}
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	r := &rehearsal{cfg: &cfg, deps: &Deps{}, shown: newDisplay(nil), line: timeline.New(), report: &Report{}}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.reader.close()
	cpu, err := r.burst(ctx)
	if err := errors.Join(err, r.writer.Close()); err != nil {
		return nil, err
	}
	s := r.engine.meter.report(source.Rows(), cpu)
	if s.Accepted != source.Rows() || s.AnsweredIn <= 0 {
		return nil, fmt.Errorf("%d of %d requests were accepted, %d without an answer: %w", s.Accepted, source.Rows(), s.UnknownAnswers, ErrLimit)
	}
	return &Limit{Rate: s.AckRate, CostMicros: s.CostMicros, Cores: runtime.GOMAXPROCS(0), Requests: s.Accepted, For: s.AnsweredIn}, nil
}

// burst sends the source at once.
func (r *rehearsal) burst(ctx context.Context) (cpu time.Duration, err error) {
	if r.plan, err = makePlan(r.cfg, r.run, r.history, r.writer); err != nil {
		return 0, err
	}
	if r.engine, err = newEngine(r.cfg, r.run, r.plan.campaigns, r.writer, r.line); err != nil {
		return 0, err
	}
	// The bare target's tokens are of no content: each is checked and found wrong, and
	// none is worth a line in the record.
	r.engine.meter.wrong = findingsMax
	return r.sendRows(ctx, nil, time.Now().Add(lead), r.cfg.Source.Rows(), r.cfg.Source.Span())
}

// limitWarnings say where the plan asks for more than a generator can send.
func (r *Report) limitWarnings() (all []string) {
	say := func(who string, l *Limit, busiest int64) {
		if !l.Ample(busiest) {
			all = append(all, fmt.Sprintf("%s can send %s requests/s on this machine, the busiest second asks for %s: latencies count its own lateness; share the load, with --generators %d or more in all",
				who, count(int64(l.Rate)), count(busiest), l.Generators(busiest)*max(1, len(r.Generators))))
		}
	}
	if len(r.Generators) == 0 && r.Limit != nil {
		say("the generator", r.Limit, r.Busiest)
	}
	for _, g := range r.Generators {
		say("generator "+g.Name, g.Limit, g.Busiest)
	}
	return all
}
