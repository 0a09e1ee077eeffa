package loadtest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"spillway/ledger/money"
)

// smallShown bounds the gifts below the minimum that people are shown; the JSON
// report has more.
const smallShown = 10

// writeCharging writes how the charging went, and both sides' books.
func (r *Report) writeCharging(b *bytes.Buffer) {
	c := r.Charging
	if c == nil {
		return
	}
	b.WriteString("\nCharging\n\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	if c.Ended {
		row("ended", "every donation, %s after the last was recorded", short(c.WaitFor))
	} else {
		row("ended", "NO: %s donations left, %s fees unknown, given up after %s", count(c.Left), count(c.Feeless), short(c.WaitFor))
	}
	row("calls", "%s; %s met a 429, %s of them in %d storms", count(c.Calls), count(c.Limited), count(c.LimitedInStorms), c.Storms)
	if c.RateFor > 0 {
		row("rate", "%.1f/s of %.1f/s allowed: %.1f %% (in %s with a backlog, no storm, and nothing to recover from)",
			c.Rate, c.Allowed, 100*c.Rate/c.Allowed, short(c.RateFor))
	} else {
		row("rate", "not measured: there was no backlog outside of storms")
	}
	if asked := c.DonorsSucceeded + c.DonorsFailed + c.DonorsLeft; asked > 0 {
		row("3-D Secure", "%s donors asked: %s did, %s failed, %s left", count(asked), count(c.DonorsSucceeded), count(c.DonorsFailed), count(c.DonorsLeft))
	}
	r.writeMoney(row)
	_ = t.Flush() // into memory
}

func (r *Report) writeMoney(row func(name, format string, args ...any)) {
	m := r.Audit.Money
	if m == nil {
		return
	}
	var words []string
	for _, word := range slices.Sorted(maps.Keys(m.Statuses)) {
		words = append(words, count(m.Statuses[word])+" "+word)
	}
	row("donations", "%s", strings.Join(words, ", "))
	for _, s := range m.Currencies {
		amount := func(minor int64) string {
			return money.Amount{Minor: minor, Currency: money.Currency(s.Currency)}.String()
		}
		row("processor", "%s in %s charges, %s given back, fees %s", amount(s.Processor.ChargedMinor), count(s.Processor.Charges), amount(s.Processor.RefundedMinor), amount(s.Processor.FeeMinor))
		row("journal", "%s in %s charges, %s given back, fees %s", amount(s.Journal.ChargedMinor), count(s.Journal.Charges), amount(s.Journal.RefundedMinor), amount(s.Journal.FeeMinor))
	}
	if m.TooSmallCount > 0 {
		row("below the minimum", "%s donations", count(m.TooSmallCount))
		for i, s := range m.TooSmall {
			if i == smallShown {
				row("", "and %s more", count(m.TooSmallCount-smallShown))
				break
			}
			row("", "%s  %s  %s", s.ID, money.Amount{Minor: s.AmountMinor, Currency: money.Currency(s.Currency)}, s.Status)
		}
	}
}
