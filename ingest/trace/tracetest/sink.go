// Package tracetest keeps spans for tests to look at.
//
// The one invariant: what was recorded is there, in the order in which it was.
package tracetest

import (
	"sync"

	"spillway/ingest/trace"
)

// Sink is a trace.Sink that keeps everything.
type Sink struct {
	mu    sync.Mutex
	spans []trace.Span
}

// Record keeps a span.
func (s *Sink) Record(span trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans = append(s.spans, span)
}

// Spans returns what was recorded so far.
func (s *Sink) Spans() []trace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]trace.Span(nil), s.spans...)
}

// Named returns the spans of that name.
func (s *Sink) Named(name string) (found []trace.Span) {
	for _, span := range s.Spans() {
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

// Text returns what an attribute of the span says, "" when there is none.
func Text(s trace.Span, k trace.Key) string {
	for _, a := range s.Attributes {
		if a.Key == k {
			return a.Text
		}
	}
	return ""
}
