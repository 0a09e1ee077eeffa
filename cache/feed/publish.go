package feed

import (
	"context"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// publishChanges publishes what changed, the first change at once and what comes
// within PublishEvery of it together, until ctx ends.
func (f *Feed) publishChanges(ctx context.Context, cache Cache, viewers Viewers) {
	breath := time.NewTimer(f.cfg.PublishEvery)
	defer breath.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-breath.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-f.changed:
		}
		f.publish(cache, viewers)
		breath.Reset(f.cfg.PublishEvery)
	}
}

// publish shows everything that changed: the totals first, and then the ages that
// speak of them.
func (f *Feed) publish(cache Cache, viewers Viewers) {
	type changed struct {
		total campaigns.Total
		book  ledger.Book
	}
	var sums []changed
	var asOf [len(ages{})]time.Time
	f.mu.Lock()
	for _, b := range ledger.Books {
		if f.held(b) {
			asOf[b] = f.ages[b].Load().AsOf
			continue
		}
		for _, slug := range f.state.TakeChanged(b, nil) {
			// A campaign that is not known yet is loaded by its first reader; rows of
			// the other book are nobody's public total.
			if c, ok := f.campaigns.Find(slug); ok && c.Book() == b {
				sums = append(sums, changed{f.state.Total(b, c.Slug, c.Currency), b})
			}
		}
		asOf[b] = f.state.AsOf(b)
	}
	f.mu.Unlock()

	totals := make([]*render.Total, len(sums))
	for i := range sums {
		totals[i] = render.NewTotal(sums[i].total, sums[i].book)
	}
	f.metrics.rendered.Add(float64(len(totals)))
	if added := f.show(totals); len(added) > 0 {
		cache.Put(added)
	}
	if len(totals) > 0 {
		viewers.Publish(totals)
	}
	for _, b := range ledger.Books {
		if !asOf[b].Equal(f.ages[b].Load().AsOf) {
			f.ages[b].Store(render.NewAge(asOf[b]))
		}
	}
	viewers.Aged()
}

// show puts totals into their places and returns the places that are new.
func (f *Feed) show(totals []*render.Total) (added []*render.Live) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range totals {
		if l := f.shown[t.Campaign]; l != nil {
			l.Advance(t)
			continue
		}
		l := render.NewLive(t)
		f.shown[t.Campaign] = l
		added = append(added, l)
	}
	return added
}
