package journal

import (
	"errors"
	"fmt"

	"spillway/ledger/money"
)

// Limits of an entry.
const (
	RefBytesMax = 255
	// PostingsMax: 200 lines of a donation, the covered fee, and both sides of what is
	// left over.
	PostingsMax = 256
)

// ErrUnbalanced says that an entry's postings do not sum to zero in each currency.
var ErrUnbalanced = errors.New("journal entry does not balance")

// ErrMalformed says that an entry can never be booked, balanced or not.
var ErrMalformed = errors.New("journal entry is malformed")

// Balanced returns nil when the entry's postings sum to zero in each currency, none
// of them is zero, and there are at least two. Errors: ErrUnbalanced, ErrMalformed;
// money.ErrOverflow beside ErrUnbalanced when a sum does not fit.
func Balanced(e *Entry) error {
	if len(e.Postings) < 2 || len(e.Postings) > PostingsMax {
		return fmt.Errorf("%s: %d postings: %w", e.Ref, len(e.Postings), ErrMalformed)
	}
	// Nearly always one currency, sometimes two: a scan is faster than a map.
	for i := range e.Postings {
		p := &e.Postings[i]
		if p.AmountMinor == 0 || p.Account == "" || p.Currency == "" {
			return fmt.Errorf("%s: posting %d is empty: %w", e.Ref, i, ErrMalformed)
		}
		if summed(e.Postings[:i], p.Currency) {
			continue
		}
		var sum int64
		for j := i; j < len(e.Postings); j++ {
			if e.Postings[j].Currency != p.Currency {
				continue
			}
			var err error
			if sum, err = money.Add(sum, e.Postings[j].AmountMinor); err != nil {
				return fmt.Errorf("%s: %w: %w", e.Ref, ErrUnbalanced, err)
			}
		}
		if sum != 0 {
			return fmt.Errorf("%s: %s is off by %d: %w", e.Ref, p.Currency, sum, ErrUnbalanced)
		}
	}
	return nil
}

func summed(before []Posting, c money.Currency) bool {
	for i := range before {
		if before[i].Currency == c {
			return true
		}
	}
	return false
}
