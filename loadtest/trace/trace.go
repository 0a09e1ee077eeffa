// Package trace says what a rehearsal sends and when: the rows of a recorded
// giving day (CSV, gzip or not), or of a synthetic one.
//
// The one invariant: a source opened twice gives the same rows at the same planned
// times, in order of time, so that a run can be repeated and resumed.
package trace

import (
	"io"
	"sort"
	"time"

	"spillway/ledger/money"
)

// Row is one gift to be sent.
type Row struct {
	// Number counts the source's rows from 1.
	Number int64
	// Copy counts from 0; every copy of a row is planned for the same moment.
	Copy uint16
	// Campaign is an index into Source.Campaigns.
	Campaign    int32
	AmountMinor int64
	// Further are the other campaigns of a basket; those without an amount are none.
	Further [BasketMost - 1]Line
	// Planned is when the row leaves, after the run's start.
	Planned time.Duration
}

// BasketMost bounds the campaigns of one gift: enough to be a basket, and few enough
// for rows to have room for them in place.
const BasketMost = 3

// Line is a part of a gift, to one campaign.
type Line struct {
	Campaign    int32 // an index into Source.Campaigns
	AmountMinor int64
}

// Lines yields the row's parts, the first of which is Campaign's.
func (r *Row) Lines(yield func(Line) bool) {
	if !yield(Line{r.Campaign, r.AmountMinor}) {
		return
	}
	for _, l := range r.Further {
		if l.AmountMinor == 0 || !yield(l) {
			return
		}
	}
}

// Campaign is one campaign of a source, and what the whole source gives to it
// (all copies). Rows counts gifts with a part for it.
type Campaign struct {
	Name     string // as the source writes it
	Currency money.Currency
	Rows     int64
	SumMinor int64
}

// Source is what a run replays. It is safe to open it several times.
type Source interface {
	// Name is a file's base name, or the profile in words.
	Name() string
	// Hash identifies the content: two sources with one hash have the same rows.
	Hash() [32]byte
	// Campaigns lists all campaigns, in the order of their first rows.
	Campaigns() []Campaign
	// Rows counts all rows, copies included.
	Rows() int64
	// Span is the planned time of the last row.
	Span() time.Duration
	// Open starts at the first row.
	Open() (Stream, error)
}

// Stream gives a source's rows in order of their planned times.
type Stream interface {
	// Next fills rows and returns how many; io.EOF comes with 0 rows only.
	Next(rows []Row) (int, error)
	io.Closer
}

// Due counts the rows at the head of rows, which are in order of time, that are
// due once elapsed has passed since the start.
func Due(rows []Row, elapsed time.Duration) int {
	return sort.Search(len(rows), func(i int) bool { return rows[i].Planned > elapsed })
}

// CopiesMax bounds Options.Copies: a copy's number has 16 bits, and beyond this
// another file is the better rehearsal.
const CopiesMax = 1000

// mix spreads nearby numbers far apart (the finaliser of splitmix64, public domain).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit maps 64 bits to [0, 1).
func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }
