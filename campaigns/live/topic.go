package live

import (
	"sync"
	"sync/atomic"
	"time"

	"spillway/campaigns/render"
)

// topic is one campaign that somebody watches.
type topic struct {
	slug string
	// event is the newest event encoded, the latest-value place of all its viewers.
	event atomic.Pointer[event]

	mu      sync.Mutex
	news    *render.Total // noted and not encoded yet; nil for none
	queued  bool          // is in the hub's dirty list
	sentAt  time.Time     // when event was encoded
	viewers []*viewer
}

// note keeps t to be sent, unless something as new was sent or noted already. It
// reports whether the topic has to be put into the dirty list.
func (tp *topic) note(t *render.Total) (enqueue bool) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if e := tp.event.Load(); e != nil && !t.Position().After(e.position) {
		return false
	}
	if tp.news != nil && !t.Position().After(tp.news.Position()) {
		return false
	}
	tp.news = t
	enqueue = !tp.queued
	tp.queued = true
	return enqueue
}

// sendPaced sends the news, unless the last event is younger than pace: then it
// returns how long to wait, and the topic stays in the dirty list.
func (tp *topic) sendPaced(h *Hub, now time.Time, pace time.Duration) (wait time.Duration) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.news != nil {
		if wait = tp.sentAt.Add(pace).Sub(now); wait > 0 {
			return wait
		}
		tp.encode(h, now)
	}
	tp.queued = false
	return 0
}

// sendNow sends the news, if any, whatever the pace. A queued topic stays queued.
func (tp *topic) sendNow(h *Hub, now time.Time) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.news != nil {
		tp.encode(h, now)
	}
}

// encode makes the news the newest event and wakes the viewers. The caller holds
// mu, so the age that is read here speaks of nothing that is not noted.
func (tp *topic) encode(h *Hub, now time.Time) {
	t := tp.news
	tp.news, tp.sentAt = nil, now
	age := h.ages.Age(t.Book)
	tp.event.Store(&event{at: now, position: t.Position(), bytes: t.AppendEvent(nil, age, now)})
	h.metrics.events.Inc()
	for _, v := range tp.viewers {
		v.rouse()
	}
}
