package meter_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"spillway/campaigns/status"
	"spillway/campaigns/status/meter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func roles(names ...string) (all []status.Role) {
	for _, name := range names {
		all = append(all, status.ReadyRole(name, nil))
	}
	return all
}

// take reads the meter once.
func take(t testing.TB, m *meter.Meter, now time.Time, names ...string) *status.Report {
	t.Helper()
	r := &status.Report{Roles: roles(names...)}
	if err := m.Take(now, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTake_AFrontEndsRatesAreOfTheLastSeconds(t *testing.T) {
	reg := meter.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ingest_requests_total"}, []string{"route", "code", "reason"})
	acks := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ingest_ack_seconds", Buckets: []float64{.001, .002, .004, .008}})
	inside := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ingest_donations_waiting"})
	rehearsed := prometheus.NewCounter(prometheus.CounterOpts{Name: "ingest_rehearsed_total"})
	other := prometheus.NewCounter(prometheus.CounterOpts{Name: "ingest_of_no_interest_total"})
	reg.MustRegister(requests, acks, inside, rehearsed, other)
	lag := prometheus.NewGauge(prometheus.GaugeOpts{Name: "totals_lag_seconds"})
	prometheus.WrapRegistererWith(prometheus.Labels{"book": "live"}, reg).MustRegister(lag)
	lag.Set(0.17)
	inside.Set(12)
	accepted := requests.WithLabelValues("donate", "202", "accepted")
	refused := requests.WithLabelValues("donate", "503", "overloaded")
	requests.WithLabelValues("state", "503", "overloaded").Add(1000) // no donation
	accepted.Add(5000)                                               // before anybody looked

	m := meter.New(reg.Figures())
	if f := take(t, m, noon, status.FrontEndRole).FrontEnd; f.AcceptedPerSecond != 0 || f.StaleMillis != 170 || f.InFlight != 12 {
		t.Errorf("the first reading is %+v", f)
	}
	for second := 1; second <= 20; second++ {
		accepted.Add(300)
		rehearsed.Add(120)
		for range 100 {
			acks.Observe(0.0015)
		}
		if second > 18 {
			refused.Add(30)
		}
		f := take(t, m, noon.Add(time.Duration(second)*time.Second), status.FrontEndRole).FrontEnd
		if math.Abs(f.AcceptedPerSecond-300) > 1e-6 || math.Abs(f.RehearsedPerSecond-120) > 1e-6 {
			t.Fatalf("second %d: %v a second, %v of them rehearsed", second, f.AcceptedPerSecond, f.RehearsedPerSecond)
		}
		if want := int64(100 * min(second, 10)); f.Acks != want || f.AckP50Millis < 1 || f.AckP50Millis > 2 || f.AckP99Millis <= f.AckP50Millis || f.AckP99Millis > 2 {
			t.Fatalf("second %d: %+v", second, f)
		}
		if second == 20 && math.Abs(f.RefusedPerSecond["overloaded"]-20) > 1e-6 { // 60 in three seconds
			t.Errorf("refused %v", f.RefusedPerSecond)
		}
		if second == 18 && len(f.RefusedPerSecond) != 0 {
			t.Errorf("refused %v before anything was", f.RefusedPerSecond)
		}
	}
	// Silence ends the figures of what no longer happens.
	for second := 21; second <= 40; second++ {
		f := take(t, m, noon.Add(time.Duration(second)*time.Second), status.FrontEndRole).FrontEnd
		if second > 31 && (f.AcceptedPerSecond != 0 || f.Acks != 0 || f.AckP99Millis != 0 || len(f.RefusedPerSecond) != 0) {
			t.Fatalf("second %d, long after the last: %+v", second, f)
		}
	}
}

func TestTake_FillsInOnlyTheRolesThereAre(t *testing.T) {
	m := meter.New(meter.NewRegistry().Figures())
	r := take(t, m, noon, status.LedgerRole)
	if r.Ledger == nil || r.FrontEnd != nil || r.Payments != nil || r.Admin != nil {
		t.Errorf("got %+v", r)
	}
	r = take(t, m, noon, status.PaymentsRole, status.AdminRole, "another")
	if r.Payments == nil || r.Payments.PacePerSecond != nil || r.Admin == nil || r.Admin.SearchMillis != nil {
		t.Errorf("without any metric %+v, %+v", r.Payments, r.Admin)
	}
}

func TestTake_PaymentsOfTheLiveBook(t *testing.T) {
	reg := meter.NewRegistry()
	gauge := func(name string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name}, []string{"book"})
		reg.MustRegister(v)
		return v
	}
	due, pace := gauge("charge_queue_due"), gauge("charge_pace_per_second")
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "charge_calls_total"}, []string{"book", "call", "outcome"})
	reg.MustRegister(calls)
	due.WithLabelValues("live").Set(90_000)
	due.WithLabelValues("rehearsal").Set(7)
	pace.WithLabelValues("live").Set(math.NaN())
	m := meter.New(reg.Figures())
	if p := take(t, m, noon, status.PaymentsRole).Payments; p.PacePerSecond != nil || p.Due != 90_000 || p.RehearsedDue != 7 {
		t.Errorf("before the pace was asked: %+v", p)
	}
	pace.WithLabelValues("live").Set(0)
	calls.WithLabelValues("live", "charge", "succeeded").Add(20)
	calls.WithLabelValues("live", "charge", "declined").Add(4)
	calls.WithLabelValues("live", "look", "succeeded").Add(100)
	calls.WithLabelValues("rehearsal", "charge", "succeeded").Add(40)
	p := take(t, m, noon.Add(2*time.Second), status.PaymentsRole).Payments
	if p.PacePerSecond == nil || *p.PacePerSecond != 0 {
		t.Errorf("a paused queue's pace is %v", p.PacePerSecond)
	}
	if p.ChargesPerSecond != 12 || p.CapturesPerSecond != 10 || p.DeclinesPerSecond != 2 || p.RehearsedPerSecond != 20 {
		t.Errorf("got %+v", p)
	}
}

func TestTake_OnlyTheLeaderTellsOfTheProjection(t *testing.T) {
	reg := meter.NewRegistry()
	gauge := func(name string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
		prometheus.WrapRegistererWith(prometheus.Labels{"book": "live"}, reg).MustRegister(g)
		return g
	}
	leading, asOf, behind := gauge("search_leading"), gauge("search_as_of_timestamp_seconds"), gauge("search_behind_messages")
	m := meter.New(reg.Figures())
	asOf.Set(float64(noon.Unix() - 5))
	behind.Set(3)
	if a := take(t, m, noon, status.AdminRole).Admin; a.SearchMillis != nil || a.SearchBehind != nil {
		t.Errorf("one that does not lead tells %+v", a)
	}
	leading.Set(1)
	if a := take(t, m, noon, status.AdminRole).Admin; a.SearchMillis == nil || *a.SearchMillis != 5000 || a.SearchBehind == nil || *a.SearchBehind != 3 {
		t.Errorf("the leader tells %+v", a)
	}
	asOf.Set(0)
	if a := take(t, m, noon, status.AdminRole).Admin; a.SearchMillis != nil || a.SearchBehind == nil {
		t.Errorf("while it is being made the leader tells %+v", a)
	}
}

// A quantile lies in the bucket that holds it, whatever was observed.
func TestTake_QuantilesLieWhereTheObservationsAre(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		reg := meter.NewRegistry()
		bounds := []float64{.001, .01, .1, 1}
		acks := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ingest_ack_seconds", Buckets: bounds})
		reg.MustRegister(acks)
		m := meter.New(reg.Figures())
		take(t, m, noon, status.FrontEndRole)
		least, most := math.Inf(1), 0.0
		n := rapid.IntRange(1, 50).Draw(rt, "n")
		for range n {
			v := rapid.Float64Range(0, 2).Draw(rt, "seconds")
			least, most = min(least, v), max(most, v)
			acks.Observe(v)
		}
		f := take(t, m, noon.Add(time.Second), status.FrontEndRole).FrontEnd
		floor, ceiling := 0.0, bounds[len(bounds)-1]
		for i := len(bounds) - 1; i >= 0; i-- {
			if most <= bounds[i] {
				ceiling = bounds[i]
			}
			if least > bounds[len(bounds)-1-i] {
				floor = bounds[len(bounds)-1-i]
			}
		}
		for _, ms := range []float64{f.AckP50Millis, f.AckP99Millis} {
			if ms < 1000*floor-1e-6 || ms > 1000*ceiling+1e-6 {
				rt.Fatalf("of values between %v and %v: %v ms", least, most, ms)
			}
		}
		if f.AckP50Millis > f.AckP99Millis+1e-9 || f.Acks != int64(n) {
			rt.Fatalf("p50 %v, p99 %v of %d", f.AckP50Millis, f.AckP99Millis, f.Acks)
		}
	})
}

func TestRegistry_KeepsApartOnlyWhatReportsNeed(t *testing.T) {
	reg := meter.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "of_no_interest"}), prometheus.NewGauge(prometheus.GaugeOpts{Name: "live_viewers_count"}))
	all, err := reg.Gather()
	if err != nil || len(all) != 2 {
		t.Errorf("operators see %d metrics, %v", len(all), err)
	}
	some, err := reg.Figures().Gather()
	if err != nil || len(some) != 1 || some[0].GetName() != "live_viewers_count" {
		t.Errorf("reports are made of %v, %v", some, err)
	}
	if err := reg.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "live_viewers_count"})); err == nil {
		t.Error("a metric was registered twice")
	}
}

func TestRun_ReportsAndSaysGoodbye(t *testing.T) {
	var mu sync.Mutex
	var sent []*status.Report
	heard := make(chan struct{}, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := meter.Run(ctx, meter.Config{Node: "box/1", StartedAt: noon, Every: time.Millisecond}, meter.Deps{
			Meter: meter.New(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
			Roles: func() []status.Role { return roles(status.LedgerRole) },
			Publish: func(ctx context.Context, r *status.Report) error {
				if r.Leaving && ctx.Err() != nil {
					t.Error("the goodbye is sent under a context that has ended")
				}
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, r)
				heard <- struct{}{}
				return errors.New("nobody is there") // and it goes on
			},
		})
		if err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		<-heard
	}
	cancel()
	wg.Wait()
	for i, r := range sent {
		if r.Number != int64(i+1) || r.Node != "box/1" || r.Ledger == nil || r.Leaving != (i == len(sent)-1) {
			t.Errorf("report %d of %d is %+v", i, len(sent), r)
		}
	}
}

// BenchmarkTake is what a front-end pays for its report each second.
func BenchmarkTake(b *testing.B) {
	reg := meter.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ingest_requests_total"}, []string{"route", "code", "reason"})
	acks := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ingest_ack_seconds", Buckets: prometheus.ExponentialBuckets(.0002, 2, 18)})
	reg.MustRegister(requests, acks)
	for route := range 6 {
		for reason := range 25 {
			requests.WithLabelValues([]string{"donate", "state", "attempt", "cancel", "health", "none"}[route], "503", string(rune('a'+reason))).Inc()
		}
	}
	m := meter.New(reg.Figures())
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		r := &status.Report{Roles: roles(status.FrontEndRole)}
		if err := m.Take(noon.Add(time.Duration(n)*time.Second), r); err != nil {
			b.Fatal(err)
		}
	}
}
