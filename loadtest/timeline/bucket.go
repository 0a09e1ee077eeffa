package timeline

import (
	"maps"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"spillway/loadtest/hdr"
)

// histogramDigits is the precision of a point's histograms. A third digit is ten times
// the memory and no pixel of a chart.
const histogramDigits = 2

// histogram is made by its first value: most points have one of the two at most.
type histogram struct{ *hdrhistogram.Histogram }

// note records a duration; one beyond the range counts as the longest.
func (h *histogram) note(d time.Duration) {
	if h.Histogram == nil {
		h.Histogram = hdr.New(histogramDigits)
	}
	hdr.Note(h.Histogram, d)
}

// merge adds the other's values.
func (h *histogram) merge(other histogram) {
	switch {
	case other.Histogram == nil:
	case h.Histogram == nil:
		h.Histogram = other.Histogram
	default:
		h.Merge(other.Histogram)
	}
}

// spread is the summary, nil of nothing.
func (h *histogram) spread() *Spread {
	if h.Histogram == nil {
		return nil
	}
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond }
	return &Spread{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), Max: time.Duration(h.Max()) * time.Microsecond}
}

// bucket gathers what a Point shows.
type bucket struct {
	planned, sent, accepted       int64
	unknown, deferred, unresolved int64
	refused                       map[int]int64
	latency, lag                  histogram
	gauges                        map[Gauge]float64
	counters                      map[Counter]int64
	roles                         map[string]Usage
}

// merge adds the bucket after this one; b may be nil, and comes back made if need be.
func (b *bucket) merge(next *bucket) *bucket {
	if b == nil || next == nil {
		if b == nil {
			return next
		}
		return b
	}
	b.planned += next.planned
	b.sent += next.sent
	b.accepted += next.accepted
	b.unknown += next.unknown
	b.deferred += next.deferred
	b.unresolved += next.unresolved
	b.latency.merge(next.latency)
	b.lag.merge(next.lag)
	b.refused = merged(b.refused, next.refused, func(a, c int64) int64 { return a + c })
	b.counters = merged(b.counters, next.counters, func(a, c int64) int64 { return a + c })
	b.gauges = merged(b.gauges, next.gauges, func(a, c float64) float64 { return max(a, c) })
	b.roles = merged(b.roles, next.roles, func(a, c Usage) Usage {
		return Usage{CPU: a.CPU + c.CPU, Resident: max(a.Resident, c.Resident)}
	})
	return b
}

// merged joins two maps; what both have is joined by both.
func merged[K comparable, V any](a, b map[K]V, both func(V, V) V) map[K]V {
	if a == nil {
		return b
	}
	for k, v := range b {
		if old, ok := a[k]; ok {
			v = both(old, v)
		}
		a[k] = v
	}
	return a
}

// point is the bucket for reports.
func (b *bucket) point(from, length time.Duration) Point {
	p := Point{From: from, For: length}
	if b == nil {
		return p
	}
	p.Planned, p.Sent, p.Accepted = b.planned, b.sent, b.accepted
	p.Unknown, p.Deferred, p.Unresolved = b.unknown, b.deferred, b.unresolved
	p.Latency, p.Lag = b.latency.spread(), b.lag.spread()
	p.Refused, p.Gauges, p.Counters, p.Roles = maps.Clone(b.refused), maps.Clone(b.gauges), maps.Clone(b.counters), maps.Clone(b.roles)
	return p
}

// stretch is a run of buckets of one width.
type stretch struct {
	from    time.Duration // since the line's beginning
	width   time.Duration
	buckets []*bucket // nil where nothing happened
}

// bucket finds or makes that of an offset, which is not before the stretch.
func (s *stretch) bucket(offset time.Duration) *bucket {
	for (offset-s.from)/s.width >= BucketsMax {
		s.halve()
	}
	i := int((offset - s.from) / s.width)
	for len(s.buckets) <= i {
		s.buckets = append(s.buckets, nil)
	}
	if s.buckets[i] == nil {
		s.buckets[i] = &bucket{}
	}
	return s.buckets[i]
}

// halve merges the buckets two by two.
func (s *stretch) halve() {
	half := s.buckets[:0]
	for i := 0; i < len(s.buckets); i += 2 {
		b := s.buckets[i]
		if i+1 < len(s.buckets) {
			b = b.merge(s.buckets[i+1])
		}
		half = append(half, b)
	}
	clear(s.buckets[len(half):])
	s.buckets = half
	s.width *= 2
}

// points appends the stretch's; the last one ends at until at the latest.
func (s *stretch) points(into []Point, until time.Duration) []Point {
	for i, b := range s.buckets {
		from := s.from + time.Duration(i)*s.width
		into = append(into, b.point(from, min(s.width, until-from)))
	}
	return into
}
