package httpapi

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"spillway/ingest"
	"spillway/ingest/trace"
)

// callerHeader is where a caller says which span of its own the request is of.
const callerHeader = "Traceparent"

// tracing is what a request's spans need to know of it. The zero value is of a
// request that is not traced, and costs nothing.
type tracing struct {
	request, publish   trace.Context // the span of the request, and of the handing over in it
	published, settled time.Time     // the latter's times, zero when nothing was handed over
}

// traced begins the tracing of a request about a donation: whether there is any is
// for its ID to say, so that every process says the same.
//
// A caller's own wish to have it traced is not followed: anybody may send that, and
// who traces everything pays for it. Where the caller is a proxy that we trust, the
// span is linked to the caller's.
func (s *Server) traced(id ingest.ID) tracing {
	if !s.deps.Tracer.Samples(trace.ID(id)) {
		return tracing{}
	}
	return tracing{request: trace.Context{Trace: trace.ID(id), Span: s.deps.Tracer.NewSpan(), Sampled: true}}
}

// handOver names the span of the handing over to the publisher. Its context goes into
// the record.
func (s *Server) handOver(t *tracing) trace.Context {
	if t.request.Sampled {
		t.publish = trace.Context{Trace: t.request.Trace, Span: s.deps.Tracer.NewSpan(), Sampled: true}
	}
	return t.publish
}

// acknowledged counts how long an acknowledgement took, with an example of it when
// the donation is traced.
func (s *Server) acknowledged(t *tracing, took time.Duration) {
	if t.request.Sampled {
		if h, ok := s.metrics.ackSeconds.(prometheus.ExemplarObserver); ok {
			h.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": t.request.Trace.String()})
			return
		}
	}
	s.metrics.ackSeconds.Observe(took.Seconds())
}

// record records the spans of a request that has been answered, of any route about a
// donation. It reads the answer's status.
func (s *Server) record(ctx *fasthttp.RequestCtx, t *tracing, r route, id ingest.ID, begun time.Time, more ...trace.Attribute) {
	if !t.request.Sampled {
		return
	}
	status := ctx.Response.StatusCode()
	method, pattern, _ := strings.Cut(routePatterns[r], " ")
	span := trace.Span{
		Context: t.request, Name: routePatterns[r], Kind: trace.Server, Start: begun, End: s.now(), Failed: status >= fasthttp.StatusInternalServerError,
		Attributes: append(more,
			trace.Text(trace.HTTPMethod, method), trace.Text(trace.HTTPRoute, pattern),
			trace.Number(trace.HTTPStatus, int64(status)), trace.Text(trace.DonationID, id.String())),
	}
	if span.Failed {
		span.Attributes = append(span.Attributes, trace.Text(trace.ErrorType, strconv.Itoa(status)))
	}
	if status == fasthttp.StatusAccepted || span.Failed {
		span.Parent = trace.Donation(id).Span // it is recorded, or may be
	}
	if caller, ok := trace.ParseTraceparent(ctx.Request.Header.Peek(callerHeader)); ok && s.deps.Proxies.Trusts(remoteAddr(ctx)) {
		span.Links = []trace.Context{caller}
	}
	s.deps.Tracer.Record(span)
	if t.published.IsZero() {
		return
	}
	s.deps.Tracer.Record(trace.Span{
		Context: t.publish, Parent: t.request.Span, Name: "publish", Kind: trace.Producer,
		Start: t.published, End: t.settled, Failed: span.Failed,
	})
}

// recordDonation is record for a donation.
func (s *Server) recordDonation(ctx *fasthttp.RequestCtx, w *scratch, begun time.Time) {
	if w.tracing.request.Sampled { // before its attributes are made
		s.record(ctx, &w.tracing, routeDonate, w.id, begun, trace.Number(trace.Lines, int64(len(w.donation.Lines))))
	}
}

// routePatterns are the routes about a donation, as spans have them.
var routePatterns = [routes]string{
	routeDonate: "POST /v1/donations", routeAttempt: "POST /v1/donations/{id}/attempts", routeCancel: "DELETE /v1/donations/{id}",
}
