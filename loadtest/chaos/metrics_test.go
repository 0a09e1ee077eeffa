//go:build linux

package chaos

import "testing"

func TestMetric_AddsUpOneMetricsSamples(t *testing.T) {
	document := []byte(`# HELP taken_total Donations taken.
# TYPE taken_total counter
taken_total{book="live",note="a } b"} 12
taken_total{book="rehearsal"} 30 1700000000000
taken_total_more 999
other 5
plain 7.5e1
`)
	for name, want := range map[string]float64{"taken_total": 42, "other": 5, "plain": 75, "absent": 0} {
		if got, err := metric(document, name); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	if _, err := metric([]byte("broken x\n"), "broken"); err == nil {
		t.Error("a value that is no number passes")
	}
}
