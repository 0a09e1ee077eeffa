package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/audit"
	"spillway/loadtest/timeline"
)

// Tone says how bad an answer is.
type Tone string

// The tones.
const (
	Good Tone = "good"
	Warn Tone = "warn"
	Bad  Tone = "bad"
)

// Verdict is the rehearsal in plain words.
type Verdict struct {
	Tone     Tone
	Headline string
	Answers  []Answer
	// Advice is what to do before the day, the most urgent first.
	Advice []Advice
	// Failures and Warnings are the rehearsal's own.
	Failures, Warnings []string
}

// Advice is one thing to do, with the command for it, if there is one.
type Advice struct{ Text, Command string }

// Answer is one of the questions that every reader has.
type Answer struct {
	Question string
	Tone     Tone
	Text     string
	More     string
}

// Facts that advice stands on.
const (
	// processorDefault is how many charges a second Stripe allows by default
	// (docs.stripe.com/rate-limits).
	processorDefault = 25
	// tokenLife is how long a card's token may wait for its charge.
	tokenLife = 12 * time.Hour
	// readersExpected is how many look at pages for each that gives, on a real day.
	readersExpected = 100
	// rateTolerated is how far served may be from asked for: a percent.
	rateTolerated = 0.01
)

// judge answers the questions.
func judge(r *loadtest.Report, limits []limit) *Verdict {
	v := &Verdict{Failures: r.Failures, Warnings: r.Warnings}
	gave := first(limits, (*limit).gave)
	shown, shownAt, shownFor := busiest(r, kept)
	asked, _, _ := busiest(r, func(*timeline.Point) bool { return true })
	short := shown < asked*(1-rateTolerated)
	switch {
	case !r.Holds:
		v.Tone, v.Headline = Bad, "It does not hold: the proof is broken."
		if len(brokenChecks(r)) == 0 {
			v.Headline = "It is not proven: the rehearsal did not come to its end."
		}
	case gave != nil && shown > 0:
		v.Tone, v.Headline = Warn, fmt.Sprintf("The books hold, but it kept up to %s gifts a second only.", rate(shown))
		if !short {
			v.Headline = "The books hold, but it did not keep up all the time."
		}
	case gave != nil:
		v.Tone, v.Headline = Warn, "The books hold, but it did not keep up."
	case r.Stopped:
		v.Tone, v.Headline = Warn, fmt.Sprintf("It held up to %s gifts a second, and was stopped early.", rate(shown))
	case first(limits, (*limit).full) != nil:
		v.Tone, v.Headline = Good, fmt.Sprintf("It holds at %s gifts a second, with nothing to spare.", rate(shown))
	default:
		v.Tone, v.Headline = Good, fmt.Sprintf("It holds at %s gifts a second.", rate(shown))
	}
	v.Answers = []Answer{
		holds(r, gave), upTo(r, limits, shown, asked, shownAt, shownFor), gaveWay(limits, gave), lost(r),
	}
	v.Advice = advise(r, limits, gave, asked)
	return v
}

// first is the limit that was met first of those that is says; nil when none was.
func first(limits []limit, is func(*limit) bool) (found *limit) {
	for i := range limits {
		l := &limits[i]
		if is(l) && (found == nil || l.first >= 0 && (found.first < 0 || l.first < found.first)) {
			found = l
		}
	}
	return found
}

func brokenChecks(r *loadtest.Report) (all []*audit.Check) {
	if r.Audit == nil {
		return nil
	}
	for _, c := range r.Audit.Checks {
		if c.Broken > 0 {
			all = append(all, c)
		}
	}
	return all
}

func holds(r *loadtest.Report, gave *limit) Answer {
	a := Answer{Question: "Does it hold?", Tone: Good}
	s := &r.Sending
	served := fmt.Sprintf("Of %s planned, %s were acknowledged; half the donors waited at most %s, 99 of 100 at most %s.",
		plural(s.Planned, "gift", "gifts"), count(s.Accepted), long(s.Latency.P50), long(s.Latency.P99))
	switch {
	case !r.Holds:
		a.Tone, a.Text = Bad, "No. "+strings.Join(sentences(r.Failures), " ")
	case gave != nil:
		a.Tone, a.Text = Warn, "The books do: every answer that was given is accounted for. The service did not keep up all the time."
	default:
		a.Text = "Yes. Every answer that was given is accounted for, and donors were served as they should be."
	}
	a.More = served
	return a
}

// sentences makes lines into sentences.
func sentences(lines []string) (all []string) {
	for _, l := range lines {
		if l == "" {
			continue
		}
		all = append(all, strings.ToUpper(l[:1])+l[1:]+".")
	}
	return all
}

func upTo(r *loadtest.Report, limits []limit, shown, asked float64, at, length time.Duration) Answer {
	gave, full := first(limits, (*limit).gave), first(limits, (*limit).full)
	a := Answer{Question: "Up to what rate?", Tone: Good}
	switch {
	case shown == 0:
		a.Tone, a.Text = Warn, "No rate is shown: there is no stretch of seconds in which all gifts were served as they should be."
		if asked > 0 {
			a.More = fmt.Sprintf("It was asked for up to %s gifts a second.", rate(asked))
		}
	case gave != nil && shown < asked*(1-rateTolerated):
		a.Tone = Warn
		a.Text = fmt.Sprintf("%s gifts a second, shown over %s from %s on. Asked for were up to %s.", rate(shown), long(length), clock(at), rate(asked))
	default:
		a.Text = fmt.Sprintf("At least %s gifts a second, shown over %s from %s on.", rate(shown), long(length), clock(at))
		if peak := bestSecond(r); float64(peak) > shown {
			a.Text += fmt.Sprintf(" The busiest single second had %s.", count(peak))
		}
		a.More = "More was not asked for, so where the limit lies is not known."
		if full != nil {
			a.More = fmt.Sprintf("More was not asked for. Do not expect much more; at its limit: %s.", full.name)
		}
	}
	if !r.Holds {
		a.Tone = Bad
		a.More = strings.TrimSpace(a.More + " A rate is worth nothing while the proof is broken.")
	}
	return a
}

func gaveWay(limits []limit, gave *limit) Answer {
	a := Answer{Question: "What gave way first?", Tone: Good}
	if gave != nil {
		a.Tone = Warn
		a.Text = capital(gave.met())
		for i := range limits {
			if l := &limits[i]; (l.gave() || l.full()) && l != gave {
				a.More += " " + capital(l.met())
			}
		}
	} else {
		a.Text = "Nothing that donors would feel."
		used := false
		for i := range limits {
			if l := &limits[i]; l.full() {
				also := " At its limit: "
				if used {
					also = " And "
				}
				used, a.Tone = true, Warn
				a.Text += also + l.met()
			}
		}
		for i := range limits {
			if l := &limits[i]; !l.soft && !used {
				a.Text += fmt.Sprintf(" Of the limits that they would feel, the closest: %s, %s, where %s is the limit.", l.name, l.seen, l.most)
				break
			}
		}
	}
	for i := range limits {
		if l := &limits[i]; l.soft && l.share > 1 {
			a.More += fmt.Sprintf(" Gifts came faster than cards may be charged (%s, %s): the charge queue grew, as it is meant to, and donors did not feel it.", l.seen, l.most)
		}
	}
	a.More = strings.TrimSpace(a.More)
	return a
}

// met says in a sentence that, and when, a limit was met.
func (l *limit) met() string {
	when := "."
	if l.first >= 0 {
		when = ", first at " + clock(l.first) + "."
	}
	return fmt.Sprintf("%s, %s, where %s is the limit%s", l.name, l.seen, l.most, when)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func lost(r *loadtest.Report) Answer {
	a := Answer{Question: "Was anything lost?", Tone: Good}
	if r.Audit == nil {
		a.Tone, a.Text = Bad, "Nobody looked: there is no audit in this report."
		return a
	}
	c := r.Audit.Counts
	var stored, booked int64
	for _, check := range brokenChecks(r) {
		switch check.Invariant {
		case "I1":
			stored += check.Broken
		case "I2", "I7":
			booked += check.Broken
		}
	}
	switch {
	case stored > 0:
		a.Tone, a.Text = Bad, fmt.Sprintf("Yes. %s what donors were told. Their IDs are below.", plural(stored, "acknowledged donation is not in the ledger, or not as", "acknowledged donations are not in the ledger, or not as"))
	case booked > 0:
		a.Tone, a.Text = Bad, fmt.Sprintf("Nothing that was acknowledged; but %s in the books that should not be there, or differ from the processor's. Their IDs are below.", plural(booked, "thing is", "things are"))
	case !r.Holds:
		a.Tone, a.Text = Warn, fmt.Sprintf("None of the %s acknowledged donations that were looked at; but something else is wrong, see above.", count(c.Accepted))
	default:
		which := ""
		if c.Accepted > r.Sending.Accepted {
			which = ", the rehearsal's own probes among them,"
		}
		a.Text = fmt.Sprintf("Nothing. Each of the %s acknowledged donations%s is in the ledger exactly once, as it was sent, and none was counted twice.", count(c.Accepted), which)
	}
	if c.Unknown > 0 {
		a.More = fmt.Sprintf("%s never had a definite answer; %s in the ledger all the same, once.", plural(c.Unknown, "gift", "gifts"), plural(c.UnknownRecorded, "of them is", "of them are"))
	}
	if m := r.Charging; m != nil && m.Ended && r.Holds {
		a.More = strings.TrimSpace(a.More + " Nobody was charged twice: every one came to its end at the processor, charged once, declined or abandoned, and both sides' books agree to the cent.")
	}
	return a
}

// advise says what to do before the day.
func advise(r *loadtest.Report, limits []limit, gave *limit, asked float64) (all []Advice) {
	say := func(command, format string, args ...any) {
		all = append(all, Advice{Text: fmt.Sprintf(format, args...), Command: command})
	}
	if len(brokenChecks(r)) > 0 {
		say("spillway verify --deep --rebuild", "Do not open with this build. Keep the installation's data and the record %s: they are the evidence. Look for the IDs below.", r.Record)
	}
	if !r.Drained {
		say("", "Find out why the totals did not catch up: look at the ledger's log and at the backlog below, then repeat.")
	}
	if m := r.Charging; m != nil && !m.Ended {
		say("spillway payments pace status", "Find out why %s did not come to an end at the processor, then repeat.", plural(m.Left, "donation", "donations"))
	}
	for i := range limits {
		if l := &limits[i]; l.gave() || l.full() {
			say("", "%s", l.advice)
		}
	}
	if r.Setting != nil && r.Setting.Together {
		say("spillway rehearse --target URL --database-url URL --nats-url URL --secrets FILE", "Rehearse the real installation too: here generator, broker and database shared one machine.")
	}
	if gave == nil && asked > 0 {
		most := max(asked, float64(bestSecond(r)))
		say("spillway rehearse capacity --expect "+strconv.Itoa(int(math.Ceil(2*most))),
			"Find the limit: this one had %s gifts in its busiest second. Estimate the hottest second of your day, double it, and put it in place of the number here.", rate(most))
	}
	if n := r.Sending.Accepted; n > 0 {
		took := time.Duration(math.Ceil(float64(n)/processorDefault)) * time.Second
		text := fmt.Sprintf("Mind the processor's limit: at Stripe's default of %d charges a second these %s gifts take %s to charge.", processorDefault, count(n), long(took))
		if took > tokenLife {
			text += " Cards expire before that: their tokens live 12 hours at most."
		}
		if c := r.Charging; c != nil && c.Allowed > processorDefault {
			text += fmt.Sprintf(" This rehearsal's processor allowed %s.", rate(c.Allowed))
		}
		say("", "%s Ask for a raise six weeks before the day if yours needs one.", text)
	}
	if t := r.Timeline; t == nil || !faulted(t) {
		say("spillway rehearse --storms 3s/30s --timeouts 1% --webhooks lost=3%,twice=5%,late=10%", "Break things on purpose: nothing was broken in this rehearsal. For a beginning, have the processor refuse all calls for 3 s of every 30, answer 1 %% of them too late, and lose, double and delay its messages:")
	}
	if names := untested(r); len(names) > 0 {
		say("", "Repeat with what was not tested here: %s.", strings.Join(names, ", "))
	}
	if readers := readersPerGift(r); r.Setting != nil && readers < readersExpected {
		had := "there was nobody but " + plural(int64(r.Setting.Watchers), "watcher", "watchers")
		if readers > 0 {
			had = "pages were read " + rate(readers) + " times for each gift"
			if readers == 1 {
				had = "pages were read once for each gift"
			}
		}
		say("spillway viewers", "Measure the readers: %s here. A real day has a hundred for each gift.", had)
	}
	return all
}

// readersPerGift is how many visits were made by people who did not give, for each gift.
func readersPerGift(r *loadtest.Report) float64 {
	if r.Visits == nil || r.Sending.Planned == 0 {
		return 0
	}
	return float64(max(0, r.Visits.Begun-r.Visits.Donors)) / float64(r.Sending.Planned)
}

// bestSecond is how many gifts were acknowledged in the busiest second that the page shows.
func bestSecond(r *loadtest.Report) (most int64) {
	if r.Timeline == nil {
		return r.Sending.BestSecond
	}
	for i := range r.Timeline.Points {
		if p := &r.Timeline.Points[i]; p.For > 0 {
			most = max(most, int64(float64(p.Accepted)/p.For.Seconds()))
		}
	}
	return most
}

func faulted(t *timeline.Timeline) bool {
	for _, m := range t.Marks {
		if m.Kind != timeline.Phase {
			return true
		}
	}
	return false
}

// untested are the invariants of which no check looked at anything.
func untested(r *loadtest.Report) (names []string) {
	if r.Audit == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, c := range r.Audit.Checks {
		seen[c.Invariant] = seen[c.Invariant] || c.Verdict() != audit.Untested
	}
	for _, c := range r.Audit.Checks {
		if tested, ok := seen[c.Invariant]; ok && !tested {
			names = append(names, c.Invariant+" ("+c.Claim+")")
			delete(seen, c.Invariant)
		}
	}
	return names
}
