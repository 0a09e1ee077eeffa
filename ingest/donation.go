// Package ingest is the vocabulary of intake: the donation as a donor sends it,
// its limits, its derived ID and its fingerprint. It does no I/O and reads no clock.
//
// The one invariant: the same idempotency key gives the same ID everywhere, and
// the same content gives the same fingerprint everywhere.
package ingest

import (
	"time"

	"spillway/ledger/money"
)

// Bounds of one donation. Lengths of text count characters (Unicode code points)
// after trimming; a slug counts bytes.
const (
	LinesMax          = 200            // one checkout had 172 gifts in a real round
	AmountMinorMax    = 99_999_999     // the processor's own limit: eight digits
	NameCharsMax      = 100            // donor and dedication
	EmailCharsMax     = 254            // RFC 5321's longest path
	MessageCharsMax   = 500            // what a page shows
	SlugBytesMax      = 64             // a campaign's slug
	TokenBytesMax     = 255            // a confirmation token; the processor's are under 64
	TokenLife         = 12 * time.Hour // expires_at is clamped to the receive time plus this
	RehearsalMinorMin = 1              // least donation of a rehearsal, in minor units
)

// Line is one campaign's part of a donation.
type Line struct {
	Campaign    string // slug
	AmountMinor int64  // >= 1, in the donation's currency
}

// DedicationKind says how a gift is dedicated; the zero value is not at all.
type DedicationKind uint8

// The kinds of dedication, as the contract writes them: in_honor, in_memory.
const (
	NoDedication DedicationKind = iota
	InHonor
	InMemory
	// UnknownDedication is a word that the contract does not have: a parser keeps
	// it, so that Validate reports it with all the rest.
	UnknownDedication
)

// ParseDedicationKind reads the contract's word. It does not allocate.
func ParseDedicationKind(word []byte) DedicationKind {
	switch string(word) {
	case "in_honor":
		return InHonor
	case "in_memory":
		return InMemory
	}
	return UnknownDedication
}

// String returns the contract's word, or "" for none.
func (k DedicationKind) String() string {
	switch k {
	case InHonor:
		return "in_honor"
	case InMemory:
		return "in_memory"
	}
	return ""
}

// Personal is what a donor says of themselves and others: sealed as one field
// before it leaves the front-end, because a log outlives an erasure.
type Personal struct {
	Name           string
	Email          string
	Message        string
	DedicationKind DedicationKind
	DedicationName string
}

// IsZero tells whether there is nothing to seal.
func (p *Personal) IsZero() bool { return *p == Personal{} }

// Payment is how the donation is to be paid.
type Payment struct {
	ConfirmationToken string
	// ExpiresAtText is the donor's hint as it was sent, "" when not given.
	ExpiresAtText string
	// ExpiresAt is the hint in UTC, clamped; Validate sets it.
	ExpiresAt time.Time
}

// Donation is a donation as the donor sent it; Validate trims and judges it.
// Currency may hold a code that is none until then.
//
// Its strings may share memory with the request body; whoever keeps one beyond
// the request copies it.
type Donation struct {
	Currency      money.Currency
	Lines         []Line
	FeeCoverMinor int64
	Anonymous     bool
	HideAmount    bool
	Personal      Personal
	Payment       Payment
}

// AmountMinor is what is charged: the lines and the covered fee. ok is false
// when the sum does not fit; Validate reports that as an amount too large.
func (d *Donation) AmountMinor() (sum int64, ok bool) {
	sum = d.FeeCoverMinor
	for i := range d.Lines {
		s, err := money.Add(sum, d.Lines[i].AmountMinor)
		if err != nil {
			return 0, false
		}
		sum = s
	}
	return sum, true
}
