package web

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/campaigns"
	"spillway/campaigns/board"
	"spillway/campaigns/render"
	"spillway/ledger"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const photo = "0123456789abcdef0123456789abcdef"

// rig is everything that pages are made from, in memory, and a clock that is set.
type rig struct {
	*Web
	t  testing.TB
	mu sync.Mutex

	at       time.Time
	asOf     time.Time
	event    *campaigns.Event
	all      map[string]*campaigns.Campaign
	totals   map[string]campaigns.Total
	walls    map[string]*campaigns.Wall
	switches campaigns.Switches
	warming  bool
	unbuilt  bool              // the board is from before the campaigns were known
	pictures map[string]string // content types

	asked  atomic.Int64  // totals that were asked for: one a rendering
	loaded atomic.Int64  // pictures that were asked for
	hold   chan struct{} // when not nil, a total is given once it is closed
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, at: noon, asOf: noon.Add(-100 * time.Millisecond), all: map[string]*campaigns.Campaign{},
		totals: map[string]campaigns.Total{}, walls: map[string]*campaigns.Wall{}, pictures: map[string]string{photo: "image/jpeg"}}
	r.event = &campaigns.Event{Slug: "day", Name: "Riverside Giving Day", TimeZone: "Europe/Vienna",
		StartsAt: noon.Add(-12 * time.Hour).Add(-time.Hour), EndsAt: noon.Add(11 * time.Hour)}
	r.put(&campaigns.Campaign{Slug: "school", Name: "A roof for River School", Event: "day", Organisation: "River Valley Schools Trust", Currency: "USD",
		GoalMinor: 25_000_00, EndsAt: noon.Add(3*time.Hour + 5*time.Minute), Story: "The roof leaks.\n\nHelp us.", Image: photo, LegalName: "RVST Inc.", TaxNumber: "12-345"})
	r.put(&campaigns.Campaign{Slug: "shelter", Name: "Warm beds", Event: "day", Organisation: "Harbour Street", Currency: "USD", StartsAt: noon.Add(26 * time.Hour)})
	r.put(&campaigns.Campaign{Slug: "over", Name: "Over", Event: "day", Currency: "JPY", GoalMinor: 1000, EndsAt: noon.Add(-time.Hour)})
	r.put(&campaigns.Campaign{Slug: "drill", Name: "A drill", Event: "day", Currency: "USD", Rehearsal: true})
	r.totals["school"] = campaigns.Total{Campaign: "school", Currency: "USD", RaisedMinor: 11_750_50, PledgedMinor: 12_000_00, Donations: 1234, Version: 7, Epoch: 1}
	r.walls["school"] = &campaigns.Wall{Campaign: "school", Donors: 1100, AsOf: noon, Version: 3, Gifts: []campaigns.Gift{
		{Ref: "r1", Campaign: "school", Name: "Ada", AmountMinor: 50_00, Currency: "USD", Message: "Go team!", At: noon.Add(-3 * time.Minute)},
		{Ref: "r2", Campaign: "school", Currency: "USD", Dedication: "In honor of Grace", At: noon.Add(-time.Second)},
	}}
	r.walls[campaigns.DayWall] = &campaigns.Wall{Campaign: campaigns.DayWall, Donors: 2100, AsOf: noon, Version: 3, Gifts: r.walls["school"].Gifts}
	cfg.Now = r.now
	w, err := New(cfg, Deps{Directory: r, Totals: r, Ages: r, Board: r, Media: r, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Web = w
	return r
}

func (r *rig) put(c *campaigns.Campaign) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[c.Slug] = c
	if _, ok := r.totals[c.Slug]; !ok {
		r.totals[c.Slug] = campaigns.Total{Campaign: c.Slug, Currency: c.Currency, Epoch: 1}
	}
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// pass lets time go on, and the totals' age with it.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.asOf = r.at.Add(d), r.asOf.Add(d)
}

func (r *rig) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *rig) Lookup(slug []byte) (*campaigns.Campaign, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.all[string(slug)]
	return c, ok
}

func (r *rig) Event() *campaigns.Event { return r.event }

func (r *rig) Events() []*campaigns.Event {
	if r.event == nil {
		return nil
	}
	return []*campaigns.Event{r.event}
}

func (r *rig) Switches() campaigns.Switches {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.switches
}

func (r *rig) Listing() *render.Listing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return render.NewListing(slices.Collect(maps.Values(r.all)), r.at)
}

func (r *rig) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.warming {
		return campaigns.ErrWarming
	}
	return nil
}

func (r *rig) Get(slug []byte) (*render.Total, error) {
	r.asked.Add(1)
	if r.hold != nil {
		<-r.hold
	}
	if err := r.Ready(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.totals[string(slug)]
	if !ok {
		return nil, campaigns.ErrUnknown
	}
	return render.NewTotal(t, ledger.Live), nil
}

func (r *rig) Age(ledger.Book) *render.Age {
	r.mu.Lock()
	defer r.mu.Unlock()
	return render.NewAge(r.asOf)
}

func (r *rig) Snapshot() *board.Day {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := board.NewBuilder()
	if r.unbuilt {
		return b.Build(r.at, time.Time{})
	}
	b.SetCampaigns(slices.Collect(maps.Values(r.all)), r.event, r.Events(), r.at)
	for _, t := range r.totals {
		b.SetTotal(t)
	}
	for _, w := range r.walls {
		b.SetWall(w)
	}
	return b.Build(r.at, r.asOf)
}

func (r *rig) Media(_ context.Context, key string) (string, []byte, error) {
	r.loaded.Add(1)
	if contentType, ok := r.pictures[key]; ok {
		return contentType, []byte("the bytes of " + key), nil
	}
	return "", nil, campaigns.ErrUnknown
}

// ask makes a request as a browser does; headers are name, value, name, value.
func (r *rig) ask(method, uri string, headers ...string) *fasthttp.Response {
	r.t.Helper()
	ctx, ok := r.offer(method, uri, append([]string{"Accept", "text/html,*/*"}, headers...)...)
	if !ok {
		r.t.Fatalf("%s %s is not answered", method, uri)
	}
	return &ctx.Response
}

func (r *rig) offer(method, uri string, headers ...string) (*fasthttp.RequestCtx, bool) {
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(uri)
	for i := 0; i < len(headers); i += 2 {
		ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	return &ctx, r.Handle(&ctx)
}

// get returns the body of a page that is there.
func (r *rig) get(uri string) string {
	r.t.Helper()
	answer := r.ask("GET", uri)
	if answer.StatusCode() != 200 {
		r.t.Fatalf("%s: %d %s", uri, answer.StatusCode(), answer.Body())
	}
	return string(answer.Body())
}

func (r *rig) holds(body string, parts ...string) {
	r.t.Helper()
	for _, p := range parts {
		if !strings.Contains(body, p) {
			r.t.Errorf("%q is not in\n%s", p, body)
		}
	}
}

func (r *rig) lacks(body string, parts ...string) {
	r.t.Helper()
	for _, p := range parts {
		if strings.Contains(body, p) {
			r.t.Errorf("%q is in\n%s", p, body)
		}
	}
}

// gift is the address of somebody's gift.
const giftPath = "/d/0191f1f2-1111-8000-8000-000000000000"

// everyPage is one address of each sort of page.
var everyPage = []string{"/", "/?q=river&sort=name", "/?q=nothing+like+this", "/c/school", "/c/shelter", "/c/over", "/c/drill", "/embed/school", "/embed/over", "/basket", giftPath, "/nowhere", "/c/nobody"}
