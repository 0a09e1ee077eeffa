package httpapi

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/admission"
	"spillway/ingest/envelope"
	"spillway/ingest/keyring"
	"spillway/ledger"
)

// world is the least that a server needs: it publishes nowhere, but encodes the
// record as a publisher does before it waits.
type world struct {
	campaign campaigns.Campaign
	record   []byte
}

func (w *world) Publish(_ ledger.Book, d *envelope.Donation) error {
	w.record = envelope.AppendDonation(w.record[:0], d)
	return nil
}
func (w *world) PublishRequest(ledger.Book, *envelope.Request) error { return nil }

func (w *world) Lookup([]byte) (*campaigns.Campaign, bool) { return &w.campaign, true }
func (w *world) Ready() error                              { return nil }
func (w *world) AskDonation(context.Context, ingest.ID) (ledger.State, error) {
	return ledger.State{}, nil
}

func benchServer(b testing.TB, donations int) *Server {
	keys, err := keyring.Generate(bytes.NewReader(make([]byte, 128)))
	if err != nil {
		b.Fatal(err)
	}
	rules, err := admission.New(admission.Config{
		Donations: donations,
		Limiter:   admission.LimiterConfig{Default: admission.Rate{PerSecond: 1e6, Burst: 1e6}},
	})
	if err != nil {
		b.Fatal(err)
	}
	w := &world{campaign: campaigns.Campaign{Slug: "river-school", Currency: "USD", StartsAt: time.Unix(0, 0)}}
	s, err := New(Config{}, Deps{
		Keyring: keys, Publisher: w, Directory: w, Gate: w, States: w,
		Limiter: rules.Limiter, Proxies: rules.Proxies,
		Donations: rules.Donations, Reads: rules.Reads, Waits: rules.Waits, Requests: rules.Requests,
		Registerer: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// benchHandler runs the handler over one context, as a kept-alive connection
// does, with another key for every donation.
func benchHandler(b *testing.B, s *Server, body string, want int) {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	key := []byte("bench-0000000000000000")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ctx.Request.Reset()
		ctx.Response.Reset()
		ctx.Request.Header.SetMethod("POST")
		ctx.Request.Header.SetHost("spillway.test")
		ctx.Request.SetRequestURI("/v1/donations")
		ctx.Request.Header.SetContentType("application/json")
		ctx.Request.Header.SetBytesV("Idempotency-Key", strconv.AppendInt(key[:6], int64(1e15+i), 10))
		ctx.Request.SetBodyString(body)
		s.handle(&ctx)
		if ctx.Response.StatusCode() != want {
			b.Fatalf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
}

// BenchmarkDonate is one donation through the whole handler, setting up the
// request included, the network and the broker not.
func BenchmarkDonate(b *testing.B) { benchHandler(b, benchServer(b, 0), typicalBody, 202) }

// BenchmarkRefuseOverload is a donation that finds no slot.
func BenchmarkRefuseOverload(b *testing.B) {
	s := benchServer(b, 1)
	if !s.deps.Donations.Take() {
		b.Fatal("no slot")
	}
	benchHandler(b, s, typicalBody, 503)
}

// BenchmarkRefuseMalformed is a body that is no donation.
func BenchmarkRefuseMalformed(b *testing.B) {
	benchHandler(b, benchServer(b, 0), `{"currency":1,"amount":5}`, 400)
}
