package audit

import (
	"encoding/json"
	"fmt"
	"time"
)

// Verdict is what a check came to.
type Verdict string

// The verdicts.
const (
	Holds    Verdict = "holds"
	Broken   Verdict = "broken"
	Untested Verdict = "untested" // there was nothing to look at
)

// Violation is one thing that a check found wrong.
type Violation struct {
	ID     string `json:"id,omitempty"`  // of the donation
	Ref    string `json:"ref,omitempty"` // what the rehearsal calls it
	Detail string `json:"detail"`
}

// Check is one claim and what was found.
type Check struct {
	Invariant string `json:"invariant"` // "I1"
	Claim     string `json:"claim"`
	// Checked counts the things looked at, of the kind that Claim speaks of.
	Checked int64 `json:"checked"`
	// Broken counts all violations; Violations names the first ViolationsListed.
	Broken     int64       `json:"broken"`
	Violations []Violation `json:"violations,omitempty"`
	// Note says what limits the check, "" for nothing.
	Note string `json:"note,omitempty"`
}

// Verdict is what the check came to.
func (c *Check) Verdict() Verdict {
	switch {
	case c.Broken > 0:
		return Broken
	case c.Checked == 0:
		return Untested
	}
	return Holds
}

// MarshalJSON writes the verdict beside the counts.
func (c *Check) MarshalJSON() ([]byte, error) {
	type plain Check
	return json.Marshal(struct {
		Verdict Verdict `json:"verdict"`
		*plain
	}{c.Verdict(), (*plain)(c)})
}

// fail notes a violation.
func (c *Check) fail(id fmt.Stringer, ref fmt.Stringer, format string, args ...any) {
	c.Broken++
	if len(c.Violations) == ViolationsListed {
		return
	}
	v := Violation{Detail: fmt.Sprintf(format, args...)}
	if id != nil {
		v.ID = id.String()
	}
	if ref != nil {
		v.Ref = ref.String()
	}
	c.Violations = append(c.Violations, v)
}

// Sums are the money of the source's campaigns, probes left out.
type Sums struct {
	// Source is what the file or profile gives, Ledger what is recorded, Public what
	// donors are shown. Public is -1 when totals were not read.
	SourceRows  int64 `json:"source_rows"`
	SourceMinor int64 `json:"source_minor"`
	LedgerRows  int64 `json:"ledger_rows"`
	LedgerMinor int64 `json:"ledger_minor"`
	PublicRows  int64 `json:"public_rows"`
	PublicMinor int64 `json:"public_minor"`
	// Pledged is what is recorded and neither failed nor canceled, which is what the
	// public is shown; Raised of it was captured, less what was given back.
	PledgedRows       int64 `json:"pledged_rows"`
	PledgedMinor      int64 `json:"pledged_minor"`
	RaisedMinor       int64 `json:"raised_minor"`
	PublicRaisedMinor int64 `json:"public_raised_minor"`
	// Complete tells whether every row of the source was acknowledged or recorded.
	Complete bool `json:"complete"`
}

// Counts sort the keys of the run, probes included, by what their answers said.
type Counts struct {
	Keys int64 `json:"keys"`
	// Accepted keys had a 202.
	Accepted int64 `json:"accepted"`
	// Refused keys had definite refusals only.
	Refused int64 `json:"refused"`
	// Unknown keys had no 202 and at least one answer that says nothing; Recorded of
	// them are in the ledger all the same.
	Unknown         int64 `json:"unknown"`
	UnknownRecorded int64 `json:"unknown_recorded"`
	// Orphans are donations of the run that were in the ledger before its record
	// began, and that this record does not know.
	Orphans int64 `json:"orphans,omitempty"`
	// OpenedFields counts donations whose sealed fields were opened and compared.
	OpenedFields int64 `json:"opened_fields"`
	// Observations counts the totals that watchers read.
	Observations int64 `json:"observations"`
	// TornBytes is what a kill cut off the record's end.
	TornBytes int64 `json:"torn_bytes"`
}

// Result is what the audit found.
type Result struct {
	Checks []*Check `json:"checks"`
	Sums   Sums     `json:"sums"`
	Counts Counts   `json:"counts"`
	// Money is nil when the processor's books were not read.
	Money *Money `json:"money,omitempty"`
	// ClockLow and ClockHigh bound how far the target's clock is ahead of the
	// generator's, by the receive times of the 202s.
	ClockLow  time.Duration `json:"clock_low_ns"`
	ClockHigh time.Duration `json:"clock_high_ns"`

	stored, unsent, refused, totals, raised, source, forward, ahead, truth, agree, repeats, opening, edges, private *Check
	balanced, booked, once, agreed, told, ended, least                                                              *Check // with Money
}

// Holds tells whether no check is broken.
func (r *Result) Holds() bool {
	for _, c := range r.Checks {
		if c.Broken > 0 {
			return false
		}
	}
	return true
}

func (r *Result) add(invariant, claim string) *Check {
	c := &Check{Invariant: invariant, Claim: claim}
	r.Checks = append(r.Checks, c)
	return c
}

func newResult() *Result {
	r := &Result{}
	add := r.add
	r.stored = add("I1", "every 202 is in the ledger once, with the fields that were sent, or as a conflict that names the first")
	r.unsent = add("I2", "nothing is in the ledger that was not sent; unknown answers at most once")
	r.refused = add("I3", "what was refused for certain is not in the ledger")
	r.totals = add("I5", "pledged: slots = sum over the rows neither failed nor canceled = public totals, per campaign")
	r.raised = add("I5", "raised: slots = what was captured, less what was given back = public totals, per campaign")
	r.source = add("I5", "the ledger's sums are the source's, to the minor unit, per campaign")
	r.forward = add("I6", "public totals never go back on one connection, but by gifts that failed")
	r.ahead = add("I6", "public totals never show more than had been sent by then")
	r.truth = add("I6", "every 202 given before as_of is inside the total, or has failed since")
	r.agree = add("I6", "once drained, public totals are complete as of the last 202")
	r.repeats = add("I8", "same key and content: one donation, one answer; other content: refused or a recorded conflict")
	r.opening = add("I9", "every gift in the ledger was received while its campaign was open, [start, end)")
	r.edges = add("I9", "answers around opening and closing are right by the front-end's receive time")
	r.private = add("I10", "no personal data, card data or secret in a line of a log")
	return r
}
