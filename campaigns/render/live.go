package render

import "sync/atomic"

// Live is the place of one campaign's newest published total. There is one for each
// campaign of a front-end, whoever holds on to it: a cache that keeps it, drops it
// or takes it in again always leads to the newest total, and no two readers see
// the total go back.
type Live struct {
	slug   string
	newest atomic.Pointer[Total]
}

// NewLive returns the place of t's campaign, with t in it.
func NewLive(t *Total) *Live {
	l := &Live{slug: t.Campaign}
	l.newest.Store(t)
	return l
}

// Slug is the campaign's.
func (l *Live) Slug() string { return l.slug }

// Total is the newest total. It does not allocate.
func (l *Live) Total() *Total { return l.newest.Load() }

// Advance puts t in, unless what is there is as new. It is for one goroutine at a
// time.
func (l *Live) Advance(t *Total) {
	if t.Position().After(l.newest.Load().Position()) {
		l.newest.Store(t)
	}
}
