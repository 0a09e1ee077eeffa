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
	for _, c := range []struct {
		name, label string
		want        float64
	}{
		{"taken_total", "", 42},
		{"taken_total", `book="live"`, 12},
		{"taken_total", `book="other"`, 0},
		{"other", "", 5},
		{"plain", "", 75},
		{"absent", "", 0},
	} {
		if got, err := metric(document, c.name, c.label); got != c.want || err != nil {
			t.Errorf("%s{%s}: %v, %v, want %v", c.name, c.label, got, err, c.want)
		}
	}
	if _, err := metric([]byte("broken x\n"), "broken", ""); err == nil {
		t.Error("a value that is no number passes")
	}
}
