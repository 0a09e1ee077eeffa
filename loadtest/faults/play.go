package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Stage does what an event says. Calls of one lane come one after the other, those of
// several at the same time.
type Stage interface {
	// Break begins the fault and returns once it is there.
	Break(ctx context.Context, e Event) error
	// Mend ends it and returns once what was broken works again. It is called after
	// every Break, also one that was in error.
	Mend(ctx context.Context, e Event) error
}

// Deed is an event and what became of it. Times count from the first gift.
type Deed struct {
	Event
	// Text says what was done.
	Text string `json:"text"`
	// Reached is false for what the run was over before.
	Reached bool `json:"reached"`
	// BrokenAt is when it was there, MendedAt when all of it worked again.
	BrokenAt time.Duration `json:"broken_at_ns"`
	MendedAt time.Duration `json:"mended_at_ns"`
	// Err says why it could not be done, or undone.
	Err string `json:"error,omitempty"`
}

// Record is what a plan came to.
type Record struct {
	Plan string `json:"plan"`
	Seed uint64 `json:"seed"`
	// StartedAt is the moment that all times count from.
	StartedAt time.Time `json:"started_at"`
	Deeds     []Deed    `json:"faults"`
}

// mendWithin bounds ending one fault: a broker reads its whole store at its start, and
// a database redoes its log.
const mendWithin = 3 * time.Minute

// Play plays the events from now on, until the last is over or ctx ends: then it
// begins no more, and mends what is broken at once. tell hears of each thing as it is
// done, from several goroutines, nil for nobody. What could not be done or mended is in
// the record.
func Play(ctx context.Context, events []Event, stage Stage, tell func(at time.Duration, text string)) *Record {
	p := &player{stage: stage, start: time.Now(), tell: tell}
	if p.tell == nil {
		p.tell = func(time.Duration, string) {}
	}
	record := &Record{StartedAt: p.start.UTC(), Deeds: make([]Deed, len(events))}
	lanes := map[lane][]*Deed{}
	for i, e := range events {
		record.Deeds[i] = Deed{Event: e, Text: e.String()}
		lanes[e.lane()] = append(lanes[e.lane()], &record.Deeds[i])
	}
	var all sync.WaitGroup
	for _, deeds := range lanes {
		all.Go(func() {
			for _, d := range deeds {
				p.play(ctx, d)
			}
		})
	}
	all.Wait()
	return record
}

type player struct {
	stage Stage
	start time.Time
	tell  func(time.Duration, string)
}

func (p *player) now() time.Duration { return time.Since(p.start) }

func (p *player) play(ctx context.Context, d *Deed) {
	if !until(ctx, d.At-p.now()) {
		return
	}
	d.Reached = true
	p.tell(p.now(), d.Text)
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.For+mendWithin)
	defer cancel()
	err := p.stage.Break(work, d.Event)
	d.BrokenAt = p.now()
	if err == nil {
		until(ctx, d.For)
	}
	err = errors.Join(err, p.stage.Mend(work, d.Event))
	d.MendedAt = p.now()
	if err != nil {
		d.Err = err.Error()
		p.tell(d.MendedAt, fmt.Sprintf("%s: %v", d.Text, err))
		return
	}
	p.tell(d.MendedAt, "over: "+d.Text)
}

// until waits, and tells whether it was not for nothing: ctx had not ended.
func until(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Failures says what could not be done or undone, one line each.
func (r *Record) Failures() (all []string) {
	for _, d := range r.Deeds {
		if d.Err != "" {
			all = append(all, fmt.Sprintf("the plan could not be played: %s at %s: %s", d.Text, short(d.At), strings.ReplaceAll(d.Err, "\n", " | ")))
		}
	}
	return all
}

// Warnings says what the run was over before, one line for all.
func (r *Record) Warnings() []string {
	n := 0
	var first *Deed
	for i := range r.Deeds {
		if d := &r.Deeds[i]; !d.Reached {
			if n++; first == nil {
				first = d
			}
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the run was over before %d of %d faults of the plan, from %s at %s on", n, len(r.Deeds), first.Text, short(first.At))}
}
