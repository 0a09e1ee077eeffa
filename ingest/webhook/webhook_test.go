package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own clock, started once for a process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// client asks an endpoint over a connection in memory.
func client(t *testing.T, d Deps) *http.Client {
	t.Helper()
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	e, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: e.Handle, MaxRequestBodySize: 2 * BodyBytesMax}
	ln := fasthttputil.NewInmemoryListener()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ln.Dial() }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport}
}

func post(t *testing.T, c *http.Client, signature string, body []byte) (status int, header http.Header, code string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://in.memory"+Path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Stripe-Signature", signature)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p struct {
		Code string `json:"code"`
	}
	if resp.StatusCode != http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("status %d without a problem document: %v", resp.StatusCode, err)
		}
	}
	return resp.StatusCode, resp.Header, p.Code
}

var errNotSigned = errors.New("not signed")

// verify takes the word "good" for a signature.
func verify(_ []byte, signature string) (string, error) {
	if signature != "good" {
		return "", errNotSigned
	}
	return "evt_1", nil
}

func TestHandle_SaysStoredOnlyWhenItIs(t *testing.T) {
	var stored [][]byte
	var storeErr error
	c := client(t, Deps{Verify: verify, Store: func(_ context.Context, id string, body []byte) error {
		if id != "evt_1" {
			t.Errorf("stored under %q", id)
		}
		if storeErr == nil {
			stored = append(stored, bytes.Clone(body))
		}
		return storeErr
	}})
	// Bytes that a parser would not give back: they are what was signed.
	body := []byte("{\"id\" :\t\"evt_1\",\"b\":1.0,\"a\":\"\\u0041\"}\n")
	if status, _, _ := post(t, c, "good", body); status != http.StatusOK {
		t.Errorf("stored: status %d", status)
	}
	if len(stored) != 1 || !bytes.Equal(stored[0], body) {
		t.Errorf("stored %q", stored)
	}
	storeErr = errors.New("no acknowledgement")
	status, header, code := post(t, c, "good", body)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || code != "not_ready" {
		t.Errorf("not stored: status %d, code %s, %v", status, code, header)
	}
}

func TestHandle_RefusesWhatIsNotTheProcessors(t *testing.T) {
	c := client(t, Deps{Verify: verify, Store: func(context.Context, string, []byte) error {
		t.Error("stored")
		return nil
	}})
	if status, _, _ := post(t, c, "bad", []byte("{}")); status != http.StatusBadRequest {
		t.Errorf("a bad signature: status %d", status)
	}
	if status, _, _ := post(t, c, "", nil); status != http.StatusBadRequest {
		t.Errorf("nothing at all: status %d", status)
	}
	if status, _, _ := post(t, c, "good", make([]byte, BodyBytesMax+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too much: status %d", status)
	}
	resp, err := c.Get("http://in.memory" + Path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" {
		t.Errorf("GET: status %d, %v", resp.StatusCode, resp.Header)
	}
}

func TestHandle_BoundsWhatIsInside(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	c := client(t, Deps{Verify: verify, InsideMax: 1, Store: func(context.Context, string, []byte) error {
		entered <- struct{}{}
		<-release
		return nil
	}})
	var first sync.WaitGroup
	first.Go(func() {
		if status, _, _ := post(t, c, "good", []byte("{}")); status != http.StatusOK {
			t.Errorf("the one inside: status %d", status)
		}
	})
	<-entered
	if status, header, code := post(t, c, "good", []byte("{}")); status != http.StatusServiceUnavailable || code != "overloaded" || header.Get("Retry-After") == "" {
		t.Errorf("one too many: status %d, code %s", status, code)
	}
	close(release)
	first.Wait()
}

func TestHandle_DoesNotWaitForEver(t *testing.T) {
	c := client(t, Deps{Verify: verify, StoreTimeout: time.Millisecond, Store: func(ctx context.Context, _ string, _ []byte) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	if status, _, _ := post(t, c, "good", []byte("{}")); status != http.StatusServiceUnavailable {
		t.Errorf("status %d", status)
	}
}

// A stranger may send as many bad signatures as he likes, and fill no log.
func TestHandle_LogsStrangersOnce(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	c := client(t, Deps{Verify: verify, Store: func(context.Context, string, []byte) error { return nil },
		Log: slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return log.Write(p)
		}), nil))})
	for range 20 {
		post(t, c, "bad", []byte("{}"))
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestQuiet_CountsWhatItKeepsBack(t *testing.T) {
	var q quiet
	at := time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
	for i, c := range []struct {
		after  time.Duration
		others int
		ok     bool
	}{{0, 0, true}, {time.Second, 0, false}, {59 * time.Second, 0, false}, {logEvery, 2, true}, {logEvery + 1, 0, false}} {
		if others, ok := q.may(at.Add(c.after)); others != c.others || ok != c.ok {
			t.Errorf("line %d: %d, %v", i, others, ok)
		}
	}
}

func TestNew_NamesWhatIsMissing(t *testing.T) {
	_, err := New(Deps{})
	for _, want := range []string{"Verify", "Store", "Log"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}
