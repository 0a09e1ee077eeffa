package directory

import (
	"slices"
	"strings"
	"time"

	"spillway/campaigns"
)

// Events lists every giving day in order of slug. The slice and the events are shared
// and must not be changed.
func (d *Directory) Events() []*campaigns.Event { return *d.events.Load() }

// FindEvent returns a giving day by its slug.
func (d *Directory) FindEvent(slug string) (*campaigns.Event, bool) {
	all := *d.events.Load()
	i, ok := slices.BinarySearchFunc(all, slug, bySlug)
	if !ok {
		return nil, false
	}
	return all[i], true
}

func bySlug(e *campaigns.Event, slug string) int { return strings.Compare(e.Slug, slug) }

// Event is the giving day that pages show now: the open one that began last, else the
// one that begins next, else the one that ended last; nil when there is none. It takes
// no lock and does not allocate.
func (d *Directory) Event() *campaigns.Event { return shown(*d.events.Load(), d.now()) }

// shown chooses one of all, which are in order of slug, at a moment.
func shown(all []*campaigns.Event, now time.Time) *campaigns.Event {
	var open, next, last *campaigns.Event
	for _, e := range all {
		switch {
		case e.StartsAt.After(now):
			if next == nil || e.StartsAt.Before(next.StartsAt) {
				next = e
			}
		case !e.EndsAt.IsZero() && !e.EndsAt.After(now):
			if last == nil || e.EndsAt.After(last.EndsAt) {
				last = e
			}
		default:
			if open == nil || e.StartsAt.After(open.StartsAt) {
				open = e
			}
		}
	}
	switch {
	case open != nil:
		return open
	case next != nil:
		return next
	}
	return last
}

// putEvent takes in a giving day unless a revision as high is held.
func (d *Directory) putEvent(e *campaigns.Event) {
	d.write.Lock()
	defer d.write.Unlock()
	all := *d.events.Load()
	i, known := slices.BinarySearchFunc(all, e.Slug, bySlug)
	if known && all[i].Revision >= e.Revision {
		return
	}
	next := slices.Clone(all)
	if known {
		next[i] = e
	} else {
		next = slices.Insert(next, i, e)
	}
	d.events.Store(&next)
	d.revision.Add(1)
}

// Switches are what organisers have turned off. It takes no lock and does not allocate.
func (d *Directory) Switches() campaigns.Switches { return *d.switches.Load() }

// putSwitches takes in what the broker said last, whatever its revision: a broker
// that was made anew counts them from the start.
func (d *Directory) putSwitches(s *campaigns.Switches) {
	if before := d.switches.Swap(s); *before != *s {
		d.revision.Add(1)
		d.log.Info("switches", "leaderboards_off", s.LeaderboardsOff, "feed_off", s.FeedOff, "live_off", s.LiveOff,
			"exports_off", s.ExportsOff, "revision", s.Revision)
	}
}
