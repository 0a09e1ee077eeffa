package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/loadtest/bench"
	"spillway/loadtest/viewers"
)

type viewersCommand struct{ config.Viewers }

// Help is shown by --help.
func (viewersCommand) Help() string {
	return `Measures what thousands of live viewers cost: how old the total is that each of them sees while donations arrive, the server's memory for each, and how much longer donors wait than without viewers, in pairs of stretches next to each other. Server, donors and viewers are processes of their own on this machine; nothing else should run meanwhile.

Each viewer takes a file here and one in the server, so both processes need a limit of open files above --viewers (ulimit -n). Exit status 0 says that every bar holds.

Examples:
    spillway viewers
    spillway viewers --viewers 2000 --rate 500 --pairs 1 --for 5s
    spillway viewers --data spillway-data --json report.json`
}

const (
	// viewersSlug begins the names of the campaigns that are measured, all rehearsals.
	viewersSlug = "viewers-"
	// viewersSettle is what is not counted of a stretch: connections are made, and
	// everybody is told everything at once.
	viewersSettle = 2 * time.Second
	// viewersPatience is how long new campaigns may take to be known to the front-end.
	viewersPatience = 30 * time.Second
)

// Run measures, or watches when it was started to.
func (c *viewersCommand) Run(p *process) error {
	limit, err := openFiles()
	if err != nil {
		return err
	}
	if need := c.Viewers.Viewers + filesLeast/2; limit < need {
		return fmt.Errorf("%d viewers need %d open files in this process and in the server, and this one may have %d: ulimit -n %d", c.Viewers.Viewers, need, limit, filesWanted)
	}
	if c.Target != "" {
		return c.watch(p.ctx, os.Stdin, p.stdout)
	}
	if c.Viewers.Viewers < 1 || c.Rate < 1 || c.Pairs < 1 || c.Spread < 1 || c.For <= viewersSettle {
		return fmt.Errorf("--viewers, --rate, --pairs and --spread are 1 at least, --for more than %v", viewersSettle)
	}
	s := newScreen(p.stderr)
	data, end := c.Data, func(bool) error { return nil }
	if data == "" {
		private, err := startPrivate(p, s, "--no-admin")
		if err != nil {
			return err
		}
		data, end = private.data, private.end
	}
	report, err := c.measure(p.ctx, s, data)
	s.end()
	if err != nil {
		return errors.Join(err, end(false))
	}
	err = errors.Join(report.WriteTable(p.stdout), end(true))
	if c.JSON != "" {
		err = errors.Join(err, c.write(report))
	}
	if err != nil {
		return err
	}
	if !report.Held() {
		return exitStatus(exitFailed)
	}
	return nil
}

func (c *viewersCommand) write(report *viewers.Report) error {
	content, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.JSON, append(content, '\n'), 0o600)
}

// measure measures all pairs at the `up` of a data folder.
func (c *viewersCommand) measure(ctx context.Context, s *screen, data string) (*viewers.Report, error) {
	running, err := runningUp(data)
	if err != nil {
		return nil, err
	}
	if err := putBenchCampaigns(ctx, running.Database, viewersSlug, c.Spread); err != nil {
		return nil, err
	}
	slugs := make([]string, c.Spread)
	for i := range slugs {
		slugs[i] = fmt.Sprintf("%s%d", viewersSlug, i+1)
		if err := c.known(ctx, running, slugs[i]); err != nil {
			return nil, err
		}
	}
	report := &viewers.Report{Viewers: c.Viewers.Viewers, PerSecond: c.Rate}
	// A first stretch warms everything up and counts nowhere.
	if _, err := c.give(ctx, s, running, slugs, "warming up"); err != nil {
		return nil, err
	}
	for n := 1; n <= c.Pairs; n++ {
		pair, err := c.pair(ctx, s, running, slugs, n)
		if err != nil {
			return nil, fmt.Errorf("pair %d: %w", n, err)
		}
		report.Pairs = append(report.Pairs, *pair)
	}
	return report, nil
}

// known waits until the front-end knows a campaign.
func (c *viewersCommand) known(ctx context.Context, running bench.Running, slug string) error {
	ctx, cancel := context.WithTimeout(ctx, viewersPatience)
	defer cancel()
	tick := time.NewTicker(privatePoll)
	defer tick.Stop()
	for {
		audience, err := viewers.Connect(ctx, viewers.Config{Target: running.HTTP, Viewers: 1, Campaigns: []string{slug}, Single: true})
		if err == nil {
			audience.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("campaign %s: %w: %w", slug, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// give has donors give for one stretch.
func (c *viewersCommand) give(ctx context.Context, s *screen, running bench.Running, slugs []string, what string) (*viewers.Given, error) {
	s.say(fmt.Sprintf("%s: %d donations/s for %v", what, c.Rate, c.For))
	donors := viewers.Donors{Target: running.HTTP, Credential: running.Credential, Campaigns: slugs, PerSecond: c.Rate, For: c.For, Settle: viewersSettle}
	before, err := viewers.CPUOf(ctx, running.Ops)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	given, err := donors.Give(ctx, fmt.Sprint(begun.UnixNano()))
	if err != nil {
		return nil, err
	}
	took := time.Since(begun)
	after, err := viewers.CPUOf(ctx, running.Ops)
	given.Cores = (after - before) / took.Seconds()
	return given, err
}

// pair measures one stretch without viewers and one with them; which comes first
// changes from pair to pair, so that neither always finds the fuller database.
func (c *viewersCommand) pair(ctx context.Context, s *screen, running bench.Running, slugs []string, n int) (*viewers.Pair, error) {
	var pair viewers.Pair
	without := func() error {
		given, err := c.give(ctx, s, running, slugs, fmt.Sprintf("pair %d of %d, without viewers", n, c.Pairs))
		if err == nil {
			pair.Without = *given
		}
		return err
	}
	with := func() error { return c.watched(ctx, s, running, slugs, n, &pair) }
	first, second := without, with
	if n%2 == 0 {
		first, second = with, without
	}
	if err := first(); err != nil {
		return nil, err
	}
	return &pair, second()
}

// watched measures the stretch with viewers.
func (c *viewersCommand) watched(ctx context.Context, s *screen, running bench.Running, slugs []string, n int, pair *viewers.Pair) (err error) {
	before, err := viewers.MemoryOf(ctx, running.Ops)
	if err != nil {
		return err
	}
	s.say(fmt.Sprintf("pair %d of %d: %d viewers come", n, c.Pairs, c.Viewers.Viewers))
	audience, err := c.startAudience(ctx, running, slugs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, audience.stop()) }()
	after, err := viewers.MemoryOf(ctx, running.Ops)
	if err != nil {
		return err
	}
	pair.PerView = (after.InUse - before.InUse) / int64(c.Viewers.Viewers)
	pair.Resident = (after.Resident - before.Resident) / int64(c.Viewers.Viewers)
	begin := time.AfterFunc(viewersSettle, audience.begin)
	defer begin.Stop()
	given, err := c.give(ctx, s, running, slugs, fmt.Sprintf("pair %d of %d, with viewers", n, c.Pairs))
	if err != nil {
		return err
	}
	pair.With = *given
	seen, err := audience.seen()
	if err == nil {
		pair.Seen = *seen
	}
	return err
}

// audience is the viewers' process.
type audience struct {
	cmd    *exec.Cmd
	input  io.WriteCloser // a byte: ages count from now on; closed: it sums up and ends
	told   *json.Decoder
	ended  bool
	output *strings.Builder // what it complained about
}

// startAudience starts the viewers and waits until all have come.
func (c *viewersCommand) startAudience(ctx context.Context, running bench.Running, slugs []string) (*audience, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"viewers", "--target", running.HTTP, "--viewers", fmt.Sprint(c.Viewers.Viewers), "--campaign", strings.Join(slugs, ",")}
	if c.Single {
		args = append(args, "--single")
	}
	a := &audience{cmd: exec.CommandContext(ctx, self, args...), output: &strings.Builder{}}
	a.cmd.Stderr = a.output
	stdin, err := a.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	a.input, a.told = stdin, json.NewDecoder(bufio.NewReader(stdout))
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	var come int
	if err := a.told.Decode(&come); err != nil {
		return nil, errors.Join(fmt.Errorf("viewers did not come: %w: %s", err, a.output), a.stop())
	}
	return a, nil
}

// begin has ages counted from now on.
func (a *audience) begin() { _, _ = a.input.Write([]byte{'\n'}) } // one that cannot be told has ended, which is noticed

// seen has the viewers leave and takes what they saw.
func (a *audience) seen() (*viewers.Seen, error) {
	_ = a.input.Close() // closed by the process's end otherwise
	var seen viewers.Seen
	if err := a.told.Decode(&seen); err != nil {
		return nil, fmt.Errorf("viewers: %w: %s", err, a.output)
	}
	return &seen, nil
}

// stop waits for the process.
func (a *audience) stop() error {
	if a.ended {
		return nil
	}
	a.ended = true
	_ = a.input.Close()
	if err := a.cmd.Wait(); err != nil {
		return fmt.Errorf("viewers' process: %w: %s", err, a.output)
	}
	return nil
}

// watch is the viewers' process: it says how many came, counts
// ages from the first byte of in, and says what they saw when in ends.
func (c *viewersCommand) watch(ctx context.Context, in io.Reader, out io.Writer) error {
	all, err := viewers.Connect(ctx, viewers.Config{Target: c.Target, Viewers: c.Viewers.Viewers, Campaigns: c.Campaign, Single: c.Single})
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	told := json.NewEncoder(out)
	if err := told.Encode(c.Viewers.Viewers); err != nil {
		all.Close()
		return err
	}
	begin := make(chan struct{})
	go func() { // ends with the parent, at the latest with this process
		var first [1]byte
		if n, _ := in.Read(first[:]); n > 0 {
			close(begin)
		}
		_, _ = io.Copy(io.Discard, in)
		leave()
	}()
	return told.Encode(all.Watch(ctx, begin))
}
