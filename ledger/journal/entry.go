// Package journal is the vocabulary of double entry: an entry, its postings, the
// accounts they are on, and the chain that makes edits visible. It does no I/O.
//
// The one invariant: an entry's postings sum to zero in each currency.
package journal

import (
	"time"

	"spillway/ledger/money"
)

// Kind says what happened, one word of a closed set.
type Kind string

// The kinds of entry. The chart of accounts in ledger/DESIGN.md has both sides of each.
const (
	Capture       Kind = "capture"
	ProcessingFee Kind = "processing_fee"
	RefundMade    Kind = "refund"
	RefundFailed  Kind = "refund_failed" // the money came back to us
	DisputeOpened Kind = "dispute_opened"
	DisputeFee    Kind = "dispute_fee"
	DisputeWon    Kind = "dispute_won"
	DisputeLost   Kind = "dispute_lost"
	// DisputeReversed takes back the outcome that a later one replaced.
	DisputeReversed    Kind = "dispute_reversed"
	DisputeFeeReturned Kind = "dispute_fee_returned"
	Payout             Kind = "payout"
	PayoutFailed       Kind = "payout_failed"
	Correction         Kind = "correction"
	OfflineGift        Kind = "offline_gift"
	ProcessorOther     Kind = "processor_other" // an adjustment or fee of the processor that names no gift
)

// Posting is one side of an entry: a debit when AmountMinor is positive, a credit
// when it is negative. Accounts are named by the functions in account.go.
type Posting struct {
	Account     string
	Currency    money.Currency
	AmountMinor int64 // never 0
}

// Entry is one movement of money, before it has its place in a chain.
type Entry struct {
	Kind Kind
	// Ref names the movement once and for all, such as "capture:ch_1": the unique
	// key that books it once. At most 255 bytes.
	Ref string
	// Donation is the donation it is about, zero for none.
	Donation   [16]byte
	OccurredAt time.Time // by the processor's clock, microseconds, UTC
	// Actor and Reason are a person's, of money commands; "" otherwise.
	Actor, Reason string
	Postings      []Posting
}

// Link is an entry's place in its slot's chain.
type Link struct {
	Slot int32
	N    int64    // from 1, without gaps
	Prev [32]byte // Hash of N-1, zero for the first
	Hash [32]byte // of Prev and the entry's canonical form
}
