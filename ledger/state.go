package ledger

import "time"

// StatusAccepted is the state of a donation that is recorded and not yet charged;
// the other words are in ledger/payments.
const StatusAccepted = "accepted"

// State is what the ledger knows of one donation, as the donor's page asks for it.
// Identifiers are plain bytes because the vocabulary of intake stands above this one.
type State struct {
	// Found is false when neither book holds the donation; all other fields are then zero.
	Found       bool
	Book        Book
	Fingerprint [16]byte
	Status      string // a word of the public contract
	// Reason says why Status is failed, a word of the public contract; "" otherwise.
	Reason string
	// Decline says what the donor can do about a declined card, a word of the closed
	// set of payments.Decline; "" otherwise.
	Decline string
	// ClientSecret lets the holder's browser go on with the card's bank. Only while
	// Status is requires_action; it is the holder's alone and in no log.
	ClientSecret string
	// AttemptNo counts the cards that were offered, from 1.
	AttemptNo int
	// RefundedMinor is what went back to the donor by refunds that stand, of AmountMinor.
	RefundedMinor int64
	// Dispute is open, won or lost, of the dispute that decides the status; "" without one.
	Dispute string
	// ExpectedWait is how long a donation that waits for its charge is expected to
	// wait still, by the length of the queue and its pace; 0 when it does not wait or
	// nobody knows. It is a guess for people and rounded to seconds.
	ExpectedWait time.Duration
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
