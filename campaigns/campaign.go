// Package campaigns is the vocabulary of what donors give to and see: campaigns,
// their totals, and the slots and frames that totals are made of.
//
// The one invariant: a total is the sum of its slots, and every number that is
// shown carries the time up to which it is complete.
package campaigns

import (
	"time"

	"spillway/ledger"
	"spillway/ledger/money"
)

// Campaign is what donors see and give to. Fundraisers and teams will be
// campaigns with a Parent.
type Campaign struct {
	Slug         string // see ValidSlug; never reused for another campaign
	Name         string
	Event        string // slug of the giving day it belongs to
	Organisation string // who receives, as donors read it
	// LegalName and TaxNumber are the organisation's, as a receipt has them; "" when not known.
	LegalName, TaxNumber string
	Story                string // plain text, an empty line between paragraphs; at most StoryCharsMax
	// Image is the key of a picture, 32 hex digits of the SHA-256 of its bytes; "" for none.
	Image     string
	Parent    string // slug, "" for none
	Currency  money.Currency
	GoalMinor int64 // 0 for none
	// MinMinor and MaxMinor bound one line, in minor units; 0 for no bound beyond the contract's.
	MinMinor, MaxMinor int64
	// StartsAt and EndsAt bound giving, [start, end); a zero EndsAt never ends.
	StartsAt, EndsAt time.Time
	Rehearsal        bool
	// Revision rises with every change, over all campaigns of an installation.
	Revision int64
}

// Phase is where a campaign stands at a moment.
type Phase uint8

// The phases of a campaign, in order of time.
const (
	Upcoming Phase = iota
	Open
	Closed
)

// String names the phase as the public contract does.
func (p Phase) String() string {
	switch p {
	case Upcoming:
		return "upcoming"
	case Open:
		return "open"
	}
	return "closed"
}

// PhaseAt judges opening and closing at t, [start, end).
func (c *Campaign) PhaseAt(t time.Time) Phase {
	switch {
	case t.Before(c.StartsAt):
		return Upcoming
	case !c.EndsAt.IsZero() && !t.Before(c.EndsAt):
		return Closed
	}
	return Open
}

// Book is the book that the campaign's donations are recorded in.
func (c *Campaign) Book() ledger.Book {
	if c.Rehearsal {
		return ledger.Rehearsal
	}
	return ledger.Live
}

// SlugBytesMax is the longest slug.
const SlugBytesMax = 64

// ValidSlug tells whether s may name a campaign: 1 to 64 bytes of a-z, 0-9, '-'
// and '_', beginning and ending with a letter or digit, so that a slug is safe
// in a URL path and as one token of a broker subject.
func ValidSlug(s string) bool {
	if len(s) == 0 || len(s) > SlugBytesMax {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case (c == '-' || c == '_') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return true
}
