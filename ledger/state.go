package ledger

import "time"

// StatusAccepted is the state of a donation that is recorded and not yet charged.
const StatusAccepted = "accepted"

// State is what the ledger knows of one donation, as the donor's page asks for it.
// Identifiers are plain bytes because the vocabulary of intake stands above this one.
type State struct {
	// Found is false when neither book holds the donation; all other fields are then zero.
	Found       bool
	Book        Book
	Fingerprint [16]byte
	Status      string // a word of the public contract
	// AmountMinor is what is charged: the lines and FeeCoverMinor, in Currency.
	AmountMinor   int64
	FeeCoverMinor int64
	Currency      string
	ReceivedAt    time.Time // by the front-end that took it
	RecordedAt    time.Time // by the ledger's database
	Lines         []StateLine
	// Conflicts are the fingerprints of other contents that came under the same
	// key and lost, in no order.
	Conflicts [][16]byte
}

// StateLine is one campaign's part of a recorded donation.
type StateLine struct {
	Campaign    string // slug
	AmountMinor int64
}
