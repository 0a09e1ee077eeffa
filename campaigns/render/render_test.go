package render

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/ledger"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func river() campaigns.Total {
	return campaigns.Total{Campaign: "river-school", Currency: "USD", PledgedMinor: 700, RaisedMinor: -5, Donations: 7, Version: 12, Epoch: 2}
}

func TestTotal_Document(t *testing.T) {
	total := NewTotal(river(), ledger.Live)
	heard := NewAge(noon.Add(-1500*time.Millisecond + 123456789*time.Nanosecond)) // .623456789
	cases := map[string]struct {
		age  *Age
		want string
	}{
		"fresh":   {heard, `"as_of":"2026-11-22T11:59:58.623456Z","lag_ms":1377,"stale":false}`},
		"stale":   {NewAge(noon.Add(-campaigns.StaleBound - 1)), `"as_of":"2026-11-22T11:59:57.999999Z","lag_ms":2001,"stale":true}`},
		"bound":   {NewAge(noon.Add(-campaigns.StaleBound)), `"as_of":"2026-11-22T11:59:58.000000Z","lag_ms":2000,"stale":false}`},
		"ahead":   {NewAge(noon.Add(time.Hour)), `"as_of":"2026-11-22T13:00:00.000000Z","lag_ms":0,"stale":false}`},
		"unheard": {Unheard, `"as_of":null,"lag_ms":4000,"stale":true}`},
	}
	head := `{"raised_minor":-5,"pledged_minor":700,"donations":7,"currency":"USD","epoch":2,"version":12,`
	for name, c := range cases {
		if got := string(total.AppendJSON(nil, c.age, noon)); got != head+c.want {
			t.Errorf("%s: %s", name, got)
		}
		if got, want := string(total.AppendEvent(nil, c.age, noon)), "id: 2.12\nevent: totals\ndata: "+head+c.want+"\n\n"; got != want {
			t.Errorf("%s: %q", name, got)
		}
		if got, want := string(AppendHeartbeat(nil, c.age, noon)), "event: heartbeat\ndata: {"+c.want+"\n\n"; got != want {
			t.Errorf("%s: %q", name, got)
		}
		if got := string(c.age.AppendAsOf(nil)); !strings.Contains(c.want, got) || (got == "") != c.age.AsOf.IsZero() {
			t.Errorf("%s: as_of %q", name, got)
		}
	}
	if heard.AsOf.Before(time.Date(2026, 11, 22, 11, 59, 58, 623456000, time.UTC)) {
		t.Error("as_of is written later than it is")
	}
}

func TestETag_DiffersWithContentOnly(t *testing.T) {
	tag := func(change func(*campaigns.Total)) string {
		total := river()
		change(&total)
		return string(NewTotal(total, ledger.Live).ETag())
	}
	same := tag(func(*campaigns.Total) {})
	if same != tag(func(t *campaigns.Total) { t.Campaign = "renamed" }) { // the address says which
		t.Error("the tag depends on more than the content")
	}
	seen := map[string]string{same: "nothing"}
	for what, change := range map[string]func(*campaigns.Total){
		"raised":    func(t *campaigns.Total) { t.RaisedMinor++ },
		"pledged":   func(t *campaigns.Total) { t.PledgedMinor++ },
		"donations": func(t *campaigns.Total) { t.Donations++ },
		"currency":  func(t *campaigns.Total) { t.Currency = "EUR" },
		"epoch":     func(t *campaigns.Total) { t.Epoch++ },
		"version":   func(t *campaigns.Total) { t.Version++ },
	} {
		got := tag(change)
		if other, ok := seen[got]; ok {
			t.Errorf("changing %s gives the tag of changing %s", what, other)
		}
		seen[got] = what
	}
}

func TestTotal_CostsNothingToAnswer(t *testing.T) {
	total, age := NewTotal(river(), ledger.Live), NewAge(noon)
	dst := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { dst = total.AppendJSON(dst[:0], age, noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPosition(t *testing.T) {
	order := []Position{{0, 0}, {0, 9}, {1, 0}, {1, 5}, {1, 10}, {2, 1}, {math.MaxInt64, math.MaxInt64}}
	for i, p := range order {
		for j, q := range order {
			if p.After(q) != (i > j) {
				t.Errorf("%v after %v: %v", p, q, p.After(q))
			}
		}
		if got, ok := ParsePosition(p.AppendText(nil)); !ok || got != p {
			t.Errorf("%v was read as %v, %v", p, got, ok)
		}
	}
	for _, text := range []string{"", ".", "1", "1.", ".1", "1.2.3", "+1.2", "1.-2", "01.2", "1. 2", "1.9223372036854775808", "1e3.1",
		"99999999999999999999.1", strings.Repeat("1", 100) + ".1"} {
		if p, ok := ParsePosition([]byte(text)); ok {
			t.Errorf("%q was read as %v", text, p)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add([]byte("1.7"))
	f.Add([]byte("9223372036854775807.0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, ok := ParsePosition(text); ok {
			if got := string(p.AppendText(nil)); got != string(text) || p.Epoch < 0 || p.Version < 0 {
				t.Errorf("%q was read as %v, which is %q", text, p, got)
			}
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	f.Add("open.river-school")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := ParseCursor(text)
		if ok && (c.phase.String()+"."+c.slug != text || !campaigns.ValidSlug(c.slug)) {
			t.Errorf("%q was read as %v", text, c)
		}
	})
}

// Whatever a name holds, the document is JSON that says it, and harmless in a page.
func TestAppendText_IsWhatJSONReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("\"\\\n\r\t\x00\x1f\x7f<>&/é\u2028😀a")))).Draw(t, "s")
		if rapid.Bool().Draw(t, "broken") {
			s += "\xff" + s
		}
		b := appendText(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if want := strings.ToValidUTF8(s, "\uFFFD"); utf8.ValidString(s) && got != want {
			t.Fatalf("%q became %q", s, got)
		}
		if !utf8.Valid(b) || strings.ContainsAny(string(b), "<\n\x00") {
			t.Fatalf("%q", b)
		}
	})
}

func TestAppendCampaign(t *testing.T) {
	full := &campaigns.Campaign{Slug: "a", Name: `"N"`, Event: "day", Organisation: "Org", Parent: "p", Currency: "JPY", GoalMinor: 1,
		MinMinor: 2, MaxMinor: 3, StartsAt: noon, EndsAt: noon.Add(time.Hour + time.Microsecond), Rehearsal: true, Revision: 9}
	for _, c := range []struct {
		campaign *campaigns.Campaign
		phase    campaigns.Phase
		want     map[string]any
	}{
		{full, campaigns.Closed, map[string]any{"slug": "a", "name": `"N"`, "event": "day", "organisation": "Org", "parent": "p", "phase": "closed",
			"currency": "JPY", "goal_minor": 1.0, "min_minor": 2.0, "max_minor": 3.0, "starts_at": "2026-11-22T12:00:00Z",
			"ends_at": "2026-11-22T13:00:00.000001Z", "rehearsal": true}},
		{&campaigns.Campaign{Slug: "b", Name: "B", Currency: "USD"}, campaigns.Open,
			map[string]any{"slug": "b", "name": "B", "phase": "open", "currency": "USD"}},
	} {
		var got map[string]any
		b := AppendCampaign(nil, c.campaign, c.phase)
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Error(d)
		}
	}
}

// Pages that follow each other give every campaign that stays once, in order,
// whatever comes, goes, opens and closes in between.
func TestListing_PagesThroughChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) map[string]*campaigns.Campaign {
			all := map[string]*campaigns.Campaign{}
			for _, i := range rapid.SliceOfDistinct(rapid.IntRange(0, 40), rapid.ID[int]).Draw(t, label) {
				c := &campaigns.Campaign{Slug: fmt.Sprintf("c%02d", i), Name: "x", Currency: "USD", Rehearsal: i%7 == 0}
				switch i % 3 {
				case 1:
					c.StartsAt = noon.Add(time.Hour)
				case 2:
					c.EndsAt = noon.Add(-time.Hour)
				}
				all[c.Slug] = c
			}
			return all
		}
		before, after := draw("before"), draw("after")
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		change := rapid.IntRange(0, 5).Draw(t, "change after page")
		var got []string
		cursor := Cursor{}
		for page := 0; ; page++ {
			now := before
			if page > change {
				now = after
			}
			var all []*campaigns.Campaign
			for _, c := range now {
				all = append(all, c)
			}
			var answer struct {
				Campaigns []struct{ Slug string }
				Next      string
			}
			listing := NewListing(all, noon)
			if err := json.Unmarshal(listing.AppendPage(nil, cursor, limit), &answer); err != nil {
				t.Fatal(err)
			}
			for _, c := range answer.Campaigns {
				got = append(got, c.Slug)
			}
			if answer.Next == "" {
				break
			}
			var ok bool
			if cursor, ok = ParseCursor(answer.Next); !ok {
				t.Fatalf("next %q cannot be read", answer.Next)
			}
		}
		phaseOf := func(slug string) int {
			var n int
			fmt.Sscanf(slug, "c%d", &n)
			return []int{0, 1, 2}[n%3]
		}
		if !slices.IsSortedFunc(got, func(a, b string) int {
			if d := phaseOf(a) - phaseOf(b); d != 0 {
				return d
			}
			return strings.Compare(a, b)
		}) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("listed %v", got)
		}
		for slug, c := range before {
			if after[slug] != nil && !c.Rehearsal && !slices.Contains(got, slug) {
				t.Errorf("%s was there all the time and is not in %v", slug, got)
			}
			if c.Rehearsal && slices.Contains(got, slug) {
				t.Errorf("the rehearsal %s is listed", slug)
			}
		}
	})
}

func TestListing_UntilIsTheNextChangeOfPhase(t *testing.T) {
	at := func(starts, ends time.Duration) *campaigns.Campaign {
		c := &campaigns.Campaign{Slug: fmt.Sprintf("c%d-%d", starts, ends), Name: "x", Currency: "USD", StartsAt: noon.Add(starts)}
		if ends != 0 {
			c.EndsAt = noon.Add(ends)
		}
		return c
	}
	for _, c := range []struct {
		all  []*campaigns.Campaign
		want time.Duration // 0: never
	}{
		{nil, 0},
		{[]*campaigns.Campaign{at(-3, -2), at(-3, 0)}, 0},
		{[]*campaigns.Campaign{at(-3, 9), at(5, 20), at(-1, 7)}, 5},
		{[]*campaigns.Campaign{at(-3, 4), at(5, 20)}, 4},
	} {
		got := NewListing(c.all, noon).Until()
		if c.want == 0 && !got.IsZero() || c.want != 0 && !got.Equal(noon.Add(c.want)) {
			t.Errorf("until %v, want %v", got, c.want)
		}
	}
}

func BenchmarkNewTotal(b *testing.B) {
	total := river()
	b.ReportAllocs()
	for b.Loop() {
		NewTotal(total, ledger.Live)
	}
}

func BenchmarkNewListing(b *testing.B) {
	var all []*campaigns.Campaign
	for i := range 10_000 {
		all = append(all, &campaigns.Campaign{Slug: fmt.Sprintf("campaign-%d", i), Name: "A campaign with a name", Organisation: "Somebody who receives",
			Event: "day-2026", Currency: "USD", GoalMinor: 100_000, StartsAt: noon, EndsAt: noon.Add(time.Hour)})
	}
	for b.Loop() {
		NewListing(all, noon)
	}
}
