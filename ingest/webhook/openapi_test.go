package webhook_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"spillway/ingest/openapi/openapitest"
	"spillway/ingest/webhook"
)

// What the public document promises of this route is what the processor gets.
func TestOpenAPI_EveryPromisedResponse(t *testing.T) {
	spec := openapitest.Load(t)
	var verify, store error
	e, err := webhook.New(webhook.Deps{
		Verify: func([]byte, string) (string, error) { return "evt_1", verify },
		Store:  func(context.Context, string, []byte) error { return store },
		Log:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(status int, method, body string) {
		t.Helper()
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		ctx.Request.Header.SetMethod(method)
		ctx.Request.SetRequestURI(webhook.Path)
		ctx.Request.SetBodyString(body)
		e.Handle(&ctx)
		header := http.Header{}
		for name, value := range ctx.Response.Header.All() {
			header.Add(string(name), string(value))
		}
		faults, known := spec.Check(openapitest.Answer{Method: method, Target: webhook.Path, Status: ctx.Response.StatusCode(), Header: header, Body: ctx.Response.Body()})
		if ctx.Response.StatusCode() != status || !known || len(faults) > 0 {
			t.Errorf("%s: %d, want %d, known %v, %q", method, ctx.Response.StatusCode(), status, known, faults)
		}
	}
	check(200, "POST", "{}")
	check(405, "GET", "")
	check(413, "POST", strings.Repeat("x", webhook.BodyBytesMax+1))
	store = errors.New("no broker")
	check(503, "POST", "{}")
	verify = errors.New("another secret")
	check(400, "POST", "{}")
	if diff := cmp.Diff([]string(nil), spec.Uncovered("webhooks", 408, 431, 500)); diff != "" { // those are the server's
		t.Errorf("promised and never given (-want +got):\n%s", diff)
	}
}
