package otlp

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"spillway/ingest/trace"
	"spillway/ingest/trace/otlptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is ample: nothing here is a matter of speed.
const patience = time.Minute

// full is a span with everything in it.
func full() trace.Span {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)
	return trace.Span{
		Service: "spillway-ingest", Context: trace.Context{Trace: trace.ID{1, 15: 2}, Span: trace.SpanID{3, 7: 4}, Sampled: true},
		Parent: trace.SpanID{5}, Name: "POST /v1/donations", Kind: trace.Server, Start: at, End: at.Add(3 * time.Millisecond),
		Links: []trace.Context{{Trace: trace.ID{6}, Span: trace.SpanID{7}, Sampled: true}, {Trace: trace.ID{8}, Span: trace.SpanID{9}}}, LinksDropped: 2,
		Attributes: []trace.Attribute{trace.Text(trace.HTTPRoute, "/v1/donations"), trace.Number(trace.HTTPStatus, 503), trace.Number(trace.Lines, 0)},
		Failed:     true,
	}
}

// start runs an exporter against a URL; stop ends it and waits.
func start(t *testing.T, c Config) (e *Exporter, registry *prometheus.Registry, stop func()) {
	t.Helper()
	registry = prometheus.NewRegistry()
	e = New(c, registry, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return e, registry, func() {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the exporter does not stop")
		}
	}
}

// outcome is how many spans the exporter counted under that word.
func outcome(t *testing.T, registry *prometheus.Registry, word string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "trace_spans_total" && m.GetLabel()[0].GetValue() == word {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no count of spans %s", word)
	return 0
}

func wantOutcome(t *testing.T, registry *prometheus.Registry, exported, dropped, failed float64) {
	t.Helper()
	for word, want := range map[string]float64{"exported": exported, "dropped": dropped, "failed": failed} {
		if got := outcome(t, registry, word); got != want {
			t.Errorf("%s: %v, want %v", word, got, want)
		}
	}
}

// What is sent is what OpenTelemetry's own types read.
func TestExporter_SpansArriveWhole(t *testing.T) {
	for _, gzip := range []bool{false, true} {
		collector := otlptest.Start(t)
		e, registry, stop := start(t, Config{
			Endpoint: collector.URL + "/v1/traces", Gzip: gzip,
			Headers: map[string]string{"Authorization": "Bearer x"}, Resource: map[string]string{"service.version": "v1"},
		})
		other := full()
		other.Service, other.Parent, other.Failed, other.Links = "spillway-ledger", trace.SpanID{}, false, nil
		e.Record(full())
		e.Record(other)
		stop() // sends what is left
		wantOutcome(t, registry, 2, 0, 0)

		spans := collector.Spans()
		if len(spans) != 2 {
			t.Fatalf("%d spans", len(spans))
		}
		got, want := spans[0], full()
		if got.Resource["service.name"] != want.Service || got.Resource["service.version"] != "v1" || spans[1].Resource["service.name"] != other.Service {
			t.Errorf("resources %v and %v", got.Resource, spans[1].Resource)
		}
		if !bytes.Equal(got.TraceId, want.Context.Trace[:]) || !bytes.Equal(got.SpanId, want.Context.Span[:]) || !bytes.Equal(got.ParentSpanId, want.Parent[:]) ||
			got.Name != want.Name || got.Kind != tracepb.Span_SPAN_KIND_SERVER || got.Flags != 1 ||
			got.StartTimeUnixNano != uint64(want.Start.UnixNano()) || got.EndTimeUnixNano != uint64(want.End.UnixNano()) {
			t.Errorf("%v, want %+v", got.Span, want)
		}
		if len(got.Attributes) != 3 || got.Attributes[1].Key != "http.response.status_code" || got.Attributes[1].Value.GetIntValue() != 503 ||
			got.Attributes[0].Value.GetStringValue() != "/v1/donations" {
			t.Errorf("attributes %v", got.Attributes)
		}
		if len(got.Links) != 2 || !bytes.Equal(got.Links[1].SpanId, want.Links[1].Span[:]) || got.Links[0].Flags != 1 || got.DroppedLinksCount != 2 {
			t.Errorf("links %v", got.Links)
		}
		if got.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || spans[1].Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET || len(spans[1].ParentSpanId) != 0 {
			t.Errorf("status %v, then %v", got.Status, spans[1].Status)
		}
		path, header := collector.Last()
		if path != "/v1/traces" || header.Get("Authorization") != "Bearer x" || header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %v", path, header)
		}
	}
}

// A collector that takes the connection and never answers: whoever records does not
// wait, what there is no room for is counted, and stopping is bounded.
func TestExporter_ACollectorThatHangsHoldsNobodyUp(t *testing.T) {
	entered, release := make(chan struct{}, 16), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		<-release
	}))
	defer server.Close()
	defer close(release)
	const queue, batch = 8, 4
	e, registry, stop := start(t, Config{Endpoint: server.URL, QueueMax: queue, BatchMax: batch, Timeout: patience, FlushMax: 10 * time.Millisecond})
	for range batch {
		e.Record(full())
	}
	<-entered // the first batch is with the collector
	for range queue + 5 {
		e.Record(full()) // returns, or the test hangs
	}
	if got := outcome(t, registry, "dropped"); got != 5 {
		t.Errorf("%v dropped, want 5", got)
	}
	stop()
	wantOutcome(t, registry, 0, 5, batch+queue)
}

// What the protocol names as passing is tried again, anything else is not.
func TestExporter_Repeats(t *testing.T) {
	var asked atomic.Int64
	partial, err := proto.Marshal(&v1.ExportTraceServiceResponse{PartialSuccess: &v1.ExportTracePartialSuccess{ErrorMessage: "no", RejectedSpans: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		answers          []int
		body             []byte
		exported, failed float64
	}{
		"taken at the third try": {[]int{503, 429, 200}, nil, 2, 0},
		"refused for good":       {[]int{400}, nil, 0, 2},
		"moved elsewhere":        {[]int{307}, nil, 0, 2},
		"taken in part":          {[]int{200}, partial, 1, 1},
		"taken, with no answer":  {[]int{202}, []byte("<html>"), 2, 0},
	} {
		asked.Store(0)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := int(asked.Add(1))
			if n > len(test.answers) {
				t.Errorf("%s: asked again", name)
				return
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.answers[n-1])
			_, _ = w.Write(test.body)
		}))
		e, registry, stop := start(t, Config{Endpoint: server.URL, BatchMax: 2, Timeout: patience, FlushMax: patience})
		e.Record(full())
		e.Record(full())
		stop()
		wantOutcome(t, registry, test.exported, 0, test.failed)
		server.Close()
		if int(asked.Load()) != len(test.answers) {
			t.Errorf("%s: asked %d times", name, asked.Load())
		}
	}
}

// Nobody is there: it is said once, and counted.
func TestExporter_NobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	e := New(Config{Endpoint: server.URL, BatchMax: 1, Timeout: time.Millisecond}, registry, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 {
		e.Record(full())
	}
	cancel()
	if err := e.Run(ctx); err != nil {
		t.Error(err)
	}
	wantOutcome(t, registry, 0, 0, 3)
	if n := strings.Count(log.String(), "traces are not taken"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &log)
	}
}
