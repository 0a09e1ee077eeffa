package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"spillway/cmd/spillway/internal/config"
	"spillway/loadtest/capacity"
	"spillway/loadtest/machine"
	reportpage "spillway/loadtest/report"
	"spillway/loadtest/scenario"
	"spillway/loadtest/trace"
)

// capacityCommand finds the highest rate that an installation holds.
type capacityCommand struct {
	Scenario string `placeholder:"NAME|FILE" help:"Take the levels, the campaigns and what gifts are like from a ready scenario or a YAML file. Flags beside it win over it."`

	Budget    time.Duration `default:"5m" help:"How long the search may take; starting a private installation is not counted."`
	Trial     time.Duration `default:"10s" help:"How long one trial sends. Longer trials see a ledger that falls behind slowly."`
	Start     float64       `default:"500" placeholder:"R" help:"First rate, in donations per second; it is thrown away once as a warm-up."`
	Most      float64       `default:"500000" placeholder:"R" help:"Where the search ends even when everything holds."`
	Precision percent       `default:"5%" placeholder:"PERCENT" help:"Half the width of the interval at which the search ends."`

	AckP99    time.Duration `name:"ack-p99" default:"${capacity_ack}" help:"From the planned time of a donation to its 202, at the 99th percentile."`
	Errors    percent       `default:"${capacity_errors}" placeholder:"PERCENT" help:"Attempts that may be refused or not answered."`
	Staleness time.Duration `name:"staleness-p99" default:"${capacity_staleness}" help:"How old totals may be when they are read, at the 99th percentile."`
	Drain     time.Duration `default:"${capacity_drain}" help:"How long after the last answer everything acknowledged must be shown."`

	Expect        float64       `placeholder:"R" xor:"expected" help:"The peak that you expect, in donations per second."`
	ExpectFor     time.Duration `default:"1m" help:"How long that peak lasts, for the queue of charges; nothing after it is reckoned."`
	ExpectReplay  string        `placeholder:"FILE" type:"path" xor:"expected" help:"In place of it a recorded event: CSV or CSV.gz with offset_ms,campaign,amount_minor,currency."`
	Donors        float64       `default:"1" placeholder:"N" help:"How many times the recorded event's donors you expect."`
	Peak          string        `default:"second" enum:"second,minute" placeholder:"OF" help:"Hold the stack against the busiest second, or the mean of the busiest minute."`
	Headroom      float64       `default:"${capacity_headroom}" placeholder:"N" help:"How many times that peak the stack has to hold (${default})."`
	ProcessorRate float64       `default:"25" placeholder:"N" help:"Charges per second that your processor allows now (${default}, Stripe's default)."`
	WaitMost      time.Duration `default:"15m" help:"How long a donation may wait for its charge: the shortest life of a confirmation token that Stripe names."`
	DayAt         string        `placeholder:"YYYY-MM-DD" help:"The day itself: says by when a raise of the processor's limit must be asked for."`

	Target string `placeholder:"URL" help:"Front-end, or the proxy before many; the running 'spillway up' of --data when not given."`
	Data   string `placeholder:"DIR" type:"path" help:"Data folder of a running 'spillway up'. Without it and without a target a private one is started and removed afterwards."`
	config.Broker
	config.Database
	config.SecretsFile

	Campaigns   int    `default:"500" help:"Campaigns that share the donations; the first gets the most. 1 sends every gift to one."`
	Connections int    `default:"256" help:"Connections to the target."`
	Watchers    int    `default:"8" help:"Readers of live totals beside the gifts."`
	JSON        string `name:"json" env:"SPILLWAY_CAPACITY_JSON" placeholder:"FILE" type:"path" help:"Write the whole result to this file."`
	HTML        string `name:"html" env:"SPILLWAY_CAPACITY_HTML" placeholder:"FILE" type:"path" help:"Write the result as a page, whole in itself, to this file; a folder for one per search. When not given: in the data folder, or, of a private installation, in the user's cache folder, with the JSON beside it; the last line says where."`

	given map[string]bool // flags, by name
	mix   trace.MixConfig // of the scenario's gifts
	base  string          // of the report's files, where nobody named them
}

// AfterApply remembers which flags were given: those win over the scenario's file.
func (c *capacityCommand) AfterApply(parsed *kong.Context) error {
	c.given = givenFlags(parsed)
	return nil
}

// setUp reads the scenario's part that a search for capacity has a use for.
func (c *capacityCommand) setUp() error {
	if c.Scenario == "" {
		return nil
	}
	s, err := scenario.Load(c.Scenario)
	if err != nil {
		return err
	}
	l := &s.Levels
	fill(c.given, "ack-p99", &c.AckP99, l.AckP99)
	if l.Errors != nil && !c.given["errors"] { // none at all can be asked for
		c.Errors = percent(*l.Errors)
	}
	fill(c.given, "staleness-p99", &c.Staleness, l.StalenessP99)
	fill(c.given, "drain", &c.Drain, l.Drain)
	fill(c.given, "campaigns", &c.Campaigns, s.Campaigns.Count)
	c.mix = trace.MixConfig{Hot: float64(s.Campaigns.Hot), Baskets: float64(s.Donors.Baskets)}
	if a := &s.Arrivals; a.Replay != "" && !c.given["expect"] && !c.given["expect-replay"] {
		c.ExpectReplay = a.Replay // at its own speed: that is the day
		donors := a.Donors
		if a.Copies > 1 {
			donors = float64(a.Copies)
		}
		fill(c.given, "donors", &c.Donors, donors)
	}
	return nil
}

// Help is shown by --help.
func (capacityCommand) Help() string {
	return `Finds the highest rate of donations at which the levels hold: a warm-up that is thrown away, then doubling until it breaks, then halving what is left, then repeats on both sides of the border until the knee is known within the precision or the budget is spent. Every trial is a rehearsal of its own, with a proof of its own: a donation that is lost ends the search. Says what gave way first, from measurements.

A trial in which the generator itself was late, or offered another rate than planned, is no verdict on the target; the answer is then "at least". Nothing is charged: the queue of charges is reckoned from the event that you expect.

Exit status: 0 when the expectation is met with its headroom (or a rate was found, without one), 1 when it is not, or a trial's proof does not hold, 2 when nothing could be measured. Ctrl-C ends the search with what is known.

Examples:
    spillway rehearse capacity
    spillway rehearse capacity --expect 350
    spillway rehearse capacity --scenario hot-campaign --expect 350
    spillway rehearse capacity --expect-replay gifts.csv.gz --donors 3 --day-at 2026-12-01 --processor-rate 100
    spillway rehearse capacity --budget 20m --trial 30s --ack-p99 100ms --json capacity.json
    spillway rehearse capacity --data /srv/giving-day
    spillway rehearse capacity --target https://give.example.org --secrets secrets.json \
        --nats-url nats://spillway:password@broker:4222 --database-url postgres://spillway:password@db/spillway`
}

// capacityDefaults are what --help says of the levels.
func capacityDefaults() map[string]string {
	l := capacity.DefaultLevels()
	return map[string]string{
		"capacity_ack": l.AckP99.String(), "capacity_errors": fmt.Sprintf("%g%%", 100*l.ErrorShare), "capacity_staleness": l.StalenessP99.String(),
		"capacity_drain": l.Drain.String(), "capacity_headroom": fmt.Sprint(capacity.DefaultHeadroom),
	}
}

// Run searches; see Help for the exit status.
func (c *capacityCommand) Run(p *process) error {
	if err := c.setUp(); err != nil {
		fmt.Fprintf(p.stderr, "spillway rehearse capacity: %v\n", err)
		return exitStatus(exitUsage)
	}
	report, err := c.search(p)
	if report != nil {
		err = errors.Join(err, c.tell(p, report))
	}
	switch {
	case errors.Is(err, capacity.ErrUnproven):
		fmt.Fprintf(p.stderr, "spillway rehearse capacity: %v\n", err)
		return exitStatus(exitFailed)
	case err != nil:
		fmt.Fprintf(p.stderr, "spillway rehearse capacity: %v\n", err)
		return exitStatus(exitUsage)
	case report.Plan != nil && !report.Plan.Met:
		return exitStatus(exitFailed)
	}
	return nil
}

func (c *capacityCommand) search(p *process) (*capacity.Report, error) {
	expected, err := c.expectation(time.Now())
	if err != nil {
		return nil, err
	}
	screen := newScreen(p.stderr)
	defer screen.end()
	t, err := c.open(p, screen)
	if err != nil {
		return nil, err
	}
	report := &capacity.Report{Target: t.where.target, StartedAt: time.Now().UTC(), Together: t.cores > 0, Command: commandLine(os.Args[1:], p.environment)}
	c.base = t.base()
	here := machine.Here()
	report.Machine = fmt.Sprintf("%d x %s", here.Cores, here.CPU)
	levels := c.levels()
	report.Result, err = capacity.Search(p.ctx, capacity.Config{Levels: levels, Start: c.Start, Least: min(capacity.DefaultLeast, c.Start), Most: c.Most,
		Precision: float64(c.Precision), Budget: c.Budget, Show: func(now capacity.Progress) { t.show(now) }},
		func(ctx context.Context, rate float64) (capacity.Trial, error) { return t.measure(ctx, rate, levels) })
	err = errors.Join(err, t.close(!errors.Is(err, capacity.ErrUnproven)))
	if report.Result == nil {
		return nil, err
	}
	if expected != nil && report.Result.Limit != capacity.LimitUnknown {
		report.Plan = expected.Against(report.Result)
	}
	return report, err
}

func (c *capacityCommand) levels() capacity.Levels {
	return capacity.Levels{AckP99: c.AckP99, ErrorShare: float64(c.Errors), StalenessP99: c.Staleness, Drain: c.Drain}
}

// expectation reads the event that is expected; nil when none is.
func (c *capacityCommand) expectation(now time.Time) (*capacity.Expectation, error) {
	e := &capacity.Expectation{Minute: c.Peak == "minute", Headroom: c.Headroom, Pace: c.ProcessorRate, WaitMost: c.WaitMost, Now: now}
	if !(c.Headroom > 0 && c.ProcessorRate > 0 && c.WaitMost > 0) {
		return nil, errors.New("--headroom, --processor-rate and --wait-most must be above 0")
	}
	if c.DayAt != "" {
		var err error
		if e.At, err = time.Parse(time.DateOnly, c.DayAt); err != nil {
			return nil, fmt.Errorf("--day-at %q is no date such as 2026-12-01", c.DayAt)
		}
	}
	var err error
	switch {
	case c.ExpectReplay != "":
		source, scanErr := trace.Scan(c.ExpectReplay, trace.Options{})
		if scanErr != nil {
			return nil, scanErr
		}
		e.Day, err = capacity.DayOf(source, c.Donors)
	case c.Expect != 0:
		e.Day, err = capacity.Burst(c.Expect, c.ExpectFor)
	case c.DayAt != "":
		return nil, errors.New("--day-at needs --expect R or --expect-replay FILE beside it")
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// tell prints the result, and writes it where it goes.
func (c *capacityCommand) tell(p *process, report *capacity.Report) error {
	say, err := filesFor(c.HTML, c.JSON, c.base).write(report, func(w io.Writer) error { return reportpage.WriteCapacity(w, report) }, c.JSON, p.log)
	err = errors.Join(err, report.WriteTable(p.stdout))
	if say != "" {
		fmt.Fprintln(p.stdout, say)
	}
	return err
}
