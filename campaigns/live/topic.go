package live

import (
	"sync/atomic"
	"time"

	"spillway/campaigns/render"
)

// topic is one campaign that somebody watches.
type topic struct {
	slug string
	// event is the newest event encoded, the latest-value place of all its viewers.
	event atomic.Pointer[event]
	// wall is the newest wall encoded, for those who watch several topics; nil until
	// the first of them comes.
	wall atomic.Pointer[wallEvent]

	audience

	// Guarded by the audience's lock.
	news   *render.Total // noted and not encoded yet; nil for none
	dirty  bool          // is in the hub's dirty list
	sentAt time.Time     // when event was encoded
	behind *event        // the last age that ageOf gave
	many   int           // members who watch several topics, and so see the wall
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
	enqueue = !tp.dirty
	tp.dirty = true
	return enqueue
}

// send sends the news, unless the last event is younger than EventEvery: then it
// returns how long to wait, and the topic stays in the dirty list.
func (tp *topic) send(h *Hub, now time.Time) (wait time.Duration) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	wait = tp.encode(h, now)
	tp.dirty = wait > 0
	return wait
}

// ageOf is the age that the topic's viewers may be told when the book's speaks of
// news that still waits for its turn: that of the last event. It is nil when
// nothing waits, or need not any more: then the book's holds.
func (tp *topic) ageOf(h *Hub, beats *beats) *event {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if tp.encode(h, beats.at) == 0 { // it stays queued, with nothing left to send
		return nil
	}
	if tp.behind == nil || tp.behind.at != beats.at {
		tp.behind = beats.say(tp.event.Load().age)
		tp.behind.behind = true
	}
	return tp.behind
}

// encode makes the news, if any, the newest event and has the viewers woken, or
// returns how long to wait with it. The caller holds mu, so the age that is read here speaks
// of nothing that is not noted.
func (tp *topic) encode(h *Hub, now time.Time) (wait time.Duration) {
	t := tp.news
	if t == nil {
		return 0
	}
	if wait = tp.sentAt.Add(h.cfg.EventEvery).Sub(now); wait > 0 {
		return wait
	}
	tp.news, tp.sentAt = nil, now
	age := h.ages.Age(t.Book)
	tp.event.Store(&event{at: now, age: age, position: t.Position(), bytes: t.AppendEvent(nil, age, now), total: t})
	h.metrics.events.Inc()
	tp.stir(h)
	return 0
}

// namedBytes is the total's event with its campaign in it.
func (e *event) namedBytes() []byte {
	e.once.Do(func() { e.named = e.total.AppendNamedEvent(nil, e.age, e.at) })
	return e.named
}
