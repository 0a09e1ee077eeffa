// Package envelope is the broker's message: donations that travelled together,
// on the wire as Protocol Buffers (envelope.proto). An old version stays decodable
// for as long as a stream may hold it.
//
// The one invariant: what Decode visits is what Append was given, and bytes that
// are not an envelope, or a record that is not one, are errors and never a guess.
package envelope

import (
	"time"

	"spillway/ingest"
	"spillway/ledger/money"
)

// Version is the version that this build writes; it reads 1 up to it.
const Version = 1

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
}
