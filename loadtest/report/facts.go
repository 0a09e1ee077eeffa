package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/ledger/money"
	"spillway/loadtest"
	"spillway/loadtest/audit"
	"spillway/loadtest/timeline"
)

// aboutOf is what was rehearsed, where and when.
func aboutOf(r *loadtest.Report) []fact {
	source := r.Source
	if r.Speed != "" {
		source += ", at " + r.Speed + " times its speed"
	}
	session := ""
	switch {
	case r.Resumed:
		session = fmt.Sprintf("session %d, resumed", r.Session)
	case r.Session > 1:
		session = fmt.Sprintf("session %d", r.Session)
	}
	all := []fact{
		{Name: "Run", Text: r.Run, Note: session}, {Name: "What", Text: source}, {Name: "Where", Text: r.Target},
		{Name: "When", Text: r.StartedAt.UTC().Format("2 January 2006, 15:04 UTC")},
	}
	var names []string
	for _, g := range r.Generators {
		names = append(names, g.Name)
	}
	if len(names) > 0 {
		all = append(all, fact{Name: "By", Text: strconv.Itoa(len(names)) + " generators together", Note: strings.Join(names, ", ")})
	}
	return all
}

// factsOf are the figures that people ask for.
func factsOf(r *loadtest.Report) []fact {
	s := &r.Sending
	all := []fact{
		{Name: "asked for", Text: count(s.Planned) + " gifts", Note: rate(s.SentRate) + " a second for " + long(s.For)},
		{Name: "acknowledged", Text: count(s.Accepted), Note: rate(s.AckRate) + " a second, busiest second " + count(bestSecond(r))},
		{Name: "wait for the answer", Text: long(s.Latency.P99), Note: "99 of 100 at most; half " + long(s.Latency.P50) + ", longest " + long(s.Latency.Max)},
	}
	if w := &r.Watch; w.Readings > 0 {
		all = append(all, fact{Name: "age of totals", Text: long(w.Lag.P99), Note: "99 of 100 at most; half " + long(w.Lag.P50) + ", oldest " + long(w.Lag.Max)})
	}
	drained := fact{Name: "books complete", Text: long(r.DrainFor), Note: "after the last answer"}
	if !r.Drained {
		drained = fact{Name: "books complete", Text: "no", Note: "given up after " + long(r.DrainFor)}
	}
	all = append(all, drained)
	if c := r.Charging; c != nil {
		charged := fact{Name: "all charges ended", Text: long(c.WaitFor), Note: "after the books were complete, the last donor asked for 3-D Secure among them"}
		if !c.Ended {
			charged = fact{Name: "all charges ended", Text: "no", Note: count(c.Left) + " left after " + long(c.WaitFor)}
		}
		all = append(all, charged)
	}
	return all
}

// errorsOf are the answers that were no acknowledgement, by kind.
func errorsOf(r *loadtest.Report) []fact {
	s := &r.Sending
	var all []fact
	for _, status := range slices.Sorted(maps.Keys(s.Refused)) {
		all = append(all, fact{Name: "refused for good, status " + strconv.Itoa(status), Text: count(s.Refused[status]), Note: "gifts"})
	}
	add := func(n int64, name, note string) {
		if n > 0 {
			all = append(all, fact{Name: name, Text: count(n), Note: note})
		}
	}
	add(s.Deferred, "sent away for a while, status 429", "attempts; sent again later")
	add(s.UnknownAnswers, "no definite answer (503, time-out, connection lost)", "attempts; sent again under the same key")
	add(s.Resolved, "acknowledged at a later attempt", "gifts")
	add(s.Unresolved, "given up without a definite answer", "gifts; these break the proof")
	add(s.Contradicted, "acknowledgements that do not say what the contract promises", "answers; each is in the proof")
	add(r.Watch.Failures, "readings of totals that failed", "readings")
	if r.Timeline != nil {
		var refusals, limited int64
		for _, p := range r.Timeline.Points {
			refusals += p.Counters[timeline.FrontEndRefusals]
			limited += p.Counters[timeline.ProcessorLimited]
		}
		add(refusals, "answers 429 and 503 by the front-end's own count", "of anybody's requests")
		add(limited, "charges that met a 429 at the processor", "calls; repeated")
	}
	return all
}

// limitRow is a limit for the template.
type limitRow struct {
	Name, Seen, Most, Share, When string
	// Width of the bar in percent, at most 100.
	Width int
	Tone  Tone
}

func limitRows(limits []limit) (all []limitRow) {
	for i := range limits {
		l := &limits[i]
		row := limitRow{Name: capital(l.name), Seen: l.seen, Most: l.most, Share: percent(l.share), Width: int(min(100, max(1, 100*l.share))), Tone: Good}
		switch {
		case l.soft && l.share > 1:
			row.Tone, row.When = Warn, "queues by design"
		case l.share > 1:
			row.Tone, row.When = Bad, "gave way"
			if l.full() {
				row.Tone, row.When = Warn, "at its limit"
			}
			if l.first >= 0 {
				row.When += " from " + clock(l.first) + " on"
			}
		case l.share > 0.8:
			row.Tone = Warn
		}
		all = append(all, row)
	}
	return all
}

// roleRow is what a role used.
type roleRow struct{ Name, Total, PerGift, Mean, Most, Memory string }

// rolesOf sums what each role used, over the whole line.
func rolesOf(r *loadtest.Report) (all []roleRow) {
	for _, name := range roleNames(r.Timeline) {
		var cpu, seen time.Duration
		most, memory := 0.0, int64(0)
		for _, p := range r.Timeline.Points {
			u, ok := p.Roles[name]
			if !ok || p.For <= 0 {
				continue
			}
			cpu += u.CPU
			seen += p.For
			most = max(most, u.CPU.Seconds()/p.For.Seconds())
			memory = max(memory, u.Resident)
		}
		row := roleRow{Name: name, Total: long(cpu), Mean: number(cpu.Seconds() / seen.Seconds()), Most: number(most), PerGift: "", Memory: ""}
		if n := r.Sending.Accepted; n > 0 {
			row.PerGift = long(cpu / time.Duration(n))
		}
		if memory > 0 {
			row.Memory = bytesOf(memory)
		}
		all = append(all, row)
	}
	return all
}

// roleNames lists the roles of a line, the whole machine last.
func roleNames(t *timeline.Timeline) (names []string) {
	if t == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, p := range t.Points {
		for name := range p.Roles {
			seen[name] = true
		}
	}
	machine := seen[loadtest.MachineRole]
	delete(seen, loadtest.MachineRole)
	names = slices.Sorted(maps.Keys(seen))
	if machine {
		names = append(names, loadtest.MachineRole)
	}
	return names
}

// checkRow is one claim of the proof.
type checkRow struct {
	Invariant, Claim, Note string
	Verdict                audit.Verdict
	Tone                   Tone
	Checked, Broken        int64
	Violations             []audit.Violation
	More                   int64 // broken and not listed
}

func proofOf(r *loadtest.Report) (all, broken []checkRow) {
	if r.Audit == nil {
		return nil, nil
	}
	for _, c := range r.Audit.Checks {
		row := checkRow{Invariant: c.Invariant, Claim: c.Claim, Note: c.Note, Verdict: c.Verdict(), Checked: c.Checked, Broken: c.Broken,
			Violations: c.Violations, More: c.Broken - int64(len(c.Violations)), Tone: Good}
		switch row.Verdict {
		case audit.Broken:
			row.Tone = Bad
			broken = append(broken, row)
		case audit.Untested:
			row.Tone = Warn
		}
		all = append(all, row)
	}
	return all, broken
}

// probesOf says how the keys of the proof divide into gifts and the rehearsal's own
// probes; empty where the record holds more sessions than the report, or no probes.
func probesOf(r *loadtest.Report) string {
	if r.Audit == nil || r.Resumed || r.Session > 1 {
		return ""
	}
	probes := r.Audit.Counts.Keys - r.Sending.Planned
	if probes <= 0 {
		return ""
	}
	return fmt.Sprintf("They are the %s and %s of the rehearsal's own, made to be refused, repeated or recorded once.",
		plural(r.Sending.Planned, "gift", "gifts"), plural(probes, "probe", "probes"))
}

// moneyOf are the sums on every side.
func moneyOf(r *loadtest.Report) []fact {
	if r.Audit == nil {
		return nil
	}
	s := &r.Audit.Sums
	amount := func(minor int64) string {
		if r.Currency == "" {
			return count(minor) + " minor units of several currencies"
		}
		return money.Amount{Minor: minor, Currency: r.Currency}.String()
	}
	one, many := "gift", "gifts"
	if s.SourceRows > r.Sending.Planned+r.Skipped { // some went to several campaigns
		one, many = "part of a gift", "parts of gifts"
	}
	row := func(name string, rows, minor int64) fact {
		if rows < 0 {
			return fact{Name: name, Text: "not read"}
		}
		return fact{Name: name, Text: amount(minor), Note: plural(rows, one, many)}
	}
	all := []fact{row("sent by the source", s.SourceRows, s.SourceMinor), row("in the ledger", s.LedgerRows, s.LedgerMinor),
		row("of it pledged, in the ledger", s.PledgedRows, s.PledgedMinor), row("pledged, as the public sees it", s.PublicRows, s.PublicMinor)}
	if m := r.Audit.Money; m != nil {
		for _, c := range m.Currencies {
			side := func(name string, s audit.SideSums) fact {
				total := money.Amount{Minor: s.ChargedMinor, Currency: money.Currency(c.Currency)}
				fees := money.Amount{Minor: s.FeeMinor, Currency: money.Currency(c.Currency)}
				return fact{Name: name, Text: total.String(), Note: plural(s.Charges, "charge", "charges") + ", fees " + fees.String()}
			}
			all = append(all, side("charged, by the processor's books", c.Processor), side("charged, by our journal", c.Journal))
			all[len(all)-2].Note += "; with what donors add to cover fees, so it may be more than pledged"
		}
		var states []string
		for _, word := range slices.Sorted(maps.Keys(m.Statuses)) {
			states = append(states, count(m.Statuses[word])+" "+word)
		}
		all = append(all, fact{Name: "what became of the donations", Text: strings.Join(states, ", "), Note: "probes included"})
	}
	return all
}

// markRow is one thing on the line.
type markRow struct {
	Number   int // as on the charts; 0 for phases
	At, Text string
	Kind     timeline.Kind
}

func marksOf(r *loadtest.Report) (all []markRow, dropped int) {
	if r.Timeline == nil {
		return nil, 0
	}
	n := 0
	for _, m := range r.Timeline.Marks {
		row := markRow{At: clock(m.At), Text: m.Text, Kind: m.Kind}
		if m.Kind != timeline.Phase {
			n++
			row.Number = n
		}
		if m.For >= time.Second {
			row.At += "–" + clock(m.At+m.For)
		}
		all = append(all, row)
	}
	return all, r.Timeline.MarksDropped
}

// settingOf is the machine, the versions, and the command.
func settingOf(r *loadtest.Report) (all []fact, command string) {
	s := r.Setting
	if s == nil {
		return nil, ""
	}
	m := s.Machine
	hardware := fmt.Sprintf("%d × %s", m.Cores, m.CPU)
	if m.Memory > 0 {
		hardware += ", " + bytesOf(m.Memory) + " of memory"
	}
	what := "the generator's; the installation ran elsewhere, or was not looked at"
	if s.Together {
		what = "generator and installation shared it"
	}
	all = []fact{{Name: "machine", Text: hardware, Note: what}, {Name: "operating system", Text: m.OS}}
	for _, v := range s.Versions {
		all = append(all, fact{Name: v.Name, Text: v.Version})
	}
	all = append(all, fact{Name: "generator", Text: fmt.Sprintf("%s, %s", plural(int64(s.Connections), "connection", "connections"), plural(int64(s.Watchers), "watcher", "watchers")),
		Note: "late by " + long(r.Sending.Lateness.P99) + " (p99), " + number(r.Sending.CostMicros) + " µs of CPU per request"})
	if c := r.Charging; c != nil && c.Allowed > 0 {
		all = append(all, fact{Name: "pace", Text: rate(c.Allowed) + " charges a second"})
	}
	if a := r.Audit; a != nil {
		all = append(all, fact{Name: "clocks", Text: "the target's is " + long(a.ClockLow) + " to " + long(a.ClockHigh) + " ahead of the generator's"})
	}
	if r.Record != "" {
		all = append(all, fact{Name: "record of every answer", Text: r.Record})
	}
	return all, s.Command
}
