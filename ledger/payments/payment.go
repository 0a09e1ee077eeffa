// Package payments is the vocabulary of being paid: the payment of one donation,
// the facts that reach us about it, and the one function that says what a fact
// makes of a payment. It does no I/O, reads no clock and starts no goroutine.
//
// The one invariant: at most one attempt of a donation is ever on its way to the
// processor, and all attempts share one payment intent, so that a donation is
// charged at most once.
package payments

import (
	"time"

	"spillway/ledger/money"
)

// Payment is everything that is known about being paid for one donation. A
// donation that is recorded and whose attempt was not made yet is the payment
// with one attempt that is due.
type Payment struct {
	Donation      [16]byte
	Currency      money.Currency
	AmountMinor   int64 // what is charged: the lines and FeeCoverMinor
	FeeCoverMinor int64
	Lines         []Line // as the donor sent them
	ReceivedAt    time.Time

	// Intent is the processor's payment intent, "" before the first answer.
	Intent string
	// Attempts are numbered from 1 in their order; the last one counts.
	Attempts []Attempt
	// Cancel says that the payment is to be canceled at the processor, and why.
	Cancel CancelReason

	// Charge is the captured charge, "" before the capture. CapturedMinor is what was
	// captured, in Currency; CapturedAt is the processor's time of it.
	Charge        string
	CapturedMinor int64
	CapturedAt    time.Time
	// FeeMinor is what the processor took, in FeeCurrency; known later than the capture.
	FeeMinor    int64
	FeeCurrency money.Currency
	FeeKnown    bool

	// Others are charges of this donation beside Charge that facts have named: a second
	// one, one in another currency, or one whose fee was told before its capture. Nearly
	// always nil; kept like everything else.
	Others []OtherCharge

	// Refunds and Disputes by the processor's ID. Those of a charge whose capture is
	// not booked yet are only held: they are booked together with it.
	Refunds  []Refund
	Disputes []Dispute
}

// OtherCharge is a charge of the donation that no gift explains: its money is on
// the suspense account until a person has looked.
type OtherCharge struct {
	Charge      string         `json:"charge"`
	AmountMinor int64          `json:"amount_minor"` // 0 until its capture is seen
	Currency    money.Currency `json:"currency"`
	FeeMinor    int64          `json:"fee_minor"`
	FeeCurrency money.Currency `json:"fee_currency"`
	FeeKnown    bool           `json:"fee_known"`
}

// Line is one campaign's part, and what was given back of it.
type Line struct {
	Campaign      string
	AmountMinor   int64
	RefundedMinor int64 // by refunds that stand
	LostMinor     int64 // by disputes that were lost
}

// Attempt is one try to be paid: one confirmation token and what became of it.
type Attempt struct {
	No    int
	State AttemptState
	// Token is the browser's confirmation token, single use.
	Token          string
	TokenExpiresAt time.Time
	// Request is the idempotency ID of the donor's request for this attempt; zero for the first.
	Request [16]byte
	// FirstCalledAt is when its call was first sent or may have been; zero before.
	FirstCalledAt time.Time
	// LookFirst says that the processor may have forgotten the idempotency key: ask
	// what became of the call before it is repeated.
	LookFirst bool
	// NotBefore is set by Next when an outcome asks to wait with the next call; zero
	// leaves the time to the queue. It need not be loaded.
	NotBefore time.Time
	// ChangedAt is the time of the fact that brought the attempt into its state.
	ChangedAt time.Time
	// Charge is the processor's charge of this attempt, when it named one.
	Charge string
	// ClientSecret lets the holder's browser go on; only while State is RequiresAction.
	ClientSecret string
	// ActionBy is when a donor who must act is given up; only while RequiresAction.
	ActionBy time.Time
	// Reason and Decline are set while State is Failed.
	Reason  FailReason
	Decline Decline
}

// AttemptState is where an attempt stands. Only forward: a state with a higher
// number never goes back to a lower one, save Calling to Due when the processor
// surely did nothing.
type AttemptState uint8

// The states of an attempt.
const (
	Due            AttemptState = 1 // waits for its turn at the processor
	Calling        AttemptState = 2 // claimed: its call may have been sent, the outcome is not known
	RequiresAction AttemptState = 3 // the donor must act (3-D Secure)
	Processing     AttemptState = 4 // the processor works on it
	Failed         AttemptState = 5 // final but for a capture and a donor who cancels: see Reason
	Canceled       AttemptState = 6 // final but for a capture: by the donor, or somebody at the processor
	Succeeded      AttemptState = 7 // final: the payment was charged, by this attempt or while it was open
)

// FailReason says why an attempt failed, a word of the public contract.
type FailReason string

// The reasons of failure.
const (
	Declined   FailReason = "declined"    // the card's bank said no
	CardNeeded FailReason = "card_needed" // the token expired or was used up before it could be charged
	Abandoned  FailReason = "abandoned"   // the donor did not come back to act
	Refused    FailReason = "refused"     // the processor does not take this payment at all
)

// Decline says in a closed set of words what the donor can do about a decline;
// the processor's raw code is never shown (docs.stripe.com/declines/codes).
type Decline string

// The declines a donor can tell apart. Words gives the sentence for each.
const (
	DeclineNone           Decline = ""
	DeclineGeneric        Decline = "card_declined"
	DeclineFunds          Decline = "insufficient_funds"
	DeclineExpired        Decline = "expired_card"
	DeclineDetails        Decline = "incorrect_details"
	DeclineAuthentication Decline = "authentication_failed"
	DeclineUnsupported    Decline = "card_not_supported"
	DeclineLimit          Decline = "limit_exceeded"
	DeclineTryLater       Decline = "try_again_later"
)

// CancelReason says who wants the payment canceled at the processor.
type CancelReason uint8

// The reasons to cancel.
const (
	NoCancel        CancelReason = 0
	CancelByDonor   CancelReason = 1
	CancelAbandoned CancelReason = 2 // the donor did not come back to act
)

// Refund is money on its way back to the donor. It counts while Status is not failed
// or canceled.
type Refund struct {
	ID          string // the processor's
	Charge      string // the charge it gives back; "" is Payment.Charge
	AmountMinor int64
	Status      RefundStatus
	// Lines is what its command asked of each of the payment's lines, same order; the
	// rest of AmountMinor is of the covered fee. Empty when it was made elsewhere: then
	// it is pro rata. What it came to is in Line.RefundedMinor.
	Lines     []int64
	CreatedAt time.Time // by the processor's clock
	ChangedAt time.Time // the time of the fact that brought it into its status
}

// RefundStatus is the processor's word.
type RefundStatus string

// The states of a refund.
const (
	RefundPending   RefundStatus = "pending"
	RefundSucceeded RefundStatus = "succeeded"
	RefundFailed    RefundStatus = "failed"
	RefundCanceled  RefundStatus = "canceled"
)

// Dispute is a donor's bank taking the money back, until it is decided.
type Dispute struct {
	ID          string // the processor's
	Charge      string // the charge that is disputed; "" is Payment.Charge
	AmountMinor int64
	Status      DisputeStatus
	CreatedAt   time.Time // by the processor's clock
	ChangedAt   time.Time // the time of the newest fact of this status: only a later one changes it
	// Turned says that both outcomes were reported; Status is the later one.
	Turned bool
	// FeeMinor and FeeReturnedMinor, in FeeCurrency, are what was booked of its fee.
	FeeMinor, FeeReturnedMinor int64
	FeeCurrency                money.Currency
}

// DisputeStatus is where a dispute stands.
type DisputeStatus string

// The states of a dispute.
const (
	DisputeOpen DisputeStatus = "open"
	DisputeWon  DisputeStatus = "won"
	DisputeLost DisputeStatus = "lost"
)

// The words of a donation's status, as the public contract has them.
const (
	StatusAccepted       = "accepted"
	StatusCharging       = "charging"
	StatusRequiresAction = "requires_action"
	StatusSucceeded      = "succeeded"
	StatusFailed         = "failed"
	StatusRefunded       = "refunded"
	StatusDisputed       = "disputed"
	StatusCanceled       = "canceled"
)
