// Package otlptest is a collector of OpenTelemetry traces for tests: it reads what it
// is sent with the types that OpenTelemetry itself publishes.
//
// The one invariant: what it cannot read fails the test.
package otlptest

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span with what its resource says.
type Span struct {
	*tracepb.Span
	Resource map[string]string
}

// Collector takes traces.
type Collector struct {
	// URL is its address, without a path.
	URL string

	mu     sync.Mutex
	spans  []Span
	header http.Header
	path   string
}

// Start starts a collector that stops with the test.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.take(r); err != nil {
			t.Errorf("a request that is no OTLP: %v", err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(r *http.Request) error {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			return err
		}
		body = unpacked
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var request collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(data, &request); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header, c.path = r.Header.Clone(), r.URL.Path
	for _, of := range request.ResourceSpans {
		resource := Texts(of.Resource.Attributes)
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, Span{s, resource})
			}
		}
	}
	return nil
}

// Spans returns what has come so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Last returns path and header of the last request.
func (c *Collector) Last() (path string, header http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.path, c.header
}

// Texts are attributes as a map; numbers are left out.
func Texts(all []*commonpb.KeyValue) map[string]string {
	texts := map[string]string{}
	for _, kv := range all {
		if v, ok := kv.Value.Value.(*commonpb.AnyValue_StringValue); ok {
			texts[kv.Key] = v.StringValue
		}
	}
	return texts
}
