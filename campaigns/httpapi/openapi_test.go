package httpapi_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spillway/campaigns"
	"spillway/campaigns/httpapi"
	"spillway/ingest/openapi/openapitest"
)

// What the public document promises of campaigns is what readers get: every
// response of it, and nothing else in them.
func TestOpenAPI_EveryPromisedResponse(t *testing.T) {
	spec := openapitest.Load(t)
	s := serve(t, httpapi.Config{})
	whole(s)
	check := func(s *served, status int, method, path string, header ...string) http.Header {
		t.Helper()
		a := s.do(t, method, path, header...)
		faults, known := spec.Check(openapitest.Answer{Method: method, Target: path, Status: a.status, Header: a.header, Body: []byte(a.body)})
		if a.status != status || !known || len(faults) > 0 {
			t.Errorf("%s %s: %d, want %d, known %v, %q", method, path, a.status, status, known, faults)
		}
		return a.header
	}
	for _, path := range []string{"/v1/campaigns", "/v1/campaigns?limit=1", "/v1/campaigns/river-school", "/v1/campaigns/drill", "/v1/campaigns/river-school/totals",
		"/v1/campaigns?search=", "/v1/campaigns?search=river&phase=open&organisation=Trust&sort=ending", "/v1/campaigns/river-school/gifts", "/v1/day", "/v1/day/gifts",
		"/v1/leaderboards", "/v1/leaderboards?by=donors&limit=3", "/v1/leaderboards?currency=JPY"} {
		header := check(s, 200, "GET", path)
		check(s, 200, "HEAD", path)
		check(s, 304, "GET", path, "If-None-Match", header.Get("ETag"))
		check(s, 405, "DELETE", path)
	}
	check(s, 400, "GET", "/v1/campaigns?limit=0")
	check(s, 400, "GET", "/v1/campaigns?after=x")
	for _, path := range []string{"/v1/campaigns/nope", "/v1/campaigns/nope/totals", "/v1/campaigns/nope/live", "/v1/campaigns/nope/gifts", "/v1/live?campaign=nope"} {
		check(s, 404, "GET", path)
	}
	check(s, 400, "GET", "/v1/leaderboards?by=luck")
	check(s, 400, "GET", "/v1/live")
	check(s, 405, "HEAD", "/v1/campaigns/river-school/live")
	check(s, 405, "HEAD", "/v1/live?day=1")

	for _, path := range []string{"/v1/campaigns/river-school/live", "/v1/live?campaign=river-school&day=1"} {
		ctx, leave := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := s.dir.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		faults, known := spec.Check(openapitest.Answer{Method: "GET", Target: path, Status: stream.StatusCode, Header: stream.Header})
		if len(faults) > 0 || !known {
			t.Errorf("%s: %q", path, faults)
		}
		leave()
		_ = stream.Body.Close()
	}

	s.flip(campaigns.Switches{LeaderboardsOff: true, FeedOff: true, LiveOff: true})
	for _, path := range []string{"/v1/leaderboards", "/v1/live?day=1", "/v1/campaigns/river-school/live"} {
		check(s, 503, "GET", path)
	}
	check(s, 200, "GET", "/v1/campaigns/river-school/gifts")

	warming := serve(t, httpapi.Config{})
	warming.mu.Lock()
	warming.loading = true
	warming.mu.Unlock()
	for _, path := range []string{"/v1/campaigns", "/v1/campaigns/nope", "/v1/campaigns/river-school/totals", "/v1/campaigns/river-school/live",
		"/v1/campaigns/nope/gifts", "/v1/day", "/v1/day/gifts", "/v1/leaderboards", "/v1/live?day=1"} {
		check(warming, 503, "GET", path)
	}

	// What HTTP itself answers is intake's, whose server it is; these routes have no
	// query to refuse.
	want := []string{"GET /v1/campaigns/{slug} 400", "GET /v1/campaigns/{slug}/gifts 400", "GET /v1/campaigns/{slug}/live 400",
		"GET /v1/campaigns/{slug}/totals 400", "GET /v1/day 400", "GET /v1/day/gifts 400"}
	if diff := cmp.Diff(want, spec.Uncovered("campaigns", 408, 413, 431, 500)); diff != "" {
		t.Errorf("promised and never given (-want +got):\n%s", diff)
	}
}
