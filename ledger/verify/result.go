package verify

import "time"

// Verdict is what one check found.
type Verdict string

// The verdicts, from best to worst.
const (
	// Holds: everything that was looked at is as it must be.
	Holds Verdict = "holds"
	// Noted: nothing is wrong with the money, and a person should know.
	Noted Verdict = "note"
	// Unchecked: the check could not run; nothing is known.
	Unchecked Verdict = "unchecked"
	// Broken: something that must hold does not.
	Broken Verdict = "broken"
)

// Finding is one offender: what it is called and what is wrong with it. IDs are
// donation IDs, campaign slugs, slots or stream positions; never personal data.
type Finding struct {
	ID     string `json:"id"`
	Detail string `json:"detail"`
}

// Result is one check of one scope.
type Result struct {
	Check     string `json:"check"`
	Invariant string `json:"invariant"` // of the design, "I1"; "" for upkeep
	Scope     string `json:"scope"`     // a book, or a book and a shard: "live/0"
	Holds     string `json:"holds"`     // what must hold, in words
	// Examined counts what was looked at: donations, lines, campaigns, messages.
	Examined int64   `json:"examined"`
	Verdict  Verdict `json:"verdict"`
	// Offenders counts all of them; Findings lists the first Config.FindingsMax.
	Offenders int64     `json:"offenders"`
	Findings  []Finding `json:"findings,omitempty"`
	// Reason says why a check is Unchecked, or how much of its scope it covered.
	Reason string        `json:"reason,omitempty"`
	Took   time.Duration `json:"took_ns"`
}

// Report is one run.
type Report struct {
	CheckedAt time.Time     `json:"checked_at"` // when the database's snapshot was taken
	Took      time.Duration `json:"took_ns"`
	Deep      bool          `json:"deep"`
	Rebuild   bool          `json:"rebuild"`
	Verdict   Verdict       `json:"verdict"` // the worst of the results
	Results   []Result      `json:"results"`
}

// Exit statuses of the command.
const (
	StatusHolds     = 0
	StatusBroken    = 1
	StatusUnchecked = 2
)

// Status is the command's exit status: 1 when something is broken, 2 when
// nothing is known to be broken and something could not be checked.
func (r *Report) Status() int {
	switch r.Verdict {
	case Broken:
		return StatusBroken
	case Unchecked:
		return StatusUnchecked
	}
	return StatusHolds
}

func worse(a, b Verdict) Verdict {
	rank := map[Verdict]int{Holds: 0, Noted: 1, Unchecked: 2, Broken: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// tally collects one check's offenders: all are counted, the first few are kept.
type tally struct {
	max      int
	count    int64
	findings []Finding
}

func (t *tally) add(id, detail string) {
	t.count++
	if len(t.findings) < t.max {
		t.findings = append(t.findings, Finding{ID: id, Detail: detail})
	}
}

// result closes the tally: offenders make the verdict bad, none make it Holds.
func (t *tally) result(bad Verdict) (Verdict, int64, []Finding) {
	if t.count == 0 {
		return Holds, 0, nil
	}
	return bad, t.count, t.findings
}
