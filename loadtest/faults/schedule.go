package faults

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Event is one fault of a plan with everything drawn.
type Event struct {
	At time.Duration `json:"at_ns"` // from the first gift
	Do Action        `json:"do"`
	// What is one of the cast's.
	What string        `json:"what"`
	For  time.Duration `json:"for_ns"`
	By   time.Duration `json:"by_ns,omitempty"`
	To   int64         `json:"to_bytes_per_second,omitempty"`
}

// String says what is done, without the time.
func (e Event) String() string {
	f := Fault{Do: e.Do, What: e.What, For: Exactly(e.For), By: Exactly(e.By), To: e.To}
	return f.String()
}

// lane is what the event keeps others from meanwhile.
func (e *Event) lane() lane {
	if l := actions[e.Do].lane; l != ofRole {
		return l
	}
	return lane(e.What)
}

const (
	// eventsMost bounds what is drawn: an event a second for an hour.
	eventsMost = 3600
	// settle is the least time between two faults of one lane: what was killed is to
	// have started before it is hurt again.
	settle = time.Second
)

// Schedule draws everything that the plan leaves open: the same plan, seed, cast and
// length give the same events, in order of their times. length is how long the run is
// expected to last. Drawn times give way to others of the same role; times that the
// plan gives exactly do not.
//
// Errors: ErrPlan, for what the cast does not allow too.
func (p *Plan) Schedule(seed uint64, cast Cast, length time.Duration) ([]Event, error) {
	steps, err := p.all()
	if err != nil {
		return nil, err
	}
	opened := make([]Step, 0, len(steps))
	for _, s := range steps {
		if s.Ready != "" {
			opened = append(opened, ready[s.Ready](length)...)
			continue
		}
		opened = append(opened, s)
	}
	d := dice{cast: &cast, length: length}
	// Exact times first: drawn ones make way for them.
	for _, exact := range []bool{true, false} {
		for i := range opened {
			s := &opened[i]
			if exact != (s.Every.IsZero() && s.At.Least == s.At.Most) {
				continue
			}
			// A source of its own: changing one step leaves the others' draws.
			d.rand = rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // repeatable on purpose
			if err := d.step(s, exact); err != nil {
				return nil, fmt.Errorf("%q: %w", s.String(), err)
			}
		}
	}
	slices.SortStableFunc(d.events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return d.events, nil
}

// dice draws events.
type dice struct {
	cast   *Cast
	length time.Duration
	rand   *rand.Rand
	events []Event
}

func (d *dice) step(s *Step, exact bool) error {
	if s.Every.IsZero() {
		return d.once(s, exact)
	}
	until := d.length
	if !s.Until.IsZero() {
		until = s.Until.Least
	}
	for at := s.From.Least + s.Every.draw(d.rand); at < until; at += s.Every.draw(d.rand) {
		f := s.OneOf[d.rand.IntN(len(s.OneOf))]
		names, err := d.cast.candidates(f.Do, f.What)
		if err != nil {
			return err
		}
		if err := d.place(at, f, names[d.rand.IntN(len(names))], false); err != nil {
			return err
		}
	}
	// Also what was never drawn has to be there.
	for _, f := range s.OneOf {
		if _, err := d.cast.candidates(f.Do, f.What); err != nil {
			return err
		}
	}
	return nil
}

func (d *dice) once(s *Step, exact bool) error {
	names, err := d.cast.candidates(s.Do, s.What)
	if err != nil {
		return err
	}
	if s.What != Each {
		return d.place(s.At.draw(d.rand), s.Fault, names[d.rand.IntN(len(names))], exact)
	}
	for _, i := range d.rand.Perm(len(names)) {
		if err := d.place(s.At.draw(d.rand), s.Fault, names[i], exact); err != nil {
			return err
		}
	}
	return nil
}

// place puts a fault where its lane is free.
func (d *dice) place(at time.Duration, f Fault, what string, exact bool) error {
	if len(d.events) == eventsMost {
		return fmt.Errorf("more than %d faults: %w", eventsMost, ErrPlan)
	}
	e := Event{At: at, Do: f.Do, What: what, For: f.For.draw(d.rand), By: f.By.draw(d.rand), To: f.To}
	for {
		other := d.conflict(&e)
		if other == nil {
			break
		}
		if exact {
			return fmt.Errorf("%s begins at %s and %s at %s, before the other is over: %w",
				other, short(other.At), &e, short(e.At), ErrPlan)
		}
		e.At = other.At + other.For + settle
	}
	d.events = append(d.events, e)
	return nil
}

// conflict is an event of the same lane at the same time.
func (d *dice) conflict(e *Event) *Event {
	for i := range d.events {
		if o := &d.events[i]; o.lane() == e.lane() && e.At < o.At+o.For+settle && o.At < e.At+e.For+settle {
			return o
		}
	}
	return nil
}
