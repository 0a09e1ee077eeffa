// Package live brings the newest total to everybody who watches a campaign, and to
// those who watch several or the whole day also their walls and the day's sums: one
// encoding per event, shared by all its viewers, and one latest-value place per
// topic, so that a slow viewer skips what it was too slow for and holds up nobody.
//
// The one invariant: to one viewer, a campaign's positions only rise, and an as_of is
// sent only after the totals that it speaks of.
//
// Goroutines: Run's own encodes and wakes; every viewer's Watch runs in the
// goroutine of its connection.
package live

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// Why a stream ends that its viewer would have gone on with.
var (
	// ErrStopped says that the hub was stopped; the viewer comes back to another
	// front-end.
	ErrStopped = errors.New("live totals are stopped")
	// ErrSwitchedOff says that an organiser switched streams off. The viewer was told.
	ErrSwitchedOff = errors.New("live totals are switched off")
)

// Latest gives a campaign's newest total: the cache.
type Latest interface {
	Get(slug []byte) (*render.Total, error)
}

// Ages gives the published age of a book's totals.
type Ages interface {
	Age(book ledger.Book) *render.Age
}

// Board knows what is shown beside totals.
type Board interface {
	// Document is the whole day's, at most a quarter of a second behind the totals.
	Document() *render.Day
	// Wall is that of a campaign, or of campaigns.DayWall; nil when there is none.
	Wall(slug string) *campaigns.Wall
	// Name is a campaign's, "" when it is not known.
	Name(slug string) string
}

// Switches is what organisers have turned off.
type Switches interface {
	Switches() campaigns.Switches
}

// Deps is what the hub sends news of. Latest and Ages are required; without a Board
// only Watch may be called, and without Switches everything is on.
type Deps struct {
	Latest     Latest
	Ages       Ages
	Board      Board
	Switches   Switches
	Registerer prometheus.Registerer
}

// Config holds the hub's times. The zero value works.
type Config struct {
	// EventEvery is the least time between two events of one campaign, default
	// 100 ms: more than ten a second nobody can read.
	EventEvery time.Duration
	// WritesMost bounds what all viewers together are sent a second, default
	// 16,000 events: one takes 3 to 5 µs of a core here and as much at the other end,
	// and reading must leave the donors their share. With more than WritesMost x
	// EventEvery viewers (1,600) each is sent events further apart instead, 10,000
	// every 625 ms, which is two thirds of how old a total may be that 10,000 see.
	WritesMost int
	// HeartbeatEvery is how often a viewer is told the age, default 5 s, as the
	// contract says.
	HeartbeatEvery time.Duration
	// DayEvery is the least time between two events of the whole day, default 1 s.
	DayEvery time.Duration
	// Now is the clock, default time.Now.
	Now func() time.Time
}

const (
	// tickEvery is how often heartbeats go out, each time to a part of the viewers,
	// and how soon it is noticed that the stated bound broke or healed.
	tickEvery = 100 * time.Millisecond
	// shardCount spreads campaigns over locks.
	shardCount = 64
)

func (c Config) withDefaults() Config {
	if c.EventEvery <= 0 {
		c.EventEvery = 100 * time.Millisecond
	}
	if c.WritesMost <= 0 {
		c.WritesMost = 16_000
	}
	if c.HeartbeatEvery <= 0 {
		c.HeartbeatEvery = 5 * time.Second
	}
	if c.DayEvery <= 0 {
		c.DayEvery = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// event is one encoding, shared by all who are sent it.
type event struct {
	at       time.Time // when it was encoded: an age encoded earlier is not sent after it
	age      *render.Age
	position render.Position // of a total
	behind   bool            // of an age: older than the book's, see topic.ageOf
	bytes    []byte

	// total is nil for an age. named is its event for those who watch several
	// campaigns, encoded when the first of them wants it.
	total *render.Total
	once  sync.Once
	named []byte
}

// Hub knows who watches what.
type Hub struct {
	cfg      Config
	latest   Latest
	ages     Ages
	board    Board
	switches Switches
	metrics  *metrics

	seed   maphash.Seed
	shards [shardCount]shard

	// buckets hold all viewers, spread over the ticks of a heartbeat's round.
	buckets []bucket
	turn    atomic.Uint64 // the bucket whose heartbeats go out with the next tick
	arrived atomic.Uint64 // viewers so far
	viewers atomic.Int64
	stopped atomic.Bool
	day     dayTopic
	// said is the switches as they were told last, with their event.
	said atomic.Pointer[told]

	dirtyMu sync.Mutex
	dirty   []*topic // campaigns with news to send; each has queued set
	kick    chan struct{}

	wakeMu sync.Mutex
	waking []*audience // those with members to wake; each has queued set
}

type shard struct {
	mu     sync.RWMutex
	topics map[string]*topic
}

type bucket struct {
	mu      sync.Mutex
	viewers []*viewer
}

// New returns a Hub without viewers; Run makes it send.
func New(cfg Config, deps Deps) *Hub {
	h := &Hub{cfg: cfg.withDefaults(), latest: deps.Latest, ages: deps.Ages, board: deps.Board, switches: deps.Switches,
		seed: maphash.MakeSeed(), kick: make(chan struct{}, 1)}
	for i := range h.shards {
		h.shards[i].topics = map[string]*topic{}
	}
	h.buckets = make([]bucket, max(1, h.cfg.HeartbeatEvery/tickEvery))
	h.lookAtSwitches()
	h.metrics = newMetrics(h, deps.Registerer)
	return h
}

// Publish notes totals, of which only those that somebody watches and that are
// newer than what was sent matter. It encodes nothing and wakes nobody yet.
func (h *Hub) Publish(totals []*render.Total) {
	for _, t := range totals {
		s := h.shard(t.Campaign)
		s.mu.RLock()
		tp := s.topics[t.Campaign]
		s.mu.RUnlock()
		if tp != nil && tp.note(t) {
			h.dirtyMu.Lock()
			h.dirty = append(h.dirty, tp)
			h.dirtyMu.Unlock()
		}
	}
}

// Aged has what was noted sent, with the ages that are public now.
func (h *Hub) Aged() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// Run sends events and heartbeats until ctx ends; then every Watch returns
// ErrStopped. It returns nil.
func (h *Hub) Run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	later := time.NewTimer(time.Hour) // for news that came too soon after the last
	defer later.Stop()
	wake := time.NewTimer(time.Hour) // for viewers whose turn to be woken has not come
	defer wake.Stop()
	spend := tokens{left: h.burst(), at: h.cfg.Now()}
	stale := map[ledger.Book]bool{}
	for _, b := range ledger.Books {
		stale[b] = h.ages.Age(b).Stale(h.cfg.Now())
	}
	for {
		select {
		case <-ctx.Done():
			h.stop()
			return nil
		case <-h.kick:
			h.send(later)
		case <-later.C:
			h.send(later)
		case <-wake.C:
		case <-tick.C:
			beats := h.newBeats()
			for _, b := range ledger.Books {
				if now := h.ages.Age(b).Stale(beats.at); now != stale[b] {
					stale[b] = now
					h.tell(beats, b)
				}
			}
			h.day.send(h, beats.at)
			h.lookAtSwitches()
			turn := h.turn.Load()
			h.beat(&h.buckets[turn], beats, 0)
			h.turn.Store((turn + 1) % uint64(len(h.buckets)))
		}
		if wait := h.wake(&spend); wait > 0 {
			wake.Reset(wait)
		}
	}
}

// stop wakes every viewer to leave. Those who come later leave at once.
func (h *Hub) stop() {
	h.stopped.Store(true)
	h.rouseAll()
}

// rouseAll wakes every viewer.
func (h *Hub) rouseAll() {
	for i := range h.buckets {
		b := &h.buckets[i]
		b.mu.Lock()
		for _, v := range b.viewers {
			v.rouse()
		}
		b.mu.Unlock()
	}
}

// pace is the time between two writes to one viewer while news goes on and on.
func (h *Hub) pace() time.Duration {
	return max(h.cfg.EventEvery, time.Duration(h.viewers.Load())*time.Second/time.Duration(h.cfg.WritesMost))
}

// send sends the news that has waited long enough, and sets the timer for the rest.
func (h *Hub) send(later *time.Timer) {
	h.dirtyMu.Lock()
	dirty := h.dirty
	h.dirty = nil
	h.dirtyMu.Unlock()
	now := h.cfg.Now()
	var soonest time.Duration
	waiting := dirty[:0]
	for _, tp := range dirty {
		if wait := tp.send(h, now); wait > 0 {
			if len(waiting) == 0 || wait < soonest {
				soonest = wait
			}
			waiting = append(waiting, tp)
		}
	}
	if len(waiting) == 0 {
		return
	}
	h.dirtyMu.Lock()
	h.dirty = append(h.dirty, waiting...)
	h.dirtyMu.Unlock()
	later.Reset(soonest)
}

// place is the bucket of a viewer who comes now: one of the half that was served
// last, so that the first heartbeat is half a round away at least (the age has
// just been told), and viewers who come together are spread.
func (h *Hub) place() *bucket {
	n := uint64(len(h.buckets))
	back := 1 + h.arrived.Add(1)%((n+1)/2)
	return &h.buckets[(h.turn.Load()+n-back)%n]
}

// beats are the heartbeats of one tick: one encoding per book, made when needed.
type beats struct {
	at    time.Time
	ages  [ledger.Rehearsal + 1]*render.Age
	event [ledger.Rehearsal + 1]*event
}

// newBeats reads the ages. What they speak of has been noted before.
func (h *Hub) newBeats() *beats {
	b := &beats{at: h.cfg.Now()}
	for _, book := range ledger.Books {
		b.ages[book] = h.ages.Age(book)
	}
	return b
}

func (b *beats) of(book ledger.Book) *event {
	if b.event[book] == nil {
		b.event[book] = b.say(b.ages[book])
	}
	return b.event[book]
}

func (b *beats) say(age *render.Age) *event {
	return &event{at: b.at, age: age, bytes: render.AppendHeartbeat(nil, age, b.at)}
}

// tell sends the age to every viewer of a book: the stated bound broke or healed.
func (h *Hub) tell(beats *beats, book ledger.Book) {
	for i := range h.buckets {
		h.beat(&h.buckets[i], beats, book)
	}
}

// beat sends the age to the bucket's viewers, of one book or, with 0, of all.
func (h *Hub) beat(b *bucket, beats *beats, book ledger.Book) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.viewers {
		if book != 0 && v.book != book {
			continue
		}
		e := v.ageOf(h, beats)
		if e == nil {
			e = beats.of(v.book)
		}
		v.beat.Store(e)
		v.rouse()
	}
}

func (h *Hub) shard(slug string) *shard {
	return &h.shards[maphash.String(h.seed, slug)%shardCount]
}
