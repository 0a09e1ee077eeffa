// Package loadtest rehearses a giving day: it replays a recorded or synthetic
// event against a running installation over HTTP, like any client, and proves
// afterwards that nothing acknowledged was lost or counted twice.
//
// The one invariant: a request leaves at its planned time whatever the answers
// before it did, latency counts from that time, and an attempt is on file before it leaves.
//
// Goroutines, all started by Run and ended before it returns:
//
//	reader      parses the source ahead of time
//	dispatcher  one; puts due jobs on file and into the queue
//	worker      one per connection; sends, judges the answer, asks for retries
//	script      one per probe under way
//	watcher     one per watcher; reads totals by polling or server-sent events
//	visitors    those of package visit; they look at pages
//	progress    one; tells people
//	donors      one; acts for those who are asked for 3-D Secure
//	storms      one; makes the simulated processor refuse calls
//	charges     one; counts what is charged
//	breaking    one; plays the plan of what is broken on purpose
//	observers   three; read backlog, processes and metrics for the timeline
package loadtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"spillway/campaigns"
	"spillway/loadtest/audit"
	"spillway/loadtest/faults"
	"spillway/loadtest/gift"
	"spillway/loadtest/machine"
	"spillway/loadtest/timeline"
	"spillway/loadtest/trace"
	"spillway/loadtest/visit"
)

// Defaults and bounds of Config.
const (
	// DefaultConnections is enough for 25,000 requests/s at 10 ms each; when all
	// are busy requests wait, and the waiting counts.
	DefaultConnections = 256
	ConnectionsMax     = 10_000
	// DefaultTimeout is when one attempt's answer counts as unknown: longer than any
	// front-end waits for its broker.
	DefaultTimeout = 10 * time.Second
	// DefaultPatience is how long unknown answers of one gift are retried: a
	// restart of everything fits in.
	DefaultPatience = 2 * time.Minute
	// DefaultDrain is how long the totals may stand still, with donations
	// acknowledged and not yet shown, before the rehearsal gives up waiting.
	DefaultDrain = 2 * time.Minute
	// DefaultWatchers read the totals of hot and of random campaigns, half by
	// polling and half by server-sent events.
	DefaultWatchers = 8
	WatchersMax     = 1000
)

// Config is one rehearsal.
type Config struct {
	// Run names the run: the same name over the same source sends the same keys.
	Run    string
	Source trace.Source
	// Copies is what the source was opened with; 0 means 1.
	Copies int
	// Speed tells people how fast the source is replayed.
	Speed string
	// Target is the base URL of a front-end or a proxy before many.
	Target string
	// Credential exempts from per-client limits (header Spillway-Rehearsal).
	Credential string
	// Record is the path of the run's record; Resume goes on with the one there.
	Record string
	Resume bool

	Connections int           // 0 means DefaultConnections
	Timeout     time.Duration // 0 means DefaultTimeout
	Patience    time.Duration // 0 means DefaultPatience
	Drain       time.Duration // 0 means DefaultDrain
	Watchers    int           // none when 0
	// Visits are those of pages beside the gifts; nobody visits when it is nil.
	Visits *visit.Habits
	// Scenario is the name of the one that all this was read from, for people.
	Scenario string
	// Probes sends repeats, conflicts, refusals and gifts at the edges of opening
	// hours to campaigns of their own.
	Probes bool
	// Charging waits for the money; nil leaves charging to itself.
	Charging *Charging
	// Share is which rows this generator sends, and Name what it calls itself, when
	// several send them; the zero Share is all.
	Share Share
	Name  string
	// Limit is what this generator can send at most; nil when that was not measured.
	// Busiest is the most rows of any second, as planned; 0 when nobody counted.
	Limit   *Limit
	Busiest int64

	// edgesLeast replaces edgesLeast in tests; 0 for the constant.
	edgesLeast time.Duration
}

// Campaigns is where the run's campaigns are made.
type Campaigns interface {
	// Put makes or changes campaigns; the same again changes nothing.
	Put(ctx context.Context, all ...*campaigns.Campaign) (changed int, err error)
	// Get returns a campaign, or campaigns.ErrUnknown.
	Get(ctx context.Context, slug string) (*campaigns.Campaign, error)
}

// Deps is what a rehearsal works with. Campaigns, View and Log are required.
type Deps struct {
	Campaigns Campaigns
	// View starts a consistent view of the rehearsal book.
	View func(ctx context.Context) (audit.Ledger, func(), error)
	// Count says how many lines the campaigns with this prefix hold; nil for not asking.
	Count func(ctx context.Context, slugPrefix string) (int64, error)
	// Keys opens sealed personal fields; nil leaves them closed.
	Keys audit.Opener
	// Logs lists the files that the installation's processes write, for the audit; nil
	// leaves I10 unjudged. Secrets are texts that none of them may hold, such as passwords.
	Logs    func() ([]string, error)
	Secrets []string
	// Backlog counts the envelopes that the ledger has not acknowledged yet; nil
	// leaves the drain to as_of alone.
	Backlog func(ctx context.Context) (int64, error)
	// Till counts what is charged, Donors lists who has to act: two of a kind, each used
	// by one goroutine. Simulator is where the charging is done. All are required with
	// Config.Charging.
	Till, Donors Till
	Simulator    *Simulator
	// Line gathers what happens second by second; whoever breaks things marks it there.
	// Nil for one that nobody else has.
	Line *timeline.Recorder
	// Roles lists the installation's processes on this machine; nil when there are none.
	Roles func() []machine.Role
	// Operators is the URL of the operators' listener, for its metrics; nil when it is not known.
	Operators func() (string, error)
	// Break breaks things on purpose from the first gift until ctx ends, marks on the line
	// of time what it does, and returns when everything works again; nil breaks nothing.
	Break func(ctx context.Context, mark func(at time.Time, text string)) *faults.Record
	// Fleet is the other generators of the run, which this one leads; nil for none.
	Fleet Fleet
	// Show is told the state of things, a few times a second; nil for nobody.
	Show func(Progress)
	Log  *slog.Logger
}

var (
	// ErrConfig says that a rehearsal cannot be started as it was asked for.
	ErrConfig = errors.New("bad rehearsal")
	// ErrNothingToResume says that the run has no record yet.
	ErrNothingToResume = errors.New("nothing to resume")
	// ErrTarget says that the target does not do what a front-end does.
	ErrTarget = errors.New("target is not usable")
)

func (c *Config) fill() error {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Timeout, DefaultTimeout)
	set(&c.Patience, DefaultPatience)
	set(&c.Drain, DefaultDrain)
	set(&c.edgesLeast, edgesLeast)
	if c.Charging != nil {
		asked := *c.Charging
		set(&asked.Patience, DefaultChargePatience)
		c.Charging = &asked
	}
	if c.Connections == 0 {
		c.Connections = DefaultConnections
	}
	if c.Copies == 0 {
		c.Copies = 1
	}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrConfig))
	}
	if c.Source == nil {
		bad("no source")
	}
	if err := c.Share.check(); err != nil {
		errs = append(errs, err)
	}
	if c.Connections < 1 || c.Connections > ConnectionsMax {
		bad("connections: %d, want 1 to %d", c.Connections, ConnectionsMax)
	}
	if c.Watchers < 0 || c.Watchers > WatchersMax {
		bad("watchers: %d, want 0 to %d", c.Watchers, WatchersMax)
	}
	if c.Timeout < 0 || c.Patience < 0 || c.Drain < 0 {
		bad("a negative time")
	}
	if m := c.Charging; m != nil {
		for _, rate := range []float64{m.Declines, m.ThreeDS, m.Timeouts, m.WebhooksLost, m.WebhooksTwice, m.WebhooksLate} {
			if !(rate >= 0 && rate <= 1) {
				bad("rate %g, want 0 to 1", rate)
			}
		}
		if m.Patience < 0 || m.StormFor < 0 || m.StormFor > 0 && m.StormEvery < m.StormFor {
			bad("storms of %v every %v, patience %v", m.StormFor, m.StormEvery, m.Patience)
		}
	}
	if u, err := url.Parse(c.Target); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		bad("target %q is no http URL", c.Target)
	}
	if _, err := gift.NewRun(c.Run, "", [32]byte{}); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", err, ErrConfig))
	}
	return errors.Join(errs...)
}
