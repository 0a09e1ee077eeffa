package stripesim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
)

// patience is ample for a busy machine: nothing here is a matter of speed.
const patience = time.Minute

// rig is a stand-in on a port of its own, with the real client.
type rig struct {
	t      *testing.T
	server *Server
	url    string
	stop   func() error
	api    *client.API
	http   *http.Client
}

// start runs a stand-in until the end of the test, or until stop.
func start(t *testing.T, cfg Config) *rig {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Seed == 0 {
		cfg.Seed = 7
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	r := &rig{t: t, server: s, url: "http://" + ln.Addr().String()}
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	r.http = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	r.api = stripeClient(r.url, r.http)
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("run ended with %v", err)
		}
		r.http.CloseIdleConnections()
	})
	return r
}

// stripeClient is stripe-go as payments would use it: no retries of its own.
func stripeClient(url string, c *http.Client) *client.API {
	b := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		HTTPClient: c, URL: stripe.String(url), MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry: stripe.Bool(false), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return client.New("sk_test_sim", &stripe.Backends{API: b, Connect: b, Uploads: b})
}

// charge creates and confirms an intent in one call.
func (r *rig) charge(key string, amount int64, token string, more ...func(*stripe.PaymentIntentParams)) (*stripe.PaymentIntent, error) {
	p := &stripe.PaymentIntentParams{
		Amount: stripe.Int64(amount), Currency: stripe.String("usd"), Confirm: stripe.Bool(true),
		ConfirmationToken: stripe.String(token),
	}
	p.AddMetadata("donation", key)
	if key != "" {
		p.SetIdempotencyKey(key)
	}
	for _, m := range more {
		m(p)
	}
	return r.api.PaymentIntents.New(p)
}

// fault is the error that an answer must be.
func fault(t *testing.T, err error) *stripe.Error {
	t.Helper()
	var e *stripe.Error
	if !errors.As(err, &e) {
		t.Fatalf("no answer of the API: %v", err)
	}
	return e
}

// post calls a control, and decodes its answer into v unless it is nil.
func (r *rig) post(path, body string, v any) int {
	r.t.Helper()
	res, err := r.http.Post(r.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if e := res.Body.Close(); err == nil {
		err = e
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(text, v); err != nil {
			r.t.Fatalf("%s: %v", text, err)
		}
	}
	return res.StatusCode
}

// until waits for something to become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// books are those of the stand-in, over HTTP.
func (r *rig) books() *Books {
	r.t.Helper()
	res, err := r.http.Get(r.url + "/sim/books")
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := ReadBooks(res.Body)
	if e := res.Body.Close(); err == nil {
		err = e
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}
