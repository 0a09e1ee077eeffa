package loadtest

import (
	"math"
	"strings"
	"testing"
	"time"

	"spillway/loadtest/audit"
)

func TestWriteTable_SaysWhatIsBroken(t *testing.T) {
	r := &Report{Run: "friday", Source: "day.csv", Speed: "100", Target: "http://x", Session: 2, Resumed: true, Currency: "USD", Skipped: 1234,
		Sending: Sending{Sent: 1_234_567, Attempts: 1_234_570, Refused: map[int]int64{422: 2, 409: 1}, Deferred: 3},
		Audit: &audit.Result{Checks: []*audit.Check{
			{Invariant: "I1", Claim: "every 202", Checked: 5, Broken: 30, Violations: []audit.Violation{{ID: "0a", Ref: "row 7", Detail: "gone"}}},
			{Invariant: "I9", Claim: "hours", Note: "of two clocks"},
		}, Sums: audit.Sums{SourceMinor: 123456, PublicRows: -1, PublicMinor: -1}},
		Warnings: []string{"the generator was late"}, Failures: []string{"I1 is broken"}}
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"resumed, session 2", "1,234,567", "in 1,234,570 attempts", "1 with 409, 2 with 422", "3 times 429", "BROKEN 30", "0a  row 7  gone",
		"and 29 more", "untested", "[of two clocks]", "USD 1234.56", "not read", "Not every row", "Careful: the generator was late", "THE PROOF DOES NOT HOLD", "I1 is broken", "NO, given up"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "The proof holds") {
		t.Error("it also says that it holds")
	}
}

func TestLine_TellsEachPhase(t *testing.T) {
	for want, p := range map[string]Progress{
		"making campaigns":                {Phase: "making campaigns"},
		"7 envelopes left":                {Phase: "draining", Backlog: 7},
		"draining: totals cannot be read": {Phase: "draining", Backlog: -1, Behind: -1},
		"totals 2s behind":                {Phase: "draining", Backlog: -1, Behind: 2 * time.Second},
		"sent 5 of 1,000":                 {Sending: true, Sent: 5, Planned: 1000},
		"refused 3":                       {Sending: true, Refused: 3},
		"unknown answers 4":               {Sending: true, Unknown: 4},
		"lag 1.23s":                       {Sending: true, Lag: 1234567 * time.Microsecond},
		"1m30s left":                      {Sending: true, Left: 90 * time.Second},
	} {
		if got := p.Line(); !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}

func TestShortAndCount(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 999: "999ns", 1234 * time.Microsecond: "1.23ms", 83456 * time.Millisecond: "1m23.5s", -1234: "-1.23µs",
		math.MaxInt64: "2561111h6m40s", math.MinInt64: "-2561111h6m40s"} {
		if got := short(d); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
