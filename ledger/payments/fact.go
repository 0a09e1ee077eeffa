package payments

import (
	"time"

	"spillway/ledger/money"
)

// Source is the road a fact came by.
type Source uint8

// The roads.
const (
	FromCall    Source = 1 // the answer to our own call
	FromWebhook Source = 2
	FromSweep   Source = 3 // we asked the processor
	FromDonor   Source = 4 // a request that intake stored
	FromPerson  Source = 5 // a money command of an organiser or operator
	FromClock   Source = 6 // a time has passed
)

// Fact is one thing that was learnt about one payment. Exactly one of the pointers
// is set. Facts repeat, come late and out of order; Next makes sense of them.
type Fact struct {
	Donation [16]byte
	Source   Source
	// EventID is the processor's event ID of a webhook, else "": the duplicate mark
	// that is committed together with the effect.
	EventID string
	// At is when it became true: the processor's clock where that is known, else ours.
	At time.Time

	Intent   *IntentSeen
	Outcome  *CallOutcome
	Fee      *FeeSeen
	Refund   *RefundSeen
	Dispute  *DisputeSeen
	Card     *CardOffered
	Cancel   *CancelAsked
	Overtime *Overtime
}

// IntentStatus is the processor's word for a payment intent, unchanged.
type IntentStatus string

// The states of a payment intent (docs.stripe.com/payments/paymentintents/lifecycle).
const (
	IntentRequiresPaymentMethod IntentStatus = "requires_payment_method"
	IntentRequiresConfirmation  IntentStatus = "requires_confirmation"
	IntentRequiresAction        IntentStatus = "requires_action"
	IntentProcessing            IntentStatus = "processing"
	IntentRequiresCapture       IntentStatus = "requires_capture"
	IntentCanceled              IntentStatus = "canceled"
	IntentSucceeded             IntentStatus = "succeeded"
)

// IntentSeen is a payment intent as the processor showed it.
type IntentSeen struct {
	// AttemptNo is the attempt whose own call this is the answer to; 0 when it came
	// by another road and only the intent is known.
	AttemptNo    int
	ID           string
	Status       IntentStatus
	AmountMinor  int64 // received, when succeeded
	Currency     money.Currency
	Charge       string // the latest charge, "" when there is none
	ClientSecret string
	// ActWithin is how long a donor who must act may take; 0 means ActWithinDefault.
	ActWithin time.Duration
	// Decline is set when the last try was declined; Authentication-less declines included.
	Decline Decline
	// Fee is what the processor took, when the answer held it.
	Fee *FeeSeen
}

// CallOutcome is what became of an attempt's call when it named no intent.
type CallOutcome struct {
	AttemptNo int
	Kind      OutcomeKind
	// NothingDone, of Retry, says that no call of this attempt was ever carried out: it
	// was the first one (Charge.FirstCalledAt was zero) and was surely turned away, or
	// the processor was asked about all before it. A repeat that was turned away says
	// nothing about the call before it.
	NothingDone bool
	// NotBefore is when the call may be made again; of Retry and Unknown.
	NotBefore time.Time
	// Reason is CardNeeded or Refused; of Definite.
	Reason FailReason
	Detail string // the processor's error code for operators, never a text
}

// OutcomeKind sorts what became of a call.
type OutcomeKind uint8

// The kinds of outcome.
const (
	// Retry: the processor surely did not carry out this call (429, no connection):
	// due again when NothingDone, else repeated like an unknown one.
	Retry OutcomeKind = 1
	// Unknown: it may have been carried out. The attempt stays Calling and the very
	// same call is repeated under the same key.
	Unknown OutcomeKind = 2
	// Definite: refused, and nothing was charged.
	Definite OutcomeKind = 3
)

// FeeSeen is the processor's fee of a captured charge.
type FeeSeen struct {
	Charge             string
	BalanceTransaction string
	FeeMinor           int64
	Currency           money.Currency
}

// RefundSeen is a refund as the processor showed it.
type RefundSeen struct {
	ID string
	// Ours is the ID of the refund in our books, which travels in the processor's
	// metadata; zero when the refund was made elsewhere. The store fills Lines by it.
	Ours        [16]byte
	Charge      string
	AmountMinor int64
	Currency    money.Currency
	Status      RefundStatus
	// Lines is how our own command split it; nil when it was made elsewhere, and
	// then it is split pro rata by largest remainder.
	Lines []int64
	// CreatedAt is the processor's time of making it; zero means Fact.At.
	CreatedAt time.Time
}

// DisputeSeen is a dispute as the processor showed it.
type DisputeSeen struct {
	ID          string
	Charge      string
	AmountMinor int64
	Currency    money.Currency
	Status      DisputeStatus
	// FeeMinor is the sum of what the processor took for it so far, FeeReturnedMinor of
	// what it gave back of that. Both only grow; 0 says nothing.
	FeeMinor, FeeReturnedMinor int64
	FeeCurrency                money.Currency // "" means Currency
	// CreatedAt is the processor's time of opening it; zero means Fact.At.
	CreatedAt time.Time
}

// CardOffered is another card from the donor; it counts only when the last attempt failed.
type CardOffered struct {
	Request   [16]byte // derived from the request's own idempotency key
	Token     string
	ExpiresAt time.Time
}

// CancelAsked is a donor's wish to cancel.
type CancelAsked struct{ Request [16]byte }

// Overtime says that a time has passed for the last attempt.
type Overtime struct {
	AttemptNo int
	Kind      OvertimeKind
}

// OvertimeKind says which time has passed.
type OvertimeKind uint8

// The times that pass.
const (
	TokenExpired  OvertimeKind = 1 // a due attempt's token can no longer be charged
	ActionExpired OvertimeKind = 2 // the donor did not come back to act: cancel at the processor
	KeyForgotten  OvertimeKind = 3 // an unknown call is older than the processor's memory of keys: look first
)
