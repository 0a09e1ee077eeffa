package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/status"
	"spillway/ingest/openapi/openapitest"
	"spillway/ledger/payments"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const endpoint = "payment_intents"

// world is what a section works with, and a clock that tests move.
type world struct {
	mu       sync.Mutex
	now      time.Time
	switches campaigns.Switches
	rivals   int // so many times somebody else is faster
	broker   error
	paces    []payments.Pace
	database error
	audited  []access.Entry
	auditErr error
	asOf     time.Time
}

func newWorld() *world {
	return &world{now: noon, paces: []payments.Pace{
		{Account: "simulator", Endpoint: endpoint, PerSecond: 25, Current: 25, ChangedBy: "first start"},
		{Account: "simulator", Endpoint: payments.EndpointAll, PerSecond: 100, Current: 100},
		{Account: "simulator", Endpoint: "reads", PerSecond: 5, Current: 5},
	}}
}

func (w *world) section(t testing.TB) *Section {
	t.Helper()
	s := New(Config{Node: "here/1", Endpoint: endpoint}, Deps{News: w, Switches: w, Pace: w, Tally: &Tally{}, Log: slog.New(slog.DiscardHandler),
		AsOf: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.asOf },
		Now:  func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }})
	var mux frame.Mux
	if err := mux.Add(false, s.Routes()...); err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) WatchStatus(ctx context.Context, _ func(*status.Report)) error {
	<-ctx.Done()
	return nil
}

func (w *world) WatchWalls(ctx context.Context, _ func(*campaigns.Wall), _ func()) error {
	<-ctx.Done()
	return nil
}

func (w *world) WatchSwitches(ctx context.Context, handle func(*campaigns.Switches), ready func()) error {
	w.mu.Lock()
	now := w.switches
	w.mu.Unlock()
	handle(&now)
	ready()
	<-ctx.Done()
	return nil
}

func (w *world) Switches(context.Context) (*campaigns.Switches, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.switches
	return &now, w.broker
}

func (w *world) PublishSwitches(_ context.Context, s *campaigns.Switches) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rivals > 0 { // somebody turns the leaderboards off in the meantime
		w.rivals--
		w.switches.LeaderboardsOff = true
		w.switches.Revision++
	}
	if s.Revision != w.switches.Revision+1 {
		return campaigns.ErrOvertaken
	}
	w.switches = *s
	return w.broker
}

func (w *world) Paces(context.Context) ([]payments.Pace, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]payments.Pace(nil), w.paces...), w.database
}

func (w *world) change(account, of string, change func(*payments.Pace)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.database != nil {
		return w.database
	}
	for i := range w.paces {
		if p := &w.paces[i]; p.Account == account && p.Endpoint == of {
			change(p)
			return nil
		}
	}
	return errors.New("no such pace")
}

func (w *world) SetPace(_ context.Context, account, of string, perSecond float64, by string) error {
	return w.change(account, of, func(p *payments.Pace) { p.PerSecond, p.Current, p.ChangedBy = perSecond, perSecond, by })
}

func (w *world) Pause(_ context.Context, account, of, by string) error {
	return w.change(account, of, func(p *payments.Pace) { p.Paused, p.ChangedBy = true, by })
}

func (w *world) Resume(_ context.Context, account, of, by string) error {
	return w.change(account, of, func(p *payments.Pace) { p.Paused, p.ChangedBy = false, by })
}

// ask makes a request of a principal who may do everything, and returns its answer.
func (w *world) ask(t testing.TB, s *Section, method, path, body string) (*fasthttp.RequestCtx, error) {
	t.Helper()
	var mux frame.Mux
	if err := mux.Add(false, s.Routes()...); err != nil {
		t.Fatal(err)
	}
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	if body != "" {
		ctx.Request.SetBodyString(body)
		ctx.Request.Header.SetContentType("application/x-www-form-urlencoded")
		if frame.IsJSON(path) {
			ctx.Request.Header.SetContentType("application/json")
		}
	}
	route, params, _ := mux.Find(method, path)
	if route == nil {
		t.Fatalf("no route %s %s", method, path)
	}
	r := frame.NewRequest(ctx, params, frame.Surroundings{
		Context: t.Context(), Principal: access.Principal{User: "u1", Name: "ann@example.org", Role: access.Owner}, Now: noon, Log: slog.New(slog.DiscardHandler),
		Audit: func(_ context.Context, e access.Entry) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.auditErr == nil {
				w.audited = append(w.audited, e)
			}
			return w.auditErr
		},
		Shell: func(_ *frame.Request, c frame.Content) ([]byte, error) { return []byte(c.HTML), nil },
		Stream: func(longest time.Duration) (context.Context, func(), bool) {
			ctx, cancel := context.WithTimeout(t.Context(), longest)
			return ctx, cancel, true
		},
	})
	err := route.Handle(r)
	if err == nil && frame.IsJSON(path) {
		w.hold(t, method, path, body, ctx)
	}
	return ctx, err
}

// hold holds a request and its answer to the public contract.
func (w *world) hold(t testing.TB, method, path, body string, ctx *fasthttp.RequestCtx) {
	t.Helper()
	spec := openapitest.Load(t)
	a := openapitest.Answer{Method: method, Target: path, Status: ctx.Response.StatusCode(),
		Header: http.Header{"Content-Type": {string(ctx.Response.Header.ContentType())}}}
	if !ctx.Response.IsBodyStream() {
		a.Body = ctx.Response.Body()
	}
	faults, known := spec.Check(a)
	if !known {
		t.Errorf("%s %s is not in the contract", method, path)
	}
	if body != "" {
		faults = append(faults, spec.CheckRequest(method, path, []byte(body))...)
	}
	for _, f := range faults {
		t.Errorf("%s %s: the contract: %s", method, path, f)
	}
}

// reply decodes the JSON of an answer.
func reply[T any](t testing.TB, ctx *fasthttp.RequestCtx) (v T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(ctx.Response.Body()))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, ctx.Response.Body())
	}
	return v
}

// refusal is the refusal that an error is.
func refusal(t testing.TB, err error) *frame.Problem {
	t.Helper()
	var p *frame.Problem
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want a refusal", err)
	}
	return p
}

// front is a report of a front-end.
func front(node string, n int64) *status.Report {
	return &status.Report{Node: node, StartedAt: noon.Add(-time.Hour), Number: n, Roles: []status.Role{{Name: status.FrontEndRole, Ready: true}},
		FrontEnd: &status.FrontEnd{AcceptedPerSecond: 10, AckP50Millis: 2, AckP99Millis: 9, Acks: 100, Viewers: 7, InFlight: 1}}
}

func pointer[T any](v T) *T { return &v }
