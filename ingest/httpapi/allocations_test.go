package httpapi

import (
	"strconv"
	"testing"

	"github.com/valyala/fasthttp"

	"spillway/ingest/trace"
)

// nowhere is a sink that nothing may reach.
type nowhere struct{ t *testing.T }

func (n nowhere) Record(trace.Span) { n.t.Error("a span of what is not traced") }

// A donation that is not traced costs no allocation more than one of a front-end that
// traces nothing: none.
func TestDonate_UntracedAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random then")
	}
	for name, tracer := range map[string]*trace.Tracer{
		"off": nil, "not this one": trace.New("spillway-ingest", trace.Part(0), nowhere{t}),
	} {
		s := benchServer(t, 0)
		s.deps.Tracer = tracer
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		key, i := []byte("bench-0000000000000000"), 0
		if n := testing.AllocsPerRun(500, func() {
			i++
			ctx.Request.Reset()
			ctx.Response.Reset()
			ctx.Request.Header.SetMethod("POST")
			ctx.Request.Header.SetHost("spillway.test")
			ctx.Request.SetRequestURI("/v1/donations")
			ctx.Request.Header.SetContentType("application/json")
			ctx.Request.Header.SetBytesV("Idempotency-Key", strconv.AppendInt(key[:6], int64(1e15+i), 10))
			ctx.Request.SetBodyString(typicalBody)
			s.handle(&ctx)
			if ctx.Response.StatusCode() != fasthttp.StatusAccepted {
				t.Fatalf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a donation", name, n)
		}
	}
}
