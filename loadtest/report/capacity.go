package report

import (
	"bytes"
	_ "embed" // the template
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"spillway/loadtest/capacity"
)

//go:embed capacity.gohtml
var capacityText string

var capacityPage = template.Must(template.New("capacity").Funcs(functions).Parse(capacityText))

// WriteCapacity writes what a search for capacity found as a page of the same kind.
// Errors are those of w; nothing is written unless the page is whole.
func WriteCapacity(w io.Writer, r *capacity.Report) error {
	var b bytes.Buffer
	if err := capacityPage.Execute(&b, newCapacityView(r)); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// capacityView is what its template shows.
type capacityView struct {
	Style    template.CSS
	Title    string
	Headline string
	Tone     Tone
	About    []fact
	Answers  []Answer
	Advice   []Advice
	Facts    []fact
	Picture  *trialPicture
	Trials   []trialRow
	Cause    *capacity.Cause
	Uses     []limitRow
	Plan     *planView
	Setting  []fact
	Command  string
	Words    []fact
}

// planView is the queue of charges at several paces.
type planView struct {
	Event   string
	Queues  []queueRow
	Need    string // what pace is needed, and by when to ask for it
	Request string // "" when none is
}

type queueRow struct{ Pace, Longest, Most, Empty, Short, Long, Tone string }

type trialRow struct {
	Rate, Verdict, Ack, Staleness, Drain, Failed, Lateness, Why string
	Tone                                                        Tone
}

func newCapacityView(r *capacity.Report) *capacityView {
	found := r.Result
	v := &capacityView{
		Style: template.CSS(pageStyle), //nolint:gosec // our own
		Title: "Capacity of " + r.Target, Cause: found.Cause, Command: r.Command, Words: capacityWords,
		Picture: pictureOf(found), Tone: Good, Headline: capital(found.Sentence()) + ".",
		About: []fact{{Name: "Where", Text: r.Target}, {Name: "When", Text: r.StartedAt.UTC().Format("2 January 2006, 15:04 UTC")}, {Name: "Took", Text: long(found.Took)}},
	}
	unproven := 0
	for i := range found.Trials {
		v.Trials = append(v.Trials, trialRowOf(&found.Trials[i]))
		unproven += len(found.Trials[i].Unproven)
	}
	switch found.Limit {
	case capacity.LimitNone:
		v.Tone = Bad
	case capacity.LimitUnknown:
		v.Tone = Warn
	}
	if p := r.Plan; p != nil {
		word, holds := "Enough", "holds"
		switch {
		case !p.Met && found.AtLeast():
			v.Tone, word, holds = Warn, "Not shown", "holds at least"
		case !p.Met:
			v.Tone, word = Warn, "Not enough"
			if p.Headroom < 1 {
				v.Tone = Bad
			}
		}
		v.Headline = fmt.Sprintf("%s: this stack %s %s gifts a second; your day needs %s; headroom %s.", word, holds, rate(p.Holds), rate(p.Need), times(p.Headroom))
		v.Plan = planOf(p)
	}
	if unproven > 0 {
		v.Tone, v.Headline = Bad, "A trial's proof does not hold: that comes before any rate."
	}
	if c := found.Cause; c != nil {
		v.Uses = usesOf(c)
	}
	v.Answers = capacityAnswers(r, unproven)
	v.Advice = capacityAdvice(r, unproven)
	v.Facts = capacityFacts(r)
	v.Setting = []fact{{Name: "machine", Text: r.Machine, Note: map[bool]string{true: "the generator on it too"}[r.Together]}, {Name: "method", Text: found.Method}}
	return v
}

// times writes a multiple.
func times(x float64) string { return trimmed(x, 1) + " times" }

func capacityAnswers(r *capacity.Report, unproven int) (all []Answer) {
	found, plan := r.Result, r.Plan
	if plan != nil {
		a := Answer{Question: "Does it hold the day that you expect?", Tone: Good}
		a.Text = fmt.Sprintf("Yes: at the peak of %s gifts a second it has %s what is needed, and %s were wanted.", rate(plan.Need), times(plan.Headroom), times(plan.Wanted))
		if !plan.Met {
			a.Tone = Warn
			a.Text = fmt.Sprintf("Not with the headroom that was wanted: the peak is %s gifts a second, and it holds %s that; wanted were %s.", rate(plan.Need), times(plan.Headroom), times(plan.Wanted))
			switch {
			case found.AtLeast():
				a.Text = fmt.Sprintf("That is not shown: the peak is %s gifts a second, with %s that wanted, and no more than %s was asked of it here.", rate(plan.Need), times(plan.Wanted), rate(plan.Holds))
			case plan.Headroom < 1:
				a.Tone = Bad
				a.Text = fmt.Sprintf("No: the peak is %s gifts a second, and it holds %s.", rate(plan.Need), rate(plan.Holds))
			}
		}
		all = append(all, a)
	}
	upTo := Answer{Question: "Up to what rate?", Tone: Good, Text: capital(found.Sentence()) + "."}
	switch {
	case found.Knee != nil:
		upTo.More = fmt.Sprintf("Plan with %s, the lower end. At the knee every second trial holds.", rate(found.Sure))
		if !found.Precise {
			upTo.More += " The interval is wider than was asked for: a longer budget narrows it."
		}
	case found.Limit == capacity.LimitNone:
		upTo.Tone = Bad
	case found.Limit == capacity.LimitUnknown:
		upTo.Tone = Warn
	}
	all = append(all, upTo)
	gave := Answer{Question: "What gave way first?", Tone: Good, Text: "Nothing, up to there."}
	if c := found.Cause; c != nil && len(c.Breaches) > 0 {
		gave.Tone = Warn
		gave.Text = fmt.Sprintf("At %s gifts a second: %s (%s), %s into the trial.", rate(c.Rate), c.Breaches[0].Level, c.Breaches[0].Text, long(c.Breaches[0].After))
		gave.More = "No resource of the installation could be measured from here."
		if c.Nearest != nil {
			gave.More = fmt.Sprintf("Nearest its limit then: %s, %s in use.", c.Nearest.Name, percent(c.Nearest.Share))
		}
	} else if found.GeneratorWhy != "" {
		gave.Tone, gave.Text = Warn, "The generator, not the installation: "+found.GeneratorWhy+"."
	}
	all = append(all, gave)
	lost := Answer{Question: "Was anything lost?", Tone: Good,
		Text: fmt.Sprintf("Nothing: each of the %s had a proof of its own, against the ledger and the totals, and all of them hold.", plural(int64(len(found.Trials)), "trial", "trials"))}
	if unproven > 0 {
		lost.Tone, lost.Text = Bad, "Yes, or counted wrongly: the search was ended by it. The trial is the last one below; its record is kept."
	}
	return append(all, lost)
}

func capacityAdvice(r *capacity.Report, unproven int) (all []Advice) {
	found, plan := r.Result, r.Plan
	say := func(command, format string, args ...any) {
		all = append(all, Advice{Text: fmt.Sprintf(format, args...), Command: command})
	}
	if unproven > 0 {
		say("spillway verify --deep --rebuild", "Do not open with this build, and keep the installation's data: they are the evidence.")
	}
	if c := found.Cause; c != nil && c.Nearest != nil && (plan == nil || !plan.Met) {
		say("", "Give it more of what was nearest its limit, %s, and search again.", c.Nearest.Name)
	}
	if found.Limit == capacity.LimitAsked && plan != nil && !plan.Met {
		say("", "Search on with a higher --most: this search ended at the most that it was to ask for.")
	}
	if (found.Limit == capacity.LimitGenerator || found.Limit == capacity.LimitUnknown) && found.GeneratorWhy != "" {
		say("spillway rehearse capacity --target URL --database-url URL --nats-url URL --secrets FILE", "Give the generator a machine of its own: the installation may hold more than could be asked of it here.")
	} else if r.Together {
		say("spillway rehearse capacity --target URL --database-url URL --nats-url URL --secrets FILE", "Search on the real installation too: here generator, broker and database shared one machine.")
	}
	switch {
	case plan == nil:
		say("spillway rehearse capacity --expect-replay gifts.csv.gz --donors 2 --day-at 2026-12-01", "Hold it against your day: last year's gifts, with as many times the donors as you expect.")
	case plan.Ask > 0:
		say("", "Ask the processor for %s charges a second%s. The text is below, ready to send.", rate(plan.Ask), askBy(plan))
	default:
		say("", "Nothing has to be asked of the processor: %s charges a second are enough for no gift to wait longer than %s, and you have %s.", rate(plan.PaceNeeded), long(plan.WaitMost), rate(plan.Pace))
	}
	return all
}

// askBy says by when a raise has to be asked for.
func askBy(p *capacity.Plan) string {
	switch {
	case p.Late:
		return " today: it should have been asked for by " + p.AskBy
	case p.AskBy != "":
		return " by " + p.AskBy + " at the latest"
	}
	return ", six weeks before the day at the latest"
}

func capacityFacts(r *capacity.Report) (all []fact) {
	found := r.Result
	all = append(all, fact{Name: "plan with", Text: rate(found.Sure) + " a second", Note: "gifts"})
	if k := found.Knee; k != nil {
		all = append(all, fact{Name: "the knee", Text: rate(found.Rate) + " a second", Note: fmt.Sprintf("from %s to %s with %s confidence", rate(k.Low), rate(k.High), percent(k.Confidence))})
	}
	all = append(all, fact{Name: "the generator offered", Text: rate(found.GeneratorHeld) + " a second", Note: "as planned, at most"})
	l := &found.Levels
	all = append(all, fact{Name: "levels", Text: long(l.AckP99) + " p99", Note: fmt.Sprintf("until the answer; errors up to %s, totals at most %s old, books complete after %s", percent(l.ErrorShare), long(l.StalenessP99), long(l.Drain))})
	if p := r.Plan; p != nil {
		all = append(all, fact{Name: "the day's busiest second", Text: rate(p.BusiestSecond) + " gifts", Note: long(p.BusiestSecondAt) + " after the opening"},
			fact{Name: "the day's busiest minute", Text: rate(p.BusiestMinute) + " a second", Note: long(p.BusiestMinuteAt) + " after the opening"})
	}
	return all
}

func trialRowOf(t *capacity.Trial) trialRow {
	row := trialRow{Rate: rate(t.Rate), Verdict: string(t.Verdict), Ack: long(t.AckP99), Staleness: long(t.StalenessP99), Drain: long(t.Drain),
		Failed: percent(t.ErrorShare()), Lateness: long(t.LatenessP99), Why: t.Why, Tone: Good}
	if !t.Drained {
		row.Drain = "not within " + row.Drain
	}
	switch {
	case len(t.Unproven) > 0:
		row.Tone, row.Why = Bad, strings.Join(t.Unproven, "; ")
	case t.Verdict == capacity.Broke:
		row.Tone = Bad
		var levels []string
		for _, b := range t.Breaches {
			levels = append(levels, string(b.Level))
		}
		row.Why = strings.Join(levels, ", then ")
	case t.Verdict != capacity.Held:
		row.Tone = ""
	}
	return row
}

// usesOf are the resources of the trial that gave way, the fullest first.
func usesOf(c *capacity.Cause) (all []limitRow) {
	add := func(u *capacity.Use) {
		row := limitRow{Name: capital(u.Name), Seen: u.Text, Share: percent(u.Share), Width: int(min(100, max(1, 100*u.Share))), Tone: Good}
		switch {
		case u.Part:
			row.Tone, row.When = "", "a part of another"
		case u.Share > 0.8:
			row.Tone = Warn
		}
		all = append(all, row)
	}
	if c.Nearest != nil {
		add(c.Nearest)
	}
	for i := range c.Others {
		add(&c.Others[i])
	}
	for _, reason := range slices.Sorted(maps.Keys(c.Reasons)) {
		all = append(all, limitRow{Name: "Refused by front-ends: " + reason, Seen: plural(c.Reasons[reason], "time", "times")})
	}
	return all
}

func planOf(p *capacity.Plan) *planView {
	v := &planView{Request: p.Request,
		Event: fmt.Sprintf("%s: %s gifts. The busiest second has %s, %s after the opening; the busiest minute %s a second, %s after it.", p.Event, rate(p.Donations),
			rate(p.BusiestSecond), long(p.BusiestSecondAt), rate(p.BusiestMinute), long(p.BusiestMinuteAt))}
	for _, q := range p.Queues {
		row := queueRow{Pace: rate(q.Pace) + " a second", Longest: long(q.LongestWait), Most: count(int64(math.Round(q.Most))), Empty: long(q.EmptyAt) + " after the opening",
			Short: count(int64(math.Round(q.BeyondShort))), Long: count(int64(math.Round(q.BeyondLong))), Tone: string(Good)}
		switch {
		case q.BeyondLong > 0:
			row.Tone = string(Bad)
		case q.LongestWait > p.WaitMost:
			row.Tone = string(Warn)
		}
		switch q.Pace {
		case p.Pace:
			row.Pace += " (yours)"
		case p.Ask:
			row.Pace += " (to ask for)"
		}
		v.Queues = append(v.Queues, row)
	}
	v.Need = fmt.Sprintf("%s charges a second are needed for no gift to wait longer than %s; you have %s.", rate(p.PaceNeeded), long(p.WaitMost), rate(p.Pace))
	if p.Ask > 0 {
		v.Need += fmt.Sprintf(" Ask for %s%s: large raises take about six weeks.", rate(p.Ask), askBy(p))
	}
	return v
}

// trialPicture shows every trial at its rate and with its wait for the answer.
type trialPicture struct {
	Desc           string
	XTicks, YTicks []tick
	Level          string // percent from above; "" when it is out of the picture
	LevelText      string
	Knee, Width    string // percent; "" without a knee
	Marks          []trialMark
}

// trialMark is one trial; X and Y are percents.
type trialMark struct{ X, Y, Class, Glyph, Title string }

// glyphs tell the verdicts apart without colours.
var glyphs = map[capacity.Verdict][2]string{capacity.Held: {"good", "●"}, capacity.Broke: {"bad", "✕"}, capacity.Late: {"late", "○"}, capacity.Warmed: {"late", "·"}}

// pictureOf draws them; nil when there are fewer than two.
func pictureOf(r *capacity.Result) *trialPicture {
	var low, high, fast, slow float64
	n := 0
	for i := range r.Trials {
		t := &r.Trials[i]
		if t.AckP99 <= 0 || t.Rate <= 0 {
			continue
		}
		y := float64(t.AckP99)
		if n == 0 {
			low, high, fast, slow = t.Rate, t.Rate, y, y
		}
		low, high, fast, slow = min(low, t.Rate), max(high, t.Rate), min(fast, y), max(slow, y)
		n++
	}
	if n < 2 {
		return nil
	}
	if k := r.Knee; k != nil {
		low, high = min(low, k.Low), max(high, k.High)
	}
	low, high = low/1.1, high*1.1
	fast, slow, steps := axis(fast, slow, true)
	across := func(v float64) float64 { return math.Log(v/low) / math.Log(high/low) }
	down := func(v float64) float64 { return 1 - math.Log(max(v, fast)/fast)/math.Log(slow/fast) }
	p := &trialPicture{Desc: fmt.Sprintf("%d trials from %s to %s gifts a second; the table below has each of them.", n, rate(low*1.1), rate(high/1.1))}
	for _, s := range steps {
		p.YTicks = append(p.YTicks, tick{At: hundredths(down(s)), Text: long(time.Duration(s))})
	}
	p.XTicks = rateTicks(low, high, across)
	if level := float64(r.Levels.AckP99); level >= fast && level <= slow {
		p.Level, p.LevelText = hundredths(down(level)), long(r.Levels.AckP99)+", the level"
	}
	if k := r.Knee; k != nil {
		p.Knee, p.Width = hundredths(across(k.Low)), hundredths(max(0.002, across(k.High)-across(k.Low)))
	}
	for i := range r.Trials {
		t := &r.Trials[i]
		if t.AckP99 <= 0 || t.Rate <= 0 {
			continue
		}
		g := glyphs[t.Verdict]
		p.Marks = append(p.Marks, trialMark{X: hundredths(across(t.Rate)), Y: hundredths(down(float64(t.AckP99))), Class: g[0], Glyph: g[1],
			Title: fmt.Sprintf("%s a second: %s, %s", rate(t.Rate), t.Verdict, long(t.AckP99))})
	}
	return p
}

// rateTicks are labels at 1, 2 and 5 times powers of ten, as few as a phone has room for.
func rateTicks(low, high float64, across func(float64) float64) (all []tick) {
	for _, steps := range [][]float64{{1, 2, 5}, {1, 5}, {1}} {
		all = all[:0]
		for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high; power *= 10 {
			for _, s := range steps {
				if v := s * power; v >= low && v <= high {
					all = append(all, tick{At: hundredths(across(v)), Text: rate(v), Anchor: "middle"})
				}
			}
		}
		if len(all) <= ticksMost {
			break
		}
	}
	if len(all) == 0 { // all trials lie between two of them
		all = append(all, tick{At: "5.00", Text: rate(low * 1.1), Anchor: "start"}, tick{At: "95.00", Text: rate(high / 1.1), Anchor: "end"})
	}
	return all
}

// capacityWords are those that a reader may not know.
var capacityWords = append([]fact{
	{Name: "knee", Text: "the rate up to which the levels hold: a little below it nearly every trial holds, a little above it nearly every one breaks"},
	{Name: "confidence", Text: "how often such an interval holds the knee: 19 times of 20 for 95 %"},
	{Name: "levels", Text: "what has to hold for a rate to be called good"},
	{Name: "headroom", Text: "how many times your day's peak it holds"},
	{Name: "generator late", Text: "a trial in which the rehearsal's own generator was late or offered another rate: it says nothing about the installation"},
}, words...)
