package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"spillway/ingest"
	"spillway/ingest/trace"
	"spillway/ingest/trace/otlptest"
)

// traceSoon makes processes that are launched from here on send their spans soon.
func traceSoon(t *testing.T) { t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100") }

// story is what a collector has of one donation.
type story struct {
	donation ingest.ID
	spans    map[string][]otlptest.Span // by name
	others   []otlptest.Span            // of other traces
}

func storyOf(c *otlptest.Collector, donation ingest.ID) story {
	s := story{donation: donation, spans: map[string][]otlptest.Span{}}
	for _, span := range c.Spans() {
		if bytes.Equal(span.TraceId, donation[:]) {
			s.spans[span.Name] = append(s.spans[span.Name], span)
		} else {
			s.others = append(s.others, span)
		}
	}
	return s
}

// whole tells what is missing of a donation that was charged: every role tells its
// part, each part is below the one that brought it about, and what is of several
// donations is linked. On a slow machine a part may be told twice.
func (s story) whole() error {
	root := trace.Donation(s.donation)
	for _, part := range []struct{ name, service, parent string }{
		{"donation", "spillway-ledger", ""},
		{"POST /v1/donations", "spillway-ingest", "donation"},
		{"publish", "spillway-ingest", "POST /v1/donations"},
		{"record", "spillway-ledger", "publish"},
		{"charge", "spillway-payments", "donation"},
		{"book", "spillway-payments", "charge"},
		{"webhook", "spillway-payments", "donation"},
	} {
		if len(s.spans[part.name]) == 0 {
			return fmt.Errorf("no span %q", part.name)
		}
		for _, span := range s.spans[part.name] {
			if span.Resource["service.name"] != part.service || span.EndTimeUnixNano < span.StartTimeUnixNano {
				return fmt.Errorf("%q is of %s, from %d to %d", part.name, span.Resource["service.name"], span.StartTimeUnixNano, span.EndTimeUnixNano)
			}
			if !among(span.ParentSpanId, s.spans[part.parent]) && (part.parent != "" || len(span.ParentSpanId) > 0) {
				return fmt.Errorf("%q is below %x, which is no %q", part.name, span.ParentSpanId, part.parent)
			}
		}
	}
	if !bytes.Equal(s.spans["donation"][0].SpanId, root.Span[:]) {
		return errors.New("the root has another ID than every process takes it to have")
	}
	first := trace.Charge(s.donation, 1)
	for _, charge := range s.spans["charge"] {
		if !bytes.Equal(charge.SpanId, first.Span[:]) && !linked(charge, first.Trace[:], first.Span[:]) {
			return errors.New("a repeated call is not linked to the first")
		}
	}
	batched, arrived := false, false
	for _, other := range s.others {
		for _, record := range s.spans["record"] {
			batched = batched || other.Name == "record batch" && linked(record, other.TraceId, other.SpanId) && linkedToOne(other, s.spans["publish"])
		}
		for _, webhook := range s.spans["webhook"] {
			if !linked(webhook, first.Trace[:], first.Span[:]) {
				return errors.New("the webhook is not linked to the charge")
			}
			arrived = arrived || other.Name == "POST /v1/webhooks/stripe" && linked(webhook, other.TraceId, other.SpanId)
		}
	}
	if !batched || !arrived {
		return fmt.Errorf("linked to its batch: %v; the webhook to its arrival: %v", batched, arrived)
	}
	return nil
}

// among tells whether one of the spans has that ID.
func among(id []byte, spans []otlptest.Span) bool {
	return slices.ContainsFunc(spans, func(s otlptest.Span) bool { return bytes.Equal(s.SpanId, id) })
}

func linked(s otlptest.Span, traceID, spanID []byte) bool {
	return slices.ContainsFunc(s.Links, func(l *tracepb.Span_Link) bool {
		return bytes.Equal(l.TraceId, traceID) && bytes.Equal(l.SpanId, spanID)
	})
}

func linkedToOne(s otlptest.Span, to []otlptest.Span) bool {
	return slices.ContainsFunc(to, func(one otlptest.Span) bool { return linked(s, one.TraceId, one.SpanId) })
}

// wantStory waits until the collector has all of a donation's story, and holds what it
// has of any to the keys that are allowed.
func wantStory(t *testing.T, c *otlptest.Collector, donation string) {
	t.Helper()
	id, err := ingest.ParseID([]byte(donation))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return storyOf(c, id).whole() })
	allowed := map[string]bool{}
	for _, k := range trace.Keys() {
		allowed[k.String()] = true
	}
	for _, s := range c.Spans() {
		for _, kv := range s.Attributes {
			if !allowed[kv.Key] {
				t.Errorf("span %s has an attribute %s", s.Name, kv.Key)
			}
		}
	}
}

// hangingCollector takes every request and answers none until the test ends.
func hangingCollector(t *testing.T) string {
	t.Helper()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	return server.URL
}

// Lines about a donation name its trace, whatever else they say.
func TestTraceLog_NamesTheTrace(t *testing.T) {
	id := ingest.DeriveID([]byte("0123456789abcdef"))
	var out bytes.Buffer
	log := slog.New(traceLog{slog.NewTextHandler(&out, nil)}).With("book", "live")
	log.Info("about one", "donation", id.String(), "attempt", 1)
	log.Info("about many", "donations", 7)
	log.Info("about something else", "donation", "several")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if !strings.Contains(lines[0], "trace_id="+trace.ID(id).String()) || !strings.Contains(lines[0], "book=live") {
		t.Error(lines[0])
	}
	for _, line := range lines[1:] {
		if strings.Contains(line, "trace_id") {
			t.Error(line)
		}
	}
}

// Without an endpoint there is nothing of it: no goroutine, no tracer, no other log.
func TestTracing_Off(t *testing.T) {
	p := &process{ctx: t.Context(), log: slog.New(slog.DiscardHandler), environment: []string{"OTEL_SERVICE_NAME=x"}}
	before := p.log
	traces, err := startTracing(p, (ingestCommand{}).Tracing, nil, nil, false)
	if err != nil || traces.on() || traces.of(frontEndService).On() || p.log != before {
		t.Errorf("%+v %v", traces, err)
	}
}
