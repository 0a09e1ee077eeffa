package loadtest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/loadtest/audit"
	"spillway/loadtest/gift"
	"spillway/loadtest/timeline"
)

// counts plays back what a till says, and then an error.
type counts []audit.Charging

var errTill = errors.New("no more")

func (c *counts) State(context.Context, string) (audit.Charging, error) {
	if len(*c) == 0 {
		return audit.Charging{}, errTill
	}
	now := (*c)[0]
	*c = (*c)[1:]
	return now, nil
}

func (c *counts) Acting(context.Context, string) ([]audit.Acting, error) { return nil, nil }

func newTestCashier(t *testing.T, till *counts) *cashier {
	t.Helper()
	run, err := gift.NewRun("till", "day.csv", [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return &cashier{r: &rehearsal{line: timeline.New(), run: run, deps: &Deps{Till: till, Log: slog.New(slog.DiscardHandler)}, shown: newDisplay(nil)}, cfg: Charging{Patience: time.Minute}}
}

// TestCashier_RateIsTakenWhereItSaysSomething counts calls between two moments of the
// database's clock, and leaves out what storms, 429s and an empty queue distort.
func TestCashier_RateIsTakenWhereItSaysSomething(t *testing.T) {
	base := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(second int, waiting, calls int64) audit.Charging {
		return audit.Charging{At: base.Add(time.Duration(second) * time.Second), Waiting: waiting, Calls: calls, PerSecond: 100, Current: 100, All: waiting}
	}
	slowed := func(c audit.Charging, second int) audit.Charging {
		c.SlowedAt = base.Add(time.Duration(second) * time.Second)
		return c
	}
	for name, c := range map[string]struct {
		counts []audit.Charging
		storm  bool
		calls  int64
		span   time.Duration
	}{
		"a backlog":           {[]audit.Charging{at(0, 900, 10), at(2, 700, 208), at(4, 500, 410)}, false, 400, 4 * time.Second},
		"its end":             {[]audit.Charging{at(0, 900, 10), at(2, 700, 208), at(4, 50, 300)}, false, 198, 2 * time.Second},
		"no backlog":          {[]audit.Charging{at(0, 5, 10), at(2, 7, 30)}, false, 0, 0},
		"a storm":             {[]audit.Charging{at(0, 900, 10), at(2, 700, 100)}, true, 0, 0},
		"a 429 in between":    {[]audit.Charging{at(0, 900, 10), slowed(at(2, 700, 100), 1)}, false, 0, 0},
		"a 429 that is over":  {[]audit.Charging{slowed(at(20, 900, 10), 1), slowed(at(22, 700, 210), 1)}, false, 200, 2 * time.Second},
		"a pace that was set": {[]audit.Charging{at(0, 900, 10), func() audit.Charging { c := at(2, 700, 60); c.PerSecond = 25; return c }()}, false, 0, 0},
		"a single count":      {[]audit.Charging{at(0, 900, 10)}, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			till := counts(c.counts)
			k := newTestCashier(t, &till)
			k.storming = c.storm
			for range c.counts {
				if _, err := k.count(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if k.rateCalls != c.calls || k.report.RateFor != c.span {
				t.Errorf("%d calls in %v, want %d in %v", k.rateCalls, k.report.RateFor, c.calls, c.span)
			}
			if first, last := c.counts[0], c.counts[len(c.counts)-1]; k.report.Calls != last.Calls-first.Calls {
				t.Errorf("%d calls in all", k.report.Calls)
			}
		})
	}
}

func TestCashier_WaitsForDonationsAndTheirFees(t *testing.T) {
	till := counts{{All: 2, Waiting: 1, Feeless: 0}, {All: 2, Feeless: 1}, {All: 2}}
	k := newTestCashier(t, &till)
	if err := k.wait(t.Context(), nil); err != nil || !k.report.Ended || k.report.Left != 0 || len(till) != 0 {
		t.Errorf("%+v, %v, %d counts left", k.report, err, len(till))
	}
}

func TestCashier_GivesUpWithoutProgress(t *testing.T) {
	till := counts{{All: 3, Waiting: 2, Feeless: 1}}
	k := newTestCashier(t, &till)
	k.cfg.Patience = time.Nanosecond
	if err := k.wait(t.Context(), nil); err != nil || k.report.Ended || k.report.Left != 2 || k.report.Feeless != 1 {
		t.Errorf("out of patience: %+v, %v", k.report, err)
	}
}

// stopping is somebody who ends the wait while it is counted.
type stopping struct {
	counts
	stop chan struct{}
}

func (s *stopping) State(ctx context.Context, prefix string) (audit.Charging, error) {
	close(s.stop)
	return s.counts.State(ctx, prefix)
}

func TestCashier_WhoIsToldToStopGivesUp(t *testing.T) {
	k := newTestCashier(t, &counts{})
	s := &stopping{counts{{All: 3, Waiting: 3}}, make(chan struct{})}
	k.r.deps.Till = s
	if err := k.wait(t.Context(), s.stop); err != nil || k.report.Ended || k.report.Left != 3 {
		t.Errorf("%+v, %v", k.report, err)
	}
	// Told before, what was sent is charged all the same.
	k = newTestCashier(t, &counts{{All: 3, Waiting: 3}, {All: 3}})
	if err := k.wait(t.Context(), s.stop); err != nil || !k.report.Ended {
		t.Errorf("told before: %+v, %v", k.report, err)
	}
}

func TestCashier_DonorsDecideByTheirID(t *testing.T) {
	for _, alone := range []bool{true, false} {
		k := &cashier{cfg: Charging{Alone: alone}}
		seen := map[string]int{}
		for i := range 256 {
			outcome, count := k.decides(ingest.ID{15: byte(i)})
			*count++
			seen[outcome]++
			if again, _ := k.decides(ingest.ID{15: byte(i)}); again != outcome {
				t.Fatalf("%d: %s and %s", i, outcome, again)
			}
		}
		if seen["succeed"] < 175 || seen["fail"] == 0 || (seen["abandon"] > 0) != alone || int64(seen["abandon"]) != k.report.DonorsLeft || int64(seen["fail"]) != k.report.DonorsFailed {
			t.Errorf("alone %v: %v, %+v", alone, seen, k.report)
		}
	}
}

func TestChargingReport_SaysWhatIsOff(t *testing.T) {
	for name, c := range map[string]struct {
		report ChargingReport
		want   string
	}{
		"nothing":              {ChargingReport{Calls: 1000, RateFor: time.Minute, Rate: 250, Allowed: 250, RateHeld: true, Limited: 500, LimitedInStorms: 495}, ""},
		"too slow":             {ChargingReport{Calls: 1000, RateFor: time.Minute, Rate: 200, Allowed: 250}, "200.0 calls a second"},
		"too short to say":     {ChargingReport{Calls: 1000, RateFor: time.Second, Rate: 200, Allowed: 250}, ""},
		"429s out of the blue": {ChargingReport{Calls: 1000, Limited: 511, LimitedInStorms: 500}, "11 of 1000 calls"},
	} {
		got := strings.Join(c.report.warnings(), ";")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
