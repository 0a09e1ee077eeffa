// Package search is the vocabulary of looking donations up: what may be asked of the
// projection, what it answers, and how texts are made comparable. The projection
// follows the ledger behind a cursor and is searched in its place, because the
// indexes of a search on the ledger's own tables would halve its rate.
//
// The one invariant: nothing here is the truth. Whatever it says has an age, and can
// be made anew from the ledger.
package search

import (
	"errors"
	"slices"
	"time"

	"spillway/ingest"
	"spillway/ledger/money"
)

// ErrUnknown says that no donation has this ID.
var ErrUnknown = errors.New("donation is not known")

// ErrQuery says that something was asked that no query can mean.
var ErrQuery = errors.New("not a query")

// Bounds of a page.
const (
	LimitDefault = 50
	LimitMax     = 500
	// TextBytesMax bounds Query.Text: a name and an e-mail address fit.
	TextBytesMax = 400
)

// Query is what somebody looks for. Every field that is not zero narrows it.
type Query struct {
	// Text is what a person types: the beginnings of words of the donor's name, an
	// e-mail address or its beginning, a donation's ID, the processor's ID of the
	// payment, charge, refund or dispute, an exact amount such as 50 or 50.00.
	Text   string
	Status []string // words of the public contract; one of them
	// Campaign is a slug: one line is for it.
	Campaign string
	// MinMinor and MaxMinor bound what was charged, in minor units, both included; 0
	// for no bound.
	MinMinor, MaxMinor int64
	Currency           money.Currency
	// From and To bound when the donor gave, [From, To).
	From, To time.Time
	// Refunded leaves those of which something went back; Hidden those of which an
	// organiser hid something.
	Refunded, Hidden bool
	// Campaigns are those that whoever asks may see: nil for all, empty for none. Lines of
	// other campaigns are left out of the rows, and nothing is found by them.
	Campaigns []string

	// After is Page.Next of the page before, "" for the first.
	After Cursor
	// Limit is the most rows of a page, 1 to LimitMax; LimitDefault when 0.
	Limit int
	// Newest has the newest gifts first, otherwise the oldest.
	Newest bool
}

// Validate returns what is wrong with the query, wrapping ErrQuery; nil when nothing.
func (q *Query) Validate() error {
	bad := func(why string) error { return errors.Join(ErrQuery, errors.New(why)) }
	switch {
	case len(q.Text) > TextBytesMax:
		return bad("the text is too long")
	case q.Limit < 0 || q.Limit > LimitMax:
		return bad("the limit is out of range")
	case q.MinMinor < 0 || q.MaxMinor < 0 || q.MaxMinor > 0 && q.MinMinor > q.MaxMinor:
		return bad("the amounts are no range")
	case q.Currency != "" && !q.Currency.Valid():
		return bad("the currency is not known")
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return bad("the times are no range")
	}
	for _, s := range q.Status {
		if !slices.Contains(Statuses, s) {
			return bad("the status is not known")
		}
	}
	if _, _, err := q.After.Key(); err != nil {
		return err
	}
	return nil
}

// Page is what was found.
type Page struct {
	// Rows are at most Query.Limit. There may be fewer, even none, although more
	// follow: looking further back would have taken too long for one answer.
	Rows []Row
	// Next goes on behind the last row, or behind where looking ended; "" when there
	// is no more.
	Next Cursor
	// AsOf: every donation acknowledged before it is searched; see Figures.AsOf.
	AsOf time.Time
}

// Row is one donation as lists show it.
type Row struct {
	ID            ingest.ID
	AcceptedAt    time.Time // by the front-end that took it
	Name, Email   string
	Anonymous     bool
	HideAmount    bool
	AmountMinor   int64 // what is charged: all lines and the covered fee
	FeeCoverMinor int64
	Currency      money.Currency
	Status        string // a word of the public contract
	Reason        string // of a failure, "" otherwise
	Lines         []Line // those that whoever asks may see
	Message       string
	Dedication    string // "In honor of Grace", "" for none
	RefundedMinor int64
	Hidden        Hide
	Intent        string // the processor's payment, "" before there is one
	Charge        string
}

// Line is one campaign's part of a donation.
type Line struct {
	Campaign    string // slug
	AmountMinor int64
}

// Hide says what of a gift an organiser keeps from the public.
type Hide uint8

// What may be hidden.
const (
	HideNone    Hide = 0
	HideName    Hide = 1
	HideMessage Hide = 2 // and the dedication: both are free text
	HideBoth    Hide = HideName | HideMessage
)

// String names it as the API does.
func (h Hide) String() string {
	switch h {
	case HideNone:
		return "none"
	case HideName:
		return "name"
	case HideMessage:
		return "message"
	case HideBoth:
		return "both"
	}
	return "unknown"
}

// ParseHide is the inverse of String.
func ParseHide(word string) (Hide, bool) {
	for _, h := range []Hide{HideNone, HideName, HideMessage, HideBoth} {
		if h.String() == word {
			return h, true
		}
	}
	return 0, false
}

// Figures say how much the projection holds and how old it is.
type Figures struct {
	// Donors are distinct people of the whole day: by e-mail address where one was
	// given, else each donation by itself; of donations neither failed nor canceled.
	Donors int64
	// Rows are donations, whatever their state.
	Rows int64
	// AsOf: every donation acknowledged before it is counted. The Unix epoch while the
	// projection is being made and nothing can be promised.
	AsOf time.Time
	// Behind is how many messages of the stream, of one or more donations each, wait to
	// be followed.
	Behind int64
}

// Dedication is the sentence that pages show, "" for none.
func Dedication(p *ingest.Personal) string {
	switch {
	case p.DedicationName == "":
		return ""
	case p.DedicationKind == ingest.InHonor:
		return "In honor of " + p.DedicationName
	case p.DedicationKind == ingest.InMemory:
		return "In memory of " + p.DedicationName
	}
	return ""
}

// Refreshed says what bringing donations up to date has found.
type Refreshed struct {
	New, Changed int
	// Missing are IDs that the ledger does not hold.
	Missing []ingest.ID
	// Unread are donations whose personal fields no key opens; they are searched without.
	Unread int
	// Refused are donations that the projection's tables do not take: a mistake of ours,
	// which must not stand in the way of all others.
	Refused []ingest.ID
}

// Add adds what another look has found.
func (r *Refreshed) Add(other Refreshed) {
	r.New += other.New
	r.Changed += other.Changed
	r.Missing = append(r.Missing, other.Missing...)
	r.Unread += other.Unread
	r.Refused = append(r.Refused, other.Refused...)
}

// ChangedWall is a wall that changed after a version.
type ChangedWall struct {
	Campaign string // slug, or campaigns.DayWall
	Version  int64
}
