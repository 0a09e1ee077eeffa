package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/campaigns/board"
	"spillway/campaigns/httpapi"
	"spillway/campaigns/live"
	"spillway/campaigns/render"
	"spillway/ledger"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Started once per process, for the Date header.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Sleeps for a while after its server was shut down.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// front is the rest of a front-end in memory, publishing in the feed's order.
type front struct {
	mu      sync.Mutex
	known   map[string]*campaigns.Campaign
	places  map[string]*render.Live
	ages    [3]*render.Age
	loading bool
	hub     *live.Hub

	walls    map[string]*campaigns.Wall
	event    *campaigns.Event
	switches campaigns.Switches
}

func newFront() *front {
	f := &front{known: map[string]*campaigns.Campaign{}, places: map[string]*render.Live{}, walls: map[string]*campaigns.Wall{}}
	for i := range f.ages {
		f.ages[i] = render.Unheard
	}
	return f
}

func (f *front) add(all ...*campaigns.Campaign) {
	for _, c := range all {
		f.mu.Lock()
		f.known[c.Slug] = c
		f.mu.Unlock()
		f.show(total(c, 0))
	}
}

func total(c *campaigns.Campaign, version int64) *render.Total {
	return render.NewTotal(campaigns.Total{Campaign: c.Slug, Currency: c.Currency, PledgedMinor: 100 * version,
		RaisedMinor: -5, Donations: version, Version: version, Epoch: 1}, c.Book())
}

func (f *front) show(t *render.Total) {
	f.mu.Lock()
	if l := f.places[t.Campaign]; l != nil {
		l.Advance(t)
	} else {
		f.places[t.Campaign] = render.NewLive(t)
	}
	f.mu.Unlock()
	f.hub.Publish([]*render.Total{t})
	f.mu.Lock()
	f.ages[t.Book] = render.NewAge(time.Now())
	f.mu.Unlock()
	f.hub.Aged()
}

func (f *front) Get(slug []byte) (*render.Total, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loading {
		return nil, campaigns.ErrWarming
	}
	if l := f.places[string(slug)]; l != nil {
		return l.Total(), nil
	}
	return nil, campaigns.ErrUnknown
}

func (f *front) Age(book ledger.Book) *render.Age {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ages[book]
}

func (f *front) Lookup(slug []byte) (*campaigns.Campaign, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.known[string(slug)]
	return c, ok
}

func (f *front) Listing() *render.Listing {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*campaigns.Campaign
	for _, c := range f.known {
		all = append(all, c)
	}
	return render.NewListing(all, time.Now())
}

func (f *front) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loading {
		return campaigns.ErrWarming
	}
	return nil
}

// Snapshot is the board, made anew each time.
func (f *front) Snapshot() *board.Day {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := board.NewBuilder()
	var all []*campaigns.Campaign
	for slug, c := range f.known {
		all = append(all, c)
		b.SetTotal(f.places[slug].Total().Total)
	}
	for _, w := range f.walls {
		b.SetWall(w)
	}
	b.SetCampaigns(all, f.event, nil, time.Now())
	return b.Build(time.Now(), f.ages[ledger.Live].AsOf)
}

func (f *front) Document() *render.Day {
	d := f.Snapshot()
	facts := render.DayFacts{Event: d.Event, Open: d.Open, Upcoming: d.Upcoming, Closed: d.Closed, Donors: d.Donors, DonorsAsOf: d.DonorsAsOf}
	for _, s := range d.Totals {
		facts.Sums = append(facts.Sums, render.DaySum{Currency: s.Currency, RaisedMinor: s.RaisedMinor, PledgedMinor: s.PledgedMinor, Donations: s.Donations})
	}
	return render.NewDay(facts, render.NewAge(d.AsOf))
}

func (f *front) Wall(slug string) *campaigns.Wall {
	if slug == campaigns.DayWall {
		return f.Snapshot().Wall
	}
	if e := f.Snapshot().Find(slug); e != nil {
		return e.Wall
	}
	return nil
}

func (f *front) Name(slug string) string { return f.Snapshot().Find(slug).Name }

func (f *front) Switches() campaigns.Switches {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.switches
}

func (f *front) flip(s campaigns.Switches) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.switches = s
}

// give puts walls on show.
func (f *front) give(walls ...*campaigns.Wall) {
	f.mu.Lock()
	for _, w := range walls {
		f.walls[w.Campaign] = w
	}
	f.mu.Unlock()
	f.hub.Renewed(walls)
}

// served is a running front-end.
type served struct {
	*front
	api *httpapi.API
	url string
	dir *http.Client
}

func serve(t *testing.T, cfg httpapi.Config) *served {
	t.Helper()
	f := newFront()
	f.hub = live.New(live.Config{}, live.Deps{Latest: f, Ages: f, Board: f, Switches: f})
	api, err := httpapi.New(cfg, httpapi.Deps{Totals: f, Ages: f, Directory: f, Board: f, Switches: f, Hub: f.hub, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f.add(school(), drill())
	ctx, cancel := context.WithCancel(context.Background())
	var hub sync.WaitGroup
	hub.Go(func() { _ = f.hub.Run(ctx) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		if !api.Handle(ctx) {
			ctx.SetStatusCode(http.StatusTeapot)
		}
	}, ReadTimeout: 5 * time.Second}
	hub.Go(func() {
		if err := server.Serve(ln); err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		ending, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := api.Close(ending); err != nil {
			t.Errorf("streams did not end: %v", err)
		}
		if err := server.ShutdownWithContext(ending); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		cancel()
		hub.Wait()
	})
	return &served{front: f, api: api, url: "http://" + ln.Addr().String(), dir: client}
}

func school() *campaigns.Campaign {
	return &campaigns.Campaign{
		Slug: "river-school", Name: `River "School" <b>`, Event: "day-2026", Organisation: "Trust", Currency: "USD",
		GoalMinor: 5_000_000, MinMinor: 100, StartsAt: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func drill() *campaigns.Campaign {
	return &campaigns.Campaign{Slug: "drill", Name: "Drill", Currency: "EUR", Rehearsal: true}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (s *served) do(t *testing.T, method, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := s.dir.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return m
}

func TestTotals_HasExactlyTheContractsMembers(t *testing.T) {
	s := serve(t, httpapi.Config{})
	s.show(total(school(), 7))
	a := s.do(t, "GET", "/v1/campaigns/river-school/totals")
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", a.status, a.header)
	}
	got := decode(t, a.body)
	asOf, err := time.Parse(time.RFC3339, got["as_of"].(string))
	if err != nil || time.Since(asOf) > time.Minute || time.Since(asOf) < 0 {
		t.Errorf("as_of %v: %v", got["as_of"], err)
	}
	if lag := got["lag_ms"].(float64); lag < 0 || lag > 60_000 {
		t.Errorf("lag_ms %v", lag)
	}
	delete(got, "as_of")
	delete(got, "lag_ms")
	want := map[string]any{"raised_minor": -5.0, "pledged_minor": 700.0, "donations": 7.0, "currency": "USD",
		"epoch": 1.0, "version": 7.0, "stale": false}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTotals_NothingHeardIsSaid(t *testing.T) {
	s := serve(t, httpapi.Config{})
	s.mu.Lock()
	s.ages[ledger.Live] = render.Unheard
	s.mu.Unlock()
	got := decode(t, s.do(t, "GET", "/v1/campaigns/river-school/totals").body)
	if got["as_of"] != nil || got["stale"] != true || got["lag_ms"].(float64) < 2000 {
		t.Errorf("%v", got)
	}
	// The rehearsal's age is its own.
	if got := decode(t, s.do(t, "GET", "/v1/campaigns/drill/totals").body); got["stale"] != false || got["currency"] != "EUR" {
		t.Errorf("%v", got)
	}
}

func TestTotals_NotModifiedCarriesTheAges(t *testing.T) {
	s := serve(t, httpapi.Config{})
	path := "/v1/campaigns/river-school/totals"
	first := s.do(t, "GET", path)
	tag := first.header.Get("ETag")
	if !strings.HasPrefix(tag, `W/"`) {
		t.Fatalf("tag %s", tag)
	}
	s.show(total(drill(), 1)) // another campaign's, and its own age
	for _, header := range []string{tag, strings.TrimPrefix(tag, "W/"), `"x", ` + tag, "*"} {
		a := s.do(t, "GET", path, "If-None-Match", header)
		if a.status != 304 || a.body != "" || a.header.Get("ETag") != tag {
			t.Errorf("%s: %d %q %v", header, a.status, a.body, a.header)
		}
		asOf, err := time.Parse(time.RFC3339, a.header.Get("Spillway-As-Of"))
		if err != nil || time.Since(asOf) > time.Minute {
			t.Errorf("Spillway-As-Of: %v", a.header)
		}
		var lag int64
		if _, err := fmt.Sscan(a.header.Get("Spillway-Lag-Ms"), &lag); err != nil || lag < 0 {
			t.Errorf("Spillway-Lag-Ms: %v", a.header)
		}
	}
	for _, header := range []string{`"x"`, `W/"x"`, "nonsense", `"unfinished`, ""} {
		if a := s.do(t, "GET", path, "If-None-Match", header); a.status != 200 {
			t.Errorf("%s: %d", header, a.status)
		}
	}
	s.show(total(school(), 1))
	changed := s.do(t, "GET", path, "If-None-Match", tag)
	if changed.status != 200 || changed.header.Get("ETag") == tag {
		t.Errorf("after a change: %d %s", changed.status, changed.header.Get("ETag"))
	}
}

func TestHead_HasTheHeadersAndNoBody(t *testing.T) {
	s := serve(t, httpapi.Config{})
	for _, path := range []string{"/v1/campaigns", "/v1/campaigns/river-school", "/v1/campaigns/river-school/totals"} {
		get, head := s.do(t, "GET", path), s.do(t, "HEAD", path)
		if head.status != 200 || head.body != "" || head.header.Get("ETag") != get.header.Get("ETag") ||
			head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("%s: %d %v, GET has %v", path, head.status, head.header, get.header)
		}
	}
}

func TestCampaign_IsTheWholeCampaign(t *testing.T) {
	s := serve(t, httpapi.Config{})
	a := s.do(t, "GET", "/v1/campaigns/river-school")
	want := map[string]any{"slug": "river-school", "name": `River "School" <b>`, "event": "day-2026", "organisation": "Trust",
		"phase": "open", "currency": "USD", "goal_minor": 5_000_000.0, "min_minor": 100.0, "starts_at": "2020-01-01T00:00:00Z"}
	if d := cmp.Diff(want, decode(t, a.body)); d != "" {
		t.Error(d)
	}
	if again := s.do(t, "GET", "/v1/campaigns/river-school", "If-None-Match", a.header.Get("ETag")); again.status != 304 {
		t.Errorf("again: %d", again.status)
	}
	if got := decode(t, s.do(t, "GET", "/v1/campaigns/drill").body); got["rehearsal"] != true {
		t.Errorf("a rehearsal does not say so: %v", got)
	}
}

func TestList_PagesOpenFirstWithoutRehearsals(t *testing.T) {
	s := serve(t, httpapi.Config{})
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	var want []string
	for i := range 5 {
		s.add(&campaigns.Campaign{Slug: fmt.Sprintf("closed-%d", i), Name: "x", Currency: "USD", EndsAt: past},
			&campaigns.Campaign{Slug: fmt.Sprintf("open-%d", i), Name: "x", Currency: "USD"},
			&campaigns.Campaign{Slug: fmt.Sprintf("upcoming-%d", i), Name: "x", Currency: "USD", StartsAt: future})
	}
	for _, kind := range []string{"open-%d", "river-school", "upcoming-%d", "closed-%d"} {
		if !strings.Contains(kind, "%") {
			want = append(want, kind)
			continue
		}
		for i := range 5 {
			want = append(want, fmt.Sprintf(kind, i))
		}
	}
	for _, limit := range []int{1, 3, 16, 200} {
		var got []string
		for next := ""; ; {
			path := fmt.Sprintf("/v1/campaigns?limit=%d", limit)
			if next != "" {
				path += "&after=" + next
			}
			a := s.do(t, "GET", path)
			if a.status != 200 {
				t.Fatalf("%s: %d %s", path, a.status, a.body)
			}
			if again := s.do(t, "GET", path, "If-None-Match", a.header.Get("ETag")); again.status != 304 {
				t.Errorf("%s again: %d", path, again.status)
			}
			var page struct {
				Campaigns []struct{ Slug string }
				Next      string
			}
			if err := json.Unmarshal([]byte(a.body), &page); err != nil {
				t.Fatal(err)
			}
			if len(page.Campaigns) > limit {
				t.Errorf("%d campaigns with limit %d", len(page.Campaigns), limit)
			}
			for _, c := range page.Campaigns {
				got = append(got, c.Slug)
			}
			if next = page.Next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
	tags := map[string]bool{}
	for _, path := range []string{"/v1/campaigns", "/v1/campaigns?limit=3", "/v1/campaigns?limit=3&after=open.open-2"} {
		tags[s.do(t, "GET", path).header.Get("ETag")] = true
	}
	if len(tags) != 3 {
		t.Errorf("pages share a tag: %v", tags)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t, httpapi.Config{})
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/v1/campaigns/nobody", 404, "unknown_campaign"},
		{"GET", "/v1/campaigns/nobody/totals", 404, "unknown_campaign"},
		{"GET", "/v1/campaigns/nobody/live", 404, "unknown_campaign"},
		{"GET", "/v1/campaigns/", 404, "unknown_campaign"},
		{"GET", "/v1/campaigns//totals", 404, ""}, // whichever way the path is cleaned
		{"GET", "/v1/campaigns/river-school/", 404, "no_such_route"},
		{"GET", "/v1/campaigns/nobody/gifts", 404, "unknown_campaign"},
		{"GET", "/v1/campaigns?search=x&phase=ajar", 400, "bad_query"},
		{"GET", "/v1/campaigns?sort=luck", 400, "bad_query"},
		{"GET", "/v1/campaigns?search=%ff", 400, "bad_query"},
		{"GET", "/v1/campaigns?search=" + strings.Repeat("x", 201), 400, "bad_query"},
		{"GET", "/v1/campaigns?search=x&after=open.a", 400, "bad_query"},
		{"GET", "/v1/campaigns?search=x&after=0", 400, "bad_query"},
		{"GET", "/v1/campaigns?search=x&limit=", 400, "bad_query"},
		{"GET", "/v1/leaderboards?by=luck", 400, "bad_query"},
		{"GET", "/v1/leaderboards?limit=0", 400, "bad_query"},
		{"GET", "/v1/leaderboards?limit=101", 400, "bad_query"},
		{"GET", "/v1/leaderboards?currency=usd", 400, "bad_query"},
		{"GET", "/v1/leaderboards?by=donors&currency=USD", 400, "bad_query"},
		{"GET", "/v1/live", 400, "bad_query"},
		{"GET", "/v1/live?day=0", 400, "bad_query"},
		{"GET", "/v1/live?day=yes", 400, "bad_query"},
		{"GET", "/v1/live?campaign=nobody", 404, "unknown_campaign"},
		{"GET", "/v1/live?campaign=", 404, "unknown_campaign"},
		{"GET", "/v1/live?campaign=river-school&campaign=drill", 400, "bad_query"},
		{"GET", "/v1/live?campaign=drill&day=1", 400, "bad_query"},
		{"GET", "/v1/live?" + strings.Repeat("campaign=river-school&", 21), 400, "bad_query"},
		{"POST", "/v1/live?day=1", 405, "method_not_allowed"},
		{"POST", "/v1/day", 405, "method_not_allowed"},
		{"DELETE", "/v1/leaderboards", 405, "method_not_allowed"},
		{"GET", "/v1/campaigns/river-school/total", 404, "no_such_route"},
		{"GET", "/v1/campaigns/river-school/totals/x", 404, "no_such_route"},
		{"GET", "/v1/campaigns/river%2Fschool/totals", 404, "no_such_route"},
		{"POST", "/v1/campaigns", 405, "method_not_allowed"},
		{"DELETE", "/v1/campaigns/river-school", 405, "method_not_allowed"},
		{"PUT", "/v1/campaigns/river-school/totals", 405, "method_not_allowed"},
		{"HEAD", "/v1/campaigns/river-school/live", 405, ""},
		{"GET", "/v1/campaigns?limit=0", 400, "bad_query"},
		{"GET", "/v1/campaigns?limit=201", 400, "bad_query"},
		{"GET", "/v1/campaigns?limit=ten", 400, "bad_query"},
		{"GET", "/v1/campaigns?limit=", 400, "bad_query"},
		{"GET", "/v1/campaigns?after=river-school", 400, "bad_query"},
		{"GET", "/v1/campaigns?after=open.", 400, "bad_query"},
		{"GET", "/v1/campaigns?after=ajar.river-school", 400, "bad_query"},
	} {
		a := s.do(t, c.method, c.path)
		if a.status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, a.status, c.status)
			continue
		}
		if a.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
		if c.code == "" {
			continue
		}
		if a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %v", c.method, c.path, a.header)
		}
		if got := decode(t, a.body); got["code"] != c.code || got["status"] != float64(c.status) {
			t.Errorf("%s %s: %v", c.method, c.path, got)
		}
	}
	for _, path := range []string{"/", "/v1/campaignsx", "/v1/donations", "/v1/campaign", "/v1/days", "/v1/day/", "/v1/livex", "/v1/leaderboards/x"} {
		if a := s.do(t, "GET", path); a.status != http.StatusTeapot {
			t.Errorf("%s is not ours and got %d", path, a.status)
		}
	}
}

func TestWarming_IsSaidAndPasses(t *testing.T) {
	s := serve(t, httpapi.Config{})
	set := func(loading bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.loading = loading
	}
	set(true)
	for _, path := range []string{"/v1/campaigns", "/v1/campaigns/late", "/v1/campaigns/river-school/totals", "/v1/campaigns/river-school/live"} {
		a := s.do(t, "GET", path)
		if a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	set(false)
	if a := s.do(t, "GET", "/v1/campaigns/river-school/totals"); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
}

func TestNew_RefusesBadBounds(t *testing.T) {
	for _, cfg := range []httpapi.Config{{ViewersMax: -1}, {ViewersMax: 1<<20 + 1}, {WriteTimeout: -1}} {
		if _, err := httpapi.New(cfg, httpapi.Deps{}); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
