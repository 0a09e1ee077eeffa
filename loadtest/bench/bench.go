// Package bench measures the service against ceilings taken in the same run, on
// the same machine, by the same generator: `spillway bench`.
//
// These machines are shared and noisy, so what counts is a ratio: each repeat
// measures ceiling and service in turn, and a bar is held against the median of
// the repeats. All repeats are kept in the report.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config says what to measure.
type Config struct {
	// Dir receives the services' data and logs; a temporary one when empty.
	Dir string
	// Repeats of every alternating pair; 0 means 5.
	Repeats int
	// Short is how long one measurement lasts; 0 means 8 s.
	Short time.Duration
	// Sustained is how long the lag has to stay flat; 0 means 60 s.
	Sustained time.Duration
	// Offered is the open-loop rate for the latency bar, in donations per second; 0 means 5,000.
	Offered int
	// Only names parts to measure (acks, totals, pages, sustained, hot, drain, offered, charging, shards); empty means all.
	Only []string
	// Progress receives one line per measurement; nil for none.
	Progress io.Writer
}

func (c *Config) defaults() {
	if c.Repeats == 0 {
		c.Repeats = 5
	}
	if c.Short == 0 {
		c.Short = 8 * time.Second
	}
	if c.Sustained == 0 {
		c.Sustained = time.Minute
	}
	if c.Offered == 0 {
		c.Offered = 5000
	}
}

// parts in the order in which they are measured.
var parts = []string{"acks", "totals", "pages", "sustained", "hot", "drain", "offered", "charging", "shards"}

// manyCampaigns is how many campaigns share the gifts where the bar says many.
const manyCampaigns = 200

// copyRows and copyBatch shape the COPY ceiling: rows enough to leave the caches'
// first burst behind, in transactions of the ledger's own largest size.
const (
	copyRows  = 150_000
	copyBatch = 4096
)

// bench is one run of the command.
type bench struct {
	Config
	dir    string
	gen    *generator
	report *Report
	runs   int
}

// Hooks is what the command line lends, so that this package does not read the
// service's files itself.
type Hooks struct {
	// Running reads where the `up` of a data folder answers.
	Running func(data string) (Running, error)
	// PutCampaigns creates n open rehearsal campaigns slug1..slugN in USD.
	PutCampaigns func(ctx context.Context, databaseURL, slug string, n int) error
	// Rehearse offers rate donations per second for d against the running `up`
	// of data and returns the client's figures.
	Rehearse func(ctx context.Context, data string, rate int, d time.Duration) (Offered, error)
}

// Running says where a service answers.
type Running struct {
	HTTP, Ops, Nats, Database, Credential string
}

// Offered is what the open-loop generator saw.
type Offered struct {
	AckP50, AckP99    time.Duration
	LagP50, LagP99    time.Duration
	LatenessP99       time.Duration
	Acknowledged      int64
	Proven            bool
	AchievedPerSecond float64
}

// Run measures and returns the report; the report's Held says whether every bar holds.
func Run(ctx context.Context, cfg Config, hooks Hooks) (*Report, error) {
	cfg.defaults()
	dir := cfg.Dir
	if dir == "" {
		tmp, err := os.MkdirTemp("", "spillway-bench-")
		if err != nil {
			return nil, err
		}
		if err := os.Chmod(tmp, 0o711); err != nil { // Postgres' user passes through
			return nil, err
		}
		defer os.RemoveAll(tmp)
		dir = tmp
	}
	b := &bench{Config: cfg, dir: dir, report: newReport()}
	if b.wantsWrk() {
		gen, err := newGenerator(dir)
		if err != nil {
			return nil, err
		}
		b.gen = gen
	}
	steps := map[string]func(context.Context, Hooks) error{
		"acks": b.acks, "totals": b.totals, "pages": b.pages, "sustained": b.sustained,
		"hot": b.hot, "drain": b.drain, "offered": b.offered, "charging": b.charging, "shards": b.shards,
	}
	for _, part := range parts {
		if !b.wants(part) {
			continue
		}
		if err := steps[part](ctx, hooks); err != nil {
			return b.report, fmt.Errorf("%s: %w", part, err)
		}
	}
	b.report.judge()
	return b.report, nil
}

// ownGenerator are the parts whose load comes from the rehearsal's generator; all
// others need wrk.
var ownGenerator = []string{"offered", "charging"}

func (b *bench) wantsWrk() bool {
	return slices.ContainsFunc(parts, func(part string) bool { return b.wants(part) && !slices.Contains(ownGenerator, part) })
}

func (b *bench) wants(part string) bool {
	if len(b.Only) == 0 {
		return true
	}
	for _, p := range b.Only {
		if p == part {
			return true
		}
	}
	return false
}

func (b *bench) say(format string, args ...any) {
	if b.Progress != nil {
		fmt.Fprintf(b.Progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
	}
}

// service is a running `up` with campaigns to give to.
type service struct {
	*process
	Running
	data string
	slug string
}

// up starts the whole service, or without its ledger, on data, and gives it n fresh campaigns.
func (b *bench) up(ctx context.Context, hooks Hooks, data string, n int, args ...string) (*service, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	ops, err := freeAddress()
	if err != nil {
		return nil, err
	}
	b.runs++
	p, err := start(b.dir, "up", "http://"+listen, append([]string{"up", "--data", data, "--listen", listen, "--ops-listen", ops, "--admin-listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		return nil, err
	}
	s := &service{process: p, data: data, slug: fmt.Sprintf("bench%d-%d-", os.Getpid(), b.runs)}
	if err := p.ready(ctx, "/readyz"); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	if s.Running, err = hooks.Running(data); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	if n > 0 {
		if err := hooks.PutCampaigns(ctx, s.Database, s.slug, n); err != nil {
			return nil, errors.Join(fmt.Errorf("create campaigns: %w", err), p.stop())
		}
		if err := p.ready(ctx, fmt.Sprintf("/v1/campaigns/%s%d", s.slug, n)); err != nil {
			return nil, errors.Join(fmt.Errorf("wait for campaigns: %w", err), p.stop())
		}
	}
	return s, nil
}

// load is a fresh run of donations: no key was ever used before.
func (b *bench) load(s *service, campaigns int) load {
	b.runs++
	return load{run: fmt.Sprintf("bench-%d-%d-%d-", os.Getpid(), time.Now().UnixNano(), b.runs), slug: s.slug, campaigns: campaigns, credential: s.Credential}
}

// ceiling starts a bare handler.
func (b *bench) ceiling(ctx context.Context, kind string, size int) (*process, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := start(b.dir, kind, "http://"+listen, "bench", "--serve", kind, "--serve-listen", listen, "--serve-bytes", fmt.Sprint(size))
	if err != nil {
		return nil, err
	}
	if err := p.ready(ctx, "/readyz"); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// acks measures durable acknowledgements, nothing recorded, against a bare echo.
func (b *bench) acks(ctx context.Context, hooks Hooks) error {
	echo, err := b.ceiling(ctx, "echo", 0)
	if err != nil {
		return err
	}
	defer echo.stop()
	s, err := b.up(ctx, hooks, filepath.Join(b.dir, "acks"), manyCampaigns, "--no-ledger")
	if err != nil {
		return err
	}
	defer s.stop()
	for i := range b.Repeats {
		before := echo.usage()
		ceiling, err := b.gen.donate(ctx, echo.url, b.Short, b.load(s, manyCampaigns))
		if err != nil {
			return err
		}
		echoCPU := perDonation(echo.usage().cpu-before.cpu, ceiling.good())

		before, allocs := s.usage(), mallocs(s.Ops)
		acks, err := b.gen.donate(ctx, s.HTTP, b.Short, b.load(s, manyCampaigns))
		if err != nil {
			return err
		}
		after := s.usage()
		cpu := perDonation(after.cpu-before.cpu, acks.good())
		r := b.report
		r.add("echo_per_second", ceiling.perSecond())
		r.add("acks_per_second", acks.perSecond())
		r.add("acks_over_echo", acks.perSecond()/ceiling.perSecond())
		r.add("echo_cpu_us", echoCPU)
		r.add("ack_cpu_us", cpu)
		r.add("ack_cpu_over_echo", cpu/echoCPU)
		r.add("acks_p99_ms", ms(acks.P99))
		r.add("acks_refused", float64(acks.Refused+acks.Errors))
		r.add("allocations_per_donation", (mallocs(s.Ops)-allocs)/float64(acks.good()))
		r.add("resident_mib", float64(after.resident)/(1<<20))
		b.say("acks %d/%d: echo %.0f/s, durable acks %.0f/s (%.2f), CPU %.1f us against %.1f us (%.2f x)", i+1, b.Repeats,
			ceiling.perSecond(), acks.perSecond(), acks.perSecond()/ceiling.perSecond(), cpu, echoCPU, cpu/echoCPU)
	}
	return nil
}

// totals measures GET totals against a bare handler that answers as many bytes.
func (b *bench) totals(ctx context.Context, hooks Hooks) error {
	s, err := b.up(ctx, hooks, filepath.Join(b.dir, "totals"), 1)
	if err != nil {
		return err
	}
	defer s.stop()
	return b.beside(ctx, s, "/v1/campaigns/"+s.slug+"1/totals", func(i, _ int, ceiling, got wrkResult) {
		b.report.add("bare_reads_per_second", ceiling.perSecond())
		b.report.add("totals_per_second", got.perSecond())
		b.report.add("totals_over_bare", got.perSecond()/ceiling.perSecond())
		b.report.add("totals_refused", float64(got.Refused+got.Errors))
		b.say("totals %d/%d: bare %.0f/s, totals %.0f/s (%.2f)", i, b.Repeats, ceiling.perSecond(), got.perSecond(), got.perSecond()/ceiling.perSecond())
	})
}

// sustained runs the whole way, HTTP to Postgres, and watches the lag.
func (b *bench) sustained(ctx context.Context, hooks Hooks) error {
	for i := range b.Repeats {
		data := filepath.Join(b.dir, fmt.Sprintf("sustained%d", i))
		ack, err := b.ackRate(ctx, hooks, data+"a")
		if err != nil {
			return err
		}
		s, err := b.up(ctx, hooks, data, manyCampaigns)
		if err != nil {
			return err
		}
		run, err := b.endToEnd(ctx, s, manyCampaigns, b.Sustained)
		if err = errors.Join(err, s.stop(), os.RemoveAll(data)); err != nil {
			return err
		}
		r := b.report
		r.add("sustained_per_second", run.recorded)
		r.add("sustained_over_acks", run.recorded/ack)
		r.add("sustained_acks_only_per_second", ack)
		r.add("sustained_lag_first_third_ms", ms(run.lagFirst))
		r.add("sustained_lag_last_third_ms", ms(run.lagLast))
		r.add("sustained_backlog_at_end_s", run.backlog.Seconds())
		r.add("sustained_refused", float64(run.wrk.Refused+run.wrk.Errors))
		b.say("sustained %d/%d: %.0f/s recorded over %s (%.2f of acks only), lag %.0f ms then %.0f ms, drained %.1f s after the end", i+1, b.Repeats,
			run.recorded, b.Sustained, run.recorded/ack, ms(run.lagFirst), ms(run.lagLast), run.backlog.Seconds())
	}
	return nil
}

// ackRate measures acknowledgements alone, on a service without a ledger.
func (b *bench) ackRate(ctx context.Context, hooks Hooks, data string) (float64, error) {
	s, err := b.up(ctx, hooks, data, manyCampaigns, "--no-ledger")
	if err != nil {
		return 0, err
	}
	got, err := b.gen.donate(ctx, s.HTTP, b.Short, b.load(s, manyCampaigns))
	return got.perSecond(), errors.Join(err, s.stop(), os.RemoveAll(data))
}

// hot compares gifts to one campaign with gifts to many, the whole way.
func (b *bench) hot(ctx context.Context, hooks Hooks) error {
	s, err := b.up(ctx, hooks, filepath.Join(b.dir, "hot"), manyCampaigns)
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := pgx.Connect(ctx, s.Database)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for i := range b.Repeats {
		// What one run leaves to be written falls on the next: each begins with a
		// checkpoint, and each is as often the first as the second.
		rate := map[int]float64{}
		order := []int{manyCampaigns, 1}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, campaigns := range order {
			if _, err := c.Exec(ctx, "checkpoint"); err != nil {
				return err
			}
			r, err := b.endToEnd(ctx, s, campaigns, 2*b.Short)
			if err != nil {
				return err
			}
			rate[campaigns] = r.recorded
		}
		many, one := rate[manyCampaigns], rate[1]
		b.report.add("many_campaigns_per_second", many)
		b.report.add("one_campaign_per_second", one)
		b.report.add("one_over_many", one/many)
		b.say("hot %d/%d: one campaign %.0f/s, many %.0f/s (%.2f)", i+1, b.Repeats, one, many, one/many)
	}
	return nil
}

// run is one measurement of the whole way.
type run struct {
	wrk               wrkResult
	recorded          float64 // donations per second, from the first request to the last commit
	lagFirst, lagLast time.Duration
	backlog           time.Duration // from the last answer until everything was recorded
}

// endToEnd loads s for d and waits until the ledger has all of it.
func (b *bench) endToEnd(ctx context.Context, s *service, campaigns int, d time.Duration) (run, error) {
	return b.endToEndThen(ctx, s, campaigns, d, func() {})
}

// endToEndThen is endToEnd; given is called when the last donation was given.
func (b *bench) endToEndThen(ctx context.Context, s *service, campaigns int, d time.Duration, given func()) (run, error) {
	c, err := pgx.Connect(ctx, s.Database)
	if err != nil {
		return run{}, err
	}
	defer c.Close(ctx)
	first, err := recorded(ctx, c)
	if err != nil {
		return run{}, err
	}
	lags := make(chan []time.Duration, 1)
	watch, stop := context.WithCancel(ctx)
	go func() { lags <- watchLag(watch, s.HTTP+"/v1/campaigns/"+s.slug+"1/totals") }()
	began := time.Now()
	got, err := b.gen.donate(ctx, s.HTTP, d, b.load(s, campaigns))
	ended := time.Now()
	given()
	stop()
	lag := <-lags
	if err != nil {
		return run{}, err
	}
	want := first + got.good()
	var now int64
	for now < want {
		if now, err = recorded(ctx, c); err != nil {
			return run{}, err
		}
		if time.Since(ended) > 5*time.Minute {
			return run{}, fmt.Errorf("the ledger has %d of %d donations after five minutes", now-first, got.good())
		}
		time.Sleep(pollEvery)
	}
	done := time.Now()
	r := run{wrk: got, recorded: float64(got.good()) / done.Sub(began).Seconds(), backlog: done.Sub(ended)}
	if n := len(lag); n >= 3 {
		r.lagFirst, r.lagLast = median(lag[:n/3]), median(lag[n-n/3:])
	}
	return r, nil
}

// recorded reads how many donations the rehearsal's book has counted: every one
// here has a single line, and the slots are a small table where the rows are not.
func recorded(ctx context.Context, c *pgx.Conn) (n int64, err error) {
	err = c.QueryRow(ctx, "select coalesce(sum(donations), 0)::bigint from rehearsal.slots").Scan(&n)
	return n, err
}

// watchLag reads a campaign's totals as a client does, ten times a second.
func watchLag(ctx context.Context, url string) (lags []time.Duration) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return lags
		case <-tick.C:
		}
		var t struct {
			LagMS int64 `json:"lag_ms"`
		}
		if err := getJSON(url, &t); err == nil {
			lags = append(lags, time.Duration(t.LagMS)*time.Millisecond)
		}
	}
}

// drain measures how fast a ledger process works off a backlog, against COPY of the same rows.
func (b *bench) drain(ctx context.Context, hooks Hooks) error {
	s, err := b.up(ctx, hooks, filepath.Join(b.dir, "drain"), manyCampaigns, "--no-ledger")
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := pgx.Connect(ctx, s.Database)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for i := range b.Repeats {
		got, err := b.gen.donate(ctx, s.HTTP, b.Short, b.load(s, manyCampaigns))
		if err != nil {
			return err
		}
		rate, err := b.drainOnce(ctx, s, c, got.good())
		if err != nil {
			return err
		}
		ceiling, err := prepareCopy(ctx, c, "rehearsal", copyRows, copyBatch)
		if err != nil {
			return err
		}
		copied, err := ceiling.run(ctx, c, "rehearsal")
		if err != nil {
			return err
		}
		b.report.add("drain_per_second", rate)
		b.report.add("copy_per_second", copied)
		b.report.add("drain_over_copy", rate/copied)
		b.say("drain %d/%d: %.0f/s, COPY %.0f/s (%.2f)", i+1, b.Repeats, rate, copied, rate/copied)
	}
	return nil
}

// drainOnce starts a ledger on a backlog of n donations and times it from its
// first row to its last, so that its start-up does not count.
func (b *bench) drainOnce(ctx context.Context, s *service, c *pgx.Conn, n int64) (perSecond float64, err error) {
	ops, err := freeAddress()
	if err != nil {
		return 0, err
	}
	start0, err := recorded(ctx, c)
	if err != nil {
		return 0, err
	}
	// As the ceiling: a checkpoint makes the first touch of every page dear, and
	// neither shall pay for one that the other's rows brought about.
	if _, err := c.Exec(ctx, "checkpoint"); err != nil {
		return 0, err
	}
	ledger, err := start(b.dir, "ledger", "http://"+ops, "ledger", "--nats-url", s.Nats, "--database-url", s.Database, "--ops-listen", ops)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ledger.stop()) }()
	var first, now int64
	var began time.Time
	for deadline := time.Now().Add(5 * time.Minute); ; {
		if now, err = recorded(ctx, c); err != nil {
			return 0, err
		}
		if began.IsZero() && now > start0 {
			began, first = time.Now(), now
		}
		if now >= start0+n {
			return float64(now-first) / time.Since(began).Seconds(), nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("the ledger drained %d of %d donations in five minutes", now-start0, n)
		}
		select {
		case <-ledger.done:
			return 0, fmt.Errorf("ledger ended while draining: %w (see %s)", ledger.err, ledger.log.Name())
		case <-time.After(pollEvery / 4):
		}
	}
}

func (b *bench) offered(ctx context.Context, hooks Hooks) error {
	data := filepath.Join(b.dir, "offered")
	s, err := b.up(ctx, hooks, data, 0)
	if err != nil {
		return err
	}
	defer s.stop()
	for i := range b.Repeats {
		p50, p99, err := fsyncP99(b.dir, 3000)
		if err != nil {
			return err
		}
		got, err := hooks.Rehearse(ctx, data, b.Offered, 2*b.Short)
		if err != nil {
			return err
		}
		r := b.report
		r.add("fsync_p50_ms", ms(p50))
		r.add("fsync_p99_ms", ms(p99))
		r.add("offered_ack_p50_ms", ms(got.AckP50))
		r.add("offered_ack_p99_ms", ms(got.AckP99))
		r.add("offered_ack_p99_bound_ms", 5*ms(p99)+5)
		r.add("offered_ack_p99_over_bound", ms(got.AckP99)/(5*ms(p99)+5))
		r.add("offered_lag_p50_ms", ms(got.LagP50))
		r.add("offered_lag_p99_ms", ms(got.LagP99))
		r.add("offered_lateness_p99_ms", ms(got.LatenessP99))
		r.add("offered_achieved_per_second", got.AchievedPerSecond)
		b.say("offered %d/%d: %d/s, ack p99 %.1f ms (fsync p99 %.2f ms), lag p99 %.0f ms, lateness p99 %.1f ms", i+1, b.Repeats,
			b.Offered, ms(got.AckP99), ms(p99), ms(got.LagP99), ms(got.LatenessP99))
		if !got.Proven {
			return errors.New("the rehearsal's proof did not hold")
		}
	}
	return nil
}

func sizeOf(url string) (int, error) {
	res, err := http.Get(url)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return len(body), err
}

func perDonation(cpu time.Duration, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(cpu.Microseconds()) / float64(n)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
