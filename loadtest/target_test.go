package loadtest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger/money"
	"spillway/loadtest/audit"
	"spillway/loadtest/trace"
)

func TestMain(m *testing.M) {
	if os.Getenv(asBare) != "" {
		if err := serveBare(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m,
		// fasthttp's own, kept for the process's life.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// deed is what a misbehaving target does to a donation that it should accept.
type deed int

const (
	behave       deed = iota
	storeAnd503       // stores it and says that it does not know
	loseAnd503        // forgets it and says that it does not know
	storeAndHang      // stores it and closes the connection without an answer
	loseAndHang       // closes the connection without an answer
	tooFast           // 429
	ackAndLose        // a lie: 202, stored nowhere
	storeWrong        // a lie: 202, with another amount in the ledger
	countTwice        // a lie: stored once, counted twice
	wrongToken        // a lie: 202 with a token of another content
	wrongAmount       // a lie: 202 that says another amount
)

// target is a front-end, a ledger and a campaign store in memory. It keeps the
// contract, as far as a rehearsal looks, except where a test has it do otherwise.
type target struct {
	t      testing.TB
	url    string
	log    string // file
	server *fasthttp.Server
	ended  chan struct{}

	listener net.Listener

	mu        sync.Mutex
	campaigns map[string]*campaigns.Campaign
	donations map[ingest.ID]*audit.Donation
	conflicts map[audit.Conflict]bool
	slots     map[string]*campaigns.SlotRow
	requests  int
	credited  int // with the rehearsal credential
	// do chooses the deed for the nth donation request that would be accepted.
	do func(n int) deed
	n  int
	// aheadOfTime is a lie: as_of runs this much ahead, while totals stand still.
	aheadOfTime time.Duration
	frozen      map[string]campaigns.SlotRow
	// forgetful has no memory of keys: other content is accepted as a conflict.
	forgetful bool
	// blind is a lie: it accepts whatever is sent to a campaign that is not open.
	blind bool
	// silent is a lie: conflicts are not recorded.
	silent bool
	// turn is waited for before a donation is looked at; nil for no waiting.
	turn func()
}

func newTarget(t testing.TB) *target {
	t.Helper()
	g := &target{t: t, campaigns: map[string]*campaigns.Campaign{}, donations: map[ingest.ID]*audit.Donation{},
		conflicts: map[audit.Conflict]bool{}, slots: map[string]*campaigns.SlotRow{}, do: func(int) deed { return behave }}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.url = "http://" + ln.Addr().String()
	g.log = filepath.Join(t.TempDir(), "target.log")
	if err := os.WriteFile(g.log, []byte("msg=ready\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.serve(ln)
	t.Cleanup(g.stop)
	return g
}

func (g *target) serve(ln net.Listener) {
	g.server = &fasthttp.Server{Handler: g.handle, CloseOnShutdown: true, StreamRequestBody: false, Logger: quiet{}}
	g.ended, g.listener = make(chan struct{}), ln
	go func() {
		defer close(g.ended)
		_ = g.server.Serve(ln)
	}()
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (g *target) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = g.server.ShutdownWithContext(ctx)
	_ = g.listener.Close() // Shutdown does nothing where Serve has not begun yet
	<-g.ended
}

func (g *target) Put(_ context.Context, all ...*campaigns.Campaign) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range all {
		if err := c.Validate(); err != nil {
			return 0, err
		}
		if !c.Rehearsal {
			return 0, fmt.Errorf("%s is no rehearsal", c.Slug)
		}
		g.campaigns[c.Slug] = c
	}
	return len(all), nil
}

func (g *target) Get(_ context.Context, slug string) (*campaigns.Campaign, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.campaigns[slug]; ok {
		return c, nil
	}
	return nil, campaigns.ErrUnknown
}

func (g *target) handle(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	switch {
	case path == donationsPath:
		g.donate(ctx)
	case strings.HasPrefix(path, donationsPath+"/"):
		g.state(ctx, strings.TrimPrefix(path, donationsPath+"/"))
	case strings.HasSuffix(path, "/totals"):
		g.total(ctx, strings.TrimSuffix(strings.TrimPrefix(path, "/v1/campaigns/"), "/totals"))
	case strings.HasSuffix(path, "/live"):
		g.live(ctx, strings.TrimSuffix(strings.TrimPrefix(path, "/v1/campaigns/"), "/live"))
	default:
		g.mu.Lock()
		defer g.mu.Unlock()
		if _, ok := g.campaigns[strings.TrimPrefix(path, "/v1/campaigns/")]; !ok {
			ctx.SetStatusCode(404)
		}
	}
}

// wire is the body of a donation; pointers tell what is missing.
type wire struct {
	Currency string
	Lines    []struct {
		Campaign    string
		AmountMinor int64 `json:"amount_minor"`
	}
	FeeCoverMinor int64 `json:"fee_cover_minor"`
	Donor         struct {
		Name, Email string
		Anonymous   bool
		HideAmount  bool `json:"hide_amount"`
	}
	Message    string
	Dedication struct{ Kind, Name string }
	Payment    struct {
		ConfirmationToken string `json:"confirmation_token"`
	}
}

func (w *wire) donation() ingest.Donation {
	d := ingest.Donation{Currency: money.Currency(w.Currency), FeeCoverMinor: w.FeeCoverMinor, Anonymous: w.Donor.Anonymous, HideAmount: w.Donor.HideAmount,
		Personal: ingest.Personal{Name: strings.TrimSpace(w.Donor.Name), Email: w.Donor.Email, Message: w.Message, DedicationName: w.Dedication.Name},
		Payment:  ingest.Payment{ConfirmationToken: w.Payment.ConfirmationToken}}
	switch w.Dedication.Kind {
	case "in_honor":
		d.Personal.DedicationKind = ingest.InHonor
	case "in_memory":
		d.Personal.DedicationKind = ingest.InMemory
	}
	for _, l := range w.Lines {
		d.Lines = append(d.Lines, ingest.Line{Campaign: l.Campaign, AmountMinor: l.AmountMinor})
	}
	return d
}

func (g *target) donate(ctx *fasthttp.RequestCtx) {
	if g.turn != nil {
		g.turn()
	}
	received := time.Now().UTC().Truncate(time.Microsecond)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests++
	if string(ctx.Request.Header.Peek("Spillway-Rehearsal")) == "let me" {
		g.credited++
	}
	if string(ctx.Request.Header.ContentType()) != "application/json" {
		ctx.SetStatusCode(415)
		return
	}
	var w wire
	body := ctx.PostBody()
	if err := json.Unmarshal(body, &w); err != nil || strings.Count(string(body), `"currency"`) != 1 {
		ctx.SetStatusCode(400)
		return
	}
	d := w.donation()
	id := ingest.DeriveID(ctx.Request.Header.Peek("Idempotency-Key"))
	fp := d.Fingerprint()
	var linesMinor int64
	for _, l := range d.Lines {
		c, ok := g.campaigns[l.Campaign]
		switch {
		case !ok:
			ctx.SetStatusCode(404)
			return
		case c.Currency != d.Currency || l.AmountMinor < 1 || l.AmountMinor > ingest.AmountMinorMax:
			ctx.SetStatusCode(422)
			return
		}
		linesMinor += l.AmountMinor
	}
	if strings.Contains(w.Message, "4242 4242") {
		ctx.SetStatusCode(422)
		return
	}
	stored := g.donations[id]
	if stored != nil && stored.Fingerprint != fp && !g.forgetful {
		ctx.SetStatusCode(422)
		return
	}
	for _, l := range d.Lines {
		if g.campaigns[l.Campaign].PhaseAt(received) != campaigns.Open && !(stored != nil && stored.Fingerprint == fp) && !g.blind {
			ctx.SetStatusCode(409)
			return
		}
	}
	amount, _ := d.AmountMinor()
	g.n++
	do := g.do(g.n)
	if do == tooFast {
		ctx.Response.Header.Set("Retry-After", "0")
		ctx.SetStatusCode(429)
		return
	}
	if do != loseAnd503 && do != loseAndHang && do != ackAndLose {
		g.store(stored, do, &audit.Donation{ID: id, Fingerprint: fp, ReceivedAt: received, TokenExpiresAt: received.Add(ingest.TokenLife),
			AmountMinor: amount, LinesMinor: linesMinor, FeeCoverMinor: d.FeeCoverMinor, Currency: string(d.Currency), Anonymous: d.Anonymous,
			HideAmount: d.HideAmount, ConfirmationToken: d.Payment.ConfirmationToken, Lines: d.Lines, Sealed: seal(&d.Personal), SealKey: 1})
	}
	switch do {
	case storeAnd503, loseAnd503:
		ctx.SetStatusCode(503)
		return
	case storeAndHang, loseAndHang:
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(func(net.Conn) {})
		return
	case wrongToken:
		fp[0]++
	case wrongAmount:
		amount++
	}
	token := append([]byte{'a'}, fp[:]...)
	mac := sha256.Sum256(append(id[:], token...))
	token = append(token, mac[:16]...)
	ctx.SetStatusCode(202)
	fmt.Fprintf(ctx, `{"id":%q,"token":%q,"status":"accepted","accepted_at":%q,"amount_minor":%d,"currency":%q,"status_url":"/v1/donations/%s"}`,
		id, base64.RawURLEncoding.EncodeToString(token), received.Format(time.RFC3339Nano), amount, d.Currency, id)
}

func (g *target) store(stored *audit.Donation, do deed, d *audit.Donation) {
	if stored != nil {
		if stored.Fingerprint != d.Fingerprint && !g.silent {
			g.conflicts[audit.Conflict{ID: d.ID, Fingerprint: d.Fingerprint}] = true
		}
		return
	}
	if do == storeWrong {
		d.AmountMinor++
	}
	g.donations[d.ID] = d
	for _, l := range d.Lines {
		s := g.slots[l.Campaign]
		if s == nil {
			s = &campaigns.SlotRow{Campaign: l.Campaign, Currency: money.Currency(d.Currency)}
			g.slots[l.Campaign] = s
		}
		times := int64(1)
		if do == countTwice {
			times = 2
		}
		s.PledgedMinor += times * l.AmountMinor
		s.Donations += times
		s.Version++
	}
}

// seal stands in for encryption: readable by opener.
func seal(p *ingest.Personal) []byte {
	if p.IsZero() {
		return nil
	}
	b, _ := json.Marshal(p)
	return b
}

type opener struct{}

func (opener) Open(_ ingest.ID, sealed []byte, _ uint32) (p ingest.Personal, err error) {
	return p, json.Unmarshal(sealed, &p)
}

func (g *target) state(ctx *fasthttp.RequestCtx, text string) {
	id, err := ingest.ParseID([]byte(text))
	token, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(string(ctx.Request.Header.Peek("Authorization")), "Bearer "))
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.donations[id]
	if err != nil || d == nil || len(token) != tokenBytes {
		ctx.SetStatusCode(404)
		return
	}
	conflict := string(token[1:17]) != string(d.Fingerprint[:])
	fmt.Fprintf(ctx, `{"id":%q,"status":"accepted","stale":false,"conflict":%v}`, text, conflict && !g.silent)
}

// render is a total with its tag and ages; g.mu is held.
func (g *target) render(slug string) (body string, tag string, asOf time.Time) {
	s := g.slots[slug]
	if f, ok := g.frozen[slug]; ok {
		s = &f
	}
	if s == nil {
		s = &campaigns.SlotRow{}
	}
	asOf = time.Now().Add(g.aheadOfTime).UTC()
	tag = fmt.Sprintf(`W/"%d-%d"`, s.Donations, s.Version)
	currency := money.Currency("USD")
	if c := g.campaigns[slug]; c != nil {
		currency = c.Currency
	}
	return fmt.Sprintf(`{"raised_minor":0,"pledged_minor":%d,"donations":%d,"currency":%q,"epoch":1,"version":%d,"as_of":%q,"lag_ms":3,"stale":false}`,
		s.PledgedMinor, s.Donations, currency, s.Version, asOf.Format(time.RFC3339Nano)), tag, asOf
}

func (g *target) total(ctx *fasthttp.RequestCtx, slug string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	body, tag, asOf := g.render(slug)
	ctx.Response.Header.Set("ETag", tag)
	if string(ctx.Request.Header.Peek("If-None-Match")) == tag {
		ctx.SetStatusCode(304)
		ctx.Response.Header.Set("Spillway-As-Of", asOf.Format(time.RFC3339Nano))
		ctx.Response.Header.Set("Spillway-Lag-Ms", "3")
		return
	}
	ctx.SetBodyString(body)
}

func (g *target) live(ctx *fasthttp.RequestCtx, slug string) {
	ctx.SetContentType("text/event-stream")
	ctx.Response.ImmediateHeaderFlush = true
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		last := ""
		for {
			g.mu.Lock()
			body, tag, asOf := g.render(slug)
			g.mu.Unlock()
			if tag != last {
				fmt.Fprintf(w, "id: 1.%s\nevent: totals\ndata: %s\n\n", tag, body)
			} else {
				fmt.Fprintf(w, "event: heartbeat\ndata: {\"as_of\":%q,\"lag_ms\":3}\n\n", asOf.Format(time.RFC3339Nano))
			}
			last = tag
			if w.Flush() != nil {
				return
			}
			select {
			case <-g.ended:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// view is the target's ledger as the audit sees it.
type view struct{ *target }

func (v view) each(visit func(*audit.Donation) error, is func(*audit.Donation) bool) error {
	v.mu.Lock()
	var all []*audit.Donation
	for _, d := range v.donations {
		if is(d) {
			all = append(all, d)
		}
	}
	v.mu.Unlock()
	for _, d := range all {
		if err := visit(d); err != nil {
			return err
		}
	}
	return nil
}

func within(id, from, to ingest.ID) bool {
	return slices.Compare(id[:], from[:]) >= 0 && slices.Compare(id[:], to[:]) <= 0
}

func (v view) Donations(_ context.Context, prefix string, from, to ingest.ID, visit func(*audit.Donation) error) error {
	return v.each(visit, func(d *audit.Donation) bool {
		return within(d.ID, from, to) && slices.ContainsFunc(d.Lines, func(l ingest.Line) bool { return strings.HasPrefix(l.Campaign, prefix) })
	})
}

func (v view) Find(_ context.Context, ids []ingest.ID, visit func(*audit.Donation) error) error {
	return v.each(visit, func(d *audit.Donation) bool { return slices.Contains(ids, d.ID) })
}

func (v view) Conflicts(_ context.Context, from, to ingest.ID, visit func(audit.Conflict) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.conflicts {
		if within(c.ID, from, to) {
			if err := visit(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v view) Slots(_ context.Context, prefix string, visit func(campaigns.SlotRow) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for slug, s := range v.slots {
		if strings.HasPrefix(slug, prefix) {
			if err := visit(*s); err != nil {
				return err
			}
		}
	}
	return nil
}

// config is a small rehearsal of the target: rows over a second.
func (g *target) config(t testing.TB) Config {
	t.Helper()
	source, err := trace.NewProfile(trace.ProfileConfig{Rate: 600, For: time.Second, Campaigns: 20})
	if err != nil {
		t.Fatal(err)
	}
	return Config{Run: "test", Source: source, Target: g.url, Credential: "let me", Record: filepath.Join(t.TempDir(), "runs", "test.record"),
		Connections: 16, Timeout: 5 * time.Second, Patience: 30 * time.Second, Drain: 10 * time.Second, Watchers: 4, edgesLeast: 1500 * time.Millisecond}
}

func (g *target) deps() Deps {
	return Deps{Campaigns: g, Keys: opener{}, Log: slog.New(slog.DiscardHandler),
		View: func(context.Context) (audit.Ledger, func(), error) { return view{g}, func() {}, nil },
		Count: func(context.Context, string) (int64, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return int64(len(g.donations)), nil
		},
		Logs:    func() ([]string, error) { return []string{g.log}, nil },
		Backlog: func(context.Context) (int64, error) { return 0, nil }}
}

// rehearse runs to the end.
func rehearse(t testing.TB, cfg Config, deps Deps) *Report {
	t.Helper()
	r, err := Run(t.Context(), nil, cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// broken lists the invariants that the audit found broken.
func broken(r *Report) (all []string) {
	for _, c := range r.Audit.Checks {
		if c.Broken > 0 && !slices.Contains(all, c.Invariant) {
			all = append(all, c.Invariant)
		}
	}
	return all
}
