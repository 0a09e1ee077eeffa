package search

import (
	"time"

	"spillway/ledger/money"
)

// Story is everything that is known about one donation, read from the ledger itself.
type Story struct {
	Row
	Fingerprint [16]byte
	RecordedAt  time.Time
	// CapturedAt is the processor's time of the capture, zero before it. FeeMinor is what
	// the processor took, in FeeCurrency; known later than the capture.
	CapturedAt  time.Time
	FeeMinor    int64
	FeeCurrency money.Currency
	FeeKnown    bool
	Dispute     string // open, won or lost; "" for none

	Attempts  []StoryAttempt  // by number
	Events    []StoryEvent    // as they came
	Entries   []StoryEntry    // as they were booked
	Refunds   []StoryRefund   // as they were asked for
	Disputes  []StoryDispute  // by the processor's IDs
	Conflicts []StoryConflict // contents that came later under the same key, and lost

	// EventsMissing says that the processor's events could not be looked through in the
	// time that a page may take.
	EventsMissing bool
}

// StoryAttempt is one card that was offered.
type StoryAttempt struct {
	No                       int
	State                    string // due, calling, requires_action, processing, failed, canceled, succeeded
	Reason, Decline          string
	Charge                   string
	Calls                    int
	TokenExpiresAt           time.Time
	FirstCalledAt, ChangedAt time.Time // zero for never
}

// StoryEvent is what the processor told us.
type StoryEvent struct {
	ID, Type              string
	CreatedAt, RecordedAt time.Time
	Parked                bool // its donation was not there; it is looked at again
}

// StoryEntry is one movement in the journal.
type StoryEntry struct {
	Slot                 int32
	N                    int64
	Kind, Ref            string
	Actor, Reason        string
	OccurredAt, BookedAt time.Time
	Postings             []StoryPosting
}

// StoryPosting is one side of it: a debit when positive, a credit when negative.
type StoryPosting struct {
	Account     string
	Currency    money.Currency
	AmountMinor int64
}

// StoryRefund is money that went back, or that somebody asked to.
type StoryRefund struct {
	ID                 [16]byte // ours
	ProcessorID        string   // "" until the processor has answered
	AmountMinor        int64
	Status             string // requested, calling, refused, or the processor's word
	Actor, Reason      string // of whoever asked
	Detail             string // why it was refused
	AskedAt, CreatedAt time.Time
}

// StoryDispute is a question of the donor's bank.
type StoryDispute struct {
	ID          string
	AmountMinor int64
	Status      string // open, won, lost
	CreatedAt   time.Time
}

// StoryConflict is another content under the donation's key.
type StoryConflict struct {
	Fingerprint            [16]byte
	ReceivedAt, RecordedAt time.Time
}
