package httpapi_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"spillway/ingest"
	"spillway/ingest/admission"
	"spillway/ingest/httpapi"
	"spillway/ingest/trace"
	"spillway/ingest/trace/tracetest"
)

// tracedHouse is a house whose donations are traced, in that part.
func tracedHouse(t *testing.T, part float64, o options) (*house, *tracetest.Sink) {
	t.Helper()
	sink := &tracetest.Sink{}
	o.deps = func(d *httpapi.Deps) { d.Tracer = trace.New("spillway-ingest", trace.Part(part), sink) }
	return serve(t, o), sink
}

const caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// spansOf are the two spans of a donation that was handed over. They are recorded
// after the answer was made and may come after the donor has it.
func spansOf(t *testing.T, sink *tracetest.Sink, h *house) (request, publish trace.Span) {
	t.Helper()
	shutDown(t, h)
	requests, publishes := sink.Named("POST /v1/donations"), sink.Named("publish")
	if len(requests) != 1 || len(publishes) != 1 {
		t.Fatalf("%d requests and %d publications: %+v", len(requests), len(publishes), sink.Spans())
	}
	return requests[0], publishes[0]
}

// shutDown returns when every handler has.
func shutDown(t *testing.T, h *house) {
	t.Helper()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTrace_OfADonation(t *testing.T) {
	h, sink := tracedHouse(t, 1, options{})
	if r := h.send(t, donation(sound, "Traceparent: "+caller)); r.status != http.StatusAccepted {
		t.Fatal(r.status, r.body)
	}
	request, publish := spansOf(t, sink, h)
	root := trace.Donation(idOf(key))
	if request.Context.Trace != root.Trace || request.Parent != root.Span || request.Kind != trace.Server || request.Failed || request.Service != "spillway-ingest" {
		t.Errorf("request %+v", request)
	}
	if len(request.Links) != 0 {
		t.Errorf("linked to the span of a stranger: %v", request.Links)
	}
	if publish.Context.Trace != root.Trace || publish.Parent != request.Context.Span || publish.Kind != trace.Producer {
		t.Errorf("publish %+v", publish)
	}
	if got := h.publisher.last(t).record.Trace; got != publish.Context || !got.Sampled {
		t.Errorf("the envelope has %+v, want %+v", got, publish.Context)
	}
	if tracetest.Text(request, trace.DonationID) != idOf(key).String() || tracetest.Text(request, trace.HTTPRoute) != "/v1/donations" {
		t.Errorf("attributes %v", request.Attributes)
	}
	exemplar := ""
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "ingest_ack_seconds" {
			for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
				for _, l := range b.GetExemplar().GetLabel() {
					exemplar = l.GetValue()
				}
			}
		}
	}
	if exemplar != root.Trace.String() {
		t.Errorf("exemplar %q, want %s", exemplar, root.Trace)
	}
}

// Behind a proxy that is trusted the caller's trace is linked, and still not followed.
func TestTrace_OfATrustedCallerIsLinked(t *testing.T) {
	trusted := options{admission: admission.Config{TrustedProxies: []netip.Prefix{loopback}}}
	h, sink := tracedHouse(t, 1, trusted)
	h.send(t, donation(sound, "Traceparent: "+caller))
	request, _ := spansOf(t, sink, h)
	want, _ := trace.ParseTraceparent([]byte(caller))
	if len(request.Links) != 1 || request.Links[0] != want || request.Context.Trace == want.Trace {
		t.Errorf("%+v", request)
	}
}

// The flag of whoever calls traces nothing: anybody could have everything traced.
func TestTrace_NobodyCanAskForIt(t *testing.T) {
	for _, o := range []options{{}, {admission: admission.Config{TrustedProxies: []netip.Prefix{loopback}}}} {
		h, sink := tracedHouse(t, 0, o)
		if r := h.send(t, donation(sound, "Traceparent: "+caller)); r.status != http.StatusAccepted {
			t.Fatal(r.status)
		}
		shutDown(t, h)
		if spans := sink.Spans(); len(spans) != 0 || !h.publisher.last(t).record.Trace.IsZero() {
			t.Errorf("%+v", spans)
		}
	}
}

// A refusal is no part of a donation that is to be recorded; an answer that is not
// known may be.
func TestTrace_OfWhatWasNotAccepted(t *testing.T) {
	h, sink := tracedHouse(t, 1, options{})
	h.send(t, donation(strings.Replace(sound, "river-school", "nobody", 1)))
	h.publisher.fail(ingest.ErrUnknown)
	h.send(t, donation(sound))
	shutDown(t, h)
	spans := sink.Named("POST /v1/donations")
	if len(spans) != 2 {
		t.Fatalf("%+v", sink.Spans())
	}
	root := trace.Donation(idOf(key))
	if spans[0].Parent != (trace.SpanID{}) || spans[0].Failed || spans[0].Context.Trace != root.Trace {
		t.Errorf("refused: %+v", spans[0])
	}
	if spans[1].Parent != root.Span || !spans[1].Failed || tracetest.Text(spans[1], trace.ErrorType) != "503" {
		t.Errorf("unknown: %+v", spans[1])
	}
	if publishes := sink.Named("publish"); len(publishes) != 1 || !publishes[0].Failed {
		t.Errorf("%+v", publishes)
	}
}

// No span says anything that a donor sent.
func TestTrace_SaysNothingPersonal(t *testing.T) {
	h, sink := tracedHouse(t, 1, options{})
	const body = `{"currency":"USD","lines":[{"campaign":"river-school","amount_minor":5321}],"donor":{"name":"Ada Example","email":"ada@example.org"},
		"message":"Go team","dedication":{"kind":"in_honor","name":"Grace"},"payment":{"confirmation_token":"ctoken_card_visa"}}`
	if r := h.send(t, donation(body, "User-Agent: her-browser", "X-Forwarded-For: 192.0.2.7")); r.status != http.StatusAccepted {
		t.Fatal(r.status, r.body)
	}
	request, publish := spansOf(t, sink, h)
	for _, a := range append(request.Attributes, publish.Attributes...) {
		for _, private := range []string{"Ada", "ada@", "Go team", "Grace", "ctoken", "browser", "192.0.2.7", "127.0.0.1", key} {
			if strings.Contains(a.Text, private) {
				t.Errorf("%s says %q", a.Key, a.Text)
			}
		}
		if a.Number == 5321 {
			t.Errorf("%s says how much", a.Key)
		}
	}
}
