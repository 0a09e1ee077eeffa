package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/ingest/admission"
	"spillway/ingest/httpapi"
	"spillway/ingest/keyring"
)

// numbered is a donation under a key of its own.
func numbered(i int, headers ...string) string {
	return request("POST", "/v1/donations", sound, append(headers, "Content-Type: application/json", fmt.Sprintf("Idempotency-Key: numbered-%010d", i))...)
}

// A full house refuses at once and in the contract's words, rehearsals too, while
// reads go on; and takes donations again as soon as the broker answers.
func TestOverload_RefusesQuicklyAndRecovers(t *testing.T) {
	const most = 3
	h := serve(t, options{admission: admission.Config{Donations: most}})
	h.publisher.hold, h.publisher.in = make(chan struct{}), make(chan struct{}, most)
	waiting, conns := make([]*bufio.Reader, most), make([]net.Conn, most)
	for i := range waiting {
		conns[i] = h.dial(t)
		if _, err := io.WriteString(conns[i], numbered(i)); err != nil {
			t.Fatal(err)
		}
		waiting[i] = bufio.NewReader(conns[i])
		<-h.publisher.in
	}

	// 202 waits for the broker: nothing has been said to them yet.
	for i, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if b, err := waiting[i].Peek(1); err == nil {
			t.Fatalf("donation %d was answered (%q...) before the broker did", i, b)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	}

	for i, headers := range [][]string{nil, {"Spillway-Rehearsal: " + h.keys.RehearsalCredential()}} {
		begun := time.Now()
		r := h.send(t, numbered(100+i, headers...))
		if r.status != 503 || r.str("code") != "overloaded" || r.json["retryable"] != true {
			t.Fatalf("%d %s", r.status, r.body)
		}
		isProblem(t, r)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("refused after %v", took)
		}
	}
	h.states.put(idOf(key), recorded())
	if r := h.ask(t, ""); r.status != 200 {
		t.Errorf("a read during overload: %d", r.status)
	}
	if r := h.send(t, request("GET", "/healthz", "")); r.status != 200 {
		t.Errorf("/healthz during overload: %d", r.status)
	}

	close(h.publisher.hold)
	for i, r := range waiting {
		if got := read(t, r, "POST"); got.status != 202 {
			t.Errorf("waiting donation %d: %d", i, got.status)
		}
	}
	h.publisher.mu.Lock()
	h.publisher.hold, h.publisher.in = nil, nil
	h.publisher.mu.Unlock()
	eventually(t, "donations are taken again", func() bool { return h.send(t, numbered(200)).status == 202 })
}

// Reads cannot take the donate path's place, however many there are.
func TestOverload_ReadsDoNotCostDonations(t *testing.T) {
	h := serve(t, options{admission: admission.Config{Donations: 1, Reads: 1, Waits: 1}})
	h.states.silent = true
	for range 5 {
		if _, err := io.WriteString(h.dial(t), request("GET", "/v1/donations/"+idOf(key).String()+"?wait=30", "")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the ledger is asked", func() bool { return h.states.questions() > 0 })
	if r := h.send(t, donation(sound)); r.status != 202 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestHealth(t *testing.T) {
	var warmed error
	h := serve(t, options{deps: func(d *httpapi.Deps) {
		d.Checks = []httpapi.Check{{Name: "totals", Ready: func() error { return warmed }}}
	}})
	check := func(path string, status int, want string) {
		t.Helper()
		r := h.send(t, request("GET", path, ""))
		if r.status != status || r.body != want {
			t.Errorf("%s: %d %s, want %d %s", path, r.status, r.body, status, want)
		}
		if (r.header.Get("Retry-After") != "") != (status == 503) {
			t.Errorf("%s: Retry-After %q", path, r.header.Get("Retry-After"))
		}
	}
	const good = `{"checks":[{"name":"durability","ok":true},{"name":"campaigns","ok":true},{"name":"totals","ok":true},{"name":"serving","ok":true}],"ready":true}`
	check("/healthz", 200, `{"status":"alive"}`)
	check("/readyz", 200, good)
	h.gate.fail(errDown)
	check("/readyz", 503, strings.Replace(strings.Replace(good, `"ok":true`, `"ok":false,"reason":"scripted failure"`, 1), `"ready":true`, `"ready":false`, 1))
	check("/healthz", 200, `{"status":"alive"}`)
	h.gate.fail(nil)
	h.directory.fail(errDown)
	check("/readyz", 503, strings.Replace(strings.Replace(good, `"campaigns","ok":true`, `"campaigns","ok":false,"reason":"scripted failure"`, 1), `"ready":true`, `"ready":false`, 1))
	h.directory.fail(nil)
	warmed = errDown
	check("/readyz", 503, strings.Replace(strings.Replace(good, `"totals","ok":true`, `"totals","ok":false,"reason":"scripted failure"`, 1), `"ready":true`, `"ready":false`, 1))
	if r := h.send(t, donation(sound)); r.status != 202 {
		t.Errorf("a donation waits for the totals: %d", r.status)
	}
	warmed = nil
	h.Drain()
	check("/readyz", 503, strings.Replace(strings.Replace(good, `"serving","ok":true`, `"serving","ok":false,"reason":"this front-end is shutting down"`, 1), `"ready":true`, `"ready":false`, 1))
	if r := h.send(t, numbered(1)); r.status != 202 {
		t.Errorf("a donation while draining: %d", r.status)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if r := h.send(t, request("POST", path, "")); r.status != 405 || r.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d, Allow %q", path, r.status, r.header.Get("Allow"))
		}
	}
}

func TestRoutes_OthersAreOfferedToNext(t *testing.T) {
	h := serve(t, options{deps: func(d *httpapi.Deps) {
		d.Next = func(ctx *fasthttp.RequestCtx) bool {
			switch string(ctx.Path()) {
			case "/mine":
				ctx.SetBodyString(`{"mine":true}`)
				return true
			case "/panics":
				panic("Ada Example, ada@example.org")
			case "/overruns":
				var none []int
				_ = none[len(ctx.Path())]
			}
			return false
		}
	}})
	if r := h.send(t, request("GET", "/mine", "")); r.status != 200 || r.body != `{"mine":true}` {
		t.Errorf("%d %s", r.status, r.body)
	}
	for _, path := range []string{"/yours", "/", "/v1", "/v1/donations/" + idOf(key).String() + "/receipt"} {
		r := h.send(t, request("GET", path, ""))
		if r.status != 404 || r.str("code") != "no_such_route" {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
		isProblem(t, r)
	}
	// A panic is a 500 with nothing of its value, and the end of one connection.
	for _, path := range []string{"/panics", "/overruns"} {
		r := h.send(t, request("GET", path, ""))
		if r.status != 500 || r.str("code") != "internal" || !r.closes || strings.Contains(r.body, "Ada") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if log := h.logged.String(); !strings.Contains(log, "panicked") || !strings.Contains(log, "index out of range") || strings.Contains(log, "Ada") {
		t.Errorf("logged %q", log)
	}
	if r := h.send(t, donation(sound)); r.status != 202 {
		t.Errorf("after the panics: %d", r.status)
	}
}

// A panic in the middle of a donation gives its place back.
func TestDonate_PanicGivesItsPlaceBack(t *testing.T) {
	h := serve(t, options{admission: admission.Config{Donations: 1}})
	h.directory.mu.Lock()
	h.directory.campaigns["broken"] = nil // a Directory that breaks its word
	h.directory.mu.Unlock()
	if r := h.send(t, donation(with("river-school", "broken"))); r.status != 500 || r.str("code") != "internal" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := h.send(t, donation(sound)); r.status != 202 {
		t.Errorf("the place is lost: %d %s", r.status, r.body)
	}
}

func TestShutdown_AnswersWhoIsInside(t *testing.T) {
	h := build(t, options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()

	h.publisher.hold, h.publisher.in = make(chan struct{}), make(chan struct{}, 1)
	giving := h.dial(t)
	if _, err := io.WriteString(giving, donation(sound)); err != nil {
		t.Fatal(err)
	}
	<-h.publisher.in
	polling := h.dial(t)
	if _, err := io.WriteString(polling, request("GET", "/v1/donations/"+idOf("somebody-elses-1").String()+"?wait=30", "")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the long poll waits", func() bool { return h.states.questions() > 0 })
	idle := h.dial(t)

	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		down <- h.Shutdown(ctx)
	}()
	if r := read(t, bufio.NewReader(polling), "GET"); r.status != 404 {
		t.Errorf("the long poll: %d %s", r.status, r.body)
	}
	eventually(t, "nobody new is let in", func() bool {
		c, err := net.Dial("tcp", h.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(h.publisher.hold)
	if r := read(t, bufio.NewReader(giving), "POST"); r.status != 202 || !r.closes {
		t.Errorf("the donation inside: %d %s", r.status, r.body)
	}
	_ = idle.Close()
	if err := <-down; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// When patience ends before the broker answers, the connection is closed without
// an answer: an outcome that the donor does not know, never a false 202.
func TestShutdown_PatienceEnds(t *testing.T) {
	h := build(t, options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()
	hold := make(chan struct{})
	h.publisher.hold, h.publisher.in = hold, make(chan struct{}, 1)
	c := h.dial(t)
	if _, err := io.WriteString(c, donation(sound)); err != nil {
		t.Fatal(err)
	}
	<-h.publisher.in
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.Shutdown(ctx); err == nil {
		t.Error("Shutdown says that everything was answered")
	}
	if answer, _ := io.ReadAll(c); len(answer) > 0 {
		t.Errorf("answered %q", answer)
	}
	close(hold)
	if err := <-served; err != nil {
		t.Error(err)
	}
	eventually(t, "the handler ends", func() bool { return h.publisher.count() == 1 })
}

func TestShutdown_BeforeServe(t *testing.T) {
	h := build(t, options{})
	if err := h.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Serve(ln); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("it listens")
	}
}

func TestMetrics_CountEveryAnswer(t *testing.T) {
	h := serve(t, options{})
	h.send(t, donation(sound))
	h.send(t, donation(with("5000", "5001")))
	h.send(t, donation("{"))
	h.send(t, donation(with("river-school", "nope")))
	h.send(t, "nonsense\r\n\r\n")
	h.send(t, request("GET", "/nowhere", ""))
	h.states.put(idOf(key), recorded())
	h.ask(t, "", h.bearer(keyring.Accepted, won))
	h.ask(t, "?wait=x")
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	gauges := map[string]float64{}
	acks := uint64(0)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetGauge() != nil {
				gauges[f.GetName()] = m.GetGauge().GetValue()
			}
			if f.GetName() == "ingest_requests_total" && m.GetCounter().GetValue() > 0 {
				labels := map[string]string{}
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = l.GetValue()
				}
				counted[labels["route"]+" "+labels["code"]+" "+labels["reason"]] = m.GetCounter().GetValue()
			}
			if f.GetName() == "ingest_ack_seconds" {
				acks = m.GetHistogram().GetSampleCount()
			}
		}
	}
	for _, series := range []string{"donate 202 accepted", "donate 422 key_reused", "donate 400 malformed_body", "donate 404 unknown_campaign",
		"none 400 bad_request", "none 404 no_such_route", "state 200 told", "state 400 bad_query"} {
		if counted[series] != 1 {
			t.Errorf("%s: %v", series, counted[series])
		}
		delete(counted, series)
	}
	if len(counted) > 0 {
		t.Errorf("counted besides: %v", counted)
	}
	for name, want := range map[string]float64{"ingest_remembered_donations": 1, "ingest_ready": 1, "ingest_donations_waiting": 0, "ingest_state_reads_inside": 0, "ingest_state_waits_inside": 0} {
		if got, ok := gauges[name]; !ok || got != want {
			t.Errorf("%s is %v, %v", name, got, ok)
		}
	}
	if acks != 1 {
		t.Errorf("%d acknowledgements timed", acks)
	}
}

func TestNew_SaysEverythingThatIsMissing(t *testing.T) {
	_, err := httpapi.New(httpapi.Config{Connections: -1, Remembered: -1, ReadTimeout: -1}, httpapi.Deps{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"connections", "remembered", "read timeout", "Keyring", "Publisher", "Directory", "Gate", "States", "Limiter", "Proxies", "Donations", "Reads", "Waits", "Log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell of %s", err, want)
		}
	}
}
