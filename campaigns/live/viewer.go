package live

import (
	"sync/atomic"

	"spillway/campaigns/render"
	"spillway/ledger"
)

// viewer is one connection that watches a campaign.
type viewer struct {
	book  ledger.Book
	topic *topic
	// wake has capacity 1: something may be new. What, the viewer looks up itself.
	wake chan struct{}
	// beat is the newest age not sent yet.
	beat atomic.Pointer[event]

	inTopic, inBucket int // places in their slices, under the topic's and the bucket's lock
	bucket            *bucket
}

// rouse wakes the viewer; one that is awake already will look again.
func (v *viewer) rouse() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// Watch sends a campaign's newest total, then every newer one that the viewer keeps
// up with, and heartbeats, until gone is closed (nil), send fails (its error) or
// the hub stops (ErrStopped).
//
// after is the position that the viewer has already, nil for none: then nothing
// but newer totals is sent, and to begin with only the age. A position ahead of
// ours is another front-end's, to which this one will catch up.
//
// send is called by this goroutine only, and keeps no reference to what it is
// given. Errors before the first event: those of Latest.
func (h *Hub) Watch(book ledger.Book, slug string, after *render.Position, gone <-chan struct{}, send func(event []byte) error) error {
	v := &viewer{book: book, wake: make(chan struct{}, 1)}
	h.join(v, slug)
	defer h.leave(v)

	// The age is read before the total, as everywhere. Joined before both: whatever
	// changes from now on wakes this viewer.
	age := h.ages.Age(book)
	t, err := h.latest.Get([]byte(slug))
	if err != nil {
		return err
	}
	at := h.cfg.Now()
	var first []byte
	position := t.Position()
	if after == nil || position.After(*after) {
		first = t.AppendEvent(nil, age, at)
	} else {
		position = *after
		first = render.AppendHeartbeat(nil, age, at)
	}
	for err = send(first); err == nil; {
		select {
		case <-gone:
			return nil
		case <-v.wake:
		}
		if h.stopped.Load() {
			return ErrStopped
		}
		// The age first and the event second: an event that the age speaks of was
		// there before it.
		beat := v.beat.Swap(nil)
		if e := v.topic.event.Load(); e != nil && e.position.After(position) {
			if err = h.write(send, e); err != nil {
				break
			}
			position, at, age = e.position, e.at, e.age
		}
		if beat == nil || beat.at.Before(at) || beat.behind && beat.age.AsOf.Before(age.AsOf) {
			continue // nothing, or less than was said already
		}
		at, age = beat.at, beat.age
		err = h.write(send, beat)
	}
	return err
}

func (h *Hub) write(send func([]byte) error, e *event) error {
	h.metrics.writes.Inc()
	return send(e.bytes)
}

// join makes the viewer known; after it, nothing that happens is missed.
func (h *Hub) join(v *viewer, slug string) {
	s := h.shard(slug)
	s.mu.Lock()
	tp := s.topics[slug]
	if tp == nil {
		tp = &topic{slug: slug}
		s.topics[slug] = tp
	}
	v.topic = tp
	tp.mu.Lock()
	v.inTopic = len(tp.viewers)
	tp.viewers = append(tp.viewers, v)
	tp.mu.Unlock()
	s.mu.Unlock()

	v.bucket = h.place()
	v.bucket.mu.Lock()
	v.inBucket = len(v.bucket.viewers)
	v.bucket.viewers = append(v.bucket.viewers, v)
	v.bucket.mu.Unlock()
	h.viewers.Add(1)
	if h.stopped.Load() {
		v.rouse() // stop may have passed the bucket already
	}
}

// leave forgets the viewer, and the campaign after its last one.
func (h *Hub) leave(v *viewer) {
	h.viewers.Add(-1)
	b := v.bucket
	b.mu.Lock()
	last := b.viewers[len(b.viewers)-1]
	b.viewers[v.inBucket], last.inBucket = last, v.inBucket
	b.viewers[len(b.viewers)-1] = nil
	b.viewers = b.viewers[:len(b.viewers)-1]
	b.mu.Unlock()

	s := h.shard(v.topic.slug)
	s.mu.Lock()
	defer s.mu.Unlock()
	tp := v.topic
	tp.mu.Lock()
	defer tp.mu.Unlock()
	last = tp.viewers[len(tp.viewers)-1]
	tp.viewers[v.inTopic], last.inTopic = last, v.inTopic
	tp.viewers[len(tp.viewers)-1] = nil
	tp.viewers = tp.viewers[:len(tp.viewers)-1]
	if len(tp.viewers) == 0 {
		delete(s.topics, tp.slug)
	}
}
