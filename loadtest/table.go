package loadtest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"spillway/ledger/money"
	"spillway/loadtest/audit"
)

// Line writes the state of things in one line for people.
func (p *Progress) Line() string {
	if !p.Sending {
		switch {
		case p.Phase == "draining":
			return p.drainingLine()
		case p.Phase == "charging" && p.Charging != nil:
			return p.chargingLine()
		}
		return p.Phase
	}
	text := fmt.Sprintf("sent %s of %s (%.0f/s)  acked %s (%.0f/s)  p99 %s  lag %s  in flight %s",
		count(p.Sent), count(p.Planned), p.SentRate, count(p.Accepted), p.AckRate, short(p.P99), short(p.Lag), count(p.Waiting))
	if p.Refused > 0 {
		text += "  refused " + count(p.Refused)
	}
	if p.Unknown > 0 {
		text += "  unknown answers " + count(p.Unknown)
	}
	if p.Left > 0 {
		return text + "  " + p.Left.Round(time.Second).String() + " left"
	}
	return text
}

func (p *Progress) drainingLine() string {
	text := "draining: "
	if p.Backlog >= 0 {
		text += count(p.Backlog) + " envelopes left, "
	}
	if p.Behind < 0 {
		return text + "totals cannot be read at the moment"
	}
	return text + "totals " + short(p.Behind) + " behind the last answer"
}

func (p *Progress) chargingLine() string {
	c := p.Charging
	text := fmt.Sprintf("charging: %s of %s at their end (%.0f/s, pace %.0f/s)  due or under way %s  donors asked %s",
		count(c.All-c.Left()), count(c.All), p.ChargeRate, c.PerSecond, count(c.Waiting+c.Calling), count(c.Acting))
	if c.Left() == 0 && c.Feeless > 0 {
		return text + "  fees to come " + count(c.Feeless)
	}
	if c.Waiting > 0 && c.PerSecond > 0 {
		left := time.Duration(float64(c.Waiting) / c.PerSecond * float64(time.Second))
		text += "  all called in " + left.Round(time.Second).String()
	}
	return text
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	r.writeSending(&b)
	r.writeGenerators(&b)
	r.writeVisits(&b)
	r.writeCharging(&b)
	r.writeFaults(&b)
	r.writeAudit(&b)
	r.writeSums(&b)
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "Careful: %s\n", warning)
	}
	if r.Holds {
		fmt.Fprintf(&b, "\nThe proof holds: every answer that was given is accounted for.\n")
	} else {
		fmt.Fprintf(&b, "\nTHE PROOF DOES NOT HOLD\n")
		for _, f := range r.Failures {
			fmt.Fprintf(&b, "  %s\n", f)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Report) writeSending(b *bytes.Buffer) {
	s := &r.Sending
	fmt.Fprintf(b, "\nRun %s of %s", r.Run, r.Source)
	if r.Scenario != "" {
		fmt.Fprintf(b, " (scenario %s)", r.Scenario)
	}
	if r.Speed != "" {
		fmt.Fprintf(b, " at %s times its speed", r.Speed)
	}
	fmt.Fprintf(b, " against %s", r.Target)
	if r.Session > 1 {
		how := "again"
		if r.Resumed {
			how = "resumed"
		}
		fmt.Fprintf(b, " (%s, session %d)", how, r.Session)
	}
	b.WriteString("\n\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("planned", "%s rows%s", count(s.Planned), when(r.Skipped > 0, ", after %s answered in earlier sessions", count(r.Skipped)))
	row("sent", "%s in %s: %s/s%s", count(s.Sent), short(s.For), count(int64(s.SentRate)), when(s.Attempts > s.Sent, ", in %s attempts", count(s.Attempts)))
	row("acknowledged", "%s in %s: %s/s, best second %s", count(s.Accepted), short(s.AnsweredIn), count(int64(s.AckRate)), count(s.BestSecond))
	row("refused", "%s", refused(s.Refused))
	row("unknown answers", "%s; %s rows accepted later, %s given up%s", count(s.UnknownAnswers), count(s.Resolved), count(s.Unresolved),
		when(s.Deferred > 0, "; %s times 429", count(s.Deferred)))
	row("latency", "%s   (planned time to 202)", spread(s.Latency))
	row("  of it waiting", "%s   (for one of the connections)", spread(s.Waiting))
	row("own lateness", "%s", spread(s.Lateness))
	row("own cost", "%.1f µs of CPU per request (%s requests, probes included)", s.CostMicros, count(s.Exchanges))
	if r.Limit != nil && len(r.Generators) == 0 {
		row("own limit", "%s; the busiest second asks for %s", r.Limit, count(r.Busiest))
	}
	if wr := &r.Watch; wr.Watchers > 0 {
		row("lag as read", "%s   (%s readings by %d watchers)", spread(wr.Lag), count(wr.Readings), wr.Watchers)
		row("age as read", "%s   (time of reading - as_of)", spread(wr.Age))
	}
	if r.Drained {
		row("drained", "%s after the last answer", short(r.DrainFor))
	} else {
		row("drained", "NO, given up after %s", short(r.DrainFor))
	}
	if r.Before >= 0 && r.After >= 0 {
		row("in the ledger", "%s lines before, %s after: %s added", count(r.Before), count(r.After), count(r.After-r.Before))
	}
	_ = t.Flush() // into memory
}

func (r *Report) writeAudit(b *bytes.Buffer) {
	a := r.Audit
	fmt.Fprintf(b, "\nAudit of %s keys (%s accepted, %s refused, %s unknown of which %s recorded) in %s; target's clock %s to %s ahead\n\n",
		count(a.Counts.Keys), count(a.Counts.Accepted), count(a.Counts.Refused), count(a.Counts.Unknown), count(a.Counts.UnknownRecorded), short(r.AuditFor),
		short(a.ClockLow), short(a.ClockHigh))
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, c := range a.Checks {
		verdict := string(c.Verdict())
		if c.Verdict() == audit.Broken {
			verdict = "BROKEN " + count(c.Broken)
		}
		claim := c.Claim
		if c.Note != "" {
			claim += " [" + c.Note + "]"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s checked\t%s\n", c.Invariant, verdict, count(c.Checked), claim)
	}
	_ = t.Flush() // into memory
	for _, c := range a.Checks {
		for i, v := range c.Violations {
			if i == 0 {
				fmt.Fprintf(b, "\n%s: %s\n", c.Invariant, c.Claim)
			}
			fmt.Fprintf(b, "  %s\n", strings.TrimSpace(strings.Join([]string{v.ID, v.Ref, v.Detail}, "  ")))
		}
		if more := c.Broken - int64(len(c.Violations)); more > 0 {
			fmt.Fprintf(b, "  and %s more\n", count(more))
		}
	}
}

func (r *Report) writeSums(b *bytes.Buffer) {
	s := &r.Audit.Sums
	currency, of := r.Currency, "gifts"
	if s.SourceRows > r.Sending.Planned+r.Skipped {
		of = "parts of gifts" // some went to several campaigns
	}
	amount := func(rows, minor int64) string {
		if rows < 0 {
			return "not read"
		}
		if currency == "" {
			return fmt.Sprintf("%s minor units in %s %s", count(minor), count(rows), of)
		}
		return fmt.Sprintf("%s in %s %s", money.Amount{Minor: minor, Currency: currency}, count(rows), of)
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  source\t%s\n  ledger\t%s\n", amount(s.SourceRows, s.SourceMinor), amount(s.LedgerRows, s.LedgerMinor))
	fmt.Fprintf(t, "  pledged\t%s\n  public\t%s\n", amount(s.PledgedRows, s.PledgedMinor), amount(s.PublicRows, s.PublicMinor))
	_ = t.Flush() // into memory
	if !s.Complete {
		b.WriteString("  Not every row of the source was acknowledged, so the sums differ by those.\n")
	}
	b.WriteString("\n")
}

func when(say bool, format string, args ...any) string {
	if !say {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func refused(by map[int]int64) string {
	if len(by) == 0 {
		return "0"
	}
	var codes []int
	for code := range by {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	var parts []string
	for _, code := range codes {
		parts = append(parts, fmt.Sprintf("%s with %d", count(by[code]), code))
	}
	return strings.Join(parts, ", ")
}

func spread(d Distribution) string {
	if d.Count == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", short(d.P50), short(d.P90), short(d.P99), short(d.P999), short(d.Max))
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	unit := time.Duration(1)
	for abs := d.Abs(); abs/1000 >= unit; { // 1000*unit would overflow for the longest ones
		unit *= 10
	}
	return d.Round(unit).String()
}

// count writes a number with its thousands apart.
func count(n int64) string {
	if n < 0 {
		return "-" + count(-n)
	}
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
