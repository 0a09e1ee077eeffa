package ledger

import "time"

// Counts says what became of a batch. New + Repeats + Conflicts is the number of
// records that were given.
type Counts struct {
	New       int // recorded by this transaction
	Repeats   int // already recorded with the same content: nothing done
	Conflicts int // same ID, other content: the first stays, this one is noted
}

// Reason says why a record was set aside, one word of a closed set.
type Reason string

// The reasons of quarantine.
const (
	ReasonVersion   Reason = "version"   // an envelope or a kind of record that this build does not know
	ReasonMalformed Reason = "malformed" // bytes that are no envelope, or a record that is none
	ReasonRefused   Reason = "refused"   // the database refused it: a rule of the money is broken
	ReasonUnknown   Reason = "unknown"   // failed too often for a reason that nobody knows
)

// Rejected is a record that can never be recorded. It is kept, with the bytes as
// they came, until a person has looked at it: giving up is never silent.
type Rejected struct {
	Payload  []byte // the record, or the whole envelope when that cannot be read
	Stream   string // where it came from
	Sequence uint64 // the message's number in Stream
	Index    int    // the record's place in its envelope, -1 for the whole envelope
	StoredAt time.Time
	Reason   Reason
	// Detail is an error code or the name of a broken constraint, never a value.
	Detail string
}
