package ledger

import "time"

// Position is how far a stream of the broker is in the books: every message up to
// Sequence was acknowledged, and what is acknowledged was committed before.
type Position struct {
	Stream string
	// MadeAt is when the stream was made: the sequences of another one of the same name
	// say nothing about it.
	MadeAt   time.Time
	Sequence uint64
	// NotedAt is when it was noted, by the database's clock; zero before it is.
	NotedAt time.Time
}
