package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/status"
	"spillway/ingest/problem"
)

// From when on something is worth a word. The alerts of deploy/prometheus-alerts.yaml
// wake people; these only catch the eye of somebody who looks.
const (
	// ackSlowMillis is far above what a healthy disk needs, and far below what a donor
	// notices.
	ackSlowMillis = 250
	// lagLongMillis: totals are behind by as much.
	lagLongMillis = 5000
	// framesLateMillis: ledgers speak every 200 ms.
	framesLateMillis = 3000
	// refusedMost is how many refusals a second for lack of room are taken as nothing.
	refusedMost = 0.5
	// searchOldMillis: the projection yields under load, and says its age.
	searchOldMillis = 60_000
	// dancing is how long a figure has to be beyond its bound, and calm how long within
	// again.
	dancing, calm = 3 * time.Second, 10 * time.Second
)

// conditions is everything that may be wrong, as a moment has it.
func conditions(m *Moment) []condition {
	f, r, c := &m.FrontEnds, &m.Recording, &m.Charging
	busy := overloaded(f)
	all := []condition{
		{key: "broker", level: Bad, holds: m.BrokerAway, after: dancing,
			text: "The broker does not answer this console: what it shows is of before.", over: "The broker answers again."},
		{key: "database", level: Bad, holds: m.DatabaseAway, after: time.Second,
			text: "The database does not answer. Gifts are taken and pages answer all the same; nothing is recorded or charged until it is back.",
			over: "The database answers again."},
		{key: "front-ends", level: Bad, holds: f.Count == 0 && !m.BrokerAway, after: status.SilentAfter,
			text: "No front-end is heard: nobody can give.", over: "A front-end is heard again."},
		{key: "ledgers", level: Bad, holds: r.Count == 0 && !m.BrokerAway, after: status.SilentAfter,
			text: "No ledger is heard: gifts wait on the broker's disk.", over: "A ledger is heard again."},
		{key: "payments", level: Bad, holds: c.Count == 0 && !m.BrokerAway, after: status.SilentAfter,
			text: "No payments process is heard: nobody is charged.", over: "A payments process is heard again."},
		{key: "stale", level: Warn, holds: m.Stale, after: dancing, heals: calm,
			text: fmt.Sprintf("Totals are older than the promised %s.", span(campaigns.StaleBound)), over: "Totals are fresh again."},
		{key: "slow", level: Warn, holds: f.AckP99MS > ackSlowMillis, after: dancing, heals: calm,
			text: fmt.Sprintf("Gifts are acknowledged slowly: one in a hundred waits for %d ms or longer.", ackSlowMillis), over: "Gifts are acknowledged quickly again."},
		{key: "refusing", level: Bad, holds: busy > refusedMost, after: dancing, heals: calm,
			text: "Gifts are sent away for now, with the word to try again.", over: "Gifts are no longer sent away."},
		{key: "lag", level: Warn, holds: r.LagMS > lagLongMillis, after: dancing, heals: calm,
			text: fmt.Sprintf("Recording is more than %s behind.", span(lagLongMillis*time.Millisecond)), over: "Recording has caught up."},
		{key: "frames", level: Warn, holds: r.FramesMS > framesLateMillis && !m.DatabaseAway, after: dancing, heals: calm,
			text: "A ledger has not told its totals for a while.", over: "Every ledger tells its totals again."},
		{key: "paused", level: Warn, holds: c.Paused,
			text: "Charging is paused" + by(c.PausedBy) + ".", over: "Charging goes on."},
		{key: "late", level: Bad, holds: c.Late > 0, heals: calm,
			text: "The queue of charges outlives its tokens: donors will be asked for a card again unless the pace rises.",
			over: "The queue ends before its tokens do again."},
		{key: "processor", level: Bad, holds: c.ProcessorAway, heals: calm,
			text: "The payment processor does not answer: charges wait.", over: "The payment processor answers again."},
		{key: "limited", level: Warn, holds: c.LimitedPerSecond > 0, after: dancing, heals: calm,
			text: "The processor says that we are too fast; the pace gives way.", over: "The processor no longer says that we are too fast."},
		{key: "stuck", level: Warn, holds: c.Stuck > 0,
			text: "Payments have waited for the processor's answer for more than an hour.", over: "No payment waits for an old answer any more."},
		{key: "second-charge", level: Bad, holds: c.SecondCharges > 0,
			text: "A donor may have been charged twice: see the runbook second-charge.", over: "No second charge is known any more."},
		{key: "set-aside", level: Warn, holds: c.SetAside > 0,
			text: "News of the processor or an order cannot be applied: it needs a person.", over: "Nothing that cannot be applied is known any more."},
		{key: "quarantine", level: Bad, holds: r.Quarantined > 0,
			text: "Gifts are set aside and not recorded: they need a person.", over: "No gift is set aside any more."},
		{key: "books", level: Bad, holds: c.Differences > 0 || c.OffMinor > 0,
			text: "Journal and processor differ: see 'spillway reconcile'.", over: "Journal and processor agree again."},
		{key: "search", level: Info, holds: m.Search != nil && m.Search.AgeMS != nil && *m.Search.AgeMS > searchOldMillis && !m.DatabaseAway, after: dancing, heals: calm,
			text: "Lists, searches and the number of donors are more than a minute behind; they yield to recording.", over: "Lists and searches have caught up."},
	}
	all = append(all, switchedOff(&m.Switches)...)
	if m.BrokerAway {
		return all // nobody can be heard: that says nothing about them
	}
	for i := range m.Processes {
		all = append(all, aboutProcess(&m.Processes[i])...)
	}
	return all
}

// overloaded are refusals a second that tell donors to come back: not those of what
// they sent.
func overloaded(f *FrontEndsView) (perSecond float64) {
	for kind, rate := range f.Refusals {
		if slices.Contains(comeBack, kind) {
			perSecond += rate
		}
	}
	return perSecond
}

// comeBack are the codes of 503 in the public contract.
var comeBack = func() (codes []string) {
	for _, kind := range problem.All() {
		if kind.Status() == 503 {
			codes = append(codes, kind.Code())
		}
	}
	return codes
}()

// by is " (whom)" when it is known who did it, with the reason that was given.
func by(whom string) string {
	if whom == "" {
		return ""
	}
	return " (" + whom + ")"
}

func switchedOff(s *SwitchesView) []condition {
	var all []condition
	for _, w := range switchList {
		all = append(all, condition{key: "switch " + w.name, level: Info, holds: !w.on(s),
			text: w.title + " are off" + by(s.ChangedBy) + ".", over: w.title + " are on again."})
	}
	return all
}

// aboutProcess is what may be wrong with one process.
func aboutProcess(p *ProcessView) []condition {
	roles, reasons := make([]string, 0, len(p.Roles)), make([]string, 0, len(p.Roles))
	for _, r := range p.Roles {
		roles = append(roles, r.Name)
		if !r.Ready {
			reasons = append(reasons, r.Name+": "+strings.ReplaceAll(r.Reason, "\n", "; "))
		}
	}
	what := strings.Join(roles, ", ") + " " + p.Node
	silent := condition{key: "silent " + p.Node, level: Warn, holds: p.State == Silent || p.State == Gone,
		text: "No word from " + what + ".", over: "Heard from " + what + " again."}
	if p.State == Gone {
		silent.level, silent.text = Bad, "Gone without a goodbye: "+what+"."
	}
	return []condition{
		silent,
		{key: "unready " + p.Node, level: Warn, holds: p.State == NotReady, after: dancing,
			text: "Not ready: " + what + " (" + strings.Join(reasons, "; ") + ").", over: "Ready: " + what + "."},
	}
}

// changes tells what a moment has that the one before had not: what happens at once
// and is over.
func changes(j *journal, before, now *Moment) {
	was := make(map[string]*ProcessView, len(before.Processes))
	for i := range before.Processes {
		was[before.Processes[i].Node] = &before.Processes[i]
	}
	for i := range now.Processes {
		p := &now.Processes[i]
		names := make([]string, len(p.Roles))
		for i, r := range p.Roles {
			names[i] = r.Name
		}
		what := strings.Join(names, ", ") + " " + p.Node
		old := was[p.Node]
		switch {
		case p.State == Stopped && old != nil && old.State != Stopped:
			j.tell(now.At, Info, "Stopped in order: "+what+".")
		case p.State != Stopped && (old == nil || !old.StartedAt.Equal(p.StartedAt)):
			j.tell(now.At, Info, "Heard for the first time: "+what+".")
		}
	}
	rehearsed := make(map[string]*RehearsalView, len(before.Rehearsals))
	for i := range before.Rehearsals {
		rehearsed[before.Rehearsals[i].Node] = &before.Rehearsals[i]
	}
	for i := range now.Rehearsals {
		r := &now.Rehearsals[i]
		switch old := rehearsed[r.Node]; {
		case old == nil && r.State != Stopped:
			j.tell(now.At, Info, "A rehearsal is heard: "+r.Run+".")
		case old != nil && old.State != Stopped && r.State == Stopped:
			j.tell(now.At, Info, "The rehearsal "+r.Run+" has ended: "+r.Word()+".")
		}
	}
	a, b := before.Charging.AllowedPerSecond, now.Charging.AllowedPerSecond
	if a != nil && b != nil && *a != *b {
		j.tell(now.At, Info, fmt.Sprintf("The pace of charging is now %s a second instead of %s%s.", rate(*b), rate(*a), by(now.Charging.PausedBy)))
	}
}
