package httpapi_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/cache"
	"spillway/campaigns"
	"spillway/campaigns/httpapi"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// place is a cache's source of one total.
type place struct{ live *render.Live }

func (p place) Load(string) (*render.Live, error) { return p.live, nil }

// age gives one age, as lightly as the feed does.
type age struct{ age *render.Age }

func (a age) Age(ledger.Book) *render.Age { return a.age }

// BenchmarkTotals compares the handler with a bare one that answers as many
// bytes, without a network, which costs both the same on top.
func BenchmarkTotals(b *testing.B) {
	t := render.NewTotal(campaigns.Total{Campaign: "river-school", Currency: "USD", PledgedMinor: 123_456_700,
		RaisedMinor: 120_000_000, Donations: 23_456, Version: 56_789, Epoch: 1}, ledger.Live)
	totals, err := cache.New(cache.Config{}, place{render.NewLive(t)}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer totals.Close()
	totals.Put([]*render.Live{render.NewLive(t)})
	f := newFront()
	api, err := httpapi.New(httpapi.Config{}, httpapi.Deps{Totals: totals, Ages: age{render.NewAge(time.Now())},
		Directory: f, Board: f, Hub: nil, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	body := t.AppendJSON(nil, render.NewAge(time.Now()), time.Now())
	handlers := map[string]fasthttp.RequestHandler{
		"bare": func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.SetContentType("application/json")
			ctx.Response.SetBody(body)
		},
		"totals":       func(ctx *fasthttp.RequestCtx) { api.Handle(ctx) },
		"not modified": func(ctx *fasthttp.RequestCtx) { api.Handle(ctx) },
	}
	for _, name := range []string{"bare", "totals", "not modified"} {
		b.Run(name, func(b *testing.B) {
			var ctx fasthttp.RequestCtx
			ctx.Request.Header.SetMethod("GET")
			ctx.Request.SetRequestURI("/v1/campaigns/river-school/totals")
			want := fasthttp.StatusOK
			if name == "not modified" {
				ctx.Request.Header.SetBytesV(fasthttp.HeaderIfNoneMatch, t.ETag())
				want = fasthttp.StatusNotModified
			}
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				handlers[name](&ctx)
				if ctx.Response.StatusCode() != want {
					b.Fatal(ctx.Response.StatusCode())
				}
			}
		})
	}
}
