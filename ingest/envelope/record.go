// Package envelope is the broker's message: donations, and donors' further wishes
// about them, that travelled together, on the wire as Protocol Buffers
// (envelope.proto). An old version stays decodable
// for as long as a stream may hold it.
//
// The one invariant: what Decode visits is what Append was given, and bytes that
// are not an envelope, or a record that is not one, are errors and never a guess.
package envelope

import (
	"time"

	"spillway/ingest"
	"spillway/ingest/trace"
	"spillway/ledger/money"
)

// Version is the version that this build writes; it reads 1 up to it.
const Version = 1

// Record is one thing in an envelope: exactly one of its members is set.
type Record struct {
	Donation *Donation
	Request  *Request
}

// Kind says what a request asks for. The numbers are those of the record's kind on
// the wire.
type Kind uint8

// The kinds of request.
const (
	Attempt      Kind = 2 // another card for a donation whose last attempt failed
	Cancellation Kind = 3 // no charge any more, if there was none
)

// String names the kind as the ledger's tables do.
func (k Kind) String() string {
	switch k {
	case Attempt:
		return "attempt"
	case Cancellation:
		return "cancellation"
	}
	return "unknown"
}

// Request is a donor's further wish about a donation that is recorded: the
// front-end has seen that its holder asks.
type Request struct {
	Kind Kind
	// ID is derived from the request's own idempotency key: the same wish sent
	// twice is carried out once.
	ID       ingest.RequestID
	Donation ingest.ID
	// ReceivedAt is the front-end's receive time, UTC, in whole microseconds.
	ReceivedAt time.Time
	// Source is a keyed hash of the client's address prefix.
	Source    uint64
	Rehearsal bool // as the donation is
	// ConfirmationToken and TokenExpiresAt are an Attempt's, as in Donation; a
	// Cancellation has neither.
	ConfirmationToken string
	TokenExpiresAt    time.Time
	// Trace is the span that sent it, zero when it is not traced.
	Trace trace.Context
}

// Donation is a donation as the broker and the ledger hold it: judged, with the
// personal fields sealed.
type Donation struct {
	ID          ingest.ID
	Fingerprint ingest.Fingerprint
	// ReceivedAt is the front-end's receive time, UTC, in whole microseconds
	// (Postgres' resolution). Campaign, limits and opening were judged by it.
	ReceivedAt time.Time
	// Source is a keyed hash of the client's address prefix.
	Source        uint64
	Rehearsal     bool
	Currency      money.Currency
	AmountMinor   int64 // the lines and FeeCoverMinor: what is charged
	FeeCoverMinor int64
	Lines         []ingest.Line
	Anonymous     bool
	HideAmount    bool
	// ConfirmationToken is the processor's single-use token for the card.
	ConfirmationToken string
	// TokenExpiresAt is ingest.Payment.ExpiresAt clamped to ReceivedAt plus
	// ingest.TokenLife; never zero.
	TokenExpiresAt time.Time
	// Sealed holds the personal fields (ingest.Personal), sealed under the key
	// SealKey; empty when there were none.
	Sealed  []byte
	SealKey uint32
	// Trace is the span that sent it, zero when it is not traced.
	Trace trace.Context
}
