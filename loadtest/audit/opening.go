package audit

import (
	"time"

	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// opening judges answers at the edges of a campaign's hours. Only the front-end
// knows when it received a request that it refused; the time between sending and
// reading the answer, on its clock, holds that moment. An answer is wrong when no moment
// in there allows it.
type opening struct {
	*auditor
	sent map[gift.Ref]time.Time // of the probes at the edges
}

// conflictStatus is how the contract says that a campaign is not open.
const conflictStatus = 409

func atEdge(r gift.Ref) bool { return r.Kind == gift.Opening || r.Kind == gift.Closing }

func (o *opening) attempted(a *record.Attempt) {
	if atEdge(a.Ref) {
		o.sent[a.Ref] = a.Sent
	}
}

// answered judges one answer; k holds what was answered before it.
func (o *opening) answered(k *key, an *record.Answer) {
	sent, ok := o.sent[an.Ref]
	if !atEdge(an.Ref) || !ok || len(k.first.lines) == 0 {
		return
	}
	delete(o.sent, an.Ref)
	c := &o.campaigns[k.first.lines[0].Campaign]
	from, to := o.clock.earliest(sent), o.clock.latest(an.At)
	check := o.result.edges
	switch {
	case an.Outcome == record.Refused && an.Code == conflictStatus:
		check.Checked++
		if !from.Before(c.StartsAt) && (c.EndsAt.IsZero() || to.Before(c.EndsAt)) {
			check.fail(o.run.ID(an.Ref), an.Ref, "refused as not open, sent %s, answered %s, open %s", stamp(from), stamp(to), hours(c))
		}
	case an.Outcome == record.Accepted:
		check.Checked++
		// One attempt may have been stored in time and only its repeat answered late.
		early := k.first.attempts > 1
		if !early && (to.Before(c.StartsAt) || !c.EndsAt.IsZero() && !from.Before(c.EndsAt)) {
			check.fail(o.run.ID(an.Ref), an.Ref, "accepted, sent %s, answered %s, open %s", stamp(from), stamp(to), hours(c))
		}
	}
}

// received judges a row of the ledger by its receive time.
func (o *opening) received(d *Donation, k *key) {
	check := o.result.opening
	for i := range d.Lines {
		index, known := o.bySlug[d.Lines[i].Campaign]
		if !known {
			continue // I2 and the field check speak of it
		}
		c := &o.campaigns[index]
		check.Checked++
		if d.ReceivedAt.Before(c.StartsAt) || !c.EndsAt.IsZero() && !d.ReceivedAt.Before(c.EndsAt) {
			check.fail(d.ID, k.ref, "received at %s, campaign %s is open %s", stamp(d.ReceivedAt), c.Slug, hours(c))
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func hours(c *campaign) string {
	if c.EndsAt.IsZero() {
		return "from " + stamp(c.StartsAt)
	}
	return "[" + stamp(c.StartsAt) + ", " + stamp(c.EndsAt) + ")"
}
