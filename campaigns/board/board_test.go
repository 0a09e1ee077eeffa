package board_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/campaigns/board"
	"spillway/ledger/money"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func slugs(entries []*board.Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Slug)
	}
	return all
}

func want(t testing.TB, what string, got []string, wanted ...string) {
	t.Helper()
	if !slices.Equal(got, wanted) {
		t.Errorf("%s: %v, want %v", what, got, wanted)
	}
}

func total(slug string, currency money.Currency, version, raised int64) campaigns.Total {
	return campaigns.Total{Campaign: slug, Currency: currency, RaisedMinor: raised, PledgedMinor: 2 * raised, Donations: version, Version: version, Epoch: 1}
}

// town is a small day: three open campaigns, one to come, one closed, one in another
// currency, a rehearsal, and one of another day.
func town() *board.Builder {
	b := board.NewBuilder()
	all := []*campaigns.Campaign{
		{Slug: "school", Name: "A roof for River School", Organisation: "River Valley Trust", Currency: "USD", EndsAt: noon.Add(2 * time.Hour)},
		{Slug: "shelter", Name: "Café für alle", Organisation: "St Clare's", Currency: "USD"},
		{Slug: "boat", Name: "Lifeboat", Organisation: "River Valley Trust", Currency: "USD", EndsAt: noon.Add(time.Hour)},
		{Slug: "later", Name: "Later", Currency: "USD", StartsAt: noon.Add(time.Minute), EndsAt: noon.Add(3 * time.Hour)},
		{Slug: "over", Name: "Over", Currency: "USD", EndsAt: noon},
		{Slug: "paris", Name: "École", Currency: "EUR"},
		{Slug: "drill", Name: "River drill", Currency: "USD", Rehearsal: true},
		{Slug: "old", Name: "Last year", Event: "2025", Currency: "USD"},
		{Slug: "stray", Name: "Nobody's day", Event: "never", Currency: "USD"},
	}
	today := &campaigns.Event{Slug: "2026", Name: "Today"}
	b.SetCampaigns(all, today, []*campaigns.Event{today, {Slug: "2025"}}, noon)
	for i, slug := range []string{"school", "shelter", "boat", "drill", "old"} {
		b.SetTotal(total(slug, "USD", 1, int64(100*(i+1))))
	}
	b.SetTotal(total("paris", "EUR", 1, 99_999))
	return b
}

func TestDay_ListsSumsAndLeaders(t *testing.T) {
	b := town()
	for slug, donors := range map[string]int64{"school": 7, "paris": 9, "boat": 7, "drill": 50} {
		b.SetWall(&campaigns.Wall{Campaign: slug, Donors: donors, Version: 1})
	}
	b.SetWall(&campaigns.Wall{Campaign: campaigns.DayWall, Donors: 20, AsOf: noon, Version: 3})
	d := b.Build(noon, noon)
	want(t, "by raised", slugs(d.Campaigns), "boat", "shelter", "school", "later", "over", "stray", "paris")
	want(t, "leaders", slugs(d.LeadersByRaised(2)), "boat", "shelter")
	want(t, "leaders without those that have nothing", slugs(d.LeadersByRaised(50)), "boat", "shelter", "school")
	want(t, "leaders in euros", slugs(d.LeadersIn("EUR", 5)), "paris")
	want(t, "leaders in yen", slugs(d.LeadersIn("JPY", 5)))
	want(t, "leaders by donors", slugs(d.LeadersByDonors(9)), "paris", "boat", "school")
	if fmt.Sprint(d.Totals) != "[{USD 600 1200 3 6} {EUR 99999 199998 1 1}]" {
		t.Errorf("totals %v", d.Totals)
	}
	if d.Open != 5 || d.Upcoming != 1 || d.Closed != 1 || d.All != 7 || d.Donors != 20 || !d.DonorsAsOf.Equal(noon) || d.Event.Slug != "2026" {
		t.Errorf("%+v", d)
	}
	for _, slug := range []string{"drill", "old"} {
		if e := d.Find(slug); e == nil || e.Total.RaisedMinor == 0 {
			t.Errorf("%s is not found: %+v", slug, e)
		}
	}
	if d.Find("nobody") != nil {
		t.Error("nobody was found")
	}
	if e := d.Find("stray"); e.Wall == nil || !e.Wall.AsOf.IsZero() || e.Total.Currency != "USD" {
		t.Errorf("without news: %+v", e)
	}
}

func TestSearch(t *testing.T) {
	d := town().Build(noon, noon)
	for _, c := range []struct {
		filter board.Filter
		total  int
		want   string
	}{
		{board.Filter{}, 7, "boat shelter school later over stray paris"},
		{board.Filter{Size: 2}, 7, "boat shelter"},
		{board.Filter{Size: 2, Page: 3}, 7, "over stray"},
		{board.Filter{Size: 2, Page: 5}, 7, ""},
		{board.Filter{Text: "river"}, 2, "boat school"},
		{board.Filter{Text: "river", Size: 1, Page: 2}, 2, "school"},
		{board.Filter{Text: " RIVER  sch "}, 1, "school"},
		{board.Filter{Text: "cafe fur"}, 1, "shelter"},
		{board.Filter{Text: "CAFÉ"}, 1, "shelter"},
		{board.Filter{Text: "Cafe\u0301"}, 1, "shelter"},
		{board.Filter{Text: "st clares"}, 1, "shelter"},
		{board.Filter{Text: "st. clare’s"}, 1, "shelter"},
		{board.Filter{Text: "ecole"}, 1, "paris"},
		{board.Filter{Text: "iver"}, 0, ""}, // words are found by how they begin
		{board.Filter{Text: "!?"}, 0, ""},
		{board.Filter{Text: "drill"}, 0, ""},
		{board.Filter{Text: "last"}, 0, ""},
		{board.Filter{Phase: "open"}, 5, "boat shelter school stray paris"},
		{board.Filter{Phase: "upcoming"}, 1, "later"},
		{board.Filter{Phase: "closed"}, 1, "over"},
		{board.Filter{Organisation: "River Valley Trust"}, 2, "boat school"},
		{board.Filter{Sort: board.SortName}, 7, "school shelter paris later boat stray over"},
		{board.Filter{Sort: board.SortEnding}, 7, "boat school paris shelter stray later over"},
		{board.Filter{Sort: board.SortEnding, Text: "river"}, 2, "boat school"},
		{board.Filter{Phase: "ajar"}, 0, ""},
		{board.Filter{Sort: "random"}, 0, ""},
		{board.Filter{Size: board.PageSizeMax + 1}, 0, ""},
		{board.Filter{Page: -1}, 0, ""},
	} {
		page, total := d.Search(c.filter)
		if got := strings.Join(slugs(page), " "); got != c.want || total != c.total {
			t.Errorf("%+v: %q of %d, want %q of %d", c.filter, got, total, c.want, c.total)
		}
	}
}

func TestBuild_PhasesChangeByTheClock(t *testing.T) {
	b := town()
	before := b.Build(noon, noon)
	if !b.Until().Equal(noon.Add(time.Minute)) {
		t.Errorf("until %v", b.Until())
	}
	if again := b.Build(noon.Add(59*time.Second), noon); again != before {
		t.Error("another snapshot although nothing changed")
	}
	after := b.Build(noon.Add(time.Minute), noon)
	if after.Open != before.Open+1 || after.Upcoming != 0 || after.Version == before.Version {
		t.Errorf("before %d open, after %d, %d to come", before.Open, after.Open, after.Upcoming)
	}
	if before.Find("later").Phase != campaigns.Upcoming || after.Find("later").Phase != campaigns.Open {
		t.Error("a snapshot changed")
	}
	if end := b.Build(noon.Add(4*time.Hour), noon); end.Closed != 4 || !b.Until().IsZero() {
		t.Errorf("%d closed at the end, until %v", end.Closed, b.Until())
	}
}

func TestBuild_OnlyTheAgeMoves(t *testing.T) {
	b := town()
	d := b.Build(noon, noon)
	later := b.Build(noon, noon.Add(time.Second))
	if later == d || later.Version != d.Version || !later.AsOf.Equal(noon.Add(time.Second)) || !d.AsOf.Equal(noon) {
		t.Errorf("%v %v, before %v %v", later.Version, later.AsOf, d.Version, d.AsOf)
	}
}

// A campaign that is taken back keeps out of the lists what it raised.
func TestSetCampaigns_MovesBetweenDays(t *testing.T) {
	b := town()
	b.Build(noon, noon)
	last := &campaigns.Event{Slug: "2025"}
	added := b.SetCampaigns([]*campaigns.Campaign{{Slug: "boat", Name: "Renamed", Event: "2026", Currency: "USD"}, {Slug: "old", Name: "Last year", Event: "2025", Currency: "USD"}},
		last, []*campaigns.Event{last, {Slug: "2026"}}, noon)
	d := b.Build(noon, noon)
	if len(added) != 0 || d.Find("boat").Name != "Renamed" || d.Find("boat").Total.RaisedMinor != 300 {
		t.Errorf("added %v, %+v", added, d.Find("boat"))
	}
	want(t, "listed", slugs(d.LeadersByRaised(9)), "old", "shelter", "school")
	if d.Totals[0].RaisedMinor != 100+200+500 {
		t.Errorf("%v", d.Totals)
	}
}

// Whatever the order of the news, a snapshot is what sorting and summing everything
// anew gives, and no snapshot changes once it was made.
func TestBuild_IsWhatSortingEverythingGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := board.NewBuilder()
		known := map[string]*campaigns.Campaign{}
		totals, walls := map[string]campaigns.Total{}, map[string]*campaigns.Wall{}
		now := noon
		name := rapid.IntRange(0, 14)
		currencyOf := func(n int) money.Currency { return []money.Currency{"USD", "EUR", "JPY"}[n%3] }
		days := []*campaigns.Event{{Slug: "a"}, {Slug: "b"}}
		shown := 0
		type made struct {
			day   *board.Day
			state string
		}
		var history []made
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			n := name.Draw(t, "campaign")
			slug := fmt.Sprintf("c%d", n)
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				c := &campaigns.Campaign{Slug: slug, Name: rapid.SampledFrom([]string{"x", "Y", "é"}).Draw(t, "name"), Currency: currencyOf(n), Rehearsal: n == 7,
					Event: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "day")}
				if begin := rapid.IntRange(0, 9).Draw(t, "begin"); begin > 0 {
					c.StartsAt = noon.Add(time.Duration(begin) * time.Minute)
					c.EndsAt = c.StartsAt.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "long")) * time.Minute)
				}
				known[slug] = c
				shown = rapid.IntRange(0, 1).Draw(t, "shown")
				var all []*campaigns.Campaign
				for _, c := range known {
					all = append(all, c)
				}
				b.SetCampaigns(all, days[shown], days, now)
			case 1, 2:
				v := total(slug, currencyOf(n), rapid.Int64Range(1, 9).Draw(t, "version"), rapid.Int64Range(-3, 9).Draw(t, "raised"))
				if old, ok := totals[slug]; ok && v.Version <= old.Version {
					v = old // the feed never takes one back
				}
				totals[slug] = v
				b.SetTotal(v)
			case 3:
				w := &campaigns.Wall{Campaign: slug, Donors: rapid.Int64Range(0, 5).Draw(t, "donors"), Version: rapid.Int64Range(1, 9).Draw(t, "version")}
				b.SetWall(w)
				if old := walls[slug]; old == nil || w.Version > old.Version {
					walls[slug] = w
				}
			case 4:
				now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
			}
			if rapid.IntRange(0, 2).Draw(t, "build") == 0 {
				continue
			}
			d := b.Build(now, now)
			state := describe(d)
			if anew := fromScratch(known, totals, walls, days, shown, now); anew != state {
				t.Fatalf("built\n%s\nwant\n%s", state, anew)
			}
			history = append(history, made{d, state})
		}
		for _, m := range history {
			if now := describe(m.day); now != m.state {
				t.Fatalf("a snapshot changed from\n%s\nto\n%s", m.state, now)
			}
		}
	})
}

// describe writes everything that readers see.
func describe(d *board.Day) string {
	var b strings.Builder
	for _, sort := range []board.Sort{board.SortRaised, board.SortDonors, board.SortName, board.SortEnding} {
		page, total := d.Search(board.Filter{Sort: sort, Size: board.PageSizeMax})
		fmt.Fprintf(&b, "%s %d:", sort, total)
		for _, e := range page {
			fmt.Fprintf(&b, " %s %d/%d %s", e.Slug, e.Total.RaisedMinor, e.Wall.Donors, e.Phase)
		}
		b.WriteByte('\n')
	}
	totals := slices.Clone(d.Totals)
	slices.SortFunc(totals, func(s, t board.Sum) int { return cmp.Compare(s.Currency, t.Currency) })
	fmt.Fprintln(&b, totals, d.Open, d.Upcoming, d.Closed, d.All, slugs(d.Campaigns))
	return b.String()
}

// fromScratch is what describe gives of a Builder that is told everything at once.
func fromScratch(known map[string]*campaigns.Campaign, totals map[string]campaigns.Total, walls map[string]*campaigns.Wall, days []*campaigns.Event, shown int, now time.Time) string {
	b := board.NewBuilder()
	for _, t := range totals {
		b.SetTotal(t)
	}
	for _, w := range walls {
		b.SetWall(w)
	}
	if len(known) > 0 {
		var all []*campaigns.Campaign
		for _, c := range known {
			all = append(all, c)
		}
		b.SetCampaigns(all, days[shown], days, now)
	}
	d := b.Build(now, now)
	// The naive truth of one order and of the sums.
	listed := slices.Clone(d.Campaigns)
	slices.SortFunc(listed, func(a, b *board.Entry) int {
		return cmp.Or(cmp.Compare(currencyRank(d, a), currencyRank(d, b)), cmp.Compare(b.Total.RaisedMinor, a.Total.RaisedMinor), strings.Compare(a.Slug, b.Slug))
	})
	if !slices.Equal(listed, d.Campaigns) {
		return fmt.Sprintf("not in order: %v", slugs(d.Campaigns))
	}
	sums := map[money.Currency]int64{}
	count := 0
	for _, c := range known {
		if c.Rehearsal || c.Event == days[1-shown].Slug {
			continue
		}
		count++
		sums[c.Currency] += totals[c.Slug].RaisedMinor
	}
	for _, s := range d.Totals {
		if s.RaisedMinor != sums[s.Currency] {
			return fmt.Sprintf("%s: %d, want %d", s.Currency, s.RaisedMinor, sums[s.Currency])
		}
	}
	if count != d.All || len(sums) != len(d.Totals) {
		return fmt.Sprintf("%d campaigns in %d currencies, want %d in %d", d.All, len(d.Totals), count, len(sums))
	}
	return describe(d)
}

func currencyRank(d *board.Day, e *board.Entry) int {
	return slices.IndexFunc(d.Totals, func(s board.Sum) bool { return s.Currency == e.Currency })
}

// city is a day with n campaigns and a total each.
func city(n int) (*board.Builder, []*campaigns.Campaign) {
	b := board.NewBuilder()
	all := make([]*campaigns.Campaign, n)
	for i := range all {
		all[i] = &campaigns.Campaign{Slug: fmt.Sprintf("campaign-%d", i), Name: fmt.Sprintf("New tools for community garden %d", i*7919%n),
			Organisation: fmt.Sprintf("Friends of District %d", i%500), Currency: "USD"}
		b.SetTotal(total(all[i].Slug, "USD", 1, int64(i*104729%1_000_003)))
	}
	b.SetCampaigns(all, nil, nil, noon)
	b.Build(noon, noon)
	return b, all
}

// BenchmarkBoard measures one snapshot after so many of 20,000 campaigns changed.
func BenchmarkBoard(b *testing.B) {
	for _, changed := range []int{1, 200, 2_000, 20_000} {
		b.Run(fmt.Sprintf("changed=%d", changed), func(b *testing.B) {
			const n = 20_000
			builder, all := city(n)
			b.ReportAllocs()
			version := int64(1)
			for b.Loop() {
				version++
				for i := range changed {
					at := (i*7919 + int(version)*31) % n
					builder.SetTotal(total(all[at].Slug, "USD", version, int64((at*104729+int(version)*1000)%1_000_003)))
				}
				builder.Build(noon, noon)
			}
		})
	}
}

// BenchmarkSearch measures a search through 20,000 campaigns.
func BenchmarkSearch(b *testing.B) {
	builder, _ := city(20_000)
	d := builder.Build(noon, noon)
	for _, text := range []string{"", "garden 777", "district 77 tools", "nothing like it"} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Search(board.Filter{Text: text})
			}
		})
	}
}
