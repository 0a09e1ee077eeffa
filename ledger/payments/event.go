package payments

import (
	"fmt"
	"time"

	"spillway/ledger/money"
)

// Event is one of the processor's events, by webhook or by its list, read into our
// words. Events of any version of the processor's API look alike here.
type Event struct {
	ID   string
	Type string // the processor's word
	// CreatedAt is the processor's time of it, in whole seconds.
	CreatedAt time.Time
	// Known says that this build understands the type, even when nothing follows
	// from the event; one that is not known is counted and stored as seen.
	Known bool
	// Test says that it is about the processor's test mode.
	Test bool
	// Donation and Book are what our own metadata on the event's object says; zero and
	// "" when it carries none: look for Intent and Charge then.
	Donation [16]byte
	Book     string // ledger.Book's word
	// Intent and Charge name what the event is about, "" where it does not say.
	Intent, Charge string
	// Facts follow from it, in this order; each has Donation as above.
	Facts []Fact
	// Payout is set by events about payouts.
	Payout *PayoutSeen
	// Body is the event as the processor wrote it.
	Body []byte
}

// PayoutSeen is a payout to our bank account as the processor showed it.
type PayoutSeen struct {
	ID          string
	AmountMinor int64 // negative when the bank account is debited
	Currency    money.Currency
	Status      PayoutStatus
	CreatedAt   time.Time
	ArrivesAt   time.Time // expected day at the bank
	// BalanceTransaction moved the money out; FailureTransaction brought it back, ""
	// unless the payout failed or was canceled.
	BalanceTransaction, FailureTransaction string
	FailureCode                            string // the processor's word, "" without a failure
}

// PayoutStatus is the processor's word.
type PayoutStatus string

// The states of a payout. One that is paid may still fail some days later.
const (
	PayoutPending   PayoutStatus = "pending"
	PayoutInTransit PayoutStatus = "in_transit"
	PayoutPaid      PayoutStatus = "paid"
	PayoutFailed    PayoutStatus = "failed"
	PayoutCanceled  PayoutStatus = "canceled"
)

// Movement is one balance transaction: money that moved at the processor. Net is
// Amount less Fee.
type Movement struct {
	ID   string
	Type string // the processor's word: charge, refund, adjustment, payout, stripe_fee, ...
	// Category is the processor's coarser word for reports: charge, refund, dispute, ...
	Category    string
	Source      string // ID of what moved it: a charge, refund, dispute, payout; "" for none
	AmountMinor int64
	FeeMinor    int64
	NetMinor    int64
	Currency    money.Currency
	CreatedAt   time.Time
	AvailableAt time.Time
}

// Page is one page of one of the processor's lists, newest first.
type Page[T any] struct {
	Rows []T
	// Next is the cursor of the page that follows, "" when this was the last one.
	Next string
}

// CallError says why the processor could not be asked or gave no usable answer.
type CallError struct {
	// Answer has Kind, Detail, RateLimited and RetryAfter, and no more.
	Answer Answer
}

func (e *CallError) Error() string { return fmt.Sprintf("processor: %s", e.Answer.Detail) }
