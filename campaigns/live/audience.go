package live

import (
	"sync"
	"time"
)

const (
	// wakeEvery is the time between two rounds of waking while somebody waits for it.
	wakeEvery = 2 * time.Millisecond
	// wakeBurst is how much of the pace may be made up for at once: the runtime's
	// queues fill with so many viewers at most, and a donor waits behind those.
	wakeBurst = 6 * time.Millisecond
	// wakeChunk is how many of one audience are woken before it is another's turn, and
	// visitMost how many are looked at for that.
	wakeChunk = 32
	visitMost = 1024
)

// seat is a viewer's place in an audience.
type seat struct {
	viewer *viewer
	at     int // in audience.seats
}

// audience is everybody who watches one topic. Its members are woken in turn, so many
// a second as all viewers together may be sent: all at once they would stand before
// every donor. Waking is a hint, late or twice does no harm: a viewer looks up itself
// what is new, and finds the newest.
type audience struct {
	mu     sync.Mutex // also guards the topic around it
	seats  []*seat
	next   int  // who is woken next
	left   int  // how many are to be woken still
	queued bool // is in the hub's queue
}

// sit takes a viewer in. The caller holds mu.
func (a *audience) sit(s *seat) {
	s.at = len(a.seats)
	a.seats = append(a.seats, s)
}

// rise lets a viewer go. The caller holds mu.
func (a *audience) rise(s *seat) {
	last := a.seats[len(a.seats)-1]
	a.seats[s.at], last.at = last, s.at
	a.seats[len(a.seats)-1] = nil
	a.seats = a.seats[:len(a.seats)-1]
	if a.left > 0 {
		last.viewer.rouse() // whose turn at its new place may be over already
	}
}

// stir has everybody woken soon. The caller holds mu.
func (a *audience) stir(h *Hub) {
	a.left = len(a.seats)
	if a.queued || a.left == 0 {
		return
	}
	a.queued = true
	h.wakeMu.Lock()
	h.waking = append(h.waking, a)
	h.wakeMu.Unlock()
	h.Aged() // Run looks at the queue
}

// wake wakes the next `most` at most. more is false when nobody waits any more; then
// the audience is not in the queue.
//
// Who rests after a write, or was woken and has not looked yet, is not counted: it
// writes in its own time anyway, and once. So those who watch the same twenty topics are not woken twenty times in
// one round and then not at all.
func (a *audience) wake(most int, now int64) (woken int, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = min(a.left, len(a.seats))
	for visited := 0; visited < visitMost && woken < most && a.left > 0; visited++ {
		if a.next >= len(a.seats) {
			a.next = 0
		}
		v := a.seats[a.next].viewer
		if v.rouse() && v.rests.Load() <= now {
			woken++
		}
		a.next++
		a.left--
	}
	a.queued = a.left > 0
	return woken, a.queued
}

// tokens are wakings that may be spent; they come back at Config.WritesMost a second.
type tokens struct {
	left float64
	at   time.Time
}

// burst is the most tokens there are at once.
func (h *Hub) burst() float64 { return max(1, wakeBurst.Seconds()*float64(h.cfg.WritesMost)) }

// wake wakes as many viewers as may be woken now, and returns how long to wait before
// it goes on, 0 when nobody is left. It is Run's.
func (h *Hub) wake(t *tokens) time.Duration {
	now := h.cfg.Now()
	rate := float64(h.cfg.WritesMost)
	t.left = min(t.left+now.Sub(t.at).Seconds()*rate, h.burst())
	t.at = now
	for {
		h.wakeMu.Lock()
		if len(h.waking) == 0 {
			h.wakeMu.Unlock()
			return 0
		}
		if t.left < 1 {
			h.wakeMu.Unlock()
			return max(wakeEvery, time.Duration((1-t.left)/rate*float64(time.Second)))
		}
		a := h.waking[0]
		h.waking[0] = nil
		h.waking = h.waking[1:]
		h.wakeMu.Unlock()
		woken, more := a.wake(int(min(t.left, wakeChunk)), now.UnixNano())
		t.left -= float64(woken)
		if more {
			h.wakeMu.Lock()
			h.waking = append(h.waking, a)
			h.wakeMu.Unlock()
		}
	}
}
