package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/admission"
	"spillway/ingest/envelope"
	"spillway/ingest/httpapi"
	"spillway/ingest/keyring"
	"spillway/ingest/openapi"
	"spillway/ledger"
)

// fasthttp keeps one goroutine for the Date header, and the cleaner of a stopped
// server sleeps through its last interval.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// noon is when the tests' donations are received, unless they say otherwise.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)

// published is what a publisher was given, copied.
type published struct {
	book    ledger.Book
	record  envelope.Donation
	request envelope.Request // instead of record, of a further wish
}

// publisher is a scripted Publisher that keeps what it was given.
type publisher struct {
	mu   sync.Mutex
	err  error
	got  []published
	hold chan struct{} // when not nil, Publish waits until it is closed
	in   chan struct{} // gets one value per Publish that begins, when not nil
}

func (p *publisher) Publish(book ledger.Book, d *envelope.Donation) error {
	p.mu.Lock()
	hold, in, err := p.hold, p.in, p.err
	p.mu.Unlock()
	if in != nil {
		in <- struct{}{}
	}
	if hold != nil {
		<-hold
	}
	c := *d
	c.Lines = slices.Clone(d.Lines)
	for i := range c.Lines {
		c.Lines[i].Campaign = strings.Clone(c.Lines[i].Campaign)
	}
	c.ConfirmationToken = strings.Clone(d.ConfirmationToken)
	c.Sealed = bytes.Clone(d.Sealed)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, published{book: book, record: c})
	return err
}

func (p *publisher) PublishRequest(book ledger.Book, r *envelope.Request) error {
	p.mu.Lock()
	hold, in, err := p.hold, p.in, p.err
	p.mu.Unlock()
	if in != nil {
		in <- struct{}{}
	}
	if hold != nil {
		<-hold
	}
	c := *r
	c.ConfirmationToken = strings.Clone(r.ConfirmationToken)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, published{book: book, request: c})
	return err
}

func (p *publisher) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

func (p *publisher) last(t testing.TB) published {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) == 0 {
		t.Fatal("nothing was published")
	}
	return p.got[len(p.got)-1]
}

// directory is a fixed Directory.
type directory struct {
	mu        sync.Mutex
	campaigns map[string]*campaigns.Campaign
	err       error
}

func (d *directory) Lookup(slug []byte) (*campaigns.Campaign, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.campaigns[string(slug)]
	return c, ok
}

func (d *directory) Ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *directory) set(c campaigns.Campaign) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.campaigns[c.Slug] = &c
}

func (d *directory) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// gate is a scripted Gate.
type gate struct {
	mu  sync.Mutex
	err error
}

func (g *gate) Ready() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// states answers with what the test put in, or not at all.
type states struct {
	mu     sync.Mutex
	states map[ingest.ID]ledger.State
	err    error
	silent bool // no answer until the question's time is over
	asked  int
}

func (s *states) AskDonation(ctx context.Context, id ingest.ID) (ledger.State, error) {
	s.mu.Lock()
	s.asked++
	state, err, silent := s.states[id], s.err, s.silent
	s.mu.Unlock()
	if silent {
		<-ctx.Done()
		return ledger.State{}, ctx.Err()
	}
	return state, err
}

func (s *states) put(id ingest.ID, state ledger.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[id] = state
}

func (s *states) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *states) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// clock is a clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// house is a server with everything around it scripted.
type house struct {
	*httpapi.Server
	publisher *publisher
	directory *directory
	gate      *gate
	states    *states
	clock     *clock
	keys      *keyring.Keyring
	registry  *prometheus.Registry
	logged    *safeBuffer
	addr      string // of the listener, after serve
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// options change a house before it is built.
type options struct {
	config    httpapi.Config
	admission admission.Config
	deps      func(*httpapi.Deps)
}

func build(t testing.TB, o options) *house {
	t.Helper()
	keys, err := keyring.Generate(bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 8)))
	if err != nil {
		t.Fatal(err)
	}
	if o.config.Remembered == 0 {
		o.config.Remembered = 1 << 10
	}
	rules, err := admission.New(o.admission)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{
		publisher: &publisher{},
		directory: &directory{campaigns: map[string]*campaigns.Campaign{}},
		gate:      &gate{},
		states:    &states{states: map[ingest.ID]ledger.State{}},
		clock:     &clock{now: noon},
		keys:      keys,
		registry:  prometheus.NewRegistry(),
		logged:    &safeBuffer{},
	}
	opened, closed := noon.Add(-time.Hour), noon.Add(time.Hour)
	for _, c := range []campaigns.Campaign{
		{Slug: "river-school", Currency: "USD", StartsAt: opened, EndsAt: closed},
		{Slug: "food-bank", Currency: "USD", StartsAt: opened},
		{Slug: "tokyo", Currency: "JPY", StartsAt: opened},
		{Slug: "bounded", Currency: "USD", StartsAt: opened, MinMinor: 500, MaxMinor: 10_000},
		{Slug: "tomorrow", Currency: "USD", StartsAt: noon.Add(24 * time.Hour)},
		{Slug: "yesterday", Currency: "USD", StartsAt: noon.Add(-48 * time.Hour), EndsAt: noon.Add(-24 * time.Hour)},
		{Slug: "drill", Currency: "USD", StartsAt: opened, Rehearsal: true},
		{Slug: "drill-two", Currency: "USD", StartsAt: opened, Rehearsal: true},
	} {
		h.directory.set(c)
	}
	deps := httpapi.Deps{
		Keyring: keys, Publisher: h.publisher, Directory: h.directory, Gate: h.gate, States: h.states,
		Limiter: rules.Limiter, Proxies: rules.Proxies,
		Donations: rules.Donations, Reads: rules.Reads, Waits: rules.Waits, Requests: rules.Requests,
		Registerer: h.registry, Log: slog.New(slog.NewTextHandler(h.logged, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: h.clock.Now,
	}
	if o.deps != nil {
		o.deps(&deps)
	}
	if h.Server, err = httpapi.New(o.config, deps); err != nil {
		t.Fatal(err)
	}
	return h
}

// serve listens on a port of its own until the test ends.
func serve(t testing.TB, o options) *house {
	t.Helper()
	h := build(t, o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return h
}

const key = "0123456789abcdef-key"

const sound = `{"currency":"USD","lines":[{"campaign":"river-school","amount_minor":5000}],"payment":{"confirmation_token":"ctoken_card_visa"}}`

// request is one HTTP request, complete as it goes on the wire.
func request(method, path, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: spillway.test\r\n", method, path)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

// donation is a request to give with this body, and these headers besides the
// usual two.
func donation(body string, headers ...string) string {
	return request("POST", "/v1/donations", body, append([]string{"Content-Type: application/json", "Idempotency-Key: " + key}, headers...)...)
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
	closes bool // the server ends the connection
}

func (r *reply) str(name string) string { s, _ := r.json[name].(string); return s }

// fields is "pointer code" of each bad field.
func (r *reply) fields() []string {
	var all []string
	list, _ := r.json["fields"].([]any)
	for _, f := range list {
		m := f.(map[string]any)
		all = append(all, m["pointer"].(string)+" "+m["code"].(string))
	}
	return all
}

// send writes raw bytes on a new connection and reads the first answer.
func (h *house) send(t testing.TB, raw string) *reply {
	t.Helper()
	c := h.dial(t)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	r := read(t, bufio.NewReader(c), raw)
	holdToContract(t, raw, r)
	return r
}

func (h *house) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func read(t testing.TB, r *bufio.Reader, raw string) *reply {
	t.Helper()
	method, _, _ := strings.Cut(raw, " ")
	answer, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to %.200q: %v", raw, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("answer to %.200q: %v", raw, err)
	}
	out := &reply{status: answer.StatusCode, header: answer.Header, body: string(body), closes: answer.Close}
	if kind := out.header.Get("Content-Type"); len(body) > 0 && kind != openapi.ContentType && kind != openapi.PageType {
		if err := json.Unmarshal(body, &out.json); err != nil {
			t.Fatalf("answer to %.200q is not JSON: %q", raw, body)
		}
	}
	return out
}

var errDown = errors.New("scripted failure")

func idOf(key string) ingest.ID { return ingest.DeriveID([]byte(key)) }

var loopback = netip.MustParsePrefix("127.0.0.0/8")
