package loadtest

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"spillway/loadtest/machine"
	"spillway/loadtest/timeline"
)

const metricsText = `# HELP ingest_requests_total Requests answered.
# TYPE ingest_requests_total counter
ingest_requests_total{code="202",reason="accepted",route="donate"} 812
ingest_requests_total{code="429",reason="too_fast",route="donate"} 3
ingest_requests_total{code="503",reason="busy",route="donate"} 4
ingest_requests_total{code="503",reason="busy",route="state"} 1
ingest_donations_waiting 17
ledger_oldest_message_age_seconds{book="main"} 90
ledger_oldest_message_age_seconds{book="rehearsal"} 0.25
charge_processor_away{book="rehearsal"} NaN
charge_rate_limited_total{book="rehearsal",reason="rate_limit"} 1.2e+01
no number here
`

func TestSamples_AddsUpWhatTheTimelineAsksFor(t *testing.T) {
	t.Parallel()
	gauges, counts, err := samples(strings.NewReader(metricsText))
	if err != nil {
		t.Fatal(err)
	}
	wantGauges := map[timeline.Gauge]float64{timeline.FrontEndInside: 17, timeline.OldestMessageAge: 0.25}
	wantCounts := map[timeline.Counter]float64{timeline.FrontEndRefusals: 8, timeline.ProcessorLimited: 12}
	if !maps.Equal(gauges, wantGauges) || !maps.Equal(counts, wantCounts) {
		t.Errorf("%v, %v", gauges, counts)
	}
}

// FuzzSamples has text that is no metrics at all.
func FuzzSamples(f *testing.F) {
	f.Add(metricsText)
	f.Add("{ 1\n 2\n#\n\n\x00 NaN\n")
	f.Fuzz(func(t *testing.T, text string) {
		gauges, counts, err := samples(strings.NewReader(text))
		if err == nil && (len(gauges) > len(gaugesScraped) || len(counts) > len(countersScraped)) {
			t.Errorf("%v, %v", gauges, counts)
		}
	})
}

func TestScrape_CountsFromOneReadingToTheNext(t *testing.T) {
	t.Parallel()
	refused := []string{"5", "9", "2", "3"} // started anew before the third
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || len(refused) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(`ingest_requests_total{code="503"} ` + refused[0] + "\n"))
		refused = refused[1:]
	}))
	t.Cleanup(server.Close)
	line := timeline.New()
	line.Begin(time.Now().Add(-time.Second))
	var s scrape
	url := func() (string, error) { return server.URL, nil }
	for range 4 {
		if err := s.read(t.Context(), line, url); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.read(t.Context(), line, url); err == nil {
		t.Error("read what is not there")
	}
	var n int64
	for _, p := range line.Timeline().Points {
		n += p.Counters[timeline.FrontEndRefusals]
	}
	if n != 5 {
		t.Errorf("%d refusals, want 4 before the restart and 1 after it", n)
	}
}

// TestRun_TheTimelineSaysTheSameAsTheSums holds the seconds against the whole.
func TestRun_TheTimelineSaysTheSameAsTheSums(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	cfg := g.config(t)
	deps := g.deps()
	deps.Line = timeline.New()
	deps.Roles = func() []machine.Role { return nil }
	calls := 0
	deps.Backlog = func(context.Context) (int64, error) { // one question at a time
		calls++
		return int64(max(0, 3-calls)), nil
	}
	r := rehearse(t, cfg, deps)
	wantProof(t, r)
	line := r.Timeline
	var planned, sent, accepted, waited, lags int64
	var backlog float64
	for _, p := range line.Points {
		planned, sent, accepted = planned+p.Planned, sent+p.Sent, accepted+p.Accepted
		if p.Latency != nil {
			waited += p.Latency.Count
		}
		if p.Lag != nil {
			lags += p.Lag.Count
		}
		backlog = max(backlog, p.Gauges[timeline.LedgerBacklog])
	}
	s := &r.Sending
	if planned != s.Sent || sent != s.Sent || accepted != s.Accepted || waited != s.Latency.Count {
		t.Errorf("planned %d, sent %d, accepted %d, waited %d; in all %+v", planned, sent, accepted, waited, s)
	}
	if lags == 0 || lags > r.Watch.Readings || backlog != 2 {
		t.Errorf("%d of %d readings, backlog %v", lags, r.Watch.Readings, backlog)
	}
	if line.Settled == 0 || len(line.Marks) < 3 || line.Marks[0].Kind != timeline.Phase {
		t.Errorf("settled %v, marks %+v", line.Settled, line.Marks)
	}
	if _, measured := line.Points[0].Roles[GeneratorRole]; runtime.GOOS == "linux" && !measured && len(line.Points) > 2 {
		t.Errorf("no usage of the generator: %+v", line.Points)
	}
}
