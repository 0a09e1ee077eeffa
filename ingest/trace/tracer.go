package trace

import (
	"encoding/binary"
	"math/rand/v2"
)

// Sink takes spans that are over. Record does not block: a span that there is no
// room for is dropped and counted.
type Sink interface{ Record(Span) }

// Tracer is what a role records its spans with. Nil is the tracer of a process that
// traces nothing: its methods are there, allocate nothing and do nothing.
type Tracer struct {
	service string
	sampler Sampler
	sink    Sink
}

// New makes the tracer of a role.
func New(service string, sampler Sampler, sink Sink) *Tracer {
	return &Tracer{service: service, sampler: sampler, sink: sink}
}

// On tells whether anything is recorded at all.
func (t *Tracer) On() bool { return t != nil }

// Samples tells whether spans of a trace that begins here are recorded. What another
// process decided, in a Context, is followed without asking.
func (t *Tracer) Samples(id ID) bool { return t != nil && t.sampler.Samples(id) }

// NewSpan names a new span.
func (t *Tracer) NewSpan() (id SpanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // never zero
	return id
}

// Record hands a span over. It does not block.
func (t *Tracer) Record(s Span) {
	if t == nil {
		return
	}
	if over := len(s.Links) - LinksMax; over > 0 {
		s.Links, s.LinksDropped = s.Links[:LinksMax], s.LinksDropped+over
	}
	s.Service, s.Context.Sampled = t.service, true
	t.sink.Record(s)
}
