package httpapi

import (
	"bytes"
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
	openapiPath    = "/openapi.yaml"
	docsPath       = "/docs"
	attemptsLeaf   = "attempts" // below a donation
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
	case len(path) > len(donationPrefix) && string(path[:len(donationPrefix)]) == donationPrefix && s.donation(ctx, path[len(donationPrefix):]):
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
	case string(path) == openapiPath, string(path) == docsPath:
		if !isRead(ctx) {
			s.refuseMethod(ctx, routeHealth, "GET, HEAD")
			return
		}
		s.giveBack(ctx)
		if string(path) == docsPath {
			s.docs(ctx)
			return
		}
		s.document(ctx)
	default:
		s.giveBack(ctx)
		if s.deps.Next == nil || !s.deps.Next(ctx) {
			s.refuse(ctx, routeNone, &problem.Problem{Kind: problem.NoSuchRoute})
		}
	}
}

// donation finds the route below /v1/donations/ and answers, or tells that rest is
// nothing of ours.
func (s *Server) donation(ctx *fasthttp.RequestCtx, rest []byte) bool {
	text, below, deeper := bytes.Cut(rest, []byte{'/'})
	var route route
	var answer func(*Server, *fasthttp.RequestCtx, ingest.ID)
	allow := "GET, HEAD, DELETE"
	switch {
	case deeper && string(below) != attemptsLeaf:
		return false
	case deeper:
		route, answer, allow = routeAttempt, (*Server).attempt, "POST"
		if !ctx.IsPost() {
			answer = nil
		}
	case ctx.IsDelete():
		route, answer = routeCancel, (*Server).cancel
	default:
		route, answer = routeState, (*Server).state
		if !isRead(ctx) {
			answer = nil
		}
	}
	if answer == nil {
		s.refuseMethod(ctx, route, allow)
		return true
	}
	s.giveBack(ctx)
	id, err := ingest.ParseID(text)
	if err != nil {
		s.refuse(ctx, route, &problem.Problem{Kind: problem.UnknownDonation, Detail: "No donation has such an ID."})
		return true
	}
	answer(s, ctx, id)
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
