package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/campaigns"
	"spillway/campaigns/httpapi"
	"spillway/campaigns/render"
	"spillway/ledger/money"
)

// whole makes a day of it: an event, a closed campaign and one in another currency,
// donors and gifts.
func whole(s *served) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s.mu.Lock()
	s.event = &campaigns.Event{Slug: "day-2026", Name: "The Day", TimeZone: "UTC", StartsAt: at, EndsAt: at.Add(time.Hour), Banner: "Matched until noon"}
	s.mu.Unlock()
	s.add(&campaigns.Campaign{Slug: "shelter", Name: "Shelter", Organisation: "Harbour", Currency: "USD", Story: "One.\n\nTwo.",
		Image: strings.Repeat("0a", 16), LegalName: "Harbour Inc.", TaxNumber: "12-3"},
		&campaigns.Campaign{Slug: "over", Name: "Over river", Currency: "USD", EndsAt: at.AddDate(-1, 0, 0)},
		&campaigns.Campaign{Slug: "paris", Name: "Paris", Currency: "EUR"})
	for slug, raised := range map[string]int64{"shelter": 900, "river-school": 700, "paris": 5} {
		s.mu.Lock()
		c := s.known[slug]
		s.mu.Unlock()
		s.show(raisedTotal(c, 9, raised))
	}
	gift := campaigns.Gift{Ref: "r1", Campaign: "shelter", Name: "<b>Ada", AmountMinor: 900, Currency: "USD", Message: "Go!", Dedication: "In honor of Grace", At: at}
	s.give(&campaigns.Wall{Campaign: "shelter", Donors: 2, Gifts: []campaigns.Gift{gift, {Ref: "r0", Campaign: "shelter", Currency: "USD", At: at}}, AsOf: at, Version: 1},
		&campaigns.Wall{Campaign: "river-school", Donors: 3, AsOf: at, Version: 1},
		&campaigns.Wall{Campaign: campaigns.DayWall, Donors: 4, Gifts: []campaigns.Gift{gift}, AsOf: at, Version: 1})
}

func raisedTotal(c *campaigns.Campaign, version, raised int64) *render.Total {
	return render.NewTotal(campaigns.Total{Campaign: c.Slug, Currency: c.Currency, PledgedMinor: raised + 50, RaisedMinor: raised, Donations: version, Version: version, Epoch: 1}, c.Book())
}

func TestDay_SumsAndTheirAge(t *testing.T) {
	s := serve(t, httpapi.Config{})
	whole(s)
	a := s.do(t, "GET", "/v1/day")
	got := decode(t, a.body)
	for _, member := range []string{"as_of", "lag_ms"} {
		if got[member] == nil {
			t.Errorf("no %s", member)
		}
		delete(got, member)
	}
	want := map[string]any{
		"event":     map[string]any{"slug": "day-2026", "name": "The Day", "time_zone": "UTC", "starts_at": "2026-11-22T12:00:00Z", "ends_at": "2026-11-22T13:00:00Z"},
		"banner":    "Matched until noon",
		"campaigns": map[string]any{"open": 3.0, "upcoming": 0.0, "closed": 1.0},
		"totals": []any{map[string]any{"currency": "USD", "raised_minor": 1595.0, "pledged_minor": 1700.0, "donations": 18.0},
			map[string]any{"currency": "EUR", "raised_minor": 5.0, "pledged_minor": 55.0, "donations": 9.0}},
		"donors": 4.0, "donors_as_of": "2026-11-22T12:00:00.000000Z", "stale": false,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	again := s.do(t, "GET", "/v1/day", "If-None-Match", a.header.Get("ETag"))
	if again.status != 304 || again.header.Get("Spillway-As-Of") == "" || again.header.Get("Spillway-Lag-Ms") == "" {
		t.Errorf("again: %d %v", again.status, again.header)
	}
	s.show(raisedTotal(school(), 10, 701))
	if changed := s.do(t, "GET", "/v1/day", "If-None-Match", a.header.Get("ETag")); changed.status != 200 {
		t.Errorf("after a change: %d", changed.status)
	}
}

func TestLeaderboards(t *testing.T) {
	s := serve(t, httpapi.Config{})
	whole(s)
	for path, want := range map[string]string{
		"/v1/leaderboards":                         "raised USD: shelter 900 2, river-school 700 3",
		"/v1/leaderboards?by=raised&limit=1":       "raised USD: shelter 900 2",
		"/v1/leaderboards?by=donors":               "donors : river-school 700 3, shelter 900 2",
		"/v1/leaderboards?by=raised&currency=EUR":  "raised EUR: paris 5 0",
		"/v1/leaderboards?currency=JPY&limit=100":  "raised JPY: ",
		"/v1/leaderboards?by=&limit=2&unknown=yes": "raised USD: shelter 900 2, river-school 700 3",
	} {
		var got struct {
			By, Currency string
			Leaders      []struct {
				Slug   string
				Raised int64 `json:"raised_minor"`
				Donors int64
			}
			AsOf *time.Time `json:"as_of"`
		}
		a := s.do(t, "GET", path)
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.AsOf == nil {
			t.Fatalf("%s: %s, %v", path, a.body, err)
		}
		var leaders []string
		for _, l := range got.Leaders {
			leaders = append(leaders, fmt.Sprintf("%s %d %d", l.Slug, l.Raised, l.Donors))
		}
		if text := fmt.Sprintf("%s %s: %s", got.By, got.Currency, strings.Join(leaders, ", ")); text != want {
			t.Errorf("%s: %q, want %q", path, text, want)
		}
		if again := s.do(t, "GET", path, "If-None-Match", a.header.Get("ETag")); again.status != 304 {
			t.Errorf("%s again: %d", path, again.status)
		}
	}
}

func TestGifts_ShowWhatIsShown(t *testing.T) {
	s := serve(t, httpapi.Config{})
	whole(s)
	wanted := map[string]any{"campaign": "shelter", "donors": 2.0, "donors_as_of": "2026-11-22T12:00:00.000000Z", "gifts": []any{
		map[string]any{"ref": "r1", "name": "<b>Ada", "amount_minor": 900.0, "currency": "USD", "message": "Go!", "dedication": "In honor of Grace", "at": "2026-11-22T12:00:00Z"},
		map[string]any{"ref": "r0", "currency": "USD", "at": "2026-11-22T12:00:00Z"},
	}}
	a := s.do(t, "GET", "/v1/campaigns/shelter/gifts")
	if d := cmp.Diff(wanted, decode(t, a.body)); d != "" {
		t.Error(d)
	}
	all := decode(t, s.do(t, "GET", "/v1/day/gifts").body)
	if gift := all["gifts"].([]any)[0].(map[string]any); all["campaign"] != "_day" || gift["campaign"] != "shelter" || gift["campaign_name"] != "Shelter" {
		t.Errorf("%v", all)
	}
	if got := decode(t, s.do(t, "GET", "/v1/campaigns/over/gifts").body); got["donors"] != 0.0 || got["donors_as_of"] != nil {
		t.Errorf("before anybody counted: %v", got)
	}
	s.flip(campaigns.Switches{FeedOff: true})
	for _, path := range []string{"/v1/campaigns/shelter/gifts", "/v1/day/gifts"} {
		off := s.do(t, "GET", path, "If-None-Match", a.header.Get("ETag"))
		if got := decode(t, off.body); off.status != 200 || len(got["gifts"].([]any)) != 0 || got["donors"] == 0.0 {
			t.Errorf("%s switched off: %d %v", path, off.status, got)
		}
	}
}

func TestCampaign_HasItsStory(t *testing.T) {
	s := serve(t, httpapi.Config{})
	whole(s)
	want := map[string]any{"slug": "shelter", "name": "Shelter", "organisation": "Harbour", "phase": "open", "currency": "USD",
		"image": strings.Repeat("0a", 16), "organisation_legal": "Harbour Inc.", "tax_number": "12-3", "story": "One.\n\nTwo."}
	if d := cmp.Diff(want, decode(t, s.do(t, "GET", "/v1/campaigns/shelter").body)); d != "" {
		t.Error(d)
	}
}

func TestSearch_PagesThroughWhatIsFound(t *testing.T) {
	s := serve(t, httpapi.Config{})
	whole(s)
	var many []string
	for i := range 7 {
		c := &campaigns.Campaign{Slug: fmt.Sprintf("garden-%d", i), Name: "Garden", Currency: money.Currency("USD")}
		s.add(c)
		s.show(raisedTotal(c, 1, int64(100-i)))
		many = append(many, c.Slug)
	}
	for query, want := range map[string][]string{
		"search=gard":                         many,
		"search=GARDEN&limit=3":               many,
		"search=river&sort=name":              {"over", "river-school"},
		"search=river&phase=closed":           {"over"},
		"phase=closed":                        {"over"},
		"organisation=Harbour":                {"shelter"},
		"sort=donors&limit=200&organisation=": append([]string{"river-school", "shelter"}, append(slices.Clone(many), "over", "paris")...),
		"search=drill":                        nil,
		"search=nothing+at+all&phase=open":    nil,
	} {
		var got []string
		for next := ""; ; {
			path := "/v1/campaigns?" + query
			if next != "" {
				path += "&after=" + next
			}
			a := s.do(t, "GET", path)
			var page struct {
				Campaigns []struct{ Slug string }
				Total     int
				Next      string
			}
			if err := json.Unmarshal([]byte(a.body), &page); err != nil || page.Total != len(want) {
				t.Fatalf("%s: %d %s, %v", path, a.status, a.body, err)
			}
			if again := s.do(t, "GET", path, "If-None-Match", a.header.Get("ETag")); again.status != 304 {
				t.Errorf("%s again: %d", path, again.status)
			}
			for _, c := range page.Campaigns {
				got = append(got, c.Slug)
			}
			if next = page.Next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func TestLiveMany_SeveralCampaignsAndTheDay(t *testing.T) {
	s := serve(t, httpapi.Config{})
	whole(s)
	st := dial(t, s, "/v1/live?campaign=shelter&campaign=river-school&campaign=shelter&day=1")
	if st.header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", st.status, st.header)
	}
	var kinds []string
	for range 7 {
		m, err := st.next()
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, strings.TrimSpace(m.event+" "+m.data.Campaign))
	}
	want := []string{"switches", "totals shelter", "wall shelter", "totals river-school", "wall river-school", "day", "wall _day"}
	if !slices.Equal(kinds, want) {
		t.Errorf("began with %q", kinds)
	}
	s.show(raisedTotal(school(), 20, 1))
	for {
		m, err := st.next()
		if err != nil {
			t.Fatal(err)
		}
		if m.event == "totals" {
			if m.data.Campaign != "river-school" || m.data.Version != 20 || m.id != "" {
				t.Errorf("%+v", m)
			}
			break
		}
	}
	rehearsal := dial(t, s, "/v1/live?campaign=drill")
	if m := rehearsal.total(t); m.data.Campaign != "drill" {
		t.Errorf("%+v", m)
	}
}

func TestSwitches_LiveOffEndsStreamsAndLeavesTotals(t *testing.T) {
	s := serve(t, httpapi.Config{})
	one, many := dial(t, s, livePath), dial(t, s, "/v1/live?campaign=river-school")
	one.total(t)
	many.total(t)
	s.flip(campaigns.Switches{LiveOff: true, LeaderboardsOff: true})
	for _, st := range []*stream{one, many} {
		deadline(t, st.conn)
		last := message{}
		for {
			m, err := st.next()
			if err != nil {
				break // closed
			}
			last = m
		}
		if last.event != "retry" {
			t.Errorf("the last event was %+v", last)
		}
	}
	for _, path := range []string{livePath, "/v1/live?day=1", "/v1/leaderboards"} {
		a := s.do(t, "GET", path)
		if got := decode(t, a.body); a.status != 503 || got["code"] != "switched_off" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %v", path, a.status, got, a.header)
		}
	}
	for _, path := range []string{"/v1/campaigns/river-school/totals", "/v1/day"} {
		if a := s.do(t, "GET", path); a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	s.flip(campaigns.Switches{})
	until(t, "streams are on again", func() bool { return dial(t, s, livePath).status == 200 })
}
