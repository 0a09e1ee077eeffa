package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ledger/payments"
	"spillway/ledger/search"
)

// crowd gives donations of many kinds, all of them projected.
func crowd(t *testing.T, r *rig) []ingest.ID {
	t.Helper()
	names := []string{"Ada Lovelace", "Bob O'Brien", "Zoë Müller", "", "Ada Bobson"}
	emails := []string{"ada@example.org", "bob@other.example", "", "zoe.m@example.org"}
	places := [][]string{{"river"}, {"hill"}, {"river", "hill"}, {"sea"}}
	statuses := []string{"", "succeeded", "failed", "canceled", "requires_action", "succeeded", "refunded", "disputed", "part"}
	var ids []ingest.ID
	for i := range 60 {
		g := gift{
			personal: ingest.Personal{Name: names[i%len(names)], Email: emails[i%len(emails)]}, campaigns: places[i%len(places)],
			minor: int64(1000 + 500*(i%7)), anonymous: i%5 == 0, hideAmount: i%6 == 0,
		}
		if i%11 == 0 {
			g.currency, g.minor = "JPY", 50
			g.campaigns = g.campaigns[:1]
		}
		id := r.give(t, g)
		ids = append(ids, id)
		switch status := statuses[i%len(statuses)]; status {
		case "":
		case "refunded", "disputed", "part":
			r.become(t, id, payments.StatusSucceeded)
			r.become(t, id, status)
		default:
			r.become(t, id, status)
		}
		if i%13 == 0 {
			if err := r.Hide(t.Context(), id, search.HideBoth, "organiser"); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.look(t, ids...)
	r.follow(t, 500)
	return ids
}

// fits is what a query means, in the plainest words.
func fits(q *search.Query, row *search.Row) bool {
	in := func(campaign string) bool {
		return slices.ContainsFunc(row.Lines, func(l search.Line) bool { return l.Campaign == campaign })
	}
	switch {
	case len(q.Status) > 0 && !slices.Contains(q.Status, row.Status),
		q.Campaign != "" && (!in(q.Campaign) || q.Campaigns != nil && !slices.Contains(q.Campaigns, q.Campaign)),
		q.Campaigns != nil && !slices.ContainsFunc(q.Campaigns, in),
		q.MinMinor > 0 && row.AmountMinor < q.MinMinor,
		q.MaxMinor > 0 && row.AmountMinor > q.MaxMinor,
		q.Currency != "" && row.Currency != q.Currency,
		!q.From.IsZero() && row.AcceptedAt.Before(q.From),
		!q.To.IsZero() && !row.AcceptedAt.Before(q.To),
		q.Refunded && row.RefundedMinor == 0,
		q.Hidden && row.Hidden == search.HideNone:
		return false
	}
	if strings.TrimSpace(q.Text) == "" {
		return true
	}
	terms := search.ParseText(q.Text)
	switch {
	case terms.ID != nil:
		return row.ID == *terms.ID
	case terms.Processor != "":
		return terms.Processor == row.Intent || terms.Processor == row.Charge || strings.HasPrefix(terms.Processor, "re_"+strings.TrimPrefix(row.Charge, "ch_")+"_") && row.RefundedMinor > 0
	case terms.Amounts != nil:
		return slices.ContainsFunc(terms.Amounts, func(a search.Amounts) bool {
			return a.Minor == row.AmountMinor && slices.Contains(a.Currencies, string(row.Currency))
		})
	}
	words := search.Words(&ingest.Personal{Name: row.Name, Email: row.Email})
	for _, w := range terms.Words {
		if !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, w) }) {
			return false
		}
	}
	return len(terms.Words) > 0
}

func TestList_EveryQueryFindsWhatItMeans(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ids := crowd(t, r)
	var all []search.Row
	if err := r.Each(t.Context(), search.Query{}, func(row *search.Row) error { all = append(all, *row); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(ids) {
		t.Fatalf("%d rows of %d", len(all), len(ids))
	}
	short := strings.ReplaceAll(ids[6].String(), "-", "")[:12] // refunded
	texts := []string{
		"ada", "ADA bob", "o'brien", "muller", "zoe.m@", "bob@other.example", "@example.org", "nobody", "?!", "a",
		"10.00", "50", "25", ids[3].String(), "pi_" + short, "ch_" + short, "re_" + short + "_0", "pi_none", "re_none", "dp_none", ingest.DeriveID([]byte("unknown to all of us")).String(),
	}
	rapid.Check(t, func(t *rapid.T) {
		var q search.Query
		sometimes := func(name string, do func()) {
			if rapid.IntRange(0, 3).Draw(t, name+"?") == 0 {
				do()
			}
		}
		sometimes("text", func() { q.Text = rapid.SampledFrom(texts).Draw(t, "text") })
		sometimes("status", func() { q.Status = rapid.SliceOfN(rapid.SampledFrom(search.Statuses), 1, 3).Draw(t, "status") })
		sometimes("campaign", func() { q.Campaign = rapid.SampledFrom([]string{"river", "hill", "none"}).Draw(t, "campaign") })
		sometimes("grants", func() {
			q.Campaigns = rapid.SliceOfN(rapid.SampledFrom([]string{"river", "hill", "sea"}), 0, 2).Draw(t, "grants")
		})
		sometimes("min", func() { q.MinMinor = rapid.Int64Range(1, 4000).Draw(t, "min") })
		sometimes("max", func() { q.MaxMinor = rapid.Int64Range(max(1, q.MinMinor), 5000).Draw(t, "max") })
		sometimes("currency", func() { q.Currency = currencyOf(rapid.SampledFrom([]string{"USD", "JPY", "EUR"}).Draw(t, "currency")) })
		sometimes("from", func() { q.From = noon.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "from")) * time.Second) })
		sometimes("to", func() { q.To = noon.Add(time.Duration(rapid.IntRange(31, 70).Draw(t, "to")) * time.Second) })
		sometimes("refunded", func() { q.Refunded = true })
		sometimes("hidden", func() { q.Hidden = true })
		q.Newest = rapid.Bool().Draw(t, "newest")

		var want []ingest.ID
		for i := range all {
			if fits(&q, &all[i]) {
				want = append(want, all[i].ID)
			}
		}
		if q.Newest {
			slices.Reverse(want)
		}
		var exported []ingest.ID
		if err := r.Each(context.Background(), q, func(row *search.Row) error {
			exported = append(exported, row.ID)
			for _, l := range row.Lines {
				if q.Campaigns != nil && !slices.Contains(q.Campaigns, l.Campaign) {
					return fmt.Errorf("a line of %s is shown", l.Campaign)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, exported); diff != "" {
			t.Fatalf("export of %+v:\n%s", q, diff)
		}
		q.Limit = rapid.IntRange(1, 9).Draw(t, "limit")
		var listed []ingest.ID
		for pages := 0; ; pages++ {
			if pages > 2*len(all) {
				t.Fatal("pages without end")
			}
			page, err := r.List(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			for i := range page.Rows {
				listed = append(listed, page.Rows[i].ID)
			}
			if len(page.Rows) > q.Limit {
				t.Fatalf("%d rows on a page of %d", len(page.Rows), q.Limit)
			}
			if q.After = page.Next; page.Next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, listed); diff != "" {
			t.Fatalf("list of %+v:\n%s", q, diff)
		}
	})
}

func TestList_RefusesWhatIsNoQuery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.List(t.Context(), search.Query{Limit: -1}); !errors.Is(err, search.ErrQuery) {
		t.Errorf("a page of -1: %v", err)
	}
	for _, q := range []search.Query{{After: "x"}, {Status: []string{"paid"}}} {
		if _, err := r.List(t.Context(), q); !errors.Is(err, search.ErrQuery) {
			t.Errorf("list of %+v: %v", q, err)
		}
		if err := r.Each(t.Context(), q, func(*search.Row) error { return nil }); !errors.Is(err, search.ErrQuery) {
			t.Errorf("export of %+v: %v", q, err)
		}
	}
}

func TestEach_EndsWithItsVisitor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.look(t, r.give(t, gift{}), r.give(t, gift{}))
	enough := errors.New("enough")
	n := 0
	if err := r.Each(t.Context(), search.Query{}, func(*search.Row) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d visits, %v", n, err)
	}
}

func TestWalls_ShowWhatEverybodyMaySee(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ada := ingest.Personal{Name: "Ada", Message: "<b>Go</b>", DedicationKind: ingest.InMemory, DedicationName: "Grace"}
	open := r.give(t, gift{personal: ada, campaigns: []string{"hill", "river"}, minor: 700})
	anonymous := r.give(t, gift{personal: ada, anonymous: true, campaigns: []string{"river"}})
	secret := r.give(t, gift{personal: ada, hideAmount: true, campaigns: []string{"river"}})
	waiting := r.give(t, gift{personal: ada, campaigns: []string{"river"}})
	for _, id := range []ingest.ID{open, anonymous, secret} {
		r.become(t, id, "succeeded")
	}
	r.look(t, open, anonymous, secret, waiting)
	type shown struct{ Campaign, Name, Message, Dedication string }
	of := func(wall string) (all []shown, amounts []int64, version int64) {
		t.Helper()
		walls, err := r.Walls(t.Context(), []string{wall})
		if err != nil || len(walls) != 1 {
			t.Fatalf("%v, %v", walls, err)
		}
		refs := map[string]bool{}
		for _, g := range walls[0].Gifts {
			all = append(all, shown{g.Campaign, g.Name, g.Message, g.Dedication})
			amounts = append(amounts, g.AmountMinor)
			refs[g.Ref] = true
		}
		if len(refs) != len(all) {
			t.Error("refs do not tell gifts apart")
		}
		return all, amounts, walls[0].Version
	}
	grace := "In memory of Grace"
	all, amounts, version := of("river")
	want := []shown{{"river", "Ada", ada.Message, grace}, {"river", "", ada.Message, grace}, {"river", "Ada", ada.Message, grace}}
	if diff := cmp.Diff(want, all); diff != "" || !slices.Equal(amounts, []int64{0, 1000, 1000}) {
		t.Errorf("%s\namounts %v", diff, amounts)
	}
	if all, amounts, _ := of("_day"); len(all) != 3 || all[2].Campaign != "river" || amounts[2] != 1000 {
		t.Errorf("the day shows %v %v, want the largest line", all, amounts)
	}

	if err := r.Hide(t.Context(), open, search.HideName, "organiser"); err != nil {
		t.Fatal(err)
	}
	changed, err := r.ChangedWalls(t.Context(), version, 10)
	if err != nil || len(changed) != 3 {
		t.Errorf("hiding changes %v, %v", changed, err)
	}
	if all, _, _ := of("hill"); all[0] != (shown{"hill", "", ada.Message, grace}) {
		t.Errorf("a hidden name: %+v", all[0])
	}
	if err := r.Hide(t.Context(), open, search.HideMessage, "organiser"); err != nil {
		t.Fatal(err)
	}
	if all, _, _ := of("hill"); all[0] != (shown{"hill", "Ada", "", ""}) {
		t.Errorf("a hidden message: %+v", all[0])
	}
	if err := r.Hide(t.Context(), open, search.HideNone, "organiser"); err != nil {
		t.Fatal(err)
	}
	if all, _, _ := of("hill"); all[0] != (shown{"hill", "Ada", ada.Message, grace}) {
		t.Errorf("nothing hidden: %+v", all[0])
	}
	if err := r.Hide(t.Context(), ingest.DeriveID([]byte("nobody's, of all of us")), search.HideName, "organiser"); !errors.Is(err, search.ErrUnknown) {
		t.Errorf("hide of nobody's: %v", err)
	}

	r.become(t, open, "refunded")
	r.follow(t, 500)
	if all, _, _ := of("river"); len(all) != 2 {
		t.Errorf("a refunded gift stays: %+v", all)
	}
}

func TestWalls_HoldTheNewestOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var ids []ingest.ID
	for range 15 {
		id := r.give(t, gift{})
		r.become(t, id, "succeeded")
		ids = append(ids, id)
	}
	r.look(t, ids...)
	walls, err := r.Walls(t.Context(), []string{"river", "nobody"})
	if err != nil || len(walls) != 1 || len(walls[0].Gifts) != 12 || walls[0].Donors != 15 {
		t.Fatalf("%+v, %v", walls, err)
	}
	if first := walls[0].Gifts[0].Ref; first != r.keys.GiftRef(ids[14]) {
		t.Error("the newest is not the first")
	}
}

func TestStory_TellsEverything(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.give(t, gift{personal: ingest.Personal{Name: "Ada"}, minor: 5000})
	for _, status := range []string{"failed", "accepted", "succeeded", "part", "disputed", "won"} {
		r.become(t, id, status)
	}
	r.look(t, id)
	r.follow(t, 500)
	story, err := r.Story(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if story.Name != "Ada" || story.Status != "succeeded" || story.RefundedMinor != 100 || story.Dispute != "won" || story.RecordedAt.IsZero() {
		t.Errorf("%+v", story.Row)
	}
	if len(story.Attempts) != 2 || story.Attempts[0].State != "failed" || story.Attempts[0].Decline != "insufficient_funds" || story.Attempts[1].State != "succeeded" {
		t.Errorf("attempts %+v", story.Attempts)
	}
	if len(story.Refunds) != 1 || len(story.Disputes) != 1 || story.EventsMissing {
		t.Errorf("%+v", story)
	}
	if len(story.Events) != 2 {
		t.Errorf("events %+v", story.Events)
	}
	sum, kinds := map[string]int64{}, []string{}
	for _, e := range story.Entries {
		kinds = append(kinds, e.Kind)
		for _, p := range e.Postings {
			sum[e.Ref] += p.AmountMinor
		}
	}
	slices.Sort(kinds)
	if !slices.Equal(kinds, []string{"capture", "dispute_opened", "dispute_won", "refund"}) {
		t.Errorf("entries %v", kinds)
	}
	for ref, minor := range sum {
		if minor != 0 {
			t.Errorf("%s is read with a sum of %d", ref, minor)
		}
	}
}

// What a login may do that takes the application's role.
func TestRights_TheProjectionIsWrittenUnderTheApplicationsRole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.look(t, r.give(t, gift{}))
	var mayUpdate, mayWrite bool
	if err := r.conn.QueryRow(t.Context(), "SELECT has_table_privilege('spillway_app', 'spillway.donations', 'UPDATE'), has_table_privilege('spillway_app', 'search.search_states', 'UPDATE')").
		Scan(&mayUpdate, &mayWrite); err != nil || mayUpdate || !mayWrite {
		t.Errorf("may change donations %v, may write the projection %v, %v", mayUpdate, mayWrite, err)
	}
	if err := r.db.Migrate(t.Context()); err != nil {
		t.Errorf("migrating again: %v", err)
	}
}
