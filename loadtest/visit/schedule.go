package visit

import (
	"container/heap"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"spillway/loadtest/trace"
)

// VisitsMax bounds visits that are under way or planned, about 150 bytes each; those
// beyond are left out and counted.
const VisitsMax = 1 << 18

// readersSpread is over how long the readers of one gift come: they hear of it by the
// same link, and do not all click in the same millisecond.
const readersSpread = time.Second

// way is what a visitor does after the page.
type way uint8

const (
	leaves way = iota
	streams
	polls
)

// visitor is one visit. Everything it will do is drawn when it is planned.
type visitor struct {
	campaign int32 // an index into Config.Slugs; day for the day's page
	way      way
	think    time.Duration
	stay     time.Duration
	until    time.Duration // since the start, once it watches
	etag     string        // of what it polled last
}

const day int32 = -1

// step is what a visitor does next, and when, since the start.
type step struct {
	at      time.Duration
	visitor *visitor
	watches bool // else it opens the page
}

type steps []step

func (s steps) Len() int           { return len(s) }
func (s steps) Less(i, k int) bool { return s[i].at < s[k].at }
func (s steps) Swap(i, k int)      { s[i], s[k] = s[k], s[i] }
func (s *steps) Push(x any)        { *s = append(*s, x.(step)) }
func (s *steps) Pop() any {
	old := *s
	last := old[len(old)-1]
	old[len(old)-1] = step{}
	*s = old[:len(old)-1]
	return last
}

// schedule plans visits from a source's rows and keeps what is to be done when.
type schedule struct {
	habits *Habits
	seed   uint64
	stream trace.Stream
	rows   []trace.Row // read and not planned yet
	block  []trace.Row
	ended  bool // the source has nothing more

	planned, donors, leftOut int64

	mu    sync.Mutex
	steps steps
	open  int // visits planned and not ended
}

// ahead is how far before its time a gift is looked at: nobody thinks longer.
func (s *schedule) ahead() time.Duration { return longest * s.habits.Think }

// plan plans the visits of all gifts up to a moment since the start. Only the dispatcher calls it.
func (s *schedule) plan(upTo time.Duration) error {
	for !s.ended {
		if len(s.rows) == 0 {
			n, err := s.stream.Next(s.block)
			if errors.Is(err, io.EOF) {
				s.ended = true
				break
			}
			if err != nil {
				return err
			}
			s.rows = s.block[:n]
		}
		n := trace.Due(s.rows, upTo)
		for i := range s.rows[:n] {
			s.visitorsOf(&s.rows[i])
		}
		if s.rows = s.rows[n:]; len(s.rows) > 0 {
			break
		}
	}
	return nil
}

// visitorsOf plans those who come for one gift. The same source and seed have the same visits.
func (s *schedule) visitorsOf(row *trace.Row) {
	random := rand.New(rand.NewPCG(s.seed, uint64(row.Number)<<16|uint64(row.Copy))) //nolint:gosec // a row's number is positive; chance, no secret
	if random.Float64() < s.habits.Look {
		v := s.draw(random, row.Campaign)
		at := row.Planned - v.think
		if at < 0 { // not all at once when the run begins
			at = time.Duration(random.Float64() * float64(row.Planned))
			v.think = row.Planned - at
		}
		s.donors++
		s.add(at, v)
	}
	readers := int(s.habits.PerGift)
	if random.Float64() < s.habits.PerGift-float64(readers) {
		readers++
	}
	for range readers {
		v := s.draw(random, row.Campaign)
		if random.Float64() < s.habits.Day {
			v.campaign = day
		}
		s.add(row.Planned+time.Duration(random.Float64()*float64(readersSpread)), v)
	}
}

func (s *schedule) draw(random *rand.Rand, campaign int32) *visitor {
	v := &visitor{campaign: campaign, think: drawn(s.habits.Think, random.Float64()), stay: drawn(s.habits.Stay, random.Float64())}
	switch u := random.Float64(); {
	case u < s.habits.Stream:
		v.way = streams
	case u < s.habits.Stream+s.habits.Poll:
		v.way = polls
	}
	return v
}

func (s *schedule) add(at time.Duration, v *visitor) {
	s.planned++
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == VisitsMax {
		s.leftOut++
		return
	}
	s.open++
	heap.Push(&s.steps, step{at: at, visitor: v})
}

// next notes what a visitor does next.
func (s *schedule) next(at time.Duration, v *visitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heap.Push(&s.steps, step{at: at, visitor: v, watches: true})
}

// left notes that a visitor has gone.
func (s *schedule) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// due appends what is due, and tells when the next is; ok is false when nothing waits.
func (s *schedule) due(elapsed time.Duration, into []step) (due []step, next time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.steps) > 0 && s.steps[0].at <= elapsed {
		into = append(into, heap.Pop(&s.steps).(step))
	}
	if len(s.steps) == 0 {
		return into, 0, false
	}
	return into, s.steps[0].at, true
}

// over tells whether every visit has come and gone.
func (s *schedule) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended && s.open == 0
}
