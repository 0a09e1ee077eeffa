package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"spillway/loadtest/record"
)

// watch judges what watchers read.
type watch struct {
	sessions int
	lines    map[line]*reading
	claims   map[int32][]claim // by campaign
	// byReading are the claims' places in the order of reading.
	byReading map[int32][]int32
	held      int // claims kept
	stride    int // every stride-th claim is kept
	seen      int64
	// released are donations that stopped being pledged: about 24 bytes for each in a
	// campaign that was watched.
	released map[int32][]release
	drops    map[int32]drop // by campaign, the most that one line saw
}

// line is one connection of one session, watching one campaign.
type line struct {
	session    int
	connection int64
	campaign   int32
}

// reading is the latest that was read on a line.
type reading struct {
	full bool // numbers were read
	record.Observation
	drop
}

// drop is how far numbers went back on one line, all times together.
type drop struct {
	donations, minor int64
	detail           string // of the last time
}

// release is a 202 that claims read since fell owe no more.
type release struct {
	owed  int32 // the first claim by as_of that owed it
	fell  int64 // target's clock, nanoseconds of Unix time
	minor int64
}

// claim is an observation as a promise: as of asOf, at least everything
// acknowledged before is in these numbers.
type claim struct {
	asOf             time.Time
	donations, minor int64
	at               time.Time
	// due counts what was acknowledged since the claim before and had to be inside;
	// summed up they are what this claim owes.
	due, dueMinor int64
	// sent counts what was first sent since the claim that was read before, and before
	// this one was read: summed up they are the most that it may hold.
	sent, sentMinor int64
}

// sentSlack is how much later than it was read a total may hold a gift by our own
// clock, which may be set meanwhile; othersSlack the same where several generators'
// clocks were measured against each other.
const (
	sentSlack   = 100 * time.Millisecond
	othersSlack = time.Second
)

func (w *watch) init() {
	w.lines = map[line]*reading{}
	w.claims = map[int32][]claim{}
	w.released = map[int32][]release{}
	w.drops = map[int32]drop{}
	w.stride = 1
}

// session begins another session: connections are counted anew.
func (w *watch) session() {
	w.sessions++
	clear(w.lines)
}

// observe takes the next observation, in the order of reading on each line.
func (w *watch) observe(a *auditor, o *record.Observation) {
	at := line{w.sessions, o.Connection, o.Campaign}
	r := w.lines[at]
	if r == nil {
		r = &reading{}
		w.lines[at] = r
	} else {
		a.result.forward.Checked++
		w.forward(a, r, o)
	}
	if o.AsOf.After(r.AsOf) || r.At.IsZero() {
		r.AsOf = o.AsOf
	}
	r.At = o.At
	if !o.AgesOnly {
		asOf := r.AsOf
		r.Observation, r.full = *o, true
		r.AsOf = asOf
	}
	if r.full && !o.AsOf.IsZero() {
		// News without numbers says that the numbers read before still stand.
		w.claim(o.Campaign, claim{asOf: o.AsOf, donations: r.Donations, minor: r.PledgedMinor, at: o.At})
	}
}

// forward compares an observation with the one before it on its line.
func (w *watch) forward(a *auditor, r *reading, o *record.Observation) {
	c, slug := a.result.forward, text(a.campaigns[o.Campaign].Slug)
	if o.AsOf.Before(r.AsOf) {
		c.fail(nil, slug, "connection %d at %s: as_of went from %s back to %s", o.Connection, stamp(o.At), stamp(r.AsOf), stamp(o.AsOf))
	}
	if o.AgesOnly || !r.full {
		return
	}
	switch {
	case o.Epoch < r.Epoch || o.Epoch == r.Epoch && o.Version < r.Version:
		c.fail(nil, slug, "connection %d at %s: version went from %d.%d back to %d.%d", o.Connection, stamp(o.At), r.Epoch, r.Version, o.Epoch, o.Version)
	case o.Epoch == r.Epoch && o.Version == r.Version && (o.Donations != r.Donations || o.PledgedMinor != r.PledgedMinor):
		c.fail(nil, slug, "connection %d at %s: version %d.%d says %d donations, before it said %d", o.Connection, stamp(o.At), o.Epoch, o.Version, o.Donations, r.Donations)
	case o.Donations < r.Donations || o.PledgedMinor < r.PledgedMinor:
		// Gifts that fail are taken out; whether so many did, the ledger tells later.
		r.donations += max(0, r.Donations-o.Donations)
		r.minor += max(0, r.PledgedMinor-o.PledgedMinor)
		r.detail = fmt.Sprintf("connection %d at %s: donations went from %d back to %d", o.Connection, stamp(o.At), r.Donations, o.Donations)
		if most := w.drops[o.Campaign]; r.donations > most.donations || r.minor > most.minor {
			w.drops[o.Campaign] = r.drop
		}
	}
}

// claim keeps a promise to be held against the answers. When there are too many,
// every second one goes.
func (w *watch) claim(campaign int32, c claim) {
	w.seen++
	if w.seen%int64(w.stride) != 0 {
		return
	}
	w.claims[campaign] = append(w.claims[campaign], c)
	w.held++
	if w.held < ObservationsMax {
		return
	}
	w.held, w.stride = 0, w.stride*2
	for i, all := range w.claims {
		kept := all[:0]
		for n := range all {
			if n%2 == 1 {
				kept = append(kept, all[n])
			}
		}
		w.claims[i] = kept
		w.held += len(kept)
	}
}

func (w *watch) close() {
	w.lines = nil
	w.byReading = map[int32][]int32{}
	for campaign, all := range w.claims {
		slices.SortFunc(all, func(a, b claim) int { return a.asOf.Compare(b.asOf) })
		order := make([]int32, len(all)) // at most ObservationsMax of them
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortFunc(order, func(i, k int32) int { return all[i].at.Compare(all[k].at) })
		w.byReading[campaign] = order
	}
}

// sent notes a key: whatever was read of its campaigns after it was first sent may hold
// it, once for each campaign, and no earlier reading may.
func (w *watch) sent(a *auditor, k *key) {
	slack := sentSlack
	if len(a.cfg.Others) > 0 {
		slack = othersSlack
	}
	var most []record.Line // by campaign, of the contents that were sent
	var first time.Time
	k.each(func(v *variant) {
		if first.IsZero() || v.firstSent.Before(first) {
			first = v.firstSent
		}
		for _, l := range v.lines {
			i := slices.IndexFunc(most, func(m record.Line) bool { return m.Campaign == l.Campaign })
			if i < 0 {
				most = append(most, l)
				continue
			}
			most[i].AmountMinor = max(most[i].AmountMinor, l.AmountMinor)
		}
	})
	for _, l := range most {
		all, order := w.claims[l.Campaign], w.byReading[l.Campaign]
		i := sort.Search(len(order), func(i int) bool { return !all[order[i]].at.Add(slack).Before(first) })
		if i < len(order) {
			all[order[i]].sent++
			all[order[i]].sentMinor += l.AmountMinor
		}
	}
}

// judgeSent holds every total that was read against all that had been sent by then.
func (w *watch) judgeSent(a *auditor) {
	c := a.result.ahead
	if a.orphans {
		c.Note = "the run was there before its record began: what was sent before is not known"
		return
	}
	for campaign, order := range w.byReading {
		all := w.claims[campaign]
		var sent, minor int64
		for _, i := range order {
			k := &all[i]
			sent += k.sent
			minor += k.sentMinor
			c.Checked++
			if k.donations > sent || k.minor > minor {
				c.fail(nil, text(a.campaigns[campaign].Slug), "read at %s: %d donations and %d minor units, and no more than %d and %d had been sent",
					stamp(k.at), k.donations, k.minor, sent, minor)
			}
		}
	}
}

// accepted notes a 202 whose content counts: every claim as of a later moment owes
// it, until it fell; fell is zero when it never did.
func (w *watch) accepted(a *auditor, v *variant, fell time.Time) {
	given := a.clock.latest(v.accepted1)
	for _, l := range v.lines {
		all := w.claims[l.Campaign]
		i := sort.Search(len(all), func(i int) bool { return all[i].asOf.After(given) })
		if i == len(all) {
			continue
		}
		all[i].due++
		all[i].dueMinor += l.AmountMinor
		if !fell.IsZero() {
			w.released[l.Campaign] = append(w.released[l.Campaign], release{int32(i), fell.UnixNano(), l.AmountMinor})
		}
	}
}

// judge holds every claim against what it owed.
func (w *watch) judge(a *auditor) {
	c := a.result.truth
	for campaign, all := range w.claims {
		slug := text(a.campaigns[campaign].Slug)
		off := w.forgiven(a, campaign)
		var due, minor int64
		for i, k := range all {
			due += k.due
			minor += k.dueMinor
			c.Checked++
			owed, owedMinor := due-off[i].donations, minor-off[i].minor
			if k.donations < owed || k.minor < owedMinor {
				c.fail(nil, slug, "read at %s as of %s: %d donations and %d minor units, but %d and %d were acknowledged before",
					stamp(k.at), stamp(k.asOf), k.donations, k.minor, owed, owedMinor)
			}
		}
	}
	for i, d := range w.drops {
		if k := &a.campaigns[i]; d.donations > k.falls || d.minor > k.fallsMinor {
			a.result.forward.fail(nil, text(k.Slug), "%s; %d and %d minor units in all on that connection, and %d failed with %d", d.detail, d.donations, d.minor, k.falls, k.fallsMinor)
		}
	}
	w.judgeSent(a)
	if w.stride > 1 {
		c.Note = fmt.Sprintf("every %dth of %d observations was held against the answers", w.stride, w.seen)
	}
}

// forgiven says for each of a campaign's claims, by as_of, how much of what was due
// had failed by the time it was read. Claims are taken in the order of reading, and
// what had failed by then is summed by the first claim that owed it, in a tree of
// partial sums (Fenwick, 1994), so that a long run stays fast.
func (w *watch) forgiven(a *auditor, campaign int32) []drop {
	all, released := w.claims[campaign], w.released[campaign]
	off := make([]drop, len(all))
	if len(released) == 0 {
		return off
	}
	byReading := make([]int, len(all))
	for i := range byReading {
		byReading[i] = i
	}
	slices.SortFunc(byReading, func(i, k int) int { return all[i].at.Compare(all[k].at) })
	slices.SortFunc(released, func(x, y release) int { return cmp.Compare(x.fell, y.fell) })
	tree := make([]drop, len(all)+1)
	for _, i := range byReading {
		read := a.clock.latest(all[i].at).UnixNano()
		for len(released) > 0 && released[0].fell <= read {
			for n := int(released[0].owed) + 1; n < len(tree); n += n & -n {
				tree[n].donations++
				tree[n].minor += released[0].minor
			}
			released = released[1:]
		}
		for n := i + 1; n > 0; n -= n & -n {
			off[i].donations += tree[n].donations
			off[i].minor += tree[n].minor
		}
	}
	return off
}
