package manage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/manage"
	managedb "spillway/campaigns/console/manage/postgres"
	campaignsdb "spillway/campaigns/postgres"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest/openapi"
	"spillway/ingest/openapi/openapitest"
	"spillway/ledger"
	"spillway/ledger/payments"
	paymentsdb "spillway/ledger/payments/postgres"
	ledgerdb "spillway/ledger/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var (
	owner   = access.Principal{User: "1", Name: "ann@example.org", Role: access.Owner}
	limited = access.Principal{User: "2", Name: "bob@example.org", Role: access.Organiser, Campaigns: []string{"river"}}
	viewer  = access.Principal{User: "3", Name: "vic@example.org", Role: access.Viewer}
)

// rig is the section on real tables, with the ledger booking commands as a payments
// process does.
type rig struct {
	t         *testing.T
	section   *manage.Section
	mux       frame.Mux
	campaigns *campaignsdb.Store
	imports   *managedb.Store
	pay       *paymentsdb.Book
	lease     ledger.Lease

	lock  sync.Mutex
	log   []access.Entry
	alike map[string][]manage.Alike // by campaign and name
	away  bool                      // the broker does not answer
	held  bool                      // no payments process is up
	kept  []*payments.Command       // what it will find first
	at    time.Time
}

// start is when the rig's clock stands at first.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, at: start, alike: map[string][]manage.Alike{}}
	databaseURL := pgtest.URL(t)
	books, err := ledgerdb.Open(ledgerdb.Config{URL: databaseURL})
	r.must(err)
	t.Cleanup(books.Close)
	paid, err := paymentsdb.Open(paymentsdb.Config{URL: databaseURL})
	r.must(err)
	t.Cleanup(paid.Close)
	r.campaigns, err = campaignsdb.Open(campaignsdb.Config{URL: databaseURL})
	r.must(err)
	t.Cleanup(r.campaigns.Close)
	r.imports, err = managedb.Open(databaseURL)
	r.must(err)
	t.Cleanup(r.imports.Close)
	r.must(books.Migrate(t.Context()))
	r.must(r.campaigns.Migrate(t.Context()))
	r.must(r.imports.Migrate(t.Context()))
	r.lease, err = books.Book(ledger.Live).Acquire(t.Context(), "test", time.Hour)
	r.must(err)
	r.pay = paid.Book(ledger.Live)
	r.section = manage.New(manage.Deps{Campaigns: r.campaigns, Imports: r.imports, Commands: r, Lookalikes: r, Auditor: r, Now: r.now})
	r.must(r.mux.Add(false, r.section.Routes()...))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.section.Run(ctx, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r.must(r.campaigns.PutEvent(t.Context(), &campaigns.Event{Slug: "day", Name: "Giving Day", TimeZone: "Europe/Vienna", StartsAt: start.Add(-time.Hour), EndsAt: start.Add(24 * time.Hour)}))
	_, err = r.campaigns.Put(t.Context(), &campaigns.Campaign{Slug: "river", Name: "River School", Event: "day", Organisation: "River Trust", Currency: "EUR", GoalMinor: 100_00,
		StartsAt: start.Add(-time.Hour), EndsAt: start.Add(24 * time.Hour)}, &campaigns.Campaign{Slug: "hill", Name: "Hill School", Event: "day", Currency: "EUR"},
		&campaigns.Campaign{Slug: "trial", Name: "Trial", Currency: "EUR", Rehearsal: true})
	r.must(err)
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) now() time.Time {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.at
}

// Audit keeps the audit log.
func (r *rig) Audit(_ context.Context, e access.Entry) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	if !access.ValidAction(e.Action) {
		return fmt.Errorf("%q is no action", e.Action)
	}
	r.log = append(r.log, e)
	return nil
}

// audited are the entries of an action so far.
func (r *rig) audited(action string) (found []access.Entry) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, e := range r.log {
		if e.Action == action {
			found = append(found, e)
		}
	}
	return found
}

// Alike is the search.
func (r *rig) Alike(_ context.Context, p manage.Probe) ([]manage.Alike, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if p.Name == "search is away" {
		return nil, errors.New("away")
	}
	return r.alike[p.Campaign+" "+p.Name], nil
}

// Command books as a payments process does, from what is on the wire.
func (r *rig) Command(ctx context.Context, c *payments.Command) error {
	body, err := payments.EncodeCommand(c)
	if err != nil {
		return err
	}
	if c, err = payments.DecodeCommand(body); err != nil {
		return err
	}
	r.lock.Lock()
	away := r.away
	var due []*payments.Command
	if !away {
		r.kept = append(r.kept, c)
	}
	if !r.held {
		due, r.kept = r.kept, nil
	}
	r.lock.Unlock()
	if away {
		return manage.ErrCommandUnknown
	}
	for _, c := range due { // in the order in which they came, as the stream has them
		if _, _, err := r.pay.Command(ctx, r.lease, c); err != nil {
			return err
		}
	}
	return nil
}

// release has a payments process come up.
func (r *rig) release() {
	r.t.Helper()
	r.lock.Lock()
	kept := r.kept
	r.held, r.kept = false, nil
	r.lock.Unlock()
	for _, c := range kept {
		_, _, err := r.pay.Command(r.t.Context(), r.lease, c)
		r.must(err)
	}
}

// answer is what a request got.
type answer struct {
	status   int
	body     string
	location string
	header   func(string) string
}

// ask makes a request as the console does, after authentication.
func (r *rig) ask(who access.Principal, method, path, contentType string, body []byte) answer {
	r.t.Helper()
	target, err := url.Parse(path)
	r.must(err)
	route, params, _ := r.mux.Find(method, target.Path)
	if route == nil {
		r.t.Fatalf("no route %s %s", method, path)
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	ctx.Request.Header.SetContentType(contentType)
	ctx.Request.SetBody(body)
	q := frame.NewRequest(&ctx, params, frame.Surroundings{
		Context: r.t.Context(), Principal: who, Network: "192.0.2.0/24", Now: r.now(), Log: slog.New(slog.DiscardHandler), Audit: r.Audit,
		Shell: func(_ *frame.Request, c frame.Content) ([]byte, error) {
			retry := ""
			if c.Retry {
				retry = "(retries)"
			}
			return []byte("<title>" + c.Title + "</title>" + retry + string(c.HTML)), nil
		},
	})
	slug := ""
	if route.Scope != nil {
		slug = route.Scope(q)
	}
	err = frame.Forbidden("not for you")
	if who.Can(route.Needs, slug) {
		err = route.Handle(q)
	}
	if err != nil {
		var p *frame.Problem
		if !errors.As(err, &p) {
			r.t.Fatalf("%s %s: %v", method, path, err)
		}
		ctx.SetStatusCode(p.Status)
		ctx.SetContentType("application/problem+json")
		if p.RetryAfter > 0 {
			ctx.Response.Header.Set("Retry-After", fmt.Sprint(p.RetryAfter))
		}
		ctx.SetBody(p.AppendJSON(nil, target.Path))
	}
	if frame.IsJSON(target.Path) {
		r.hold(method, path, &ctx.Response)
	}
	return answer{ctx.Response.StatusCode(), string(ctx.Response.Body()), string(ctx.Response.Header.Peek("Location")), func(name string) string { return string(ctx.Response.Header.Peek(name)) }}
}

var spec = sync.OnceValues(func() (*openapitest.Spec, error) { return openapitest.Parse(openapi.Document) })

// hold holds an answer of the admin API to its contract.
func (r *rig) hold(method, path string, response *fasthttp.Response) {
	r.t.Helper()
	contract, err := spec()
	r.must(err)
	header := http.Header{}
	for name, value := range response.Header.All() {
		header.Add(string(name), string(value))
	}
	faults, known := contract.Check(openapitest.Answer{Method: method, Target: path, Status: response.StatusCode(), Header: header, Body: response.Body()})
	if !known || len(faults) > 0 {
		r.t.Errorf("%s %s: not as the contract says (known: %v): %v\n%s", method, path, known, faults, response.Body())
	}
}

func (r *rig) get(who access.Principal, path string) answer { return r.ask(who, "GET", path, "", nil) }

func (r *rig) post(who access.Principal, path string, form url.Values) answer {
	return r.ask(who, "POST", path, "application/x-www-form-urlencoded", []byte(form.Encode()))
}

func (r *rig) postJSON(who access.Principal, path, body string) answer {
	return r.ask(who, "POST", path, "application/json", []byte(body))
}

// send uploads a file.
func (r *rig) send(who access.Principal, path, field, name string, data []byte, fields ...string) answer {
	r.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		r.must(w.WriteField(fields[i], fields[i+1]))
	}
	part, err := w.CreateFormFile(field, name)
	r.must(err)
	_, err = io.Copy(part, bytes.NewReader(data))
	r.must(err)
	r.must(w.Close())
	return r.ask(who, "POST", path, w.FormDataContentType(), body.Bytes())
}

// want fails unless the answer has the status and its body the texts.
func (a answer) want(t *testing.T, status int, texts ...string) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Fatalf("%q is not in %s", text, a.body)
		}
	}
	return a
}

func (a answer) decode(t *testing.T) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// campaign reads one as it is stored.
func (r *rig) campaign(slug string) *campaigns.Campaign {
	r.t.Helper()
	c, err := r.campaigns.Get(r.t.Context(), slug)
	r.must(err)
	return c
}
