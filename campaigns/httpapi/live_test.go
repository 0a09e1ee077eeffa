package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/campaigns/httpapi"
	"spillway/campaigns/render"
)

// patience bounds every wait for something that happens at once when all is well.
const patience = 20 * time.Second

// stream is a viewer with a connection of its own.
type stream struct {
	conn   net.Conn
	read   *bufio.Reader
	status int
	header http.Header
	retry  string
}

// dial opens a stream and reads the answer's head. header is pairs of lines.
func dial(t *testing.T, s *served, path string, header ...string) *stream {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	st := &stream{conn: conn, read: bufio.NewReader(conn)}
	deadline(t, conn)
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n", path)
	for i := 0; i < len(header); i += 2 {
		fmt.Fprintf(conn, "%s: %s\r\n", header[i], header[i+1])
	}
	fmt.Fprint(conn, "\r\n")
	resp, err := http.ReadResponse(st.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	st.status, st.header = resp.StatusCode, resp.Header
	if st.status == 200 {
		st.read = bufio.NewReader(resp.Body)
	}
	return st
}

func deadline(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}

// message is one server-sent event.
type message struct {
	id, event string
	data      struct {
		Campaign string    `json:"campaign"`
		Version  int64     `json:"version"`
		AsOf     time.Time `json:"as_of"`
		Lag      *int64    `json:"lag_ms"`
		Stale    *bool     `json:"stale"`
	}
}

// next reads one event as a browser would.
func (st *stream) next() (m message, err error) {
	for {
		line, err := st.read.ReadString('\n')
		if err != nil {
			return m, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if m.event != "" {
				return m, nil
			}
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "retry":
			st.retry = value
		case "data":
			if err := json.Unmarshal([]byte(value), &m.data); err != nil {
				return m, err
			}
		default:
			return m, fmt.Errorf("unexpected line %q", line)
		}
	}
}

// total reads on to the next total.
func (st *stream) total(t *testing.T) message {
	t.Helper()
	deadline(t, st.conn)
	for {
		m, err := st.next()
		if err != nil {
			t.Fatal(err)
		}
		if m.event == "totals" {
			return m
		}
	}
}

// until waits for something to become so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !so() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

const livePath = "/v1/campaigns/river-school/live"

func TestLive_NewestFirstThenChanges(t *testing.T) {
	s := serve(t, httpapi.Config{})
	s.show(total(school(), 3))
	st := dial(t, s, livePath)
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Cache-Control": "no-cache, no-transform"} {
		if got := st.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	first := st.total(t)
	if first.id != "1.3" || first.data.Version != 3 || first.data.Lag == nil || first.data.Stale == nil || first.data.AsOf.IsZero() {
		t.Errorf("%+v", first)
	}
	var retry int
	if _, err := fmt.Sscan(st.retry, &retry); err != nil || retry < 1000 || retry > 5000 {
		t.Errorf("retry: %q", st.retry)
	}
	for version := int64(4); version < 8; version++ {
		s.show(total(school(), version))
		if m := st.total(t); m.data.Version != version {
			t.Errorf("version %d, want %d", m.data.Version, version)
		}
	}
	// The connection's other requests do not matter, the rehearsal has its own.
	if m := dial(t, s, "/v1/campaigns/drill/live").total(t); m.id != "1.0" {
		t.Errorf("the rehearsal: %+v", m)
	}
}

func TestLive_Resumes(t *testing.T) {
	s := serve(t, httpapi.Config{})
	s.show(total(school(), 5))
	for id, want := range map[string]string{"1.4": "totals", "1.5": "heartbeat", "1.9": "heartbeat", "0.99": "totals",
		"nonsense": "totals", "1.5x": "totals", "-1.5": "totals"} {
		st := dial(t, s, livePath, "Last-Event-ID", id)
		m, err := st.next()
		if err != nil || m.event != want {
			t.Errorf("after %s: %+v, %v, want %s", id, m, err, want)
		}
	}
	st := dial(t, s, livePath, "Last-Event-ID", "1.6")
	if m, err := st.next(); err != nil || m.event != "heartbeat" {
		t.Errorf("%+v, %v", m, err)
	}
	s.show(total(school(), 6)) // it has that
	s.show(total(school(), 7))
	if m := st.total(t); m.data.Version != 7 {
		t.Errorf("version %d", m.data.Version)
	}
}

func TestLive_ALeavingViewerIsNoticedAtOnce(t *testing.T) {
	s := serve(t, httpapi.Config{ViewersMax: 3})
	var all []*stream
	for range 3 {
		st := dial(t, s, livePath)
		st.total(t)
		all = append(all, st)
	}
	full := dial(t, s, livePath)
	if full.status != 503 || full.header.Get("Retry-After") == "" {
		t.Errorf("the fourth of three: %d %v", full.status, full.header)
	}
	_ = all[0].conn.Close()
	until(t, "the place of a closed connection is free", func() bool { return dial(t, s, livePath).status == 200 })
	_ = all[1].conn.(*net.TCPConn).SetLinger(0) // a reset instead of an end
	_ = all[1].conn.Close()
	until(t, "the place of a reset connection is free", func() bool { return dial(t, s, livePath).status == 200 })
	// One that talks without end is not a browser.
	deadline(t, all[2].conn)
	go func() { _, _ = io.Copy(all[2].conn, neverEnding{}) }()
	until(t, "the place of one that talks is free", func() bool { return dial(t, s, livePath).status == 200 })
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// A viewer that does not read is dropped after the write timeout, when what the
// kernels keep is full, and holds up nobody until then.
func TestLive_AViewerThatDoesNotReadHoldsUpNobody(t *testing.T) {
	s := serve(t, httpapi.Config{WriteTimeout: 100 * time.Millisecond})
	stuck := dial(t, s, livePath)
	if err := stuck.conn.(*net.TCPConn).SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	quick := dial(t, s, livePath)
	quick.total(t)
	version := int64(1)
	begun := time.Now()
	for ; version <= 10; version++ {
		s.show(total(school(), version))
		for quick.total(t).data.Version < version {
		}
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("ten events took the other viewer %v", took)
	}
	got := int64(-1)
	deadline(t, stuck.conn)
	for got < version-1 { // skipping what it was too slow for
		m := stuck.total(t)
		if m.data.Version <= got {
			t.Errorf("version %d after %d", m.data.Version, got)
		}
		got = m.data.Version
	}
}

func TestLive_WriteTimeoutEndsAStream(t *testing.T) {
	hub := &flood{ended: make(chan error, 1)}
	f := newFront()
	api := mustAPI(t, httpapi.Config{WriteTimeout: 50 * time.Millisecond}, f, hub)
	f.known["river-school"], f.places["river-school"] = school(), render.NewLive(total(school(), 1))
	addr := listen(t, api)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", livePath)
	select { // nothing is read, so the kernels' buffers fill
	case err := <-hub.ended:
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("still writing")
	}
}

func TestLive_CloseEndsEveryStreamAndRefusesNewOnes(t *testing.T) {
	s := serve(t, httpapi.Config{})
	var all []*stream
	for range 20 {
		st := dial(t, s, livePath)
		st.total(t)
		all = append(all, st)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.api.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for i, st := range all {
		deadline(t, st.conn)
		for {
			if _, err := st.next(); err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("stream %d ended with %v", i, err)
				}
				break
			}
		}
	}
	if late := dial(t, s, livePath); late.status != 503 {
		t.Errorf("a stream after Close: %d", late.status)
	}
	if a := s.do(t, "GET", "/v1/campaigns/river-school/totals"); a.status != 200 {
		t.Errorf("totals after Close: %d", a.status)
	}
}

// Many viewers of one campaign: each sees versions rise and ends at the last.
func TestLive_ManyViewersSeeTheSame(t *testing.T) {
	const viewers, versions = 300, 40
	s := serve(t, httpapi.Config{})
	all := make([]*stream, viewers)
	for i := range all {
		all[i] = dial(t, s, livePath)
	}
	var wg sync.WaitGroup
	for i, st := range all {
		deadline(t, st.conn)
		wg.Go(func() {
			var last message
			for last.data.Version < versions {
				m, err := st.next()
				if err != nil {
					t.Errorf("viewer %d after version %d: %v", i, last.data.Version, err)
					return
				}
				if m.data.AsOf.Before(last.data.AsOf) {
					t.Errorf("viewer %d: as_of went back", i)
				}
				if m.event != "totals" {
					continue
				}
				if last.event != "" && m.data.Version <= last.data.Version {
					t.Errorf("viewer %d: version %d after %d", i, m.data.Version, last.data.Version)
				}
				last = m
			}
		})
	}
	for version := int64(1); version <= versions; version++ {
		s.show(total(school(), version))
		time.Sleep(5 * time.Millisecond)
	}
	wg.Wait()
}
