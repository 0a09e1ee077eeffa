package loadtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"spillway/ingest"
	"spillway/loadtest/audit"
	"spillway/loadtest/timeline"
)

// Charging asks for the run's gifts to be charged by a simulated processor, to
// wait for the end of that, and to judge the money.
type Charging struct {
	// Patience is how long nothing may come to its end before the wait is given up;
	// 0 means DefaultChargePatience.
	Patience time.Duration
	// Rates are of first calls, 0..1: cards declined, donors asked for 3-D Secure, and
	// calls that are carried out and never answered.
	Declines, ThreeDS, Timeouts float64
	// WebhooksLost are never sent, WebhooksTwice are sent again, WebhooksLate are
	// overtaken by others: rates of events, 0..1.
	WebhooksLost, WebhooksTwice, WebhooksLate float64
	// StormFor of every StormEvery the processor refuses half of all calls by 429; 0
	// for no storms.
	StormFor, StormEvery time.Duration
	// Alone says that the processor and its pace are the run's alone, and that donors
	// may be given up soon, so that some stay away for good.
	Alone bool
}

// What the rehearsal's donors do when they are asked for 3-D Secure, by their ID, in
// hundredths; the others leave, or fail where nobody gives donors up soon.
const (
	donorsSucceed = 70
	donorsFail    = 15
)

// Bounds of charging.
const (
	// stillAfter is how long nothing has come to its end when that is told: longer than
	// the waits that are planned, but for an outage.
	stillAfter = 45 * time.Second
	// DefaultChargePatience allows for an event that was lost and is found by the sweep.
	DefaultChargePatience = 5 * time.Minute
	// chargeEvery is the least time between two counts of what is left, and chargeShare
	// how many times as long as counting took the pause is: the database is the run's.
	chargeEvery = 2 * time.Second
	chargeShare = 10
	// donorsEvery is how often donors look at their page.
	donorsEvery = time.Second
	// stormRate is the part of the calls that a storm refuses.
	stormRate = 0.5
	// paceWhole is after how long a pace that was slowed by a 429 is whole again at the
	// latest (ledger/payments/postgres): a tenth comes back each second.
	paceWhole = 11 * time.Second
	// rateTolerated is how far the rate of charging may be from what is allowed, and
	// limitedTolerated which part of the calls may meet a 429 outside of storms.
	rateTolerated    = 0.05
	limitedTolerated = 0.01
	// rateLeast is how much time with a backlog says something about the rate.
	rateLeast = 10 * time.Second
)

// Till says how far the run's charging has come.
type Till interface {
	State(ctx context.Context, slugPrefix string) (audit.Charging, error)
	Acting(ctx context.Context, slugPrefix string) ([]audit.Acting, error)
}

// ChargingReport is how the charging went. Its times are in nanoseconds.
type ChargingReport struct {
	// Ended tells whether every donation came to its end, with every fee known;
	// otherwise Left and Feeless did not within the patience.
	Ended   bool          `json:"ended"`
	Left    int64         `json:"left"`
	Feeless int64         `json:"feeless"`
	WaitFor time.Duration `json:"wait_ns"` // after everything was recorded
	// Calls were made by the rehearsal book while it was watched, repeats included.
	Calls int64 `json:"calls"`
	// Allowed is the pace in calls per second. Rate is that of the calls while there was
	// a backlog, no storm and no 429 to recover from: RateFor in all.
	Allowed  float64       `json:"allowed_per_second"`
	Rate     float64       `json:"rate_per_second"`
	RateFor  time.Duration `json:"rate_ns"`
	RateHeld bool          `json:"rate_held"` // within 5 % of what is allowed
	// Limited calls met a 429, LimitedInStorms of them in one of the Storms.
	Limited         int64 `json:"rate_limited"`
	LimitedInStorms int64 `json:"rate_limited_in_storms"`
	Storms          int   `json:"storms"`
	// Donors were asked for 3-D Secure and did so, failed, or left.
	DonorsSucceeded int64 `json:"donors_succeeded"`
	DonorsFailed    int64 `json:"donors_failed"`
	DonorsLeft      int64 `json:"donors_left"`
}

// cashier watches the charging, plays the donors and makes the storms.
//
// Goroutines, ended by stop: donors, storms. The wait itself is the caller's.
type cashier struct {
	r   *rehearsal
	cfg Charging

	cancel context.CancelFunc
	under  sync.WaitGroup
	before func(ctx context.Context) error // puts the faults back

	mu       sync.Mutex
	report   ChargingReport
	storming bool
	stormy   time.Time // when the last storm ended

	first, last audit.Charging
	lastRead    time.Time // when last was read, by our clock
	rateCalls   int64
	limited0    int64
}

// newCashier sets the faults and starts what goes on beside the sending.
func newCashier(ctx context.Context, r *rehearsal) (*cashier, error) {
	c := &cashier{r: r, cfg: *r.cfg.Charging}
	sim := r.deps.Simulator
	was, err := sim.faults(ctx)
	if err != nil {
		return nil, err
	}
	now := was
	now.DeclineRate, now.AuthenticateRate, now.TimeoutRate = c.cfg.Declines, c.cfg.ThreeDS, c.cfg.Timeouts
	now.Webhooks.LossRate, now.Webhooks.DuplicateRate, now.Webhooks.ReorderRate = c.cfg.WebhooksLost, c.cfg.WebhooksTwice, c.cfg.WebhooksLate
	if err := sim.setFaults(ctx, now); err != nil {
		return nil, err
	}
	c.before = func(ctx context.Context) error { return sim.setFaults(ctx, was) }
	st, err := sim.stats(ctx)
	if err != nil {
		return nil, errors.Join(err, c.before(ctx))
	}
	c.limited0 = st.RateLimited
	beside, cancel := context.WithCancel(ctx)
	c.cancel = cancel
	c.under.Go(func() { c.donors(beside) })
	if c.cfg.StormFor > 0 {
		c.under.Go(func() { c.storms(beside) })
	}
	return c, nil
}

// stop ends what goes on beside, and puts the faults back.
func (c *cashier) stop(ctx context.Context) error {
	c.cancel()
	c.under.Wait()
	return c.before(context.WithoutCancel(ctx))
}

// donors plays those who are asked for 3-D Secure.
func (c *cashier) donors(ctx context.Context) {
	done := map[ingest.ID]bool{}
	for sleep(ctx, donorsEvery) == nil {
		acting, err := c.r.deps.Donors.Acting(ctx, c.r.run.SlugPrefix())
		if err != nil {
			c.r.deps.Log.Debug("who has to act", "error", err)
			continue
		}
		for _, a := range acting {
			if done[a.Donation] {
				continue
			}
			outcome, count := c.decides(a.Donation)
			if err := c.r.deps.Simulator.authenticate(ctx, a.Intent, outcome); err != nil {
				c.r.deps.Log.Debug("a donor could not act", "intent", a.Intent, "error", err) // looks again
				continue
			}
			done[a.Donation] = true
			c.mu.Lock()
			*count++
			c.mu.Unlock()
		}
	}
}

// decides is what a donor does, the same in every session.
func (c *cashier) decides(id ingest.ID) (outcome string, count *int64) {
	switch hundredth := int(id[len(id)-1]) * 100 / 256; {
	case hundredth < donorsSucceed:
		return "succeed", &c.report.DonorsSucceeded
	case hundredth < donorsSucceed+donorsFail || !c.cfg.Alone:
		return "fail", &c.report.DonorsFailed
	}
	return "abandon", &c.report.DonorsLeft
}

// storms makes the processor refuse calls for a while, again and again.
func (c *cashier) storms(ctx context.Context) {
	for sleep(ctx, c.cfg.StormEvery-c.cfg.StormFor) == nil {
		if err := c.storm(ctx); err != nil && ctx.Err() == nil {
			c.r.deps.Log.Warn("a storm of 429s could not be made", "error", err)
		}
	}
}

func (c *cashier) storm(ctx context.Context) error {
	sim := c.r.deps.Simulator
	limit := func(ctx context.Context, rate float64) error {
		return sim.setFaults(ctx, map[string]float64{"rate_limit_rate": rate})
	}
	c.weather(true)
	defer c.weather(false)
	before, err := sim.stats(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := limit(ctx, stormRate); err != nil {
		return err
	}
	_ = sleep(ctx, c.cfg.StormFor) // or until the end
	calm := context.WithoutCancel(ctx)
	if err := limit(calm, 0); err != nil {
		return err
	}
	after, err := sim.stats(calm)
	c.r.line.Span(begun, time.Now(), timeline.Storm, "the simulated processor refuses half of all calls by 429")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Storms++
	c.report.LimitedInStorms += after.RateLimited - before.RateLimited
	return err
}

func (c *cashier) weather(storm bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.storming = storm
	if !storm {
		c.stormy = time.Now()
	}
}

// count takes a count of what is left, and the rate since the one before.
func (c *cashier) count(ctx context.Context) (audit.Charging, error) {
	now, err := c.r.deps.Till.State(ctx, c.r.run.SlugPrefix())
	if err != nil {
		return now, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first.At.IsZero() {
		c.first = now
	}
	before, read := c.last, c.lastRead
	c.last, c.lastRead = now, time.Now()
	noteCharging(c.r.line, &before, &now, read, c.lastRead)
	c.report.Allowed = now.PerSecond
	c.report.Calls = now.Calls - c.first.Calls
	since := now.At.Sub(before.At)
	// A backlog at the end of the time was there all along: nothing is added to it
	// faster than it is worked off once the sending has ended, and before it grows.
	backlog := float64(now.Waiting) > now.PerSecond && float64(before.Waiting) > now.PerSecond
	calm := !c.storming && time.Since(c.stormy) > since && c.whole(&now) && c.whole(&before)
	if before.At.IsZero() || !backlog || !calm || now.PerSecond != before.PerSecond {
		return now, nil
	}
	c.rateCalls += now.Calls - before.Calls
	c.report.RateFor += since
	return now, nil
}

// whole tells whether no 429 slows the pace any more.
func (c *cashier) whole(s *audit.Charging) bool {
	return s.SlowedAt.IsZero() || s.At.Sub(s.SlowedAt) > paceWhole
}

// watch counts until ctx ends: while gifts are sent and recorded.
func (c *cashier) watch(ctx context.Context) {
	for {
		began := time.Now()
		if _, err := c.count(ctx); err != nil && ctx.Err() == nil {
			c.r.deps.Log.Debug("count the charges", "error", err)
		}
		if sleep(ctx, max(chargeEvery, chargeShare*time.Since(began))) != nil {
			return
		}
	}
}

// wait waits until every donation has come to its end. Closing stop, when it was
// not closed before, gives up.
func (c *cashier) wait(ctx context.Context, stop <-chan struct{}) error {
	begun := time.Now()
	select {
	case <-stop:
		stop = nil // what was sent is charged all the same
	default:
	}
	var left, feeless int64 = -1, -1
	moved, told := begun, false
	for {
		at := time.Now()
		now, err := c.count(ctx)
		if err != nil {
			c.r.deps.Log.Warn("count the charges", "error", err)
		} else {
			if now.Left() != left || now.Feeless != feeless {
				left, feeless, moved, told = now.Left(), now.Feeless, time.Now(), false
			}
			c.r.shown.charging(&now)
			if left == 0 && feeless == 0 && now.All > 0 {
				break
			}
		}
		if !told && time.Since(moved) > stillAfter {
			told = true
			c.r.deps.Log.Warn("charging stands still: the log of the payments process says what it waits for, 'spillway payments pace' whether it is paused",
				"for", time.Since(moved).Round(time.Second).String(), "left", left, "giving_up_after", c.cfg.Patience.String())
		}
		if time.Since(moved) > c.cfg.Patience {
			c.r.deps.Log.Warn("gave up waiting for the charges", "left", left, "feeless", feeless)
			break
		}
		if err := wait(ctx, stop, max(chargeEvery, chargeShare*time.Since(at))); errors.Is(err, errStopped) {
			break
		} else if err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Left, c.report.Feeless = max(0, left), max(0, feeless)
	c.report.Ended = left == 0 && feeless == 0
	c.report.WaitFor = time.Since(begun)
	return nil
}

// conclude takes the last figures.
func (c *cashier) conclude(ctx context.Context) (*ChargingReport, error) {
	st, err := c.r.deps.Simulator.stats(ctx)
	if err != nil {
		return nil, err
	}
	r := &c.report
	r.Limited = st.RateLimited - c.limited0
	if r.RateFor > 0 {
		r.Rate = float64(c.rateCalls) / r.RateFor.Seconds()
	}
	r.RateHeld = r.RateFor >= rateLeast && r.Rate >= r.Allowed*(1-rateTolerated) && r.Rate <= r.Allowed*(1+rateTolerated)
	return r, nil
}

// warnings say what is not as it should be and breaks no proof.
func (r *ChargingReport) warnings() (all []string) {
	if r.RateFor >= rateLeast && !r.RateHeld {
		all = append(all, fmt.Sprintf("while there was a backlog %.1f calls a second were made, and %.1f were allowed", r.Rate, r.Allowed))
	}
	if outside := r.Limited - r.LimitedInStorms; r.Calls > 0 && float64(outside) > limitedTolerated*float64(r.Calls) {
		all = append(all, fmt.Sprintf("%d of %d calls met a 429 outside of storms", outside, r.Calls))
	}
	return all
}
