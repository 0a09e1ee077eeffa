package httpapi

import (
	"errors"
	"math/rand/v2"

	"github.com/valyala/fasthttp"

	"spillway/ingest/openapi"
	"spillway/ingest/problem"
)

// alive answers GET /healthz: the process serves.
func (s *Server) alive(ctx *fasthttp.RequestCtx) {
	s.answer(ctx, fasthttp.StatusOK, jsonType, []byte(`{"status":"alive"}`))
}

// document answers GET /openapi.yaml: the contract that this build keeps.
func (s *Server) document(ctx *fasthttp.RequestCtx) {
	s.answer(ctx, fasthttp.StatusOK, []byte(openapi.ContentType), openapi.Document)
}

// docs answers GET /docs: the same for people.
func (s *Server) docs(ctx *fasthttp.RequestCtx) {
	s.answer(ctx, fasthttp.StatusOK, []byte(openapi.PageType), openapi.Page)
	ctx.Response.Header.Set("Content-Security-Policy", openapi.PagePolicy)
}

// errDraining is why a server that is going away is not ready.
var errDraining = errors.New("this front-end is shutting down")

// ready answers GET /readyz: 200 when donations can be taken and pages shown,
// else 503; each condition is listed with the reason when it does not hold.
func (s *Server) ready(ctx *fasthttp.RequestCtx) {
	all := true
	out := []byte(`{"checks":[`)
	check := func(name string, err error) {
		if out[len(out)-1] == '}' {
			out = append(out, ',')
		}
		out = append(out, `{"name":`...)
		out = problem.AppendString(out, name)
		if err == nil {
			out = append(out, `,"ok":true}`...)
			return
		}
		all = false
		out = append(out, `,"ok":false,"reason":`...)
		out = problem.AppendString(out, err.Error())
		out = append(out, '}')
	}
	check("durability", s.deps.Gate.Ready())
	check("campaigns", s.deps.Directory.Ready())
	for _, c := range s.deps.Checks {
		check(c.Name, c.Ready())
	}
	var draining error
	if s.draining.Load() {
		draining = errDraining
	}
	check("serving", draining)
	if all {
		s.answer(ctx, fasthttp.StatusOK, jsonType, append(out, `],"ready":true}`...))
		return
	}
	s.answer(ctx, fasthttp.StatusServiceUnavailable, jsonType, append(out, `],"ready":false}`...))
	setRetryAfter(ctx, problem.NotReady.RetryAfter(rand.Uint32()))
}
