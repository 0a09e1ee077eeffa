package live

import (
	"sync"
	"time"

	"spillway/campaigns/render"
	"spillway/ledger"
)

// sub is one campaign of a viewer. What was sent is noted for those who watch several
// topics only.
type sub struct {
	seat
	topic    *topic
	position render.Position // of what was sent last
	wall     *wallEvent      // sent last
}

// session is the rest of what such a viewer was sent; it belongs to its goroutine.
type session struct {
	hub  *Hub
	v    *viewer
	send func([]byte) error

	day     *dayEvent
	wall    *wallEvent
	told    *told
	beat    *event   // the age that was said last
	pending [][]byte // what goes out with the next write
}

// joined holds several events that go out in one write; they are small, and few.
var joined = sync.Pool{New: func() any { return new([]byte) }}

// joinedBytesMost is the largest buffer that is kept for the next: some walls and
// twenty totals.
const joinedBytesMost = 32 << 10

// WatchMany sends the switches, the newest totals and walls of the campaigns, and with
// day the whole day's sums and its wall, then every change that the viewer keeps up
// with, and heartbeats, until one of Watch's ends. No slug is given twice. Its events carry their campaign and no ID:
// each campaign's position only rises, and a viewer that comes again drops what is
// older than it has.
//
// With more than one topic a viewer is written to at most once in the time that lies
// between two events of one campaign, with everything that is new by then.
//
// send is as in Watch. Errors before the first event: those of Latest.
func (h *Hub) WatchMany(book ledger.Book, slugs []string, day bool, gone <-chan struct{}, send func(events []byte) error) error {
	v := &viewer{book: book, wake: make(chan struct{}, 1), subs: make([]sub, len(slugs))}
	h.joinMany(v, slugs, day)
	defer h.leaveMany(v)
	s := &session{hub: h, v: v, send: send}
	err := s.begin()
	if err != nil {
		return err
	}
	var pause *time.Timer // made when it is needed first
	next := h.cfg.Now()
	for {
		select {
		case <-gone:
			return nil
		case <-v.wake:
		}
		if wait := next.Sub(h.cfg.Now()); wait > 0 && !h.stopped.Load() {
			if pause == nil {
				pause = time.NewTimer(wait)
				defer pause.Stop()
			} else {
				pause.Reset(wait)
			}
			select {
			case <-gone:
				return nil
			case <-pause.C:
			}
		}
		if err = h.ended(send); err != nil {
			return err
		}
		if err = s.write(); err != nil {
			return err
		}
		if len(slugs) > 1 || day {
			next = h.cfg.Now().Add(h.pace())
			v.rests.Store(next.UnixNano())
		}
	}
}

// begin sends everything as it is now.
func (s *session) begin() error {
	h := s.hub
	if err := h.ended(s.send); err != nil {
		return err
	}
	s.told = h.said.Load()
	s.pending = append(s.pending, s.told.bytes)
	// The age is read before the totals, as everywhere. Joined before both: whatever
	// changes from now on wakes this viewer.
	age := h.ages.Age(s.v.book)
	s.beat = &event{age: age}
	for i := range s.v.subs {
		sub := &s.v.subs[i]
		t, err := h.latest.Get([]byte(sub.topic.slug))
		if err != nil {
			return err
		}
		sub.position = t.Position()
		s.pending = append(s.pending, t.AppendNamedEvent(nil, age, h.cfg.Now()))
		if sub.wall = sub.topic.wall.Load(); sub.wall != nil {
			s.pending = append(s.pending, sub.wall.bytes)
		}
	}
	s.gatherDay()
	return s.flush()
}

// write sends everything that is newer than what was sent.
func (s *session) write() error {
	h := s.hub
	if told := h.said.Load(); told != s.told {
		s.told = told
		s.pending = append(s.pending, told.bytes)
	}
	// The age first and the events second: an event that the age speaks of was there
	// before it.
	beat := s.v.beat.Swap(nil)
	for i := range s.v.subs {
		sub := &s.v.subs[i]
		if e := sub.topic.event.Load(); e != nil && e.position.After(sub.position) {
			sub.position = e.position
			s.pending = append(s.pending, e.namedBytes())
		}
		if w := sub.topic.wall.Load(); w != sub.wall {
			sub.wall = w
			s.pending = append(s.pending, w.bytes)
		}
	}
	s.gatherDay()
	if beat != nil && !beat.age.AsOf.Before(s.beat.age.AsOf) { // else less than was said already
		s.beat = beat
		s.pending = append(s.pending, beat.bytes)
	}
	return s.flush()
}

// gatherDay adds what is new of the day.
func (s *session) gatherDay() {
	if s.v.day == nil {
		return
	}
	if e := s.hub.day.event.Load(); e != s.day {
		s.day = e
		s.pending = append(s.pending, e.bytes)
	}
	if w := s.hub.day.wall.Load(); w != s.wall {
		s.wall = w
		s.pending = append(s.pending, w.bytes)
	}
}

// flush sends what is pending in one write.
func (s *session) flush() error {
	s.hub.metrics.writes.Add(float64(len(s.pending)))
	var err error
	switch len(s.pending) {
	case 0:
		return nil
	case 1:
		err = s.send(s.pending[0])
	default:
		buffer := joined.Get().(*[]byte)
		all := (*buffer)[:0]
		for _, b := range s.pending {
			all = append(all, b...)
		}
		err = s.send(all)
		if cap(all) <= joinedBytesMost {
			*buffer = all
			joined.Put(buffer)
		}
	}
	clear(s.pending)
	s.pending = s.pending[:0]
	return err
}

// joinMany takes the viewer into all its topics' audiences.
func (h *Hub) joinMany(v *viewer, slugs []string, day bool) {
	for i, slug := range slugs {
		h.joinTopic(v, i, slug, true)
	}
	if day {
		v.day = &seat{viewer: v}
		h.day.join(h, v.day)
	}
	h.join(v)
}

func (h *Hub) leaveMany(v *viewer) {
	h.leave(v)
	for i := range v.subs {
		h.leaveTopic(&v.subs[i], true)
	}
	if v.day != nil {
		h.day.leave(v.day)
	}
}
