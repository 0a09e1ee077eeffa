package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/admission"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ledger"
)

// counter is a world whose publisher fails for amounts that are odd.
type counter struct {
	world
	published    int
	acknowledged map[string]bool // by ID; nil where nobody asks
}

func (c *counter) Publish(book ledger.Book, d *envelope.Donation) error {
	c.published++
	if d.AmountMinor%2 == 1 {
		return ingest.ErrUnknown
	}
	if err := c.world.Publish(book, d); err != nil {
		return err
	}
	if c.acknowledged != nil {
		c.acknowledged[d.ID.String()] = true
	}
	return nil
}

func (c *counter) Lookup(slug []byte) (*campaigns.Campaign, bool) {
	if bytes.HasPrefix(slug, []byte("no")) {
		return nil, false
	}
	return &c.campaign, true
}

// Whatever comes in a donation's place: never a 500 nor a panic, a JSON answer
// of the contract's statuses, and a publication exactly when it is a 202 or the
// publisher's 503; a 202 without one only for what was acknowledged before.
func FuzzDonate(f *testing.F) {
	const key = "0123456789abcdef"
	f.Add([]byte(typicalBody), key, "application/json", "10.0.0.1")
	f.Add([]byte(typicalBody), `"`+key+`"`, "application/json; charset=utf-8", "203.0.113.9, 10.0.0.1")
	f.Add([]byte(strings.Replace(typicalBody, "5000", "5001", 1)), key, "application/json", "[2001:db8::1]:80")
	f.Add([]byte(strings.Replace(typicalBody, "river", "nope", 1)), key, "application/json", "")
	f.Add([]byte(strings.Replace(typicalBody, "5000", "0", 1)), key, "application/json", "")
	// The first one again, with a payment that was not looked at then and is bad now.
	f.Add([]byte(strings.Replace(typicalBody, "ctoken_", "", 1)), key, "application/json", "10.0.0.1")
	f.Add([]byte(`{"lines":null}`), "short", "text/plain", "x")
	f.Add([]byte{}, "", "", "")

	keys, err := keyring.Generate(bytes.NewReader(make([]byte, 128)))
	if err != nil {
		f.Fatal(err)
	}
	rules, err := admission.New(admission.Config{
		Limiter:        admission.LimiterConfig{Default: admission.Rate{PerSecond: 1e6, Burst: 1e6}},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}, // the contexts here have no peer
	})
	if err != nil {
		f.Fatal(err)
	}
	c := &counter{
		world:        world{campaign: campaigns.Campaign{Slug: "river-school", Currency: "USD", StartsAt: time.Unix(0, 0)}},
		acknowledged: map[string]bool{},
	}
	s, err := New(Config{Remembered: 64}, Deps{
		Keyring: keys, Publisher: c, Directory: c, Gate: c, States: c, Limiter: rules.Limiter, Proxies: rules.Proxies,
		Donations: rules.Donations, Reads: rules.Reads, Waits: rules.Waits, Requests: rules.Requests, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, key, contentType, forwarded string) {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		ctx.Request.Header.SetMethod("POST")
		ctx.Request.SetRequestURI("/v1/donations")
		ctx.Request.Header.SetContentType(contentType)
		ctx.Request.Header.Set("Idempotency-Key", key)
		ctx.Request.Header.Set("X-Forwarded-For", forwarded)
		ctx.Request.SetBody(body)
		c.published = 0
		s.handle(&ctx)

		status, out := ctx.Response.StatusCode(), ctx.Response.Body()
		switch status {
		case 202, 400, 404, 409, 415, 422, 429, 503:
		default:
			t.Fatalf("%d %s", status, out)
		}
		switch status {
		case 202:
			var answer struct{ ID string }
			if err := json.Unmarshal(out, &answer); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if c.published != 1 && !(c.published == 0 && c.acknowledged[answer.ID]) {
				t.Fatalf("202 with %d publications, acknowledged before: %t: %s", c.published, c.acknowledged[answer.ID], out)
			}
		case 503:
			if c.published != 1 {
				t.Fatalf("503 with %d publications: %s", c.published, out)
			}
		default:
			if c.published != 0 {
				t.Fatalf("%d with %d publications: %s", status, c.published, out)
			}
		}
		if !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
		if status == 429 || status == 503 {
			if len(ctx.Response.Header.Peek("Retry-After")) == 0 {
				t.Fatalf("%d without Retry-After", status)
			}
		}
		if rules.Donations.Taken() != 0 {
			t.Fatal("a place was not given back")
		}
	})
}

// FuzzState asks with any path, query and Authorization.
func FuzzState(f *testing.F) {
	keys, err := keyring.Generate(bytes.NewReader(make([]byte, 128)))
	if err != nil {
		f.Fatal(err)
	}
	rules, err := admission.New(admission.Config{})
	if err != nil {
		f.Fatal(err)
	}
	id := ingest.DeriveID([]byte("0123456789abcdef"))
	f.Add("/v1/donations/"+id.String(), "Bearer "+string(keys.Token(nil, keyring.Accepted, id, ingest.Fingerprint{})))
	f.Add("/v1/donations/"+id.String()+"?wait=0", "")
	f.Add("/v1/donations/x?wait=31", "Basic x")
	c := &counter{}
	s, err := New(Config{Remembered: 64}, Deps{
		Keyring: keys, Publisher: c, Directory: c, Gate: c, States: answering{}, Limiter: rules.Limiter, Proxies: rules.Proxies,
		Donations: rules.Donations, Reads: rules.Reads, Waits: rules.Waits, Requests: rules.Requests, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		f.Fatal(err)
	}
	close(s.stopping) // long polls answer at once
	f.Fuzz(func(t *testing.T, uri, authorization string) {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		ctx.Request.SetRequestURI(uri)
		if authorization != "" {
			ctx.Request.Header.Set("Authorization", authorization)
		}
		s.handle(&ctx)
		status, out := ctx.Response.StatusCode(), ctx.Response.Body()
		switch status {
		case 200, 400, 401, 404, 405:
		default:
			t.Fatalf("%d %s", status, out)
		}
		if !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
	})
}

// answering knows every donation.
type answering struct{}

func (answering) AskDonation(context.Context, ingest.ID) (ledger.State, error) {
	return ledger.State{Found: true, Status: ledger.StatusAccepted}, nil
}

// FuzzRequest sends further wishes of any kind: never a 500 nor a panic, a JSON
// answer, and a publication exactly when it is a 202 or the publisher's 503.
func FuzzRequest(f *testing.F) {
	keys, err := keyring.Generate(bytes.NewReader(make([]byte, 128)))
	if err != nil {
		f.Fatal(err)
	}
	rules, err := admission.New(admission.Config{Limiter: admission.LimiterConfig{Default: admission.Rate{PerSecond: 1e6, Burst: 1e6}}})
	if err != nil {
		f.Fatal(err)
	}
	id := ingest.DeriveID([]byte("0123456789abcdef"))
	holder := "Bearer " + string(keys.Token(nil, keyring.Accepted, id, ingest.Fingerprint{}))
	loser := "Bearer " + string(keys.Token(nil, keyring.Unknown, id, ingest.Fingerprint{1}))
	const card, key = `{"payment":{"confirmation_token":"ctoken_card_visa","expires_at":"2026-11-22T20:00:00Z"}}`, "0123456789abcdef"
	f.Add(true, id.String()+"/attempts", []byte(card), key, "application/json", holder)
	f.Add(true, id.String()+"/attempts", []byte(card), key, "application/json", loser)
	f.Add(true, id.String()+"/attempts", []byte(`{"payment":{"confirmation_token":"tok"}}`), key, "application/json", holder)
	f.Add(false, id.String(), []byte{}, key, "", holder)
	f.Add(false, id.String(), []byte("{}"), "", "text/plain", "")
	f.Add(false, "x/attempts", []byte{}, "", "", "Basic x")
	c := &wisher{}
	s, err := New(Config{Remembered: 64}, Deps{
		Keyring: keys, Publisher: c, Directory: c, Gate: c, States: c, Limiter: rules.Limiter, Proxies: rules.Proxies,
		Donations: rules.Donations, Reads: rules.Reads, Waits: rules.Waits, Requests: rules.Requests, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, post bool, rest string, body []byte, key, contentType, authorization string) {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, nil, nil)
		ctx.Request.Header.SetMethod("DELETE")
		if post {
			ctx.Request.Header.SetMethod("POST")
		}
		ctx.Request.SetRequestURI("/v1/donations/" + rest)
		ctx.Request.Header.SetContentType(contentType)
		if key != "" {
			ctx.Request.Header.Set("Idempotency-Key", key)
		}
		if authorization != "" {
			ctx.Request.Header.Set("Authorization", authorization)
		}
		ctx.Request.SetBody(body)
		c.published = nil
		s.requested = newRemembered(1) // a front-end that has seen nothing yet
		s.handle(&ctx)

		status, out := ctx.Response.StatusCode(), ctx.Response.Body()
		switch status {
		case 202, 400, 401, 403, 404, 405, 415, 422, 429, 503:
		default:
			t.Fatalf("%d %s", status, out)
		}
		if stored := status == 202 || status == 503; stored != (len(c.published) == 1) || len(c.published) > 1 {
			t.Fatalf("%d with %d publications: %s", status, len(c.published), out)
		}
		for _, r := range c.published {
			// Nothing but the holder's own, and a record that a ledger can read back.
			if authorization != holder && !strings.Contains(authorization, strings.TrimPrefix(holder, "Bearer ")) {
				t.Fatalf("published for %q", authorization)
			}
			data := envelope.AppendRequest(envelope.AppendHeader(nil, envelope.Header{ID: [16]byte{1}}), &r)
			if _, err := envelope.Decode(data, func(_ int, back envelope.Record, _ []byte, err error) {
				if err != nil || *back.Request != r {
					t.Fatalf("published %+v, read back %+v, %v", r, back.Request, err)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		if !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
		if rules.Requests.Taken() != 0 || rules.Reads.Taken() != 0 {
			t.Fatal("a place was not given back")
		}
	})
}

// wisher is a world in which every donation has failed. It publishes the wishes
// whose tokens end in an even byte.
type wisher struct {
	world
	published []envelope.Request
}

func (w *wisher) PublishRequest(_ ledger.Book, r *envelope.Request) error {
	c := *r
	c.ConfirmationToken = strings.Clone(r.ConfirmationToken)
	w.published = append(w.published, c)
	if n := len(r.ConfirmationToken); n > 0 && r.ConfirmationToken[n-1]%2 == 1 {
		return ingest.ErrUnknown
	}
	return nil
}

func (w *wisher) AskDonation(context.Context, ingest.ID) (ledger.State, error) {
	return ledger.State{Found: true, Book: ledger.Live, Status: "failed", Reason: "declined", AttemptNo: 1}, nil
}
