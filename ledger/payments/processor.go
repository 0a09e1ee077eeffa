package payments

import (
	"time"

	"spillway/ledger/money"
)

// Charge is one call to be made: create and confirm the payment's intent, or
// confirm it again with another card.
type Charge struct {
	Donation    [16]byte
	AttemptNo   int
	Currency    money.Currency
	AmountMinor int64
	Intent      string // "" to create one
	Token       string // the confirmation token
	Rehearsal   bool
	// Params is the call's exact body as it was stored before the first try; it is
	// repeated as it is.
	Params []byte
	// FirstCalledAt is zero on the first try.
	FirstCalledAt time.Time
	LookFirst     bool
	// Canceled says that the donor wants it canceled. A call that may have been carried
	// out is repeated or looked for all the same; one that surely was not is not made.
	Canceled bool
	// Lines names the campaigns, for the processor's metadata.
	Campaigns []string
}

// Answer is what the processor made of a call.
type Answer struct {
	// Intent is set when the processor showed the intent, whatever its status; the
	// answer to an attempt's call is authoritative for that attempt.
	Intent *IntentSeen
	Refund *RefundSeen
	// Kind is set when it did not: Retry, Unknown, Definite.
	Kind   OutcomeKind
	Reason FailReason // of Definite
	// Detail is the processor's error code or our word, for operators and metrics.
	Detail string
	// RateLimited is the reason of a 429 in the processor's words, "" otherwise;
	// RetryAfter what it asked for, 0 when it did not say.
	RateLimited string
	RetryAfter  time.Duration
}
