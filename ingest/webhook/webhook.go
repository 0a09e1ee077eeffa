// Package webhook is the endpoint that the processor tells its events to: it checks
// that they are the processor's, stores them, and says so. What they mean is
// decided elsewhere, from the stream.
//
// The one invariant: 200 is written only after Store returned nil, so only after
// the broker said that the event is on disk. After anything else the processor
// sends the event again, for days.
//
// No goroutines: a handler runs in its connection's.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"spillway/ingest/problem"
	"spillway/ingest/trace"
)

// Path is where the handler is meant to be.
const Path = "/v1/webhooks/stripe"

const (
	// BodyBytesMax bounds an event. The server must let bodies of this size through
	// for Path (fasthttp's HeaderReceived), where donations have a tighter bound.
	BodyBytesMax = 512 << 10
	// insideMaxDefault bounds events inside at once, with their bodies 32 MiB at
	// worst. The processor keeps what is refused and sends it again.
	insideMaxDefault = 64
	// storeTimeoutDefault bounds the wait for the broker: the processor itself gives
	// up after some ten seconds.
	storeTimeoutDefault = 5 * time.Second
	// logEvery bounds log lines about events that are not the processor's, which
	// anybody may send.
	logEvery = time.Minute
)

const signatureHeader = "Stripe-Signature"

// Deps is what the endpoint works with. Verify, Store and Log are required.
type Deps struct {
	// Verify checks the signature over the body's raw bytes and returns the event's
	// ID. It keeps no reference to body. Its error's text is for operators.
	Verify func(body []byte, signature string) (eventID string, err error)
	// Store returns nil once the event is on disk, within ctx. It keeps no reference
	// to body.
	Store func(ctx context.Context, eventID string, body []byte) error
	Log   *slog.Logger
	// Tracer records the spans of some events; nil for none.
	Tracer *trace.Tracer
	// Registerer may be nil.
	Registerer prometheus.Registerer
	// InsideMax bounds events inside at once; 0 means 64.
	InsideMax int
	// StoreTimeout bounds the wait for Store; 0 means 5 s.
	StoreTimeout time.Duration
}

// Endpoint takes the processor's events.
type Endpoint struct {
	deps    Deps
	inside  chan struct{} // one for each event inside
	metrics *metrics
	refused quiet
	failing quiet
}

// New builds the endpoint. Errors: what is missing.
func New(d Deps) (*Endpoint, error) {
	var errs []error
	if d.Verify == nil {
		errs = append(errs, errors.New("missing: Verify"))
	}
	if d.Store == nil {
		errs = append(errs, errors.New("missing: Store"))
	}
	if d.Log == nil {
		errs = append(errs, errors.New("missing: Log"))
	}
	if d.InsideMax < 0 || d.StoreTimeout < 0 {
		errs = append(errs, errors.New("a negative bound"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("webhook endpoint: %w", err)
	}
	if d.InsideMax == 0 {
		d.InsideMax = insideMaxDefault
	}
	if d.StoreTimeout == 0 {
		d.StoreTimeout = storeTimeoutDefault
	}
	return &Endpoint{deps: d, inside: make(chan struct{}, d.InsideMax), metrics: newMetrics(d.Registerer)}, nil
}

// Handle answers one request to Path: 200 once the event is stored; 400 when it is
// not the processor's; 405, 413; 503 when it could not be stored, or may be stored
// and nobody knows. A repeat of what is stored is harmless.
func (e *Endpoint) Handle(ctx *fasthttp.RequestCtx) {
	if !ctx.IsPost() {
		ctx.Response.Header.Set("Allow", "POST")
		e.refuse(ctx, resultRefused, problem.Problem{Kind: problem.MethodNotAllowed})
		return
	}
	select {
	case e.inside <- struct{}{}:
		defer func() { <-e.inside }()
	default:
		e.refuse(ctx, resultBusy, problem.Problem{Kind: problem.Overloaded, Detail: "Too many events are being stored; send this one again later."})
		return
	}
	body := ctx.PostBody()
	if len(body) > BodyBytesMax {
		e.refuse(ctx, resultRefused, problem.Problem{Kind: problem.BodyTooLarge, Detail: "An event may hold " + strconv.Itoa(BodyBytesMax) + " bytes at most."})
		return
	}
	id, err := e.deps.Verify(body, string(ctx.Request.Header.Peek(signatureHeader)))
	if err != nil {
		if n, ok := e.refused.may(time.Now()); ok {
			e.deps.Log.Warn("webhook refused", "error", err, "others_since", n)
		}
		e.refuse(ctx, resultRefused, problem.Problem{Kind: problem.BadRequest, Detail: "The signature does not show that this is an event of the payment processor, sent now."})
		return
	}
	began := time.Now()
	// Not the request's own context: what is under way when the server stops is still
	// answered.
	bounded, cancel := context.WithTimeout(context.Background(), e.deps.StoreTimeout)
	defer cancel()
	if err := e.deps.Store(bounded, id, body); err != nil {
		if n, ok := e.failing.may(time.Now()); ok {
			e.deps.Log.Error("webhook not stored; the processor will send it again", "event", id, "error", err, "others_since", n)
		}
		e.refuse(ctx, resultFailed, problem.Problem{Kind: problem.NotReady, Detail: "The event could not be stored; send it again later."})
		return
	}
	ended := time.Now()
	e.metrics.seconds.Observe(ended.Sub(began).Seconds())
	e.trace(id, began, ended)
	e.metrics.results[resultStored].Inc()
	ctx.SetStatusCode(fasthttp.StatusOK)
}

// trace records the taking of an event that is stored, in a trace that its ID names:
// whoever applies it links to that.
func (e *Endpoint) trace(id string, began, ended time.Time) {
	if !e.deps.Tracer.On() {
		return
	}
	if c := trace.Event(id); e.deps.Tracer.Samples(c.Trace) {
		const route = "POST " + Path
		e.deps.Tracer.Record(trace.Span{
			Context: c, Name: route, Kind: trace.Server, Start: began, End: ended,
			Attributes: []trace.Attribute{
				trace.Text(trace.HTTPMethod, fasthttp.MethodPost), trace.Text(trace.HTTPRoute, Path), trace.Number(trace.HTTPStatus, fasthttp.StatusOK),
			},
		})
	}
}

func (e *Endpoint) refuse(ctx *fasthttp.RequestCtx, why result, p problem.Problem) {
	e.metrics.results[why].Inc()
	p.Instance = Path
	ctx.SetStatusCode(p.Kind.Status())
	ctx.SetContentType(problem.ContentType)
	if seconds := p.Kind.RetryAfter(rand.Uint32()); seconds > 0 {
		ctx.Response.Header.Set("Retry-After", strconv.Itoa(seconds))
	}
	ctx.SetBody(p.AppendJSON(nil))
}

// quiet lets one log line through every logEvery.
type quiet struct {
	mu     sync.Mutex
	last   time.Time
	others int
}

// may tells whether to log now, and how many were kept quiet since the last time.
func (q *quiet) may(now time.Time) (others int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.last.IsZero() && now.Sub(q.last) < logEvery {
		q.others++
		return 0, false
	}
	others, q.others, q.last = q.others, 0, now
	return others, true
}
