package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"spillway/ingest"
	"spillway/ingest/keyring"
	"spillway/ingest/openapi/openapitest"
	"spillway/ledger"
	"spillway/ledger/payments"
)

// told is a ledger that knows one donation.
type told struct {
	state ledger.State
	err   error
}

func (t *told) AskDonation(context.Context, ingest.ID) (ledger.State, error) { return t.state, t.err }

func TestBank_AsksTheHolderOnlyAndTellsTheSimulatorOnce(t *testing.T) {
	t.Parallel()
	spec := openapitest.Load(t)
	var asked []string
	simulator := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
	}))
	t.Cleanup(simulator.Close)
	secrets, err := keyring.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ingest.ParseKey([]byte("a-key-of-sixteen-characters"))
	if err != nil {
		t.Fatal(err)
	}
	id := ingest.DeriveID(key)
	mine, other := ingest.Fingerprint{1}, ingest.Fingerprint{2}
	token := func(fp ingest.Fingerprint) string {
		return "Bearer " + string(secrets.Token(nil, keyring.Accepted, id, fp))
	}
	waiting := ledger.State{Found: true, Fingerprint: mine, Status: payments.StatusRequiresAction, ClientSecret: "pi_1_secret_2"}
	paid := waiting
	paid.Status, paid.ClientSecret = payments.StatusSucceeded, ""
	body := `{"donation_id":"` + id.String() + `","outcome":"succeed"}`

	for name, c := range map[string]struct {
		method, bearer, body string
		state                ledger.State
		err                  error
		status               int
		asks                 string
	}{
		"the holder says yes":    {bearer: token(mine), body: body, state: waiting, status: 202, asks: "POST /sim/intents/pi_1/authenticate?outcome=succeed"},
		"paid meanwhile":         {bearer: token(mine), body: body, state: paid, status: 202},
		"nobody":                 {body: body, state: waiting, status: 401},
		"another donation's":     {bearer: "Bearer " + string(secrets.Token(nil, keyring.Accepted, ingest.ID{9}, mine)), body: body, state: waiting, status: 401},
		"the loser of a key":     {bearer: token(other), body: body, state: waiting, status: 403},
		"an outcome of its own":  {bearer: token(mine), body: `{"donation_id":"` + id.String() + `","outcome":"succeed&x=1"}`, state: waiting, status: 400},
		"another member":         {bearer: token(mine), body: body[:len(body)-1] + `,"x":1}`, state: waiting, status: 400},
		"something behind it":    {bearer: token(mine), body: body + body, state: waiting, status: 400},
		"read":                   {method: "GET", state: waiting, status: 405},
		"not recorded yet":       {bearer: token(mine), body: body, status: 404},
		"the ledger is not here": {bearer: token(mine), body: body, err: errors.New("no answer"), status: 503},
	} {
		asked = nil
		b := &bank{simulator: func() string { return simulator.URL }, secrets: secrets, states: &told{c.state, c.err}, log: slog.New(slog.DiscardHandler)}
		var ctx fasthttp.RequestCtx
		ctx.Request.SetRequestURI(authenticatePath)
		ctx.Request.Header.SetMethod("POST")
		if c.method != "" {
			ctx.Request.Header.SetMethod(c.method)
		}
		if c.bearer != "" {
			ctx.Request.Header.Set("Authorization", c.bearer)
		}
		ctx.Request.SetBodyString(c.body)
		if !b.handle(&ctx) || ctx.Response.StatusCode() != c.status {
			t.Errorf("%s: %d %s, want %d", name, ctx.Response.StatusCode(), ctx.Response.Body(), c.status)
		}
		header := http.Header{}
		for name, value := range ctx.Response.Header.All() {
			header.Add(string(name), string(value))
		}
		method := string(ctx.Method())
		faults, known := spec.Check(openapitest.Answer{Method: method, Target: authenticatePath, Status: c.status, Header: header, Body: ctx.Response.Body()})
		if !known || len(faults) > 0 {
			t.Errorf("%s: not as the public document has it: known %v, %q", name, known, faults)
		}
		if c.asks == "" && len(asked) > 0 || c.asks != "" && (len(asked) != 1 || asked[0] != c.asks) {
			t.Errorf("%s: the simulator was asked %q, want %q", name, asked, c.asks)
		}
	}

	if diff := cmp.Diff([]string(nil), spec.Uncovered("demonstration", 408, 413, 431, 500)); diff != "" {
		t.Errorf("promised and never given (-want +got):\n%s", diff)
	}

	var ctx fasthttp.RequestCtx
	ctx.Request.SetRequestURI("/v1/demo/other")
	if (&bank{}).handle(&ctx) {
		t.Error("another path was answered")
	}
}
