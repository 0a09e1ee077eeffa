package verify

import (
	"context"

	"spillway/ledger"
)

// query is a check that the database answers alone.
type query struct {
	name      string
	invariant string
	holds     string
	bad       Verdict
	// pair says that one answer is about both books; it is filed under the live one.
	pair bool
}

// Queries names the checks that a Database must know, in the order of a report.
func Queries() []string {
	var names []string
	for _, q := range catalogue {
		names = append(names, q.name)
	}
	return names
}

// catalogue is every check that one query over a book can make. Most repeat a
// constraint of the schema on purpose: a constraint may be dropped, disabled or
// not yet validated after a restore, and an index may be damaged.
var catalogue = []query{
	{"id-once", "I1", "a donation is recorded once", Broken, false},
	{"row-once", "I1", "a donation has a row number of its own, and so its own lines", Broken, false},
	{"id-derived", "I2", "a donation's ID is one that an idempotency key can give", Broken, false},
	{"amounts", "I1", "a donation's amount is its lines and the covered fee, within the contract's limits", Broken, false},
	{"lines-add-up", "I1", "a donation's lines add up to what it says of them", Broken, false},
	{"lines-numbered", "I1", "a donation's lines are numbered 1 to N, and no line is without its donation", Broken, false},
	{"campaign-once", "I1", "a donation names a campaign once", Broken, false},
	{"currency", "I1", "a donation's currency is its campaigns'", Broken, false},
	{"book", "I2", "rehearsals are in the rehearsal's book and nowhere else", Broken, false},
	{"one-book", "I8", "no ID is in both books", Noted, true},
	{"window", "I9", "a donation was received while its campaigns were open", Broken, false},
	{"window-moved", "I9", "no campaign's window was moved past a donation that it had taken", Noted, false},
	{"campaign-known", "", "every campaign that was given to is known", Noted, false},
	{"totals", "I5", "what a campaign's slots have pledged are its gifts that stand", Broken, false},
	{"raised", "I5", "what a campaign's slots have raised is what the journal owes it", Broken, false},
	{"slot-rows", "I5", "a slot's row has a version and counts in its campaign's currency", Broken, false},
	{"entries-balanced", "I4", "a journal entry sums to zero in each currency", Broken, false},
	{"entry-once", "I4", "a movement of money is booked once", Broken, false},
	{"one-charge", "I7", "a donation was charged at most once", Broken, false},
	{"suspense", "I4", "no donation's money waits on the suspense account", Broken, false},
	{"payment-booked", "I4", "what a payment says was captured and given back is what is booked", Broken, false},
	{"payment-due", "I1", "a recorded donation has a payment, or one will be made", Broken, false},
	{"payment-state", "I7", "a payment's status is what its attempts and its money make it", Broken, false},
	{"parked", "", "no event of the processor waits for its donation", Noted, false},
	{"leases", "", "a slot that holds rows has a term and a lease that agree", Broken, false},
	{"conflicts", "I8", "a conflict names a recorded donation with other content", Broken, false},
	{"quarantine", "I1", "nothing is in quarantine", Broken, false},
}

// queries makes the database's own checks of a book.
func (r *run) queries(ctx context.Context, book ledger.Book) {
	for _, q := range catalogue {
		if q.pair && book != ledger.Live {
			continue
		}
		r.check(Result{Check: q.name, Invariant: q.invariant, Scope: book.String(), Holds: q.holds}, q.bad,
			func(res *Result, t *tally) (err error) {
				res.Examined, t.count, err = r.db.Check(ctx, book, q.name, t.max, func(id, detail string) {
					t.findings = append(t.findings, Finding{ID: id, Detail: detail})
				})
				return err
			})
	}
}
