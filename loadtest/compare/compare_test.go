package compare

import (
	"strings"
	"testing"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/timeline"
)

func rehearsal(do func(*loadtest.Report)) *loadtest.Report {
	r := &loadtest.Report{Run: "friday", Source: "rate", Holds: true, Drained: true, DrainFor: 100 * time.Millisecond,
		Sending: loadtest.Sending{Planned: 1000, Sent: 1000, Attempts: 1000, Accepted: 1000, SentRate: 100,
			Latency: loadtest.Distribution{Count: 1000, P50: 2 * time.Millisecond, P90: 10 * time.Millisecond, P99: 40 * time.Millisecond}},
		Watch:    loadtest.Watching{Lag: loadtest.Distribution{Count: 10, P50: 80 * time.Millisecond, P90: 100 * time.Millisecond, P99: 150 * time.Millisecond}},
		Charging: &loadtest.ChargingReport{Allowed: 250, Rate: 250, RateFor: time.Minute},
		Timeline: &timeline.Timeline{Points: []timeline.Point{{Roles: map[string]timeline.Usage{"postgres": {CPU: time.Second, Resident: 200 << 20}}}}}}
	if do != nil {
		do(r)
	}
	return r
}

func TestCompare_CountsWhatIsBeyondToleranceAndNoise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(*loadtest.Report)
		row  string
		want Verdict
	}{
		{"nothing", nil, "wait for the answer, p99", Same},
		{"slower", func(r *loadtest.Report) { r.Sending.Latency.P99 = 60 * time.Millisecond }, "wait for the answer, p99", Worse},
		{"faster", func(r *loadtest.Report) { r.Sending.Latency.P99 = 20 * time.Millisecond }, "wait for the answer, p99", Better},
		{"within the tolerance", func(r *loadtest.Report) { r.Sending.Latency.P99 = 43 * time.Millisecond }, "wait for the answer, p99", Same},
		{"half a millisecond is noise", func(r *loadtest.Report) { r.Sending.Latency.P50 += 600 * time.Microsecond }, "wait for the answer, p50", Same},
		{"older totals", func(r *loadtest.Report) { r.Watch.Lag.P99 = time.Second }, "age of totals, p99", Worse},
		{"a broken proof", func(r *loadtest.Report) { r.Holds, r.Failures = false, []string{"I1"} }, "proof broken", Worse},
		{"one gift given up", func(r *loadtest.Report) { r.Sending.Unresolved = 1 }, "gifts given up", Worse},
		{"fewer acknowledged", func(r *loadtest.Report) { r.Sending.Accepted = 700 }, "acknowledged, of what was asked for", Worse},
		{"429s", func(r *loadtest.Report) { r.Sending.Deferred = 20 }, "sent away by 429, of the attempts", Worse},
		{"slower charges", func(r *loadtest.Report) { r.Charging.Rate = 200 }, "charges while there was a queue", Worse},
		{"more work", func(r *loadtest.Report) {
			r.Timeline.Points[0].Roles["postgres"] = timeline.Usage{CPU: 2 * time.Second, Resident: 200 << 20}
		}, "processor time of postgres, for each gift", Worse},
		{"less memory", func(r *loadtest.Report) {
			r.Timeline.Points[0].Roles["postgres"] = timeline.Usage{CPU: time.Second, Resident: 100 << 20}
		}, "memory of postgres, most", Better},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := Compare(rehearsal(nil), rehearsal(c.do), 0.1)
			found := false
			for _, r := range got.Rows {
				if r.Name != c.row {
					if r.Verdict == Worse && c.want != Worse {
						t.Errorf("%s is worse", r.Name)
					}
					continue
				}
				found = true
				if r.Verdict != c.want {
					t.Errorf("%+v, want %s", r, c.want)
				}
			}
			if !found || got.Worse != (c.want == Worse) {
				t.Errorf("found %v, worse %v", found, got.Worse)
			}
			// The other way round it is the other way round.
			back := Compare(rehearsal(c.do), rehearsal(nil), 0.1)
			if c.want == Worse && back.Worse || c.want == Better && !back.Worse {
				t.Errorf("back: %+v", back)
			}
		})
	}
}

func TestCompare_SaysWhatCannotBeCompared(t *testing.T) {
	t.Parallel()
	c := Compare(rehearsal(nil), rehearsal(func(r *loadtest.Report) {
		r.Source, r.Sending.SentRate, r.Sending.Lateness.P99, r.Timeline, r.Charging = "replay", 500, time.Second, nil, nil
	}), 0.1)
	var b strings.Builder
	if err := c.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"different things", "different rates", "was late itself", "0 worse, 0 better"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}
