package conn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// patience bounds what a test waits for; nothing is judged by it.
const patience = 20 * time.Second

// served is a connection to a server that answers each request by handle.
func served(t *testing.T, handle http.HandlerFunc) (*Conn, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	e, err := NewEndpoint(s.URL + "/under/")
	if err != nil {
		t.Fatal(err)
	}
	c := New(e)
	t.Cleanup(c.Close)
	return c, s
}

const get = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"

func TestExchange_KeepsItsConnectionAndSaysWhenThatHadBeenClosed(t *testing.T) {
	opened := map[string]bool{}
	c, s := served(t, func(w http.ResponseWriter, r *http.Request) {
		opened[r.RemoteAddr] = true
		_, _ = io.WriteString(w, "hello")
	})
	if c.endpoint.Prefix != "/under" {
		t.Errorf("prefix %q", c.endpoint.Prefix)
	}
	for range 3 {
		answer, err := c.Exchange(t.Context(), []byte(get), time.Now().Add(patience))
		if err != nil || string(answer.Body()) != "hello" {
			t.Fatal(err)
		}
	}
	if len(opened) != 1 || !c.Connected() || c.Received() < 3*int64(len("hello")) {
		t.Errorf("%d connections, %d bytes", len(opened), c.Received())
	}
	s.CloseClientConnections()
	if _, err := c.Exchange(t.Context(), []byte(get), time.Now().Add(patience)); !errors.Is(err, ErrStale) || c.Connected() {
		t.Errorf("a kept connection that was closed: %v", err)
	}
	if _, err := c.Exchange(t.Context(), []byte(get), time.Now().Add(patience)); err != nil {
		t.Errorf("dialled again: %v", err)
	}
}

func TestStream_HandsEventsOverUntilVisitHasEnough(t *testing.T) {
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		// As front-ends send them: neither chunks nor a length.
		raw, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(raw, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 5\n\nevent: totals\r\ndata: {\"a\":1}\r\n\r\n: nothing\nevent: wall\ndata: "+strings.Repeat("x", 3*readBufferBytes)+"\n\n")
		_, _ = io.Copy(io.Discard, raw) // until the other side goes
		_ = raw.Close()
	})
	status, err := c.Stream(t.Context(), []byte(get), time.Now().Add(patience))
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	var seen []string
	enough := errors.New("enough")
	err = c.Events(patience, func(event, data []byte) error {
		if len(event) > 0 {
			seen = append(seen, string(event)+" "+string(data[:min(7, len(data))]))
		}
		if string(event) == "wall" {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || len(seen) != 2 || seen[0] != `totals {"a":1}` || seen[1] != "wall xxxxxxx" {
		t.Errorf("%v, %q", err, seen)
	}
}

func TestStream_ARefusalIsItsStatus(t *testing.T) {
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	if status, err := c.Stream(t.Context(), []byte(get), time.Now().Add(patience)); err != nil || status != http.StatusServiceUnavailable {
		t.Error(status, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Stream(ctx, []byte(get), time.Now().Add(patience)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// still is a connection without another side.
type still struct{ net.Conn }

func (still) SetDeadline(time.Time) error { return nil }

func FuzzEvents(f *testing.F) {
	f.Add([]byte("event: a\ndata: 1\n\n"))
	f.Add([]byte("data\n:\n\r\n\n"))
	f.Add(bytes.Repeat([]byte("x"), eventBytesMax+1))
	f.Add(bytes.Repeat([]byte("data: 12345678\n"), eventBytesMax/8+1))
	f.Fuzz(func(t *testing.T, stream []byte) {
		c := &Conn{raw: still{}, reader: bufio.NewReaderSize(bytes.NewReader(stream), 64)}
		events := 0
		err := c.Events(time.Second, func(event, data []byte) error {
			events++
			if len(event) > eventBytesMax || len(data) > eventBytesMax || bytes.ContainsAny(event, "\n") {
				t.Errorf("event %q with %d bytes", event, len(data))
			}
			return nil
		})
		if !errors.Is(err, io.EOF) && !errors.Is(err, ErrEvent) {
			t.Error(err)
		}
		if events > bytes.Count(stream, []byte("\n")) {
			t.Errorf("%d events in %d lines", events, bytes.Count(stream, []byte("\n")))
		}
	})
}
