package payments

import "spillway/ledger/journal"

// Verdict says what became of a fact.
type Verdict uint8

// The verdicts.
const (
	Applied   Verdict = 1 // the payment changed
	NoChange  Verdict = 2 // known already, overtaken, or no longer applies
	Alarming  Verdict = 3 // applied or not, and a person must look: Effects.Alarm says why
	NotOurs   Verdict = 4 // set by the store: names no donation of ours
	NotYet    Verdict = 5 // set by the store: names a donation of ours that is not recorded yet
	Duplicate Verdict = 6 // set by the store: this event was seen before
)

// Effects are what a fact causes beside the change of the payment itself; all of
// them are committed with it.
type Effects struct {
	Verdict Verdict
	// Entries are to be appended to the journal, in this order, each once: a Ref
	// that is there already is a mistake of the caller.
	Entries []journal.Entry
	// Alarm is "" or a word of a closed set, counted and logged, such as
	// "second_charge", "amount_differs", "captured_after_cancel".
	Alarm string
	// Changed says that a donor would see the difference.
	Changed bool
}
