// Package board is the giving day at a moment: every campaign with its total, its
// wall and its phase, ranked, summed and searchable, as an immutable snapshot that
// pages and the API read without a lock. Builder makes one snapshot from the one
// before and what changed.
//
// The one invariant: a snapshot is what sorting and summing everything anew would
// give; its as_of speaks of no total that is not in it.
//
// The package is pure: it reads no clock and starts nothing. Package keeper feeds a
// Builder and publishes what it makes.
package board

import (
	"time"

	"spillway/campaigns"
	"spillway/ledger/money"
)

// Entry is one campaign in a snapshot. It is immutable: another one takes its place
// when anything of it changes.
type Entry struct {
	*campaigns.Campaign
	Total campaigns.Total
	// Wall is never nil; its AsOf is zero until donors were counted.
	Wall  *campaigns.Wall
	Phase campaigns.Phase // when the snapshot was made

	id   int32
	text string // name, organisation and slug, folded, each word after a space
	name string // the name, folded, to sort by
}

// Sum is what was given in one currency over the day's campaigns.
type Sum struct {
	Currency                  money.Currency
	RaisedMinor, PledgedMinor int64
	// Donations counts lines: a donation to three campaigns is three gifts.
	Donations int64
	// Campaigns is how many campaigns of the day take this currency.
	Campaigns int
}

// Day is a snapshot. Rehearsals are found by Find and appear nowhere else; so are
// the campaigns of giving days other than the one that is shown.
type Day struct {
	// Version rises with every change of what is in the snapshot, the ages excepted.
	Version uint64
	// Event is the giving day that is shown, nil for none.
	Event *campaigns.Event
	// AsOf: each donation that was acknowledged before it is in the totals. Zero while
	// nothing was heard.
	AsOf time.Time
	// Donors are distinct people over all campaigns of the installation, counted up to
	// DonorsAsOf; zero while nobody counted.
	Donors     int64
	DonorsAsOf time.Time
	// Wall holds the newest gifts over all campaigns; it is never nil.
	Wall *campaigns.Wall
	// Totals has one sum for each currency that a campaign of the day takes, that of
	// most campaigns first.
	Totals []Sum
	// Open, Upcoming and Closed count campaigns; All is their sum.
	Open, Upcoming, Closed, All int
	// Campaigns is everything listed, most raised first; amounts in different
	// currencies are not compared: those of Totals' first currency come first. It is
	// shared, do not change it.
	Campaigns []*Entry

	entries []*Entry // by Entry.id, those that are not listed too
	ids     map[string]int32
	orders  [orders][]int32 // of listed IDs
}

// Find finds a campaign by its slug, rehearsals included; nil when it is not known.
func (d *Day) Find(slug string) *Entry {
	id, ok := d.ids[slug]
	if !ok {
		return nil
	}
	return d.entries[id]
}

// LeadersByRaised lists at most n campaigns with something raised, most first, in
// the currency of most campaigns. The slice is shared, do not change it.
func (d *Day) LeadersByRaised(n int) []*Entry {
	if len(d.Totals) == 0 {
		return nil
	}
	return d.LeadersIn(d.Totals[0].Currency, n)
}

// LeadersIn is LeadersByRaised for campaigns in one currency.
func (d *Day) LeadersIn(currency money.Currency, n int) []*Entry {
	begin := 0
	for _, t := range d.Totals {
		if t.Currency != currency {
			begin += t.Campaigns
			continue
		}
		all := d.Campaigns[begin : begin+t.Campaigns]
		end := 0
		for end < min(n, len(all)) && all[end].Total.RaisedMinor > 0 {
			end++
		}
		return all[:end:end]
	}
	return nil
}

// LeadersByDonors lists at most n campaigns that somebody gave to, most donors first.
func (d *Day) LeadersByDonors(n int) []*Entry {
	var leaders []*Entry
	for _, id := range d.orders[byDonors] {
		e := d.entries[id]
		if len(leaders) >= n || e.Wall.Donors == 0 {
			break
		}
		leaders = append(leaders, e)
	}
	return leaders
}
