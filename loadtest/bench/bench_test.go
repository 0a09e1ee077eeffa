package bench

import (
	"strings"
	"testing"
	"time"
)

const wrkReport = `Running 8s test @ http://127.0.0.1:18080/v1/donations
  1 threads and 256 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.18ms    3.20ms  41.12ms   71.34%
    Req/Sec    49.90k     2.10k   55.10k    72.00%
  Latency Distribution
     50%    4.90ms
     75%    6.80ms
     90%    9.10ms
     99%   15.30ms
  397123 requests in 8.01s, 120.10MB read
  Socket errors: connect 0, read 1, write 2, timeout 3
  Non-2xx or 3xx responses: 23
Requests/sec:  49578.40
Transfer/sec:     15.00MB
`

func TestParseWrk_ReadsEveryFigure(t *testing.T) {
	got, err := parseWrk(wrkReport)
	if err != nil {
		t.Fatal(err)
	}
	want := wrkResult{Requests: 397123, Refused: 23, Errors: 6, Elapsed: 8010 * time.Millisecond, P99: 15300 * time.Microsecond}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.good() != 397100 {
		t.Errorf("good answers: got %d", got.good())
	}
}

func TestParseWrk_RefusesARunWithoutAResult(t *testing.T) {
	if _, err := parseWrk("unable to connect to 127.0.0.1:1 Connection refused\n"); err == nil {
		t.Error("no error for a run that measured nothing")
	}
}

func TestReport_JudgesMediansAgainstBars(t *testing.T) {
	r := newReport()
	for _, v := range []float64{0.44, 0.46, 0.47} {
		r.add("acks_over_echo", v)
	}
	for _, v := range []float64{2.9, 3.1, 3.2} {
		r.add("ack_cpu_over_echo", v)
	}
	r.judge()
	if len(r.Bars) != 2 {
		t.Fatalf("bars of parts that were not measured were judged: %+v", r.Bars)
	}
	if !r.Bars[0].Held || r.Bars[1].Held || r.Held() {
		t.Errorf("a floor at 0.45 holds for a median of 0.46, a ceiling of 3 does not for 3.1: %+v", r.Bars)
	}
	var text strings.Builder
	if err := r.WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "MISSED") {
		t.Error("a missed bar is not named in the table")
	}
}

func TestReport_LagBelowTheFloorIsFlat(t *testing.T) {
	r := newReport()
	r.add("sustained_lag_first_third_ms", 120)
	r.add("sustained_lag_last_third_ms", 300)
	r.judge()
	if !r.Held() {
		t.Errorf("a lag of a few ticks was called growth: %+v", r.Bars)
	}
	r = newReport()
	r.add("sustained_lag_first_third_ms", 900)
	r.add("sustained_lag_last_third_ms", 4000)
	r.judge()
	if r.Held() {
		t.Error("a lag that grew fourfold was called flat")
	}
}
