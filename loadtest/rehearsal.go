package loadtest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"spillway/ledger/money"
	"spillway/loadtest/audit"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
	"spillway/loadtest/timeline"
	"spillway/loadtest/trace"
	"spillway/loadtest/visit"
)

// Bounds of getting ready.
const (
	// knownPatience is how long a target may take to learn of new campaigns.
	knownPatience = time.Minute
	knownPause    = 50 * time.Millisecond
	// lead is how far ahead the schedule starts, so that nothing is late from the outset.
	lead = 20 * time.Millisecond
)

// rehearsal is one session under way.
type rehearsal struct {
	cfg     *Config
	deps    *Deps
	report  *Report
	run     *gift.Run
	history *history
	writer  *record.Writer
	plan    *plan
	reader  *reader
	engine  *engine
	watch   *watchers
	visits  *visit.Visitors // nil when nobody visits
	shown   *display
	line    *timeline.Recorder
	backlog backlog
	// breaking is nil unless something is broken on purpose.
	breaking *breaking
	// of several generators: this one's rows, and what the others handed over
	demand Demand
	others []record.Part
	guests []*visit.Tally
	halted bool // the sending was asked to end early
}

// Run rehearses: makes the campaigns, sends every row at its time, drains, audits.
// Closing stop ends the sending early; what was sent is drained and audited. The end
// of ctx drops everything.
//
// A proof that does not hold is in the report; an error means that there is none.
// Errors: ErrConfig, ErrNothingToResume, ErrTarget, the record's, the source's, the store's.
func Run(ctx context.Context, stop <-chan struct{}, cfg Config, deps Deps) (*Report, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	r := &rehearsal{cfg: &cfg, deps: &deps, shown: newDisplay(deps.Show), line: deps.Line}
	if r.line == nil {
		r.line = timeline.New()
	}
	r.backlog = backlog{ask: deps.Backlog, line: r.line}
	r.report = &Report{Run: cfg.Run, Source: cfg.Source.Name(), Scenario: cfg.Scenario, Speed: cfg.Speed, Target: cfg.Target, Record: cfg.Record,
		Resumed: cfg.Resume, Before: -1, After: -1, Limit: cfg.Limit, Busiest: cfg.Busiest}
	r.report.Currency = onlyCurrency(cfg.Source.Campaigns())
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.reader.close()
	err := r.rehearse(ctx, stop)
	if err := errors.Join(err, r.writer.Close()); err != nil {
		return nil, err
	}
	if err := r.audit(ctx); err != nil {
		return nil, err
	}
	r.conclude()
	return r.report, nil
}

// onlyCurrency is the currency of all campaigns, "" when there are several.
func onlyCurrency(all []trace.Campaign) money.Currency {
	for _, c := range all {
		if c.Currency != all[0].Currency {
			return ""
		}
	}
	return all[0].Currency
}

// open opens the record and reads what was there before.
func (r *rehearsal) open() error {
	cfg := r.cfg
	hash := cfg.Source.Hash()
	var err error
	if r.run, err = gift.NewRun(cfg.Run, cfg.Source.Name(), hash); err != nil {
		return err
	}
	if r.reader, err = newReader(cfg.Target); err != nil {
		return err
	}
	if _, err := os.Stat(cfg.Record); errors.Is(err, fs.ErrNotExist) {
		if cfg.Resume {
			return fmt.Errorf("%s: run %q has no record there: %w", cfg.Record, cfg.Run, ErrNothingToResume)
		}
		if err := os.MkdirAll(filepath.Dir(cfg.Record), 0o700); err != nil {
			return err
		}
	}
	r.history = newHistory(cfg.Copies, cfg.Resume)
	header := record.Header{Run: cfg.Run, Source: cfg.Source.Name(), Hash: hex.EncodeToString(hash[:]), Copies: cfg.Copies, Probes: cfg.Probes}
	if r.writer, err = record.Open(cfg.Record, header, r.history.visitor()); err != nil {
		return err
	}
	r.report.Session = r.history.sessions + 1
	return nil
}

// rehearse is everything up to the drain.
func (r *rehearsal) rehearse(ctx context.Context, stop <-chan struct{}) error {
	cfg, report := r.cfg, r.report
	defer r.shown.start(ctx)()
	r.shown.phase("making campaigns")
	var err error
	if r.plan, err = makePlan(cfg, r.run, r.history, r.writer); err != nil {
		return err
	}
	if report.Before, err = r.count(ctx); err != nil {
		return err
	}
	made, begun := len(r.plan.campaigns), time.Now()
	if err := r.plan.put(ctx, r.deps.Campaigns, 0); err != nil {
		return fmt.Errorf("make the run's campaigns: %w", err)
	}
	if err := r.known(ctx, stop, 0); err != nil {
		return err
	}
	if err := r.lead(ctx); err != nil {
		return err
	}
	if cfg.Probes {
		// The next campaigns will be known as soon as these were, on a busy machine too: edges
		// that had passed before the first gift would go by untested.
		start := time.Now().Add(time.Since(begun))
		if err := r.plan.addEdges(ctx, r.deps.Campaigns, r.writer, cfg.Resume, start, max(cfg.Source.Span(), cfg.edgesLeast)); err != nil {
			return fmt.Errorf("make the probes' campaigns: %w", err)
		}
		if err := r.plan.put(ctx, r.deps.Campaigns, made); err != nil {
			return fmt.Errorf("make the probes' campaigns: %w", err)
		}
		if err := r.known(ctx, stop, made); err != nil {
			return err
		}
	}
	if r.engine, err = newEngine(cfg, r.run, r.plan.campaigns, r.writer, r.line); err != nil {
		return err
	}
	report.StartedAt = time.Now().UTC()
	if err := r.writer.Session(record.Session{StartedAt: report.StartedAt, Resumed: cfg.Resume, Target: cfg.Target, Speed: cfg.Speed, Before: report.Before}); err != nil {
		return err
	}

	if r.visits, err = r.invite(); err != nil {
		return err
	}
	watching, done := context.WithCancel(ctx)
	defer done()
	var watched sync.WaitGroup
	r.watch = newWatchers(r.engine.endpoint, r.plan.campaigns, r.writer, r.line)
	chosen := watchedCampaigns(cfg)
	watched.Go(func() { r.watch.run(watching, chosen) })
	watched.Go(func() { r.observe(watching) })
	var visited error
	if r.visits != nil {
		watched.Go(func() { visited = r.visits.Run(watching) })
	}
	err = r.sendAndCharge(ctx, stop)
	r.mendThings()
	done()
	watched.Wait()
	err = errors.Join(err, visited)
	report.Watch = r.watch.report(len(chosen))
	if r.visits != nil {
		var visits error
		report.Visits, visits = r.visited()
		err = errors.Join(err, visits)
	}
	report.Timeline = r.line.Timeline()
	if err != nil {
		return err
	}
	if report.After, err = r.count(ctx); err != nil {
		return err
	}
	return r.writer.End(record.End{At: time.Now().UTC(), Stopped: report.Stopped})
}

// sendAndCharge is everything that watchers see: sending, recording and charging.
func (r *rehearsal) sendAndCharge(ctx context.Context, stop <-chan struct{}) (err error) {
	if r.cfg.Charging == nil {
		if err := r.send(ctx, stop); err != nil {
			return err
		}
		return r.drain(ctx)
	}
	c, err := newCashier(ctx, r)
	if err != nil {
		return err
	}
	ended := false
	end := func() error {
		if ended {
			return nil
		}
		ended = true
		return c.stop(ctx)
	}
	defer func() { err = errors.Join(err, end()) }()
	watching, done := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() { c.watch(watching) })
	err = r.send(ctx, stop)
	if err == nil {
		err = r.drain(ctx)
	}
	done()
	watched.Wait()
	if err != nil {
		return err
	}
	if err := c.wait(ctx, stop); err != nil {
		return err
	}
	r.mendThings() // the processor is asked once more
	r.phased("charging ended")
	if err := end(); err != nil {
		return err
	}
	r.report.Charging, err = c.conclude(ctx)
	return err
}

func watchedCampaigns(cfg *Config) []int32 { return watched(cfg.Source.Campaigns(), cfg.Watchers) }

// count asks how many lines the run's campaigns hold.
func (r *rehearsal) count(ctx context.Context) (int64, error) {
	if r.deps.Count == nil {
		return -1, nil
	}
	return r.deps.Count(ctx, r.run.SlugPrefix())
}

// known waits until the target knows the campaigns from index `from` on.
func (r *rehearsal) known(ctx context.Context, stop <-chan struct{}, from int) error {
	r.shown.phase("waiting until the target knows the campaigns")
	ctx, cancel := context.WithTimeout(ctx, knownPatience)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readConnections)
	for _, c := range r.plan.campaigns[from:] {
		if c.Absent {
			continue
		}
		group.Go(func() error {
			for {
				known, err := r.reader.campaignKnown(ctx, c.Slug)
				if known {
					return nil
				}
				if wait(ctx, stop, knownPause) == nil {
					continue
				}
				if err == nil {
					err = errors.New("it does not know it")
				}
				return fmt.Errorf("campaign %s at %s: %w: %w", c.Slug, r.cfg.Target, ErrTarget, err)
			}
		})
	}
	return group.Wait()
}

// send runs the schedule to its end, of all generators.
func (r *rehearsal) send(ctx context.Context, stop <-chan struct{}) error {
	cfg := r.cfg
	r.report.Skipped = r.history.skipped()
	planned := cfg.Source.Rows() - r.report.Skipped
	left := cfg.Source.Span()
	if cfg.Resume { // about: by rows, not by their times
		left = time.Duration(float64(left) * float64(planned) / float64(cfg.Source.Rows()))
	}
	start, err := r.startsAt(ctx)
	if err != nil {
		return err
	}
	cpu, err := r.sendRows(ctx, stop, start, planned, left)
	select {
	case <-stop:
		r.halted = true
	default:
	}
	if err == nil {
		cpu, err = r.gather(ctx, cpu)
	}
	r.report.Sending = r.engine.meter.report(planned, cpu)
	r.report.Stopped = r.report.Sending.Sent < planned
	return err
}

// sendRows sends this generator's rows, of the planned ones of all, and waits for the
// other generators; left is how long that should take. It returns the processor time that this process used.
func (r *rehearsal) sendRows(ctx context.Context, stop <-chan struct{}, start time.Time, planned int64, left time.Duration) (time.Duration, error) {
	e, cfg := r.engine, r.cfg
	blocks := make(chan []trace.Row, blocksAhead)
	span := cfg.Source.Span()
	e.start = start
	r.line.Begin(e.start)
	r.breakThings(ctx)
	if r.visits != nil {
		r.visits.Begin(e.start)
	}
	r.phased("sending")
	r.shown.sending(r, planned, left)
	before := cpuTime()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.read(ctx, stop, shared{cfg.Source, cfg.Share}, r.history, blocks) })
	if cfg.Probes {
		e.held.Add(1)
		group.Go(func() error {
			defer e.held.Add(-1)
			s := &scripts{engine: e, plan: r.plan, history: r.history, states: &states{r.reader}}
			s.run(ctx, stop, span, left)
			return nil
		})
	}
	var cpu time.Duration
	group.Go(func() error {
		err := e.send(ctx, stop, blocks)
		cpu = cpuTime() - before
		return err
	})
	if r.deps.Fleet != nil {
		group.Go(func() error { return r.deps.Fleet.Follow(ctx, stop) })
	}
	err := group.Wait() // before cpu is read
	return cpu, err
}

// skipped counts the rows that a resumed session leaves out.
func (h *history) skipped() int64 {
	if !h.resume {
		return 0
	}
	return h.answered.count()
}

// Bounds of the drain.
const (
	drainPause = 50 * time.Millisecond
	// drainSkew is added to the last answer's time, on the target's clock as far as
	// its answers told, for as_of to have passed it surely.
	drainSkew = 10 * time.Millisecond
)

// drain waits until the totals are complete as of the last 202 and the ledger
// has nothing left to acknowledge.
func (r *rehearsal) drain(ctx context.Context) error {
	r.shown.phase("draining")
	begun := time.Now()
	r.phased("everything answered; the ledger catches up")
	last, ahead := r.engine.meter.lastAccepted()
	if r.history.lastAccepted.After(last) {
		last = r.history.lastAccepted
	}
	if last.IsZero() {
		r.report.Drained = true
		return nil
	}
	need := last.Add(max(0, ahead) + drainSkew)
	slug := r.plan.campaigns[0].Slug
	const (
		backlogTimeout  = 5 * time.Second  // of one question
		backlogPatience = 15 * time.Second // with a broker that does not answer
	)
	moved, newest := time.Now(), time.Time{}
	for {
		backlog, err := int64(0), error(nil)
		if r.deps.Backlog != nil {
			asked, cancel := context.WithTimeout(ctx, backlogTimeout)
			backlog, err = r.backlog.now(asked)
			cancel()
		}
		if err != nil && ctx.Err() == nil && time.Since(begun) > backlogPatience {
			// The broker that was named is gone for good, such as one that came back at
			// another address: the totals' own age says what is recorded.
			backlog, err = 0, nil
		}
		t, totalErr := r.reader.Total(ctx, slug)
		if err == nil && totalErr == nil && backlog == 0 && t.AsOf.After(need) {
			r.report.Drained, r.report.DrainFor = true, time.Since(begun)
			r.settled("everything recorded and shown")
			return nil
		}
		if t.AsOf.After(newest) {
			newest = t.AsOf
		}
		// With nothing to record as_of moves on by itself; progress is what counts.
		if r.shown.drained(backlog, t.AsOf, need) {
			moved = time.Now()
		}
		if time.Since(moved) > r.cfg.Drain {
			r.report.DrainFor = time.Since(begun)
			r.settled("the wait for the totals was given up")
			r.deps.Log.Warn("gave up waiting for the drain", "backlog", backlog, "as_of", newest, "last_answer", last, "error", errors.Join(err, totalErr))
			return nil
		}
		if err := sleep(ctx, drainPause); err != nil {
			return err
		}
	}
}

// audit judges the whole run, this session and those before it.
func (r *rehearsal) audit(ctx context.Context) error {
	begun := time.Now()
	cfg := audit.Config{Record: r.cfg.Record, Others: r.others, Open: r.deps.View, Totals: r.reader, Keys: r.deps.Keys, Progress: r.shown.say, Secrets: r.deps.Secrets}
	if r.deps.Logs != nil {
		var err error
		if cfg.Logs, err = r.deps.Logs(); err != nil {
			return fmt.Errorf("find the logs: %w", err)
		}
	}
	if m := r.report.Charging; m != nil {
		cfg.Processor, cfg.Alone, cfg.Charged = r.deps.Simulator, r.cfg.Charging.Alone, m.Left == 0
	}
	result, err := audit.Run(ctx, cfg)
	if err != nil {
		return err
	}
	r.report.Audit, r.report.AuditFor = result, time.Since(begun)
	return nil
}

// conclude decides whether the proof holds.
func (r *rehearsal) conclude() {
	report := r.report
	fail := func(format string, args ...any) {
		report.Failures = append(report.Failures, fmt.Sprintf(format, args...))
	}
	for _, c := range report.Audit.Checks {
		if c.Broken > 0 {
			fail("%s is broken %d times: %s", c.Invariant, c.Broken, c.Claim)
		}
	}
	if !report.Drained {
		fail("the totals were not complete as of the last 202 within %v", r.cfg.Drain)
	}
	if n := report.Sending.Unresolved; n > 0 {
		fail("%d rows had no definite answer within %v each", n, r.cfg.Patience)
	}
	if report.Audit.Counts.Accepted == 0 {
		fail("nothing was acknowledged, so nothing was proven")
	}
	if m := report.Charging; m != nil {
		if !m.Ended {
			fail("%d donations had not come to their end, and %d fees were not known, after %v", m.Left, m.Feeless, m.WaitFor.Round(time.Second))
		}
		report.Warnings = append(report.Warnings, m.warnings()...)
	}
	r.judgeGenerators(fail)
	if f := report.Faults; f != nil {
		report.Failures = append(report.Failures, f.Failures()...)
		report.Warnings = append(report.Warnings, f.Warnings()...)
	}
	report.Holds = len(report.Failures) == 0
	if s := report.Sending; report.Stopped {
		report.Warnings = append(report.Warnings, fmt.Sprintf("it was stopped early: %s of %s rows were sent, and the proof is about those", count(s.Sent), count(s.Planned)))
	}
	if p99 := report.Sending.Lateness.P99; p99 > LatenessTrusted && len(report.Generators) == 0 { // of several, each was told of
		report.Warnings = append(report.Warnings, fmt.Sprintf("the generator itself was late: p99 %v, more than %v; do not trust the latencies", p99, LatenessTrusted))
	}
	report.Warnings = append(report.Warnings, report.limitWarnings()...)
	report.Warnings = append(report.Warnings, visitWarnings(report.Visits)...)
	if w := report.Watch; w.Watchers > 0 && w.Readings == 0 {
		report.Warnings = append(report.Warnings, "no watcher could read a total")
	}
}
