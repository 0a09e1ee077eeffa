package board

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"spillway/campaigns"
	"spillway/ledger/money"
)

// Builder holds everything that a snapshot is made of, and makes the next one from
// what changed since the last. It belongs to one goroutine at a time.
type Builder struct {
	entries []*Entry
	listed  []bool           // by ID: the campaign is in the lists
	ids     map[string]int32 // replaced, never changed: snapshots share it
	moving  []bool           // reorder's own
	ranks   ranks
	sums    map[money.Currency]*Sum
	// totals and walls are those of campaigns that are not known, or not yet.
	totals map[string]campaigns.Total
	walls  map[string]*campaigns.Wall
	day    *campaigns.Wall

	event  *campaigns.Event
	others map[string]bool // slugs of the giving days that are not shown

	orders [orders][]int32
	moved  [orders][]int32 // IDs whose place in an order may be another now
	dirty  bool            // anything changed since the last snapshot
	last   *Day
	until  time.Time // when the next campaign opens or closes; zero for never
}

// NewBuilder returns a Builder of a day without campaigns.
func NewBuilder() *Builder {
	b := &Builder{
		ids: map[string]int32{}, ranks: ranks{}, sums: map[money.Currency]*Sum{},
		totals: map[string]campaigns.Total{}, walls: map[string]*campaigns.Wall{},
		day: &campaigns.Wall{Campaign: campaigns.DayWall}, others: map[string]bool{},
	}
	b.last = &Day{Wall: b.day, ids: b.ids}
	return b
}

// SetCampaigns takes in every campaign as it is now, and the giving days: shown is
// the one that pages show, nil for none. A campaign of another day in days is not
// listed; one of no day, or of one that nobody described, is. It keeps what it is
// given, and returns the slugs that it had not known.
func (b *Builder) SetCampaigns(all []*campaigns.Campaign, shown *campaigns.Event, days []*campaigns.Event, now time.Time) (added []string) {
	b.event = shown
	clear(b.others)
	for _, e := range days {
		if shown != nil && e.Slug != shown.Slug {
			b.others[e.Slug] = true
		}
	}
	b.dirty = true
	for _, c := range all {
		id, known := b.ids[c.Slug]
		if !known {
			if len(added) == 0 {
				b.ids = maps.Clone(b.ids)
			}
			added = append(added, c.Slug)
			id = b.admit(c)
		}
		if e := b.entries[id]; e.Campaign != c {
			next := *e
			next.Campaign, next.text, next.name = c, searchText(c), fold(c.Name)
			b.replace(id, &next)
			b.move(id, byName, byEnding)
		}
		if want := !c.Rehearsal && !b.others[c.Event]; want != b.listed[id] {
			b.list(id, want)
		}
	}
	b.setPhases(now)
	b.setRanks()
	return added
}

// admit makes room for a campaign that was not known; it is not listed yet.
func (b *Builder) admit(c *campaigns.Campaign) int32 {
	id := int32(len(b.entries))
	e := &Entry{Campaign: c, Total: campaigns.Total{Campaign: c.Slug, Currency: c.Currency}, id: id,
		Wall: &campaigns.Wall{Campaign: c.Slug}, text: searchText(c), name: fold(c.Name)}
	if t, ok := b.totals[c.Slug]; ok && t.Currency == c.Currency {
		e.Total = t
	}
	if w, ok := b.walls[c.Slug]; ok {
		e.Wall = w
	}
	delete(b.totals, c.Slug)
	delete(b.walls, c.Slug)
	b.ids[c.Slug] = id
	b.entries, b.listed, b.moving = append(b.entries, e), append(b.listed, false), append(b.moving, false)
	return id
}

// replace puts an entry in another's place, and corrects the sums.
func (b *Builder) replace(id int32, next *Entry) {
	if b.listed[id] {
		b.count(b.entries[id], -1)
		b.count(next, 1)
	}
	b.entries[id] = next
	b.dirty = true
}

// list takes a campaign into the lists or out of them.
func (b *Builder) list(id int32, want bool) {
	b.listed[id] = want
	if want {
		b.count(b.entries[id], 1)
	} else {
		b.count(b.entries[id], -1)
	}
	b.move(id, byRaised, byDonors, byName, byEnding)
}

// count adds an entry to the sum of its currency, or takes it out.
func (b *Builder) count(e *Entry, sign int64) {
	s := b.sums[e.Currency]
	if s == nil {
		s = &Sum{Currency: e.Currency}
		b.sums[e.Currency] = s
	}
	s.RaisedMinor += sign * e.Total.RaisedMinor
	s.PledgedMinor += sign * e.Total.PledgedMinor
	s.Donations += sign * e.Total.Donations
	s.Campaigns += int(sign)
}

func (b *Builder) move(id int32, in ...int) {
	for _, order := range in {
		b.moved[order] = append(b.moved[order], id)
	}
	b.dirty = true
}

// setPhases judges every campaign at now.
func (b *Builder) setPhases(now time.Time) {
	b.until = time.Time{}
	for id, e := range b.entries {
		if phase := e.PhaseAt(now); phase != e.Phase {
			next := *e
			next.Phase = phase
			b.replace(int32(id), &next)
			b.move(int32(id), byEnding)
		}
		for _, t := range [...]time.Time{e.StartsAt, e.EndsAt} {
			if t.After(now) && (b.until.IsZero() || t.Before(b.until)) {
				b.until = t
			}
		}
	}
}

// Until is when the next campaign opens or closes, zero for never: a snapshot made
// from then on is another.
func (b *Builder) Until() time.Time { return b.until }

// setRanks orders the currencies, and everything by amount anew when they moved.
func (b *Builder) setRanks() {
	all := slices.SortedFunc(maps.Values(b.sums), func(s, t *Sum) int {
		return cmp.Or(cmp.Compare(t.Campaigns, s.Campaigns), cmp.Compare(s.Currency, t.Currency))
	})
	next := ranks{}
	for _, s := range all {
		if s.Campaigns > 0 {
			next[s.Currency] = len(next)
		}
	}
	if maps.Equal(next, b.ranks) {
		return
	}
	b.ranks = next
	for id := range b.entries {
		b.move(int32(id), byRaised)
	}
}

// SetTotal takes in a campaign's total, unless one as new is held. A campaign that
// is not known yet may be later.
func (b *Builder) SetTotal(t campaigns.Total) {
	id, known := b.ids[t.Campaign]
	if !known {
		b.totals[t.Campaign] = t
		return
	}
	e := b.entries[id]
	if t.Currency != e.Currency || t.Epoch < e.Total.Epoch || t.Epoch == e.Total.Epoch && t.Version <= e.Total.Version {
		return
	}
	next := *e
	next.Total = t
	b.replace(id, &next)
	if t.RaisedMinor != e.Total.RaisedMinor {
		b.move(id, byRaised)
	}
}

// SetWall takes in a campaign's wall, or the day's, unless one as new is held.
func (b *Builder) SetWall(w *campaigns.Wall) {
	if w.Campaign == campaigns.DayWall {
		if w.Version > b.day.Version {
			b.day, b.dirty = w, true
		}
		return
	}
	id, known := b.ids[w.Campaign]
	if !known {
		if held := b.walls[w.Campaign]; held == nil || w.Version > held.Version {
			b.walls[w.Campaign] = w
		}
		return
	}
	e := b.entries[id]
	if w.Version <= e.Wall.Version {
		return
	}
	next := *e
	next.Wall = w
	b.replace(id, &next)
	if w.Donors != e.Wall.Donors {
		b.move(id, byDonors)
	}
}

// Build makes the snapshot of now. asOf is an age that was published after every
// total that it speaks of was given to SetTotal. The snapshot before stays as it is,
// and is returned again when nothing changed, asOf included.
func (b *Builder) Build(now, asOf time.Time) *Day {
	if !b.until.IsZero() && !now.Before(b.until) {
		b.setPhases(now)
	}
	switch {
	case b.dirty:
	case asOf.Equal(b.last.AsOf):
		return b.last
	default:
		d := *b.last
		d.AsOf = asOf
		b.last = &d
		return b.last
	}
	d := &Day{
		Version: b.last.Version + 1, Event: b.event, AsOf: asOf, Donors: b.day.Donors, DonorsAsOf: b.day.AsOf, Wall: b.day,
		entries: slices.Clone(b.entries), ids: b.ids,
	}
	for order := range b.orders {
		if len(b.moved[order]) > 0 {
			b.orders[order] = b.reorder(order, b.orders[order], b.moved[order])
			b.moved[order] = b.moved[order][:0]
		}
	}
	d.orders = b.orders
	d.Campaigns = make([]*Entry, len(d.orders[byRaised]))
	var phases [campaigns.Closed + 1]int
	for i, id := range d.orders[byRaised] {
		e := d.entries[id]
		d.Campaigns[i] = e
		phases[e.Phase]++
	}
	d.Open, d.Upcoming, d.Closed, d.All = phases[campaigns.Open], phases[campaigns.Upcoming], phases[campaigns.Closed], len(d.Campaigns)
	d.Totals = make([]Sum, len(b.ranks))
	for currency, rank := range b.ranks {
		d.Totals[rank] = *b.sums[currency]
	}
	b.last, b.dirty = d, false
	return d
}
