package httpapi

import (
	"runtime"
	"runtime/debug"

	"github.com/valyala/fasthttp"

	"spillway/ingest"
	"spillway/ingest/problem"
)

const (
	donationsPath  = "/v1/donations"
	donationPrefix = donationsPath + "/"
	alivePath      = "/healthz"
	readyPath      = "/readyz"
)

// handle finds the route of a request. Paths are compared as they were sent: a
// doubled slash, a dot segment or an escaped letter is another path, so what a
// proxy in front allowed is what is served.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	defer s.recover(ctx)
	path := ctx.URI().PathOriginal()
	switch {
	case string(path) == donationsPath:
		if !ctx.IsPost() {
			s.refuseMethod(ctx, routeDonate, "POST")
			return
		}
		s.donate(ctx)
	case len(path) > len(donationPrefix) && string(path[:len(donationPrefix)]) == donationPrefix && isLeaf(path[len(donationPrefix):]):
		if !isRead(ctx) {
			s.refuseMethod(ctx, routeState, "GET, HEAD")
			return
		}
		s.giveBack(ctx)
		id, err := ingest.ParseID(path[len(donationPrefix):])
		if err != nil {
			s.refuse(ctx, routeState, &problem.Problem{Kind: problem.UnknownDonation, Detail: "No donation has such an ID."})
			return
		}
		s.state(ctx, id)
	case string(path) == alivePath:
		if !isRead(ctx) {
			s.refuseMethod(ctx, routeHealth, "GET, HEAD")
			return
		}
		s.alive(ctx)
	case string(path) == readyPath:
		if !isRead(ctx) {
			s.refuseMethod(ctx, routeHealth, "GET, HEAD")
			return
		}
		s.ready(ctx)
	default:
		s.giveBack(ctx)
		if s.deps.Next == nil || !s.deps.Next(ctx) {
			s.refuse(ctx, routeNone, &problem.Problem{Kind: problem.NoSuchRoute})
		}
	}
}

// isLeaf tells whether a path's rest is one segment: more of them are routes of
// others.
func isLeaf(rest []byte) bool {
	for _, c := range rest {
		if c == '/' {
			return false
		}
	}
	return true
}

func isRead(ctx *fasthttp.RequestCtx) bool { return ctx.IsGet() || ctx.IsHead() }

// giveBack makes a reader's connection close after the answer when connections
// are getting scarce.
func (s *Server) giveBack(ctx *fasthttp.RequestCtx) {
	if own, ok := ctx.Conn().(*conn); ok && own.listener.crowded() {
		ctx.SetConnectionClose()
	}
}

// recover turns a panic into a 500 and ends the connection: fasthttp would end
// the process. A panic's value may hold anything, so only the runtime's own
// errors are logged in words.
func (s *Server) recover(ctx *fasthttp.RequestCtx) {
	value := recover()
	if value == nil {
		return
	}
	cause := "a value that may hold private data"
	if err, ok := value.(runtime.Error); ok {
		cause = err.Error()
	}
	s.log.Error("request handler panicked", "cause", cause, "stack", string(debug.Stack()))
	ctx.Response.Reset()
	s.refuse(ctx, routeNone, &problem.Problem{Kind: problem.Internal})
	ctx.SetConnectionClose()
}
