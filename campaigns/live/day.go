package live

import (
	"bytes"
	"sync/atomic"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/render"
)

// dayTopic is the whole day: its sums and its wall.
type dayTopic struct {
	// event is the newest encoded day, wall its newest gifts; nil until somebody comes.
	event atomic.Pointer[dayEvent]
	wall  atomic.Pointer[wallEvent]

	audience
	behind *event // the last age that ageOf gave, under the audience's lock
}

// dayEvent is the day's document encoded, shared by all who are sent it.
type dayEvent struct {
	at    time.Time
	day   *render.Day
	bytes []byte
}

func encodeDay(day *render.Day, at time.Time) *dayEvent {
	return &dayEvent{at: at, day: day, bytes: day.AppendEvent(nil, at)}
}

// news is the board's document when it says something else than the newest event;
// the caller holds mu.
func (d *dayTopic) news(h *Hub) (day *render.Day, isNews bool) {
	day = h.board.Document()
	e := d.event.Load()
	return day, e == nil || !bytes.Equal(e.day.ETag(), day.ETag())
}

// send makes the day's news, if any, the newest event and wakes those who see it,
// unless the last event is younger than DayEvery: then a later tick does.
func (d *dayTopic) send(h *Hub, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seats) == 0 {
		return
	}
	day, isNews := d.news(h)
	if e := d.event.Load(); !isNews || e != nil && now.Sub(e.at) < h.cfg.DayEvery {
		return
	}
	d.event.Store(encodeDay(day, now))
	d.stir(h)
}

// ageOf is the age that those who see the day may be told: the board is behind the
// totals, so it is never the book's.
func (d *dayTopic) ageOf(h *Hub, beats *beats) *event {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.behind == nil || d.behind.at != beats.at {
		day, isNews := d.news(h)
		if isNews {
			day = d.event.Load().day // it is there: whoever asks has joined
		}
		d.behind = beats.say(day.Age())
		d.behind.behind = true
	}
	return d.behind
}

// showWall encodes the day's wall when it is another one, and wakes those who see it.
func (d *dayTopic) showWall(h *Hub) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seats) == 0 {
		return
	}
	have := d.wall.Load()
	next := h.encodeWall(campaigns.DayWall, have)
	if next == have {
		return
	}
	d.wall.Store(next)
	d.stir(h)
}

// join takes a viewer in and sees to it that there is something to show. What stands
// there may be from before the last one left.
func (d *dayTopic) join(h *Hub, s *seat) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sit(s)
	d.wall.Store(h.encodeWall(campaigns.DayWall, d.wall.Load()))
	if day, isNews := d.news(h); isNews && (len(d.seats) == 1 || d.event.Load() == nil) {
		d.event.Store(encodeDay(day, h.cfg.Now()))
	}
}

func (d *dayTopic) leave(s *seat) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rise(s)
}
