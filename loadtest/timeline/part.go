package timeline

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"spillway/loadtest/hdr"
)

// Part is the line of a process that did a part of the same work, for the process that
// shows the whole. Times count from the line's beginning, which both began together.
type Part struct {
	Width   time.Duration `json:"width_ns"`
	Buckets []PartBucket  `json:"buckets"`
}

// PartBucket is one bucket in which something happened; its histogram is as hdr writes it.
type PartBucket struct {
	Place      int              `json:"place"` // From is Place times Width
	Planned    int64            `json:"planned,omitempty"`
	Sent       int64            `json:"sent,omitempty"`
	Accepted   int64            `json:"accepted,omitempty"`
	Unknown    int64            `json:"unknown,omitempty"`
	Deferred   int64            `json:"deferred,omitempty"`
	Unresolved int64            `json:"unresolved,omitempty"`
	Refused    map[int]int64    `json:"refused,omitempty"`
	Latency    string           `json:"latency,omitempty"`
	InFlight   float64          `json:"in_flight,omitempty"`
	Roles      map[string]Usage `json:"roles,omitempty"`
}

// ErrPart says that a part is none, or of more time than a line can hold.
var ErrPart = errors.New("not a part of a line of time")

// partWidthMax bounds a part's buckets: a line of a year has narrower ones.
const partWidthMax = 24 * time.Hour

// Part is what was gathered, for another process. The line must not have settled.
func (r *Recorder) Part() (*Part, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.after != nil {
		return nil, fmt.Errorf("it has settled: %w", ErrPart)
	}
	p := &Part{Width: r.sending.width}
	for i, b := range r.sending.buckets {
		if b == nil {
			continue
		}
		latency, err := hdr.Encode(b.latency.Histogram)
		if err != nil {
			return nil, err
		}
		p.Buckets = append(p.Buckets, PartBucket{Place: i, Planned: b.planned, Sent: b.sent, Accepted: b.accepted, Unknown: b.unknown,
			Deferred: b.deferred, Unresolved: b.unresolved, Refused: maps.Clone(b.refused), Latency: latency, InFlight: b.gauges[InFlight], Roles: maps.Clone(b.roles)})
	}
	return p, nil
}

// Add adds what another process gathered in the same time: counts and histograms are
// added, and so are the requests in flight. Errors: ErrPart, hdr's; then nothing was added.
func (r *Recorder) Add(p *Part) error {
	if p.Width < Width || p.Width > partWidthMax || p.Width%Width != 0 || p.Width/Width&(p.Width/Width-1) != 0 || len(p.Buckets) > BucketsMax {
		return fmt.Errorf("%d buckets of %v: %w", len(p.Buckets), p.Width, ErrPart)
	}
	read := make([]*bucket, len(p.Buckets))
	for i := range p.Buckets {
		from := &p.Buckets[i]
		if from.Place < 0 || from.Place >= BucketsMax {
			return fmt.Errorf("bucket %d: %w", from.Place, ErrPart)
		}
		b := &bucket{planned: from.Planned, sent: from.Sent, accepted: from.Accepted, unknown: from.Unknown, deferred: from.Deferred,
			unresolved: from.Unresolved, refused: maps.Clone(from.Refused), roles: maps.Clone(from.Roles)}
		if from.Latency != "" {
			h, err := hdr.Decode(from.Latency, histogramDigits)
			if err != nil {
				return err
			}
			b.latency.Histogram = h
		}
		read[i] = b
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		return fmt.Errorf("this line has not begun: %w", ErrPart)
	}
	for r.sending.width < p.Width {
		r.sending.halve()
	}
	for i, b := range read {
		from := &p.Buckets[i]
		into := r.bucket(r.began.Add(time.Duration(from.Place) * p.Width))
		inFlight := into.gauges[InFlight] + from.InFlight
		into.merge(b)
		if inFlight > 0 {
			if into.gauges == nil {
				into.gauges = map[Gauge]float64{}
			}
			into.gauges[InFlight] = inFlight
		}
	}
	return nil
}

// BestSecond is the most rows that were accepted in one second; ok is false when seconds
// had to be merged.
func (r *Recorder) BestSecond() (most int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.sending.buckets {
		if b != nil {
			most = max(most, b.accepted)
		}
	}
	return most, r.sending.width == Width
}
