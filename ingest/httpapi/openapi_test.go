package httpapi_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spillway/ingest"
	"spillway/ingest/keyring"
	"spillway/ingest/openapi"
	"spillway/ingest/openapi/openapitest"
	"spillway/ledger"
)

var spec = sync.OnceValues(func() (*openapitest.Spec, error) { return openapitest.Parse(openapi.Document) })

// holdToContract holds an answer to the public document. Every answer of every test
// of this package passes here.
func holdToContract(t testing.TB, raw string, r *reply) {
	t.Helper()
	s, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(raw, "\r\n")
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" {
		return // not a request that has a route
	}
	faults, _ := s.Check(openapitest.Answer{Method: parts[0], Target: parts[1], Status: r.status, Header: r.header, Body: []byte(r.body)})
	for _, fault := range faults {
		t.Errorf("%.100q: the contract: %s: %d %.500s", line, fault, r.status, r.body)
	}
}

// transport are the statuses that HTTP itself gives before any route is looked at;
// the tests of HTTP have them on some routes, not on all.
var transport = []int{400, 408, 413, 431, 500}

// Each response that the document promises is one that this server gives, and the
// bodies that it says it takes are taken.
func TestOpenAPI_EveryPromisedResponse(t *testing.T) {
	s, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{"sound": sound, "whole": whole} {
		if faults := s.CheckRequest("POST", "/v1/donations", []byte(body)); len(faults) > 0 {
			t.Errorf("the %s donation: %q", name, faults)
		}
	}
	if faults := s.CheckRequest("POST", "/v1/donations/{id}/attempts", []byte(cardBody)); len(faults) > 0 {
		t.Errorf("another card: %q", faults)
	}

	fresh, err := openapitest.Parse(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	h := serve(t, options{})
	id := idOf(key)
	holder, loser := h.bearer(keyring.Accepted, won), h.bearer(keyring.Accepted, lost)
	give := func(raw string, status int) {
		t.Helper()
		r := h.send(t, raw)
		method, rest, _ := strings.Cut(raw, " ")
		target, _, _ := strings.Cut(rest, " ")
		faults, known := fresh.Check(openapitest.Answer{Method: method, Target: target, Status: r.status, Header: r.header, Body: []byte(r.body)})
		if r.status != status || !known || len(faults) > 0 {
			t.Errorf("%s %s: %d, want %d, known %v, %q", method, target, r.status, status, known, faults)
		}
	}
	path := "/v1/donations/" + id.String()
	put := func(state ledger.State, err error) {
		h.states.put(id, state)
		h.states.fail(err)
	}

	give(donation(with("river-school", "tomorrow")), 409)
	give(donation(sound), 202)
	give(donation("{}"), 422)
	give(donation(sound[:20]), 400)
	give(request("POST", "/v1/donations", sound), 415)
	give(donation(with("river-school", "nope")), 404)
	h.publisher.fail(ingest.ErrUnknown)
	give(donation(sound), 503)
	h.publisher.fail(nil)
	give(request("PUT", "/v1/donations", sound), 405)

	put(failed(), nil)
	give(request("GET", path, "", holder), 200)
	give(request("GET", path+"?wait=x", ""), 400)
	give(request("GET", path, "", holder+"x"), 401)
	give(h.attempts("{}"), 422)
	give(h.attempts(""), 400)
	give(request("POST", path+"/attempts", cardBody), 415)
	give(request("DELETE", path, "", holder), 202)
	give(request("DELETE", path, "x", holder), 400)
	give(request("DELETE", path, "", "Authorization: Basic x"), 401)
	give(request("DELETE", path, "", loser), 403)
	card := func(bearer string) string {
		return request("POST", path+"/attempts", cardBody, "Content-Type: application/json", "Idempotency-Key: "+cardKey, bearer)
	}
	give(card("Authorization: Basic x"), 401)
	give(card(loser), 403)
	put(recorded(), nil)
	give(h.attempts(cardBody), 409)
	put(ledger.State{}, nil)
	unknown := h.bearer(keyring.Unknown, won)
	give(request("GET", path, ""), 404)
	give(request("DELETE", path, "", unknown), 404)
	give(card(unknown), 404)
	put(failed(), errDown)
	give(request("GET", path, ""), 503)
	give(request("DELETE", path, "", holder), 503)
	give(card(holder), 503)
	give(request("PUT", path, ""), 405)
	put(failed(), nil)
	give(card(holder), 202)

	for { // until this client is too fast
		if r := h.send(t, request("DELETE", path, "", holder)); r.status == http.StatusTooManyRequests {
			break
		}
	}
	give(request("DELETE", path, "", holder), 429)
	give(card(unknown), 429)
	give(donation(sound), 429)

	give(request("GET", "/healthz", ""), 200)
	give(request("GET", "/readyz", ""), 200)
	h.gate.fail(errDown)
	give(request("GET", "/readyz", ""), 503)
	give(request("GET", "/openapi.yaml", ""), 200)
	give(request("POST", "/openapi.yaml", ""), 405)
	give(request("GET", "/docs", ""), 200)
	give(request("POST", "/docs", ""), 405)

	for _, tag := range []string{"donations", "service"} {
		if diff := cmp.Diff([]string(nil), fresh.Uncovered(tag, transport...)); diff != "" {
			t.Errorf("promised and never given (-want +got):\n%s", diff)
		}
	}
}

// The document is served as it is.
func TestOpenAPI_IsServed(t *testing.T) {
	h := serve(t, options{})
	c := h.dial(t)
	if _, err := io.WriteString(c, request("GET", "/openapi.yaml", "")); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || string(body) != string(openapi.Document) || answer.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%d bytes of %q, %v", len(body), answer.Header.Get("Content-Type"), err)
	}
}

// Its page runs nothing and loads nothing.
func TestDocs_AreServedUnderAPolicy(t *testing.T) {
	h := serve(t, options{})
	r := h.send(t, request("GET", "/docs", ""))
	if r.body != string(openapi.Page) || r.header.Get("Content-Security-Policy") != openapi.PagePolicy || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d: %d bytes, %v", r.status, len(r.body), r.header)
	}
}
