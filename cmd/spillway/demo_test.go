package main

import (
	"testing"
	"time"

	"spillway/campaigns"
	campaignsdb "spillway/campaigns/postgres"
	"spillway/deploy/onebox/pgtest"
)

func TestOpenDemo_OpensAndExtendsWhatIsStillItsOwn(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	if err := migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, err := campaignsdb.Open(campaignsdb.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	get := func(slug string) *campaigns.Campaign {
		t.Helper()
		c, err := db.Get(t.Context(), slug)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	open := func(now time.Time) {
		t.Helper()
		if err := openDemo(t.Context(), url, now); err != nil {
			t.Fatal(err)
		}
	}
	first := time.Date(2026, 11, 22, 17, 30, 0, 0, time.UTC)
	open(first)
	for _, d := range demoCampaigns {
		if c := get(d.slug); c.PhaseAt(first) != campaigns.Open || c.PhaseAt(first.Add(demoLife-time.Hour)) != campaigns.Open || c.Rehearsal {
			t.Errorf("%s is open from %v to %v", d.slug, c.StartsAt, c.EndsAt)
		} else if c.LegalName == "" || c.TaxNumber == "" || c.Story != demoStories[d.slug] {
			t.Errorf("%s: receipts name %q, %q; story %q", d.slug, c.LegalName, c.TaxNumber, c.Story)
		}
	}
	day := func() *campaigns.Event {
		t.Helper()
		e, err := db.Event(t.Context(), demoEvent)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := day(); e.Name == demoEvent || e.Banner == "" || !e.StartsAt.Before(first) || !e.EndsAt.After(first) {
		t.Errorf("the day is %+v", e)
	}
	for slug := range demoStories {
		get(slug) // every story is of a campaign
	}

	before := get(demoCampaign).Revision
	open(first.Add(time.Hour))
	if got := get(demoCampaign).Revision; got != before {
		t.Errorf("a start an hour later changed a campaign: revision %d, was %d", got, before)
	}

	// An organiser renames one and closes another early.
	renamed, closed := get("lifeboat"), get("food-bank")
	renamed.Name = "Two engines for the lifeboat"
	closed.EndsAt = first.Add(36 * time.Hour)
	if _, err := db.EditEvent(t.Context(), demoEvent, func(e *campaigns.Event) error { e.Banner = "Ours"; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Put(t.Context(), renamed, closed); err != nil {
		t.Fatal(err)
	}
	later := first.Add(2 * demoLife) // long closed
	open(later)
	if c := get(demoCampaign); c.PhaseAt(later) != campaigns.Open || c.PhaseAt(later.Add(demoAhead)) != campaigns.Open {
		t.Errorf("not extended: ends at %v", c.EndsAt)
	}
	if c := get("lifeboat"); c.PhaseAt(later) != campaigns.Open || c.Name != renamed.Name {
		t.Errorf("renamed by an organiser: %q until %v", c.Name, c.EndsAt)
	}
	if c := get("food-bank"); !c.EndsAt.Equal(closed.EndsAt) {
		t.Errorf("closed by an organiser, and now open until %v", c.EndsAt)
	}
	if e := day(); !e.EndsAt.After(later.Add(demoAhead)) || e.Banner != "Ours" {
		t.Errorf("the day is %+v", e)
	}
}

// A data folder of an earlier build has the day by its slug alone, and its campaigns.
func TestOpenDemo_NamesTheDayOfAnEarlierBuild(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	if err := migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, err := campaignsdb.Open(campaignsdb.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	old := &campaigns.Campaign{Slug: demoCampaign, Name: "As it was", Event: demoEvent, Currency: "USD"}
	if _, err := db.Put(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := openDemo(t.Context(), url, time.Now()); err != nil {
		t.Fatal(err)
	}
	if e, err := db.Event(t.Context(), demoEvent); err != nil || e.Name == demoEvent || e.EndsAt.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
	if c, err := db.Get(t.Context(), demoCampaign); err != nil || c.Name != old.Name || !c.EndsAt.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
}
