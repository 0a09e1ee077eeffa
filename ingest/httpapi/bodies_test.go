package httpapi_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"spillway/ingest/httpapi"
)

// Only the paths that are named take larger bodies, and they have a bound too; a
// donation on the same connection keeps its own.
func TestBodies_LargerWhereNamed(t *testing.T) {
	const most = 512 << 10
	h := serve(t, options{deps: func(d *httpapi.Deps) {
		d.Bodies = map[string]int{"/v1/events": most}
		d.Next = func(ctx *fasthttp.RequestCtx) bool {
			ctx.SetBodyString(`{"bytes":` + strconv.Itoa(len(ctx.Request.Body())) + `}`)
			return true
		}
	}})
	for _, c := range []struct {
		path   string
		bytes  int
		status int
	}{
		{"/v1/events", most, 200},
		{"/v1/events", most + 1, 413},
		{"/v1/events?x=y", most, 413},
		{"/v1/other", 32 << 10, 200},
		{"/v1/other", 32<<10 + 1, 413},
		{"/v1/donations", 32<<10 + 1, 413},
	} {
		r := h.send(t, request("POST", c.path, strings.Repeat("x", c.bytes)))
		if r.status != c.status || r.status == 200 && r.json["bytes"] != float64(c.bytes) {
			t.Errorf("%s, %d bytes: %d %s", c.path, c.bytes, r.status, r.body)
		}
	}
}
