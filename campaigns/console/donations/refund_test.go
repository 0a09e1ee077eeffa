package donations

import (
	"errors"
	"testing"

	"spillway/campaigns/console/frame"
	"spillway/ledger/search"
)

// TestAsked_AmountsAsPeopleWriteThem: a comma may stand before cents or between
// thousands; where it may be either nothing is asked for.
func TestAsked_AmountsAsPeopleWriteThem(t *testing.T) {
	story := &search.Story{Row: search.Row{Currency: "USD", AmountMinor: 500_000, Lines: []search.Line{{Campaign: "river-school", AmountMinor: 500_000}}}}
	for text, want := range map[string]int64{
		"12.50": 1250, "12,50": 1250, "12": 1200, "1,250.00": 125_000, "1.250,00": 125_000, " 30 ": 3000,
		"1,250": -1, "-5": -1, "0": -1, "0.00": -1, "twelve": -1, "12.505": -1, "1e3": -1,
	} {
		for _, in := range []*refundInput{{Amount: text}, {Lines: []string{"river-school=" + text}}} {
			got, err := asked(story, in)
			var refused *frame.Problem
			switch {
			case want < 0 && !errors.As(err, &refused):
				t.Errorf("%q, %v is taken for %+v, %v", text, in.Lines, got, err)
			case want >= 0 && (err != nil || got.AmountMinor != want):
				t.Errorf("%q, %v is %+v, %v; want %d", text, in.Lines, got, err, want)
			}
		}
	}
}
