package audit

import (
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
	held     int               // claims kept
	stride   int               // every stride-th claim is kept
	seen     int64
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
}

func (w *watch) init() {
	w.lines = map[line]*reading{}
	w.claims = map[int32][]claim{}
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
		// Nothing is failed, canceled or refunded in a rehearsal.
		c.fail(nil, slug, "connection %d at %s: donations went from %d back to %d", o.Connection, stamp(o.At), r.Donations, o.Donations)
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
	for _, all := range w.claims {
		slices.SortFunc(all, func(a, b claim) int { return a.asOf.Compare(b.asOf) })
	}
}

// accepted notes a 202 whose content counts: every claim as of a later moment owes it.
func (w *watch) accepted(a *auditor, v *variant) {
	given := a.clock.latest(v.accepted1)
	for _, l := range v.lines {
		all := w.claims[l.Campaign]
		i := sort.Search(len(all), func(i int) bool { return all[i].asOf.After(given) })
		if i < len(all) {
			all[i].due++
			all[i].dueMinor += l.AmountMinor
		}
	}
}

// judge holds every claim against what it owed.
func (w *watch) judge(a *auditor) {
	c := a.result.truth
	for campaign, all := range w.claims {
		var due, minor int64
		for _, k := range all {
			due += k.due
			minor += k.dueMinor
			c.Checked++
			if k.donations < due || k.minor < minor {
				c.fail(nil, text(a.campaigns[campaign].Slug), "read at %s as of %s: %d donations and %d minor units, but %d and %d were acknowledged before",
					stamp(k.at), stamp(k.asOf), k.donations, k.minor, due, minor)
			}
		}
	}
	if w.stride > 1 {
		c.Note = fmt.Sprintf("every %dth of %d observations was held against the answers", w.stride, w.seen)
	}
}
