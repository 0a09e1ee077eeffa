package board

import (
	"cmp"
	"slices"
	"strings"

	"spillway/campaigns"
	"spillway/ledger/money"
)

// The orders that a snapshot holds.
const (
	byRaised = iota
	byDonors
	byName
	byEnding
	orders
)

func orderOf(s Sort) int {
	switch s {
	case SortDonors:
		return byDonors
	case SortName:
		return byName
	case SortEnding:
		return byEnding
	}
	return byRaised
}

// ranks gives each currency its place in byRaised: that of most campaigns first.
type ranks map[money.Currency]int

// compare orders two entries that are not the same campaign.
func compare(order int, rank ranks, a, b *Entry) int {
	c := 0
	switch order {
	case byRaised:
		if a.Currency != b.Currency {
			c = cmp.Compare(rank[a.Currency], rank[b.Currency])
		}
		if c == 0 {
			c = cmp.Compare(b.Total.RaisedMinor, a.Total.RaisedMinor)
		}
	case byDonors:
		c = cmp.Compare(b.Wall.Donors, a.Wall.Donors)
	case byName:
		c = strings.Compare(a.name, b.name)
	case byEnding:
		c = compareEnding(a, b)
	}
	if c == 0 {
		c = strings.Compare(a.Slug, b.Slug)
	}
	return c
}

func compareEnding(a, b *Entry) int {
	if a.Phase != b.Phase {
		return cmp.Compare(urgency(a.Phase), urgency(b.Phase))
	}
	switch a.Phase {
	case campaigns.Upcoming:
		return a.StartsAt.Compare(b.StartsAt)
	case campaigns.Closed:
		return b.EndsAt.Compare(a.EndsAt)
	}
	if a.EndsAt.IsZero() != b.EndsAt.IsZero() { // what never ends comes after all that does
		if a.EndsAt.IsZero() {
			return 1
		}
		return -1
	}
	return a.EndsAt.Compare(b.EndsAt)
}

func urgency(p campaigns.Phase) int {
	switch p {
	case campaigns.Open:
		return 0
	case campaigns.Upcoming:
		return 1
	}
	return 2
}

// reorder returns the order with the moved IDs at their new places, those left out
// that are not listed. Everything else is copied in one pass and compared only where
// something is put in, so a change costs a copy and a few comparisons, not a sort.
// moved is sorted in place; old is left as it is, for the snapshot that has it.
func (b *Builder) reorder(order int, old, moved []int32) []int32 {
	for _, id := range moved {
		b.moving[id] = true
	}
	stay := make([]int32, 0, len(old)+len(moved))
	for _, id := range old {
		if !b.moving[id] {
			stay = append(stay, id)
		}
	}
	for _, id := range moved {
		b.moving[id] = false
	}
	moved = slices.DeleteFunc(moved, func(id int32) bool { return !b.listed[id] })
	by := func(i, j int32) int { return compare(order, b.ranks, b.entries[i], b.entries[j]) }
	slices.SortFunc(moved, by)
	moved = slices.Compact(moved)
	// From the back, so that what stays moves once, inside the slice that it is in.
	end := len(stay)
	stay = stay[:end+len(moved)]
	for k := len(moved) - 1; k >= 0; k-- {
		at, _ := slices.BinarySearchFunc(stay[:end], moved[k], by)
		copy(stay[at+k+1:], stay[at:end])
		stay[at+k] = moved[k]
		end = at
	}
	return stay
}
