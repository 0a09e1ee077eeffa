// Package ledger is the vocabulary of recording: the two books, the lease under
// which a process writes its slot, and the errors that cross package borders.
//
// The one invariant: a donation's ID is in its book at most once, and a slot
// moves only in the transaction that recorded the cause.
package ledger

import (
	"errors"
	"fmt"
)

// Book is one set of streams, tables, slots and frames. Rehearsals have a book of
// their own, so that removing them never touches the donors' money.
type Book uint8

// The books. The zero value is no book, so that a forgotten field is noticed.
const (
	Live      Book = 1
	Rehearsal Book = 2
)

// Books lists every book in a fixed order.
var Books = []Book{Live, Rehearsal}

// String names the book as it is written in subjects, labels and logs.
func (b Book) String() string {
	switch b {
	case Live:
		return "live"
	case Rehearsal:
		return "rehearsal"
	}
	return fmt.Sprintf("book(%d)", uint8(b))
}

// Schema is the Postgres schema that holds the book.
func (b Book) Schema() string {
	if b == Rehearsal {
		return "rehearsal"
	}
	return "spillway"
}

// ParseBook is the inverse of String.
func ParseBook(name string) (Book, bool) {
	for _, b := range Books {
		if b.String() == name {
			return b, true
		}
	}
	return 0, false
}

// Lease is a process's right to write one slot of a book. Term rises by one each
// time the slot changes hands; a transaction that carries an older term is refused.
// Epoch rises when an installation is restored from a backup and is compared first.
type Lease struct {
	Book  Book
	Slot  int32
	Term  int64
	Epoch int64
}

var (
	// ErrFenced says that the lease's term has moved on: another process has
	// adopted the slot. Nothing was written; take another lease.
	ErrFenced = errors.New("slot lease was taken over")
	// ErrUnavailable says that Postgres cannot be reached or chose this
	// transaction to break a deadlock. Nothing is known to be written; repeat.
	ErrUnavailable = errors.New("ledger database unavailable")
)

// PoisonError says that a batch can never be recorded as it is. The batch's
// transaction was rolled back; halve it until the culprit stands alone.
type PoisonError struct {
	Err error
}

func (e *PoisonError) Error() string { return "batch cannot be recorded: " + e.Err.Error() }
func (e *PoisonError) Unwrap() error { return e.Err }
