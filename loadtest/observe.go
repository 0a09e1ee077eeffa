package loadtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"spillway/loadtest/audit"
	"spillway/loadtest/machine"
	"spillway/loadtest/timeline"
)

// Bounds of observing: it must not be felt by what it looks at.
const (
	// observeEvery is how often processes and the backlog are looked at.
	observeEvery = time.Second
	// scrapeEvery is how often metrics are read: rendering them takes a front-end
	// milliseconds.
	scrapeEvery = 2 * time.Second
	// scrapeTimeout bounds reading them once, scrapeBytesMax what is read.
	scrapeTimeout  = 5 * time.Second
	scrapeBytesMax = 8 << 20
	// observeBacklog bounds one question for the backlog.
	observeBacklog = 5 * time.Second
)

// Names of roles in the timeline that are not the installation's.
const (
	GeneratorRole = "generator"
	MachineRole   = "whole machine"
)

// backlog asks for the ledger's backlog, one question at a time, and notes the answer.
type backlog struct {
	mu   sync.Mutex
	ask  func(context.Context) (int64, error) // nil when nobody knows
	line *timeline.Recorder
}

func (b *backlog) now(ctx context.Context) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.ask(ctx)
	if err == nil {
		b.line.Gauge(timeline.LedgerBacklog, time.Now(), float64(n))
	}
	return n, err
}

// phased notes that a phase begins.
func (r *rehearsal) phased(text string) {
	now := time.Now()
	r.line.Span(now, now, timeline.Phase, text)
}

// settled notes that sending and recording are over.
func (r *rehearsal) settled(text string) {
	r.phased(text)
	r.line.Settle(time.Now())
}

// noteCharging notes a count of the charges, and the calls since the one before.
func noteCharging(line *timeline.Recorder, before, now *audit.Charging, read, at time.Time) {
	line.Gauge(timeline.ChargeBacklog, at, float64(now.Waiting))
	line.Gauge(timeline.ChargesUnderWay, at, float64(now.Calling))
	line.Gauge(timeline.DonorsActing, at, float64(now.Acting))
	if !before.At.IsZero() {
		line.Count(timeline.Charges, read, at, now.Calls-before.Calls)
	}
}

// observe fills the timeline with what is not the generator's own, until ctx ends.
func (r *rehearsal) observe(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() {
		var u usage
		every(ctx, observeEvery, func() error {
			r.line.Gauge(timeline.InFlight, time.Now(), float64(max(0, r.engine.open.Load()-int64(r.engine.agenda.len()))))
			u.read(r.line, r.deps.Roles)
			return nil
		})
	})
	if r.deps.Backlog != nil {
		all.Go(func() {
			every(ctx, observeEvery, func() error {
				asked, cancel := context.WithTimeout(ctx, observeBacklog)
				defer cancel()
				_, err := r.backlog.now(asked)
				return err
			})
		})
	}
	if r.deps.Operators != nil {
		all.Go(func() {
			var s scrape
			every(ctx, scrapeEvery, func() error { return s.read(ctx, r.line, r.deps.Operators) })
		})
	}
	all.Wait()
}

// every does something again and again until ctx ends. What cannot be read is a gap in
// the line: an installation that is broken on purpose is silent for a while.
func every(ctx context.Context, pause time.Duration, do func() error) {
	for {
		_ = do() // see above
		if sleep(ctx, pause) != nil {
			return
		}
	}
}

// usage turns what processes have used into what they used since the reading before.
type usage struct {
	name string // of our own process, GeneratorRole when ""
	at   time.Time
	busy time.Duration
	// before has the role's first process and what it had used: another process in the
	// role begins anew.
	before map[string]roleUse
}

type roleUse struct {
	pid int
	at  time.Time
	cpu time.Duration
}

func (u *usage) read(line *timeline.Recorder, roles func() []machine.Role) {
	own := u.name
	if own == "" {
		own = GeneratorRole
	}
	all := []machine.Role{{Name: own, PID: os.Getpid()}}
	if roles != nil {
		all = append(all, roles()...)
	}
	if u.before == nil {
		u.before = map[string]roleUse{}
	}
	for _, role := range all {
		use, err := machine.Of(role)
		if err != nil {
			delete(u.before, role.Name)
			continue
		}
		now := time.Now()
		if b, ok := u.before[role.Name]; ok && b.pid == role.PID && use.CPU >= b.cpu {
			line.Use(role.Name, b.at, now, use.CPU-b.cpu, use.Resident)
		}
		u.before[role.Name] = roleUse{role.PID, now, use.CPU}
	}
	if busy, ok := machine.Busy(); ok && u.name == "" { // a share's machine is not the report's
		now := time.Now()
		if !u.at.IsZero() {
			line.Use(MachineRole, u.at, now, busy-u.busy, 0)
		}
		u.at, u.busy = now, busy
	}
}

// gaugesScraped and countersScraped say which metrics the timeline has: samples whose
// name and labels hold what is asked for are added up.
var (
	gaugesScraped = []struct {
		gauge        timeline.Gauge
		name, labels string
	}{
		{timeline.FrontEndInside, "ingest_donations_waiting", ""},
		{timeline.FrontEndConnection, "ingest_connections_open", ""},
		{timeline.BrokerWaiting, "ingest_waiting_donations", ""},
		{timeline.BrokerStalled, "ingest_streams_stalled", ""},
		{timeline.OldestMessageAge, "ledger_oldest_message_age_seconds", `book="rehearsal"`},
		{timeline.ProcessorAway, "charge_processor_away", `book="rehearsal"`},
	}
	countersScraped = []struct {
		counter      timeline.Counter
		name, labels string
	}{
		{timeline.FrontEndRefusals, "ingest_requests_total", `code="429"`},
		{timeline.FrontEndRefusals, "ingest_requests_total", `code="503"`},
		{timeline.ProcessorLimited, "charge_rate_limited_total", `book="rehearsal"`},
	}
)

// scrape reads the operators' metrics.
type scrape struct {
	at     time.Time
	counts map[timeline.Counter]float64
}

// errMetrics says that there are no metrics to be had.
var errMetrics = errors.New("no metrics")

func (s *scrape) read(ctx context.Context, line *timeline.Recorder, operators func() (string, error)) error {
	url, err := operators()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %w", url, answer.StatusCode, errMetrics)
	}
	gauges, counts, err := samples(io.LimitReader(answer.Body, scrapeBytesMax))
	if err != nil {
		return err
	}
	now := time.Now()
	for g, value := range gauges {
		line.Gauge(g, now, value)
	}
	for c, value := range counts {
		if before, ok := s.counts[c]; ok && value >= before { // else it was started anew
			line.Count(c, s.at, now, int64(value-before))
		}
	}
	s.at, s.counts = now, counts
	return nil
}

// samples sums the metrics that are asked for, from Prometheus' text format.
func samples(from io.Reader) (map[timeline.Gauge]float64, map[timeline.Counter]float64, error) {
	gauges, counts := map[timeline.Gauge]float64{}, map[timeline.Counter]float64{}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		text := lines.Text()
		end := strings.LastIndexByte(text, ' ')
		if end < 0 || text[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(text[end+1:], 64)
		if err != nil || value != value {
			continue // NaN says that nobody has asked yet
		}
		name, labels, _ := strings.Cut(text[:end], "{")
		for _, w := range gaugesScraped {
			if name == w.name && strings.Contains(labels, w.labels) {
				gauges[w.gauge] += value
			}
		}
		for _, w := range countersScraped {
			if name == w.name && strings.Contains(labels, w.labels) {
				counts[w.counter] += value
			}
		}
	}
	return gauges, counts, lines.Err()
}
