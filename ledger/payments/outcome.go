package payments

import (
	"fmt"
	"time"

	"spillway/ledger/money"
)

// Outcome says what became of one fact that was applied, after the commit.
type Outcome struct {
	Donation [16]byte
	Verdict  Verdict
	Status   string // of the donation afterwards; "" for NotOurs, NotYet and Duplicate
	Changed  bool   // a donor would see the difference
	Alarm    string // Effects.Alarm
}

// FactError is inside a *ledger.PoisonError and names the one fact that the
// database refuses: those before it can be applied, and those about other donations.
type FactError struct {
	Index    int // in the facts that were given
	Donation [16]byte
	Err      error // an error code or a constraint's name, never a value
}

func (e *FactError) Error() string {
	return fmt.Sprintf("fact %d about donation %x: %v", e.Index, e.Donation, e.Err)
}

// Unwrap returns the cause.
func (e *FactError) Unwrap() error { return e.Err }

// ParkedEvent is an event of the processor that came before its donation.
type ParkedEvent struct {
	EventID  string
	Type     string
	Created  time.Time // by the processor's clock
	Body     []byte    // as it was stored by the webhook
	Donation [16]byte  // zero when the event did not name it
}

// Cancellation is an intent that is to be canceled at the processor.
type Cancellation struct {
	Donation  [16]byte
	AttemptNo int
	Intent    string
	Reason    CancelReason
}

// RefundDue is a refund that somebody asked for and that the processor has not
// answered yet. It never changes, so a repeated call is the same call.
type RefundDue struct {
	Refund      [16]byte // ours: the idempotency key, and in the processor's metadata
	Donation    [16]byte
	Intent      string
	Charge      string
	AmountMinor int64
	Currency    money.Currency
	Lines       []int64 // the part of each of the payment's lines
	// FirstCalledAt is the earliest time at which the call may have been made: when the
	// refund was asked for, because after a restore nobody knows better. When the
	// processor may have forgotten the key since, look for the refund in its lists first.
	FirstCalledAt time.Time
}

// RefundState is a refund that was asked for here, as the books have it.
type RefundState struct {
	Donation    [16]byte
	AmountMinor int64
	Lines       []int64 // the part of each of the donation's lines
	// Status is RefundRequested, RefundCalling or RefundRefused until the processor has
	// named it, then a RefundStatus; "" when nobody asked for it.
	Status      string
	ProcessorID string // "" until the processor has named it
	Detail      string // of RefundRefused: the processor's error code
	Actor       string
	AskedAt     time.Time // recorded by the database
}

// The states of a refund that the processor has not named, beside its own words.
const (
	RefundRequested = "requested" // the processor has not been called
	RefundCalling   = "calling"   // what became of the call is not known
	RefundRefused   = "refused"   // the processor will never make it
)

// RefundPreview is what a refund would give back, judged as its command would be.
type RefundPreview struct {
	// Refused says why it would be refused, a word of the Refused set; "" when it would
	// be made.
	Refused     string
	Currency    money.Currency
	AmountMinor int64 // that would go back: of all lines and the covered fee
	CoverMinor  int64 // of it, what is of the covered fee
	LeftMinor   int64 // the most that may go back
	Lines       []RefundPart
}

// RefundPart is one line of a donation in a refund, in the order of the donation's.
type RefundPart struct {
	Campaign    string
	GivenMinor  int64
	LeftMinor   int64 // what may go back of it
	AmountMinor int64 // what would
}

// Keeps is what the line has left afterwards.
func (p RefundPart) Keeps() int64 { return p.LeftMinor - p.AmountMinor }
