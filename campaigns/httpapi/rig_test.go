package httpapi_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/httpapi"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// flood is a Hub that sends as fast as it can.
type flood struct{ ended chan error }

func (h *flood) Watch(_ ledger.Book, _ string, _ *render.Position, gone <-chan struct{}, send func([]byte) error) error {
	event := make([]byte, 64<<10)
	for {
		select {
		case <-gone:
			return nil
		default:
		}
		if err := send(event); err != nil {
			h.ended <- err
			return err
		}
	}
}

func (h *flood) WatchMany(book ledger.Book, _ []string, _ bool, gone <-chan struct{}, send func([]byte) error) error {
	return h.Watch(book, "", nil, gone, send)
}

func mustAPI(t testing.TB, cfg httpapi.Config, f *front, hub httpapi.Hub) *httpapi.API {
	t.Helper()
	api, err := httpapi.New(cfg, httpapi.Deps{Totals: f, Ages: f, Directory: f, Board: f, Switches: f, Hub: hub, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// listen serves the API until the test ends.
func listen(t *testing.T, api *httpapi.API) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { api.Handle(ctx) }}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := api.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return ln.Addr().String()
}
