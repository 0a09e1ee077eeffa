package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"spillway/loadtest/hdr"
	"spillway/loadtest/machine"
	"spillway/loadtest/record"
	"spillway/loadtest/timeline"
	"spillway/loadtest/visit"
)

// Fleet is the other generators of a run that this one leads. Its methods are called in
// this order, each once. Their errors name the generator that they are about, and end the run: a proof
// on a part of the records is none.
type Fleet interface {
	// Prepare gives the others the run, and returns when each of them could begin.
	Prepare(ctx context.Context) error
	// Start has everybody begin at one moment, and says which of this clock that is.
	Start(ctx context.Context) (time.Time, error)
	// Follow returns when every other generator has come to the end of its share; closing
	// stop ends the shares early.
	Follow(ctx context.Context, stop <-chan struct{}) error
	// Collect brings their records and tallies, checked, and lets them go.
	Collect(ctx context.Context) ([]Part, error)
	// Counts is what they have done so far, for people.
	Counts() Counts
}

// Part is what another generator handed over.
type Part struct {
	// Name is what it calls itself, Machine where it ran.
	Name    string
	Machine machine.Machine
	// Record is the copy of its record, beside the leader's.
	Record record.Part
	Tally  *Tally
}

// Counts is how far generators are.
type Counts struct {
	Sent     int64 `json:"sent"`
	Accepted int64 `json:"accepted"`
	Refused  int64 `json:"refused"`
	Unknown  int64 `json:"unknown"`
	Waiting  int64 `json:"waiting"`
	// Recent is the latency of what was accepted lately, as hdr writes it.
	Recent []string `json:"recent,omitempty"`
}

// Add adds another's.
func (c *Counts) Add(o Counts) {
	c.Sent += o.Sent
	c.Accepted += o.Accepted
	c.Refused += o.Refused
	c.Unknown += o.Unknown
	c.Waiting += o.Waiting
	c.Recent = append(c.Recent, o.Recent...)
}

// Generator is one of several generators in a report. Durations are in nanoseconds.
type Generator struct {
	Name    string          `json:"name"`
	Machine machine.Machine `json:"machine"`
	Demand
	Sent     int64 `json:"sent"`
	Accepted int64 `json:"accepted"`
	// Latency and Lateness are its own part of those over all.
	Latency    Distribution  `json:"latency"`
	Lateness   Distribution  `json:"lateness"`
	CPU        time.Duration `json:"cpu_ns"`
	CostMicros float64       `json:"cost_micros"` // CPU per exchange
	// Ahead is how far its clock is ahead of the leader's, Unsure how wrong that may be.
	Ahead  time.Duration `json:"clock_ahead_ns"`
	Unsure time.Duration `json:"clock_unsure_ns"`
	Record string        `json:"record"`
	Limit  *Limit        `json:"limit,omitempty"`
}

// LeaderName is what a report calls the generator that led the others.
const LeaderName = "leader"

// generator describes one of several by its tally. Errors: hdr's.
func generator(name string, at machine.Machine, t *Tally, r record.Part) (Generator, error) {
	latency, errLatency := hdr.Decode(t.Latency, histogramDigits)
	lateness, errLateness := hdr.Decode(t.Lateness, histogramDigits)
	if err := errors.Join(errLatency, errLateness); err != nil {
		return Generator{}, err
	}
	g := Generator{Name: name, Machine: at, Demand: t.Demand, Sent: t.Sent, Accepted: t.Accepted, Latency: distribution(latency), Lateness: distribution(lateness),
		CPU: t.CPU, Ahead: r.Ahead, Unsure: r.Unsure, Record: r.Path, Limit: t.Limit}
	if t.Exchanges > 0 {
		g.CostMicros = float64(t.CPU.Microseconds()) / float64(t.Exchanges)
	}
	return g, nil
}

// lead gives the other generators the run. Only a new run is shared: an earlier session's
// shares may have been others, and its records are elsewhere.
func (r *rehearsal) lead(ctx context.Context) error {
	if r.deps.Fleet == nil {
		return nil
	}
	if r.cfg.Resume || r.history.sessions > 0 {
		return fmt.Errorf("run %q has been sent before: several generators begin a new run, name another with --run: %w", r.cfg.Run, ErrConfig)
	}
	r.shown.phase("giving the other generators the run")
	var err error
	if r.demand, err = DemandOf(r.cfg.Source, r.cfg.Share); err != nil {
		return err
	}
	return r.deps.Fleet.Prepare(ctx)
}

// startsAt is when the sending begins.
func (r *rehearsal) startsAt(ctx context.Context) (time.Time, error) {
	if r.deps.Fleet == nil {
		return time.Now().Add(lead), nil
	}
	return r.deps.Fleet.Start(ctx)
}

// gather brings what the others did into the report, the meter and the audit; cpu is
// what this generator used, and comes back with theirs.
func (r *rehearsal) gather(ctx context.Context, cpu time.Duration) (time.Duration, error) {
	if r.deps.Fleet == nil {
		return cpu, nil
	}
	own, err := r.engine.meter.tally(r.demand, cpu)
	if err != nil {
		return 0, err
	}
	r.shown.phase("collecting the other generators' records")
	parts, err := r.deps.Fleet.Collect(ctx)
	if err != nil {
		return 0, err
	}
	rows := own.Rows
	own.Limit = r.cfg.Limit
	first, err := generator(LeaderName, machine.Here(), own, record.Part{Path: r.cfg.Record})
	if err != nil {
		return 0, err
	}
	r.report.Generators = []Generator{first}
	for _, p := range parts {
		g, err := generator(p.Name, p.Machine, p.Tally, p.Record)
		if err == nil {
			err = r.engine.meter.merge(p.Tally, p.Record.Ahead)
		}
		if err != nil {
			return 0, fmt.Errorf("generator %q: %w", p.Name, err)
		}
		r.report.Generators = append(r.report.Generators, g)
		r.others = append(r.others, p.Record)
		if p.Tally.Visits != nil {
			r.guests = append(r.guests, p.Tally.Visits)
		}
		rows += p.Tally.Rows
		cpu += p.Tally.CPU
	}
	if all := r.cfg.Source.Rows(); rows != all {
		return 0, fmt.Errorf("the generators' shares are %d rows together, the source has %d: %w", rows, all, ErrConfig)
	}
	return cpu, nil
}

// visited is the report of the visits, the other generators' included.
func (r *rehearsal) visited() (*visit.Report, error) { return r.visits.Merge(r.guests...) }

// judgeGenerators says what makes the figures of several generators doubtful, and what
// fails them: each is looked at alone, because a late one hides among many.
func (r *rehearsal) judgeGenerators(fail func(string, ...any)) {
	report := r.report
	for _, g := range report.Generators {
		if g.Sent != g.Rows && !r.halted {
			fail("generator %s sent %s of its %s rows, and nobody had stopped it", g.Name, count(g.Sent), count(g.Rows))
		}
		if p99 := g.Lateness.P99; p99 > LatenessTrusted {
			report.Warnings = append(report.Warnings, fmt.Sprintf("generator %s was late: p99 %v, more than %v; do not trust its part of the latencies", g.Name, p99, LatenessTrusted))
		}
	}
}

func (r *Report) writeGenerators(b *bytes.Buffer) {
	if len(r.Generators) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%d generators began together; percentiles above are of all their samples\n\n", len(r.Generators))
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, g := range r.Generators {
		clock := "the clock of all"
		if g.Name != LeaderName {
			clock = fmt.Sprintf("clock %s ahead, ±%s", short(g.Ahead), short(g.Unsure))
		}
		fmt.Fprintf(t, "  %s\t%s of %s rows sent, %s acked\tp99 %s\town lateness p99 %s\t%.1f µs of CPU per request%s\t%s\n", g.Name, count(g.Sent), count(g.Rows), count(g.Accepted),
			short(g.Latency.P99), short(g.Lateness.P99), g.CostMicros, g.Limit.words(g.Busiest), clock)
	}
	_ = t.Flush() // into memory
}

// RunShare sends one generator's share of a run that another one leads. It makes no
// campaigns, sends no probes, watches no totals and judges nothing. begin is called when
// everything is ready, and returns when the sending begins, of this clock. Config.Record
// must not be there yet; it is on disk when RunShare returns.
//
// Errors: ErrConfig, begin's, the record's, the source's. Closing stop ends the share early.
func RunShare(ctx context.Context, stop <-chan struct{}, cfg Config, deps Deps, begin func(context.Context, Demand) (time.Time, error)) (*Tally, error) {
	cfg.Probes, cfg.Watchers, cfg.Charging, cfg.Resume = false, 0, nil, false
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	r := &rehearsal{cfg: &cfg, deps: &deps, shown: newDisplay(deps.Show), line: timeline.New(), report: &Report{}, watch: &watchers{}}
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.reader.close()
	t, err := r.share(ctx, stop, begin)
	if err := errors.Join(err, r.writer.Sync(), r.writer.Close()); err != nil {
		return nil, err
	}
	return t, nil
}

// share is everything but the record's opening and closing.
func (r *rehearsal) share(ctx context.Context, stop <-chan struct{}, begin func(context.Context, Demand) (time.Time, error)) (t *Tally, err error) {
	defer r.shown.start(ctx)()
	if r.history.sessions > 0 || len(r.history.campaigns) > 0 {
		return nil, fmt.Errorf("%s: a share of several generators begins a record of its own: %w", r.cfg.Record, ErrConfig)
	}
	if r.plan, err = makePlan(r.cfg, r.run, r.history, r.writer); err != nil {
		return nil, err
	}
	if r.engine, err = newEngine(r.cfg, r.run, r.plan.campaigns, r.writer, r.line); err != nil {
		return nil, err
	}
	if r.visits, err = r.invite(); err != nil {
		return nil, err
	}
	demand, err := DemandOf(r.cfg.Source, r.cfg.Share)
	if err != nil {
		return nil, err
	}
	start, err := begin(ctx, demand)
	if err != nil {
		return nil, err
	}
	if err := r.writer.Session(record.Session{StartedAt: start.UTC(), Target: r.cfg.Target, Speed: r.cfg.Speed, Before: -1}); err != nil {
		return nil, err
	}
	visiting, done := context.WithCancel(ctx)
	defer done()
	beside := r.besides(visiting)
	cpu, err := r.sendRows(ctx, stop, start, demand.Rows, r.cfg.Source.Span())
	done() // who looks at pages leaves when the last gift is answered
	if err := errors.Join(err, beside()); err != nil {
		return nil, err
	}
	if t, err = r.engine.meter.tally(demand, cpu); err != nil {
		return nil, err
	}
	if t.Line, err = r.line.Part(); err != nil {
		return nil, err
	}
	if r.visits != nil {
		if t.Visits, err = r.visits.Tally(); err != nil {
			return nil, err
		}
	}
	t.Limit = r.cfg.Limit
	return t, r.writer.End(record.End{At: time.Now().UTC(), Stopped: t.Stopped})
}

// besides runs what a share has beside its rows, until ctx ends; wait returns then.
func (r *rehearsal) besides(ctx context.Context) (wait func() error) {
	visited, observed := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(observed)
		u := usage{name: GeneratorRole + " " + r.cfg.Name}
		every(ctx, observeEvery, func() error {
			r.line.Gauge(timeline.InFlight, time.Now(), float64(max(0, r.engine.open.Load()-int64(r.engine.agenda.len()))))
			u.read(r.line, nil)
			return nil
		})
	}()
	if r.visits == nil {
		close(visited)
	} else {
		go func() { visited <- r.visits.Run(ctx) }()
	}
	return func() error { <-observed; return <-visited }
}
