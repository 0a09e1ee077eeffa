package live

import (
	"sync/atomic"

	"spillway/campaigns/render"
	"spillway/ledger"
)

// viewer is one connection that watches a campaign, or several topics.
type viewer struct {
	book ledger.Book
	subs []sub
	day  *seat // in the whole day's audience, nil for none
	// wake has capacity 1: something may be new. What, the viewer looks up itself.
	wake chan struct{}
	// beat is the newest age not sent yet.
	beat atomic.Pointer[event]

	// rests is until when a viewer of several topics is not written to again, in Unix
	// nanoseconds.
	rests atomic.Int64

	inBucket int // its place in bucket.viewers, under the bucket's lock
	bucket   *bucket
}

// rouse wakes the viewer; one that was woken already, and will look, is left alone.
func (v *viewer) rouse() (woken bool) {
	select {
	case v.wake <- struct{}{}:
		return true
	default:
		return false
	}
}

// Watch sends a campaign's newest total, then every newer one that the viewer keeps
// up with, and heartbeats, until gone is closed (nil), send fails (its error) or
// the hub stops (ErrStopped), or streams are switched off (ErrSwitchedOff, after the
// viewer was told).
//
// after is the position that the viewer has already, nil for none: then nothing
// but newer totals is sent, and to begin with only the age. A position ahead of
// ours is another front-end's, to which this one will catch up.
//
// send is called by this goroutine only, and keeps no reference to what it is
// given. Errors before the first event: those of Latest.
func (h *Hub) Watch(book ledger.Book, slug string, after *render.Position, gone <-chan struct{}, send func(event []byte) error) error {
	v := &viewer{book: book, wake: make(chan struct{}, 1), subs: make([]sub, 1)}
	h.joinTopic(v, 0, slug, false)
	h.join(v)
	defer func() {
		h.leave(v)
		h.leaveTopic(&v.subs[0], false)
	}()
	topic := v.subs[0].topic

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
		if err = h.ended(send); err != nil {
			break
		}
		// The age first and the event second: an event that the age speaks of was
		// there before it.
		beat := v.beat.Swap(nil)
		if e := topic.event.Load(); e != nil && e.position.After(position) {
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

// ended says why no stream may go on, nil when they may. A viewer whose stream was
// switched off is told.
func (h *Hub) ended(send func([]byte) error) error {
	if h.stopped.Load() {
		return ErrStopped
	}
	if h.said.Load().LiveOff {
		if err := send(render.AppendRetryEvent(nil)); err != nil {
			return err
		}
		return ErrSwitchedOff
	}
	return nil
}

// ageOf is the age that the viewer may be told instead of the book's, nil for that.
func (v *viewer) ageOf(h *Hub, beats *beats) *event {
	if len(v.subs) == 1 && v.day == nil {
		return v.subs[0].topic.ageOf(h, beats)
	}
	var least *event
	take := func(e *event) {
		if e != nil && (least == nil || e.age.AsOf.Before(least.age.AsOf)) {
			least = e
		}
	}
	for i := range v.subs {
		take(v.subs[i].topic.ageOf(h, beats))
	}
	if v.day != nil {
		take(h.day.ageOf(h, beats))
	}
	return least
}

// joinTopic takes a viewer into a campaign's audience, as its i-th. With wall it sees
// to that too.
func (h *Hub) joinTopic(v *viewer, i int, slug string, wall bool) {
	s := h.shard(slug)
	s.mu.Lock()
	defer s.mu.Unlock()
	tp := s.topics[slug]
	if tp == nil {
		tp = &topic{slug: slug}
		s.topics[slug] = tp
	}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	v.subs[i] = sub{seat: seat{viewer: v}, topic: tp}
	tp.sit(&v.subs[i].seat)
	if wall {
		tp.many++
		tp.wall.Store(h.encodeWall(slug, tp.wall.Load()))
	}
}

// leaveTopic lets a viewer go, and forgets the topic after the last one.
func (h *Hub) leaveTopic(s *sub, wall bool) {
	tp := s.topic
	sh := h.shard(tp.slug)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.rise(&s.seat)
	if wall {
		tp.many--
	}
	if len(tp.seats) == 0 {
		delete(sh.topics, tp.slug)
	}
}

// join makes the viewer known to whoever wakes all; after it, and after joining its
// topics, nothing that happens is missed.
func (h *Hub) join(v *viewer) {
	v.bucket = h.place()
	v.bucket.mu.Lock()
	v.inBucket = len(v.bucket.viewers)
	v.bucket.viewers = append(v.bucket.viewers, v)
	v.bucket.mu.Unlock()
	h.viewers.Add(1)
	if h.stopped.Load() || h.said.Load().LiveOff {
		v.rouse() // who wakes all may have passed the bucket already
	}
}

// leave forgets the viewer.
func (h *Hub) leave(v *viewer) {
	h.viewers.Add(-1)
	b := v.bucket
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.viewers[len(b.viewers)-1]
	b.viewers[v.inBucket], last.inBucket = last, v.inBucket
	b.viewers[len(b.viewers)-1] = nil
	b.viewers = b.viewers[:len(b.viewers)-1]
}
