package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/campaigns/console/manage/sheet"
	"spillway/ledger/money"
)

func reading(t testing.TB, columns []sheet.Column, file string) *sheet.Reading {
	t.Helper()
	table, err := sheet.Read([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	r, faults := sheet.Match(table, columns)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return r
}

func ground() *Ground {
	return &Ground{
		Event: "day", Currency: "EUR",
		Events: map[string]*campaigns.Event{"day": {Slug: "day", Name: "Day", TimeZone: "Europe/Vienna"}},
		Campaigns: map[string]*campaigns.Campaign{
			"river": {Slug: "river", Name: "River", Event: "day", Currency: "EUR", GoalMinor: 100_00, Revision: 7, LegalName: "River e.V.", Organisation: "River Trust",
				StartsAt: time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC), EndsAt: time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)},
			"test": {Slug: "test", Name: "Test", Currency: "EUR", Rehearsal: true, Revision: 8},
		},
	}
}

func planned(t testing.TB, file string) *Campaigns {
	t.Helper()
	return PlanCampaigns(reading(t, CampaignColumns(), file), ground())
}

func TestPlanCampaigns_NewAndChangedAndUnchanged(t *testing.T) {
	p := planned(t, `Name;Slug;Ziel (egal);Goal;Opens;Closes;Parent
River;river;;;;;
Hügel für Alle;;x;1.234,50;22.11.2026 8:00;22.11.2026;river
`)
	if c := Count(p.Rows); c != (Counts{Rows: 2, New: 1, Unchanged: 1}) {
		t.Fatalf("%+v: %+v", c, p.Rows)
	}
	want := &campaigns.Campaign{Slug: "hugel-fur-alle", Name: "Hügel für Alle", Event: "day", Currency: "EUR", GoalMinor: 123450, Parent: "river",
		StartsAt: time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC), EndsAt: time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)}
	if len(p.Put) != 1 || !reflect.DeepEqual(p.Put[0], want) {
		t.Errorf("%+v", p.Put[0])
	}
	if p.Before.String() != "1 in EUR 100.00" || p.After.String() != "2 in EUR 1334.50" {
		t.Errorf("before %v, after %v", p.Before, p.After)
	}
	p = planned(t, "Name,Slug,Goal,Closes,Organisation\nRiver II,river,-,-,Another\n")
	if p.Rows[0].Outcome != Changed || len(p.Put) != 1 || p.Put[0].Revision != 7 || p.Put[0].GoalMinor != 0 || !p.Put[0].EndsAt.IsZero() || p.Put[0].LegalName != "" {
		t.Fatalf("%+v: %+v", p.Rows[0], p.Put)
	}
	var changed []string
	for _, c := range p.Rows[0].Changes {
		changed = append(changed, c.Field+": "+c.Before+" > "+c.After)
	}
	if got := strings.Join(changed, "\n"); got != "Name: River > River II\nOrganisation: River Trust > Another\nGoal: EUR 100.00 > none\nCloses: 2026-11-23 08:00:00 +01:00 > never" {
		t.Error(got)
	}
}

func TestPlanCampaigns_RefusesWithCellAndReason(t *testing.T) {
	for row, want := range map[string]string{
		"-,,,,,,":                            "name",
		"River,test,,,,,":                    "rehearsal",
		"X,River!,,,,,":                      "write river",
		"X,river,,USD,,,":                    "held in EUR",
		"X,x,,usd,,,":                        "three capital letters",
		"X,x,12.345.6,,,,":                   "odd places",
		"X,x,-5,,,,":                         "below zero",
		"X,x,1.234,,,,":                      "two ways",
		"X,x,#REF!,,,,":                      "formula",
		"X,x,,,3/4/2026,,":                   "two ways",
		"X,x,,,2026-03-29 02:30,,":           "clocks go forward",
		"X,x,,,2026-11-23,2026-11-22,":       "before it opens",
		"X,x,,,,,nowhere":                    "no campaign \"nowhere\"",
		"X,x,,,,,x":                          "belong to itself",
		"日本,,,,,,":                           "none can be made",
		"River?,,,,,,":                       "another campaign's",
		strings.Repeat("x", 201) + ",x,,,,,": "longer than 200",
		",fresh,,,,,":                        "needs a name",
		"X,x,99999999999999999,,,,":          "overflow",
		"X,x,92233720368547000,,,,\nY,y,92233720368547000,,,,": "too large",
	} {
		p := planned(t, "Name,Slug,Goal,Currency,Opens,Closes,Parent\n"+row+"\nGood,good,5,,,,\n")
		if p.Put != nil {
			t.Errorf("%s: something is put", row)
		}
		all, cells := "", true
		for _, r := range p.Rows {
			for _, f := range r.Faults {
				all += f.Reason + "\n"
				cells = cells && f.Cell != "" && f.Column != ""
			}
		}
		if !strings.Contains(all, want) || !cells {
			t.Errorf("%q: %q does not say %q", row, all, want)
		}
		if last := p.Rows[len(p.Rows)-1]; last.Outcome != New {
			t.Errorf("%q: the good row is %+v", row, last)
		}
	}
}

func TestPlanCampaigns_ASlugTwiceAndParentsInACircle(t *testing.T) {
	p := planned(t, "Name,Slug,Parent\nA,a,b\nB,b,c\nC,c,a\nAgain,a,\n")
	for i, says := range []string{"belong to itself", "belong to itself", "belong to itself", "row 2 already"} {
		if len(p.Rows[i].Faults) != 1 || !strings.Contains(p.Rows[i].Faults[0].Reason, says) {
			t.Errorf("%+v", p.Rows[i])
		}
	}
}

// What a plan puts is all that the second plan needs to find nothing to do, whatever the
// file holds; and what is there is never touched by planning.
func TestPlanCampaigns_TheSameFileTwiceChangesNothing(t *testing.T) {
	cell := rapid.SampledFrom([]string{"", "-", "5", "12,50", "1.000", "7.25", "x", "River", "river", "2026-12-01", "2026-12-02 08:00", "46400", "USD", "EUR", "day"})
	rapid.Check(t, func(t *rapid.T) {
		titles := []string{"Name", "Slug", "Goal", "Smallest gift", "Opens", "Closes", "Currency", "Parent", "Giving day"}
		file := strings.Join(titles, ";") + "\n"
		for i := range rapid.IntRange(1, 4).Draw(t, "rows") {
			cells := make([]string, len(titles))
			for j := range cells {
				cells[j] = cell.Draw(t, "cell")
			}
			cells[0], cells[1] = fmt.Sprintf("Name %d", i), rapid.SampledFrom([]string{"", "river", "a", "b"}).Draw(t, "slug")
			file += strings.Join(cells, ";") + "\n"
		}
		table, err := sheet.Read([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		r, faults := sheet.Match(table, CampaignColumns())
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		g := ground()
		before, err := json.Marshal(g.Campaigns)
		if err != nil {
			t.Fatal(err)
		}
		p := PlanCampaigns(r, g)
		if after, _ := json.Marshal(g.Campaigns); string(after) != string(before) {
			t.Fatal("planning changed what is there")
		}
		if n := Count(p.Rows); n.Rows != n.New+n.Changed+n.Unchanged+n.Refused || (n.Refused > 0) != (len(p.Put) == 0 && n.New+n.Changed+n.Refused > 0) {
			t.Fatalf("%+v puts %d", n, len(p.Put))
		}
		g.Campaigns = maps.Clone(g.Campaigns)
		for _, c := range p.Put {
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			g.Campaigns[c.Slug] = c
		}
		if len(p.Put) == 0 {
			return
		}
		if n := Count(PlanCampaigns(r, g).Rows); n.Unchanged != n.Rows {
			t.Fatalf("again: %+v", n)
		}
	})
}

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"A roof for River School": "a-roof-for-river-school", "Café für Alle": "cafe-fur-alle", "St Clare's – Hospice!": "st-clares-hospice",
		"Straße & Łódź": "strasse-and-lodz", "日本": "", "  --  ": "", "2026": "2026", strings.Repeat("long word ", 20): "long-word-long-word-long-word-long-word-long-word-long-word",
	} {
		got := Slug(name)
		if got != want || got != "" && !campaigns.ValidSlug(got) {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func FuzzSlug(f *testing.F) {
	f.Add("Café für Alle")
	f.Fuzz(func(t *testing.T, name string) {
		if s := Slug(name); s != "" && !campaigns.ValidSlug(s) {
			t.Fatalf("%q became %q", name, s)
		}
	})
}

func giftGround() *GiftGround {
	return &GiftGround{Campaigns: ground().Campaigns, Allowed: func(slug string) bool { return slug != "closed" }, Today: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
}

func gifts(t testing.TB, file string) *Gifts {
	t.Helper()
	return PlanGifts(reading(t, GiftColumns(), file), giftGround())
}

const someGifts = `Campaign,Amount,Kind,Cheque number,Date,Donor,Note
river,250.00,Check,100 231,2026-11-20,Ada Example,handed in at the desk
river,10,cash,,2026-11-21,,
river,10,cash,,2026-11-21,,
River,12.5,bank_transfer,ABC/7,,Bob,
`

func TestPlanGifts(t *testing.T) {
	p := gifts(t, someGifts)
	if c := Count(p.Rows); c != (Counts{Rows: 4, New: 4, Warned: 1}) {
		t.Fatalf("%+v: %+v", c, p.Rows)
	}
	if p.Sums.String() != "4 in EUR 282.50" || p.Names[0] != "Ada Example" {
		t.Errorf("%v, %q", p.Sums, p.Names)
	}
	if got := p.Book[0].Reason(); got != "[cheque 100 231; received 2026-11-20] handed in at the desk" {
		t.Error(got)
	}
	if p.Book[3].Received != "2026-11-22" || p.Book[3].Kind != Bank || p.Book[3].Campaign != "river" {
		t.Errorf("%+v", p.Book[3])
	}
	// The same rows in another file, in another order and with others: the same gifts.
	again := gifts(t, "Note,Kind,Date,Campaign,Amount,Reference\n,cash,21.11.2026,river,99,\n,cash,21.11.2026,river,10,\n,cheque,20.11.2026,river,250,100231\n,cash,21.11.2026,river,10.00,\n")
	ids := func(p *Gifts) (all []string) {
		for _, o := range p.Book {
			all = append(all, fmt.Sprintf("%x", o.ID))
		}
		return all
	}
	was := ids(p)
	if len(slices.Compact(slices.Sorted(slices.Values(was)))) != 4 {
		t.Errorf("two gifts are one: %v", was)
	}
	if err := again.Known(func(id [16]byte) bool { return slices.Contains(was, fmt.Sprintf("%x", id)) }); err != nil {
		t.Fatal(err)
	}
	if c := Count(again.Rows); c.Unchanged != 3 || c.New != 1 || len(again.Book) != 1 || again.Book[0].AmountMinor != 9900 || again.Sums.String() != "1 in EUR 99.00" {
		t.Errorf("%+v: %+v", c, again.Book)
	}
	kept, err := json.Marshal(p)
	if err != nil || strings.Contains(string(kept), "Ada") {
		t.Errorf("a donor's name is kept: %s, %v", kept, err)
	}
}

func TestPlanGifts_RefusesAndWarns(t *testing.T) {
	g := giftGround()
	g.Campaigns["closed"] = &campaigns.Campaign{Slug: "closed", Name: "Closed", Currency: "EUR"}
	for row, want := range map[string]string{
		"nowhere,5,cash,,,":                          "no campaign",
		",5,cash,,,":                                 "needs a campaign",
		"test,5,cash,,,":                             "rehearsal",
		"closed,5,cash,,,":                           "may not",
		"river,,cash,,,":                             "needs an amount",
		"river,0,cash,,,":                            "above zero",
		"river,5,stamps,,,":                          "none of cash",
		"river,5,,,,":                                "write cash",
		"river,5,cash,,2026-11-23,":                  "future",
		"river,5,cash,a;b,,":                         "holds one of",
		"river,5,cheque,4242424242424242,,":          "card's number",
		"river,99999999999,cash,,,":                  "more than can be booked",
		"river,5,cash,,," + strings.Repeat("x", 161): "longer",
	} {
		r := reading(t, GiftColumns(), "Campaign,Amount,Kind,Reference,Received,Note\n"+row+"\nriver,5,cash,,,\n")
		p := PlanGifts(r, g)
		if p.Rows[0].Outcome != Refused || p.Book != nil || len(p.Rows[0].Faults) == 0 || !strings.Contains(fmt.Sprint(p.Rows[0].Faults), want) {
			t.Errorf("%q: %+v, want %q", row, p.Rows[0], want)
		}
	}
	p := gifts(t, "Campaign,Amount,Kind,Reference,Received\nriver,5,cheque,7-1,2020-01-01\nriver,6,check,71,\n")
	if all := fmt.Sprint(p.Rows[0].Warnings, p.Rows[1].Warnings); !strings.Contains(all, "more than a year ago") || !strings.Contains(all, "row 2 has the same reference") {
		t.Error(all)
	}
	if book, sums, err := p.Unwarned(); err != nil || len(book) != 0 || sums != nil {
		t.Errorf("%v, %v, %v", book, sums, err)
	}
}

// The journal's words say all that was entered.
func TestReason_ComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &Offline{
			Campaign: "river", AmountMinor: 5, Currency: money.Currency("EUR"), Kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"),
			Reference: rapid.StringMatching(`([A-Za-z0-9é/-][A-Za-z0-9é /-]{0,20}[A-Za-z0-9])?`).Draw(t, "reference"),
			Received:  rapid.SampledFrom([]string{"", "2026-11-20"}).Draw(t, "received"),
			Note:      rapid.StringMatching(`([a-z\]\[;"][a-z \]\[;]{0,20}[a-z])?`).Draw(t, "note"),
		}
		kind, reference, received, note := ParseReason(o.Reason())
		if kind != o.Kind || reference != o.Reference || received != o.Received || note != o.Note {
			t.Fatalf("%q became %q %q %q %q", o.Reason(), kind, reference, received, note)
		}
	})
	if kind, _, _, note := ParseReason("handed in at the desk"); kind != OtherKind || note != "handed in at the desk" {
		t.Errorf("%q %q", kind, note)
	}
}
