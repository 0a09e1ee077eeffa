package render_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/campaigns"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// document reads the data of one event, or a document.
func document(t *testing.T, raw []byte) (kind string, v map[string]any) {
	t.Helper()
	if head, data, ok := bytes.Cut(raw, []byte("\ndata: ")); ok {
		kind = strings.TrimPrefix(string(head), "event: ")
		if !bytes.HasSuffix(data, []byte("\n\n")) || bytes.Count(data, []byte("\n")) != 2 {
			t.Errorf("not one whole event: %q", raw)
		}
		raw = data
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return kind, v
}

func TestDay_Document(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	facts := render.DayFacts{
		Event: &campaigns.Event{Slug: "day", Name: `The "Day"`, TimeZone: "Europe/Vienna", StartsAt: at, Banner: "Matched until\nnoon"},
		Sums:  []render.DaySum{{Currency: "USD", RaisedMinor: 5, PledgedMinor: 7, Donations: 2}, {Currency: "JPY", PledgedMinor: 1, Donations: 1}},
		Open:  3, Upcoming: 2, Closed: 1, Donors: 9, DonorsAsOf: at.Add(1500 * time.Nanosecond),
	}
	day := render.NewDay(facts, render.NewAge(at))
	kind, got := document(t, day.AppendEvent(nil, at.Add(time.Second)))
	want := map[string]any{
		"event":     map[string]any{"slug": "day", "name": `The "Day"`, "time_zone": "Europe/Vienna", "starts_at": "2026-11-22T12:00:00Z"},
		"banner":    "Matched until\nnoon",
		"campaigns": map[string]any{"open": 3.0, "upcoming": 2.0, "closed": 1.0},
		"totals": []any{map[string]any{"currency": "USD", "raised_minor": 5.0, "pledged_minor": 7.0, "donations": 2.0},
			map[string]any{"currency": "JPY", "raised_minor": 0.0, "pledged_minor": 1.0, "donations": 1.0}},
		"donors": 9.0, "donors_as_of": "2026-11-22T12:00:00.000001Z",
		"as_of": "2026-11-22T12:00:00.000000Z", "lag_ms": 1000.0, "stale": false,
	}
	if d := cmp.Diff(want, got); d != "" || kind != "day" {
		t.Errorf("%s: %s", kind, d)
	}
	aged := day.Aged(render.NewAge(at.Add(time.Second)))
	if _, got := document(t, aged.AppendJSON(nil, at.Add(time.Second))); got["lag_ms"] != 0.0 || !bytes.Equal(aged.ETag(), day.ETag()) {
		t.Errorf("aged: %v", got)
	}
	recounted := facts
	recounted.DonorsAsOf = at.Add(time.Hour)
	if !bytes.Equal(render.NewDay(recounted, render.Unheard).ETag(), day.ETag()) {
		t.Error("counting again what did not change is another tag")
	}
	recounted.Donors++
	if bytes.Equal(render.NewDay(recounted, render.Unheard).ETag(), day.ETag()) {
		t.Error("another count has the same tag")
	}
	if _, got := document(t, render.NewDay(render.DayFacts{}, render.Unheard).AppendJSON(nil, at)); got["event"] != nil || got["donors_as_of"] != nil || len(got["totals"].([]any)) != 0 {
		t.Errorf("without anything: %v", got)
	}
}

func TestWall_Document(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	wall := &campaigns.Wall{Campaign: "school", Donors: 4, AsOf: at, Gifts: []campaigns.Gift{
		{Ref: "a1", Campaign: "school", Name: "</script><b>", AmountMinor: 500, Currency: "USD", Message: "Hi \u2028\n", Dedication: "In honor of Grace", At: at},
		{Ref: "b2", Campaign: "school", Currency: "USD", At: at},
	}}
	raw := render.AppendWallEvent(nil, wall, true, nil)
	kind, got := document(t, raw)
	want := map[string]any{"campaign": "school", "donors": 4.0, "donors_as_of": "2026-11-22T12:00:00.000000Z", "gifts": []any{
		map[string]any{"ref": "a1", "name": "</script><b>", "amount_minor": 500.0, "currency": "USD", "message": "Hi \u2028\n", "dedication": "In honor of Grace", "at": "2026-11-22T12:00:00Z"},
		map[string]any{"ref": "b2", "currency": "USD", "at": "2026-11-22T12:00:00Z"},
	}}
	if d := cmp.Diff(want, got); d != "" || kind != "wall" || bytes.ContainsRune(raw, '<') {
		t.Errorf("%s: %s", kind, d)
	}
	if _, got := document(t, render.AppendWall(nil, wall, false, nil)); len(got["gifts"].([]any)) != 0 || got["donors"] != 4.0 {
		t.Errorf("switched off: %v", got)
	}
	whole := &campaigns.Wall{Campaign: campaigns.DayWall, Gifts: []campaigns.Gift{{Ref: "a", Campaign: "school", Currency: "USD", At: at}, {Ref: "b", Campaign: "gone", Currency: "USD", At: at}}}
	_, got = document(t, render.AppendWall(nil, whole, true, func(slug string) string { return map[string]string{"school": "River School"}[slug] }))
	gifts := got["gifts"].([]any)
	if d := cmp.Diff(map[string]any{"ref": "a", "campaign": "school", "campaign_name": "River School", "currency": "USD", "at": "2026-11-22T12:00:00Z"}, gifts[0]); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]any{"ref": "b", "campaign": "gone", "currency": "USD", "at": "2026-11-22T12:00:00Z"}, gifts[1]); d != "" {
		t.Error(d)
	}
}

func TestSwitches_Documents(t *testing.T) {
	kind, got := document(t, render.AppendSwitchesEvent(nil, campaigns.Switches{FeedOff: true}))
	if d := cmp.Diff(map[string]any{"leaderboards": true, "feed": false, "live": true}, got); d != "" || kind != "switches" {
		t.Errorf("%s: %s", kind, d)
	}
	if kind, got := document(t, render.AppendRetryEvent(nil)); kind != "retry" || got["reason"] != "switched_off" {
		t.Errorf("%s: %v", kind, got)
	}
}

func TestTotal_NamedEvent(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	total := render.NewTotal(campaigns.Total{Campaign: "school", Currency: "USD", RaisedMinor: 5, PledgedMinor: 7, Donations: 2, Version: 3, Epoch: 1}, ledger.Live)
	kind, got := document(t, total.AppendNamedEvent(nil, render.NewAge(at), at))
	want := map[string]any{"campaign": "school", "raised_minor": 5.0, "pledged_minor": 7.0, "donations": 2.0, "currency": "USD", "epoch": 1.0, "version": 3.0,
		"as_of": "2026-11-22T12:00:00.000000Z", "lag_ms": 0.0, "stale": false}
	if d := cmp.Diff(want, got); d != "" || kind != "totals" {
		t.Errorf("%s: %s", kind, d)
	}
}

func TestAppendWholeCampaign_HasWhatListsLeaveOut(t *testing.T) {
	c := &campaigns.Campaign{Slug: "school", Name: "School", Currency: "USD", Story: "One.\n\nTwo.", Image: "0123456789abcdef0123456789abcdef", LegalName: "Trust Inc.", TaxNumber: "12-345"}
	_, got := document(t, render.AppendWholeCampaign(nil, c, campaigns.Open))
	want := map[string]any{"slug": "school", "name": "School", "phase": "open", "currency": "USD", "image": c.Image,
		"organisation_legal": "Trust Inc.", "tax_number": "12-345", "story": "One.\n\nTwo."}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	_, got = document(t, render.AppendCampaign(nil, c, campaigns.Open))
	if got["story"] != nil || got["tax_number"] != nil || got["image"] != c.Image {
		t.Errorf("in a list: %v", got)
	}
}

func TestLeaders_Document(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	l := render.NewLeaders("raised", "USD")
	empty := l.ETag()
	l.Add(&campaigns.Campaign{Slug: "a", Name: "A <b>", Organisation: "Trust", Currency: "USD"}, campaigns.Total{RaisedMinor: 7}, 3)
	l.Add(&campaigns.Campaign{Slug: "b", Name: "B", Currency: "USD"}, campaigns.Total{RaisedMinor: 5}, 0)
	_, got := document(t, l.AppendJSON(nil, render.NewAge(at), at))
	want := map[string]any{"by": "raised", "currency": "USD", "leaders": []any{
		map[string]any{"slug": "a", "name": "A <b>", "organisation": "Trust", "currency": "USD", "raised_minor": 7.0, "donors": 3.0},
		map[string]any{"slug": "b", "name": "B", "currency": "USD", "raised_minor": 5.0, "donors": 0.0},
	}, "as_of": "2026-11-22T12:00:00.000000Z", "lag_ms": 0.0, "stale": false}
	if d := cmp.Diff(want, got); d != "" || bytes.Equal(empty, l.ETag()) {
		t.Error(d)
	}
	_, got = document(t, render.NewLeaders("donors", "").AppendJSON(nil, render.Unheard, at))
	if got["currency"] != nil || len(got["leaders"].([]any)) != 0 {
		t.Errorf("%v", got)
	}
}
