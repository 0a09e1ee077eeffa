package httpapi

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"spillway/ingest/keyring"
	"spillway/ingest/problem"
)

var (
	jsonType        = []byte("application/json")
	problemType     = []byte(problem.ContentType)
	locationName    = []byte("Location")
	retryAfterName  = []byte("Retry-After")
	allowName       = []byte("Allow")
	cacheName       = []byte("Cache-Control")
	cacheNever      = []byte("no-store") // answers hold tokens and states: nobody keeps them
	sniffName       = []byte("X-Content-Type-Options")
	sniffNever      = []byte("nosniff")
	policyName      = []byte("Content-Security-Policy")
	policyNothing   = []byte("default-src 'none'; frame-ancestors 'none'")
	challengeName   = []byte("Www-Authenticate")
	challengeBearer = []byte(`Bearer error="invalid_token"`)
)

// timeLayout is RFC 3339 in UTC, in the microseconds that the ledger keeps.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// answer writes a whole answer; body is copied.
func (s *Server) answer(ctx *fasthttp.RequestCtx, status int, contentType, body []byte) {
	r := &ctx.Response
	r.SetStatusCode(status)
	r.Header.SetContentTypeBytes(contentType)
	r.Header.SetCanonical(cacheName, cacheNever)
	r.Header.SetCanonical(sniffName, sniffNever)
	r.SetBody(body)
}

// appendAccepted appends the body of a 202.
func appendAccepted(b []byte, w *scratch, amountMinor int64) []byte {
	b = append(b, `{"id":"`...)
	b = w.id.AppendText(b)
	b = append(b, `","token":"`...)
	b = append(b, w.token...)
	b = append(b, `","status":"accepted","accepted_at":"`...)
	b = w.received.AppendFormat(b, timeLayout)
	b = append(b, `","amount_minor":`...)
	b = strconv.AppendInt(b, amountMinor, 10)
	b = append(b, `,"currency":"`...)
	b = append(b, w.donation.Currency...)
	b = append(b, `","status_url":"`...)
	b = append(b, w.url...)
	return append(b, `"}`...)
}

// refuse answers with a problem.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, route route, p *problem.Problem) {
	s.metrics.refused(route, p.Kind)
	s.answer(ctx, p.Kind.Status(), problemType, p.AppendJSON(nil))
	ctx.Response.Header.SetCanonical(policyName, policyNothing)
	setRetryAfter(ctx, p.Kind.RetryAfter(rand.Uint32()))
}

func setRetryAfter(ctx *fasthttp.RequestCtx, seconds int) {
	if seconds > 0 {
		var b [20]byte
		ctx.Response.Header.SetCanonical(retryAfterName, strconv.AppendInt(b[:0], int64(seconds), 10))
	}
}

// refuseDonation refuses what was parsed: the answer says where the donation's
// state is, with a token whose holder was not told that it is accepted.
func (s *Server) refuseDonation(ctx *fasthttp.RequestCtx, w *scratch, p *problem.Problem) {
	url := w.statusURL()
	w.token = s.deps.Keyring.Token(w.token[:0], keyring.Unknown, w.id, w.fingerprint)
	p.Instance = unsafe.String(unsafe.SliceData(url), len(url)) // p does not outlive w
	p.Donation = &problem.Donation{ID: w.id, StatusURL: url, Token: w.token}
	s.refuse(ctx, routeDonate, p)
}

// refuseTooFast refuses a client that is ahead of its rate by wait, rounded up to
// whole seconds and spread by one, so that a class does not come back as one.
func (s *Server) refuseTooFast(ctx *fasthttp.RequestCtx, route route, instance string, wait time.Duration) {
	s.refuse(ctx, route, &problem.Problem{Kind: problem.TooManyRequests, Instance: instance})
	setRetryAfter(ctx, int((wait+time.Second-1)/time.Second)+rand.IntN(2))
}

// refuseMethod refuses a method that the path does not have.
func (s *Server) refuseMethod(ctx *fasthttp.RequestCtx, route route, allow string) {
	s.refuse(ctx, route, &problem.Problem{Kind: problem.MethodNotAllowed})
	ctx.Response.Header.SetCanonical(allowName, []byte(allow))
}

// quickRefusal is a refusal rendered ahead: under overload it has to cost next
// to nothing.
type quickRefusal struct{ body []byte }

func quickRefusals() map[problem.Kind]quickRefusal {
	quick := make(map[problem.Kind]quickRefusal)
	for _, kind := range []problem.Kind{problem.Overloaded, problem.NotReady} {
		p := problem.Problem{Kind: kind, Instance: donationsPath}
		quick[kind] = quickRefusal{body: p.AppendJSON(nil)}
	}
	return quick
}

// refuseQuickly refuses a donation before it is looked at, in about a
// microsecond.
func (s *Server) refuseQuickly(ctx *fasthttp.RequestCtx, kind problem.Kind) {
	s.metrics.refused(routeDonate, kind)
	s.answer(ctx, kind.Status(), problemType, s.quick[kind].body)
	setRetryAfter(ctx, kind.RetryAfter(rand.Uint32()))
}

// refusedConnection is the whole answer for a connection that there is no room for.
func refusedConnection() []byte {
	p := problem.Problem{Kind: problem.Overloaded}
	body := p.AppendJSON(nil)
	b := append([]byte(nil), "HTTP/1.1 503 Service Unavailable\r\nContent-Type: "+problem.ContentType+
		"\r\nCache-Control: no-store\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	return append(append(b, "\r\n\r\n"...), body...)
}

// refuseHTTP answers what fasthttp could not read as a request. The connection
// ends with it: where the next request would begin is not known.
func (s *Server) refuseHTTP(ctx *fasthttp.RequestCtx, err error) {
	kind := problem.BadRequest
	var small *fasthttp.ErrSmallBuffer
	var netErr net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		kind = problem.BodyTooLarge
	case errors.As(err, &small):
		kind = problem.HeaderTooLarge
	case errors.As(err, &netErr) && netErr.Timeout():
		kind = problem.RequestTimeout
	}
	ctx.Response.Reset()
	s.refuse(ctx, routeNone, &problem.Problem{Kind: kind})
	if own, ok := ctx.Conn().(*conn); ok && kind != problem.RequestTimeout {
		own.linger()
	}
}
