package capacity

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is a search and what it means for the event that is expected.
type Report struct {
	Target    string    `json:"target"`
	StartedAt time.Time `json:"started_at"`
	// Machine is in words; Together tells that the generator ran on the installation's.
	Machine  string `json:"machine"`
	Together bool   `json:"together"`
	// Command repeats it, secrets left out; "" when nobody said.
	Command string  `json:"command,omitempty"`
	Result  *Result `json:"result"`
	Plan    *Plan   `json:"plan,omitempty"` // nil when no event is expected
}

// moreGenerators is what to do where the generator is the limit.
const moreGenerators = `To find more: give the generator a machine of its own (--target URL with --database-url, --nats-url and --secrets, from another host);
raise --connections when requests waited for one; search from several hosts at once, each with its share (--most R), and add up what they hold.`

// Line is one trial in one line.
func (t *Trial) Line() string {
	text := fmt.Sprintf("%9s/s  %-14s  ack p99 %-8s  stale p99 %-8s  drain %-8s  failed %.2f %%  own lateness p99 %s",
		rate(t.Rate), t.Verdict, short(t.AckP99), short(t.StalenessP99), short(t.Drain), 100*t.ErrorShare(), short(t.LatenessP99))
	switch {
	case t.Verdict == Late:
		text += ": " + t.Why
	case len(t.Breaches) > 0 && t.Verdict == Broke:
		text += ": " + string(t.Breaches[0].Level)
	}
	return text
}

// WriteTable writes the report for people, the verdict first.
func (r *Report) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	found := r.Result
	if p := r.Plan; p != nil {
		word, holds := "NOT ENOUGH", "holds"
		switch {
		case p.Met:
			word = "ENOUGH"
		case found.AtLeast():
			word, holds = "NOT SHOWN", "holds at least"
		}
		fmt.Fprintf(&b, "\n%s: this stack %s %s donations/s; your day needs %s; headroom %.1fx (wanted %.1fx).\n", word, holds, rate(p.Holds), rate(p.Need), p.Headroom, p.Wanted)
	}
	fmt.Fprintf(&b, "\n%s%s.\n", strings.ToUpper(found.Sentence()[:1]), found.Sentence()[1:])
	fmt.Fprintf(&b, "Levels: ack p99 %s, errors %.2f %%, staleness p99 %s, drain %s. Target %s, %s%s.\n", short(found.Levels.AckP99), 100*found.Levels.ErrorShare,
		short(found.Levels.StalenessP99), short(found.Levels.Drain), r.Target, r.Machine, map[bool]string{true: ", the generator on it too"}[r.Together])
	fmt.Fprintf(&b, "Method: %s.\n", found.Method)
	switch {
	case found.Limit == LimitGenerator && found.GeneratorWhy != "":
		fmt.Fprintf(&b, "The generator offered up to %s/s as planned. %s\n", rate(found.GeneratorHeld), moreGenerators)
	case found.Limit == LimitAsked:
		b.WriteString("More was not asked for: raise --most.\n")
	case found.Spent && !found.Precise:
		b.WriteString("The time budget ended the search before it was as precise as asked for: a longer --budget narrows it.\n")
	}
	if c := found.Cause; c != nil {
		c.write(&b)
	}
	b.WriteString("\nTrials\n")
	for i := range found.Trials {
		fmt.Fprintf(&b, "  %s\n", found.Trials[i].Line())
	}
	if r.Plan != nil {
		r.Plan.write(&b)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (c *Cause) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "\nWhat gave way first, at %s/s: %s (%s), %s into the trial.\n", rate(c.Rate), c.Breaches[0].Level, c.Breaches[0].Text, short(c.Breaches[0].After))
	for _, also := range c.Breaches[1:] {
		fmt.Fprintf(b, "  then %s (%s)\n", also.Level, also.Text)
	}
	if c.Nearest == nil {
		b.WriteString("  No resource of the installation could be measured from here.\n")
		return
	}
	fmt.Fprintf(b, "  Nearest its limit then: %s, %.0f %% in use%s\n", c.Nearest.Name, 100*c.Nearest.Share, beside(c.Nearest.Text))
	for _, u := range c.Others {
		fmt.Fprintf(b, "    %-40s %4.0f %%%s\n", u.Name, 100*u.Share, beside(u.Text))
	}
	for _, reason := range slices.Sorted(maps.Keys(c.Reasons)) {
		fmt.Fprintf(b, "    refused by front-ends: %s %d times\n", reason, c.Reasons[reason])
	}
}

func beside(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func (p *Plan) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "\nThe expected event: %s\n  %s donations; busiest second %s/s, %s after the opening; busiest minute %s/s, %s after the opening\n", p.Event,
		count(p.Donations), rate(p.BusiestSecond), short(p.BusiestSecondAt), rate(p.BusiestMinute), short(p.BusiestMinuteAt))
	b.WriteString("\nThe queue of charges, at so many calls a second\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  pace\tlongest wait\tmost queued\tempty again\twait longer than %s\tthan %s\n", TokenLifeShort, TokenLifeLong)
	for _, q := range p.Queues {
		name := rate(q.Pace) + "/s"
		if q.Pace == p.Pace {
			name += " (yours)"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s after the opening\t%s\t%s\n", name, short(q.LongestWait), count(q.Most), short(q.EmptyAt), count(q.BeyondShort), count(q.BeyondLong))
	}
	_ = t.Flush() // into memory
	fmt.Fprintf(b, "  A confirmation token lives %s by one of Stripe's pages and %s by another: a donation that waits longer needs its donor's card again.\n", TokenLifeShort, TokenLifeLong)
	if p.Ask == 0 {
		fmt.Fprintf(b, "  %s/s are enough for no donation to wait longer than %s; you have %s/s.\n", rate(p.PaceNeeded), short(p.WaitMost), rate(p.Pace))
		return
	}
	fmt.Fprintf(b, "  %s/s are needed for no donation to wait longer than %s; ask for %s/s", rate(p.PaceNeeded), short(p.WaitMost), rate(p.Ask))
	switch {
	case p.Late:
		fmt.Fprintf(b, ". It should have been asked for by %s: ask today, and plan with the pace that you have.\n", p.AskBy)
	case p.AskBy != "":
		fmt.Fprintf(b, " by %s at the latest: large raises take about six weeks.\n", p.AskBy)
	default:
		b.WriteString(" six weeks before the day at the latest (--day-at DATE says which day that is).\n")
	}
	fmt.Fprintf(b, "\nThe request, ready to send\n\n%s\n", indent(p.Request))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
