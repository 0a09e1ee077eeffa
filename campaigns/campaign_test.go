package campaigns_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestPhaseAt_StartIsInsideAndEndIsNot(t *testing.T) {
	day := campaigns.Campaign{StartsAt: noon, EndsAt: noon.Add(time.Hour)}
	open := campaigns.Campaign{StartsAt: noon}
	ever := campaigns.Campaign{}
	for _, c := range []struct {
		campaign campaigns.Campaign
		at       time.Duration
		want     campaigns.Phase
	}{
		{day, -1, campaigns.Upcoming}, {day, 0, campaigns.Open}, {day, time.Hour - 1, campaigns.Open}, {day, time.Hour, campaigns.Closed},
		{open, -1, campaigns.Upcoming}, {open, 100 * 365 * 24 * time.Hour, campaigns.Open}, {ever, 0, campaigns.Open},
	} {
		if got := c.campaign.PhaseAt(noon.Add(c.at)); got != c.want {
			t.Errorf("%v after noon: %v, want %v", c.at, got, c.want)
		}
	}
}

func TestBook(t *testing.T) {
	if b := (&campaigns.Campaign{}).Book(); b != ledger.Live {
		t.Errorf("a campaign is in %v", b)
	}
	if b := (&campaigns.Campaign{Rehearsal: true}).Book(); b != ledger.Rehearsal {
		t.Errorf("a rehearsal is in %v", b)
	}
}

func TestValidSlug(t *testing.T) {
	for slug, want := range map[string]bool{
		"a": true, "river-school": true, "a_b": true, "0": true, strings.Repeat("a", campaigns.SlugBytesMax): true,
		"": false, "-a": false, "a-": false, "_a": false, "A": false, "a.b": false, "a/b": false, "a b": false, "é": false, "a*": false, "a>": false,
		strings.Repeat("a", campaigns.SlugBytesMax+1): false,
	} {
		if got := campaigns.ValidSlug(slug); got != want {
			t.Errorf("%q: %v", slug, got)
		}
	}
}

func TestValidate_SaysEverythingAtOnce(t *testing.T) {
	good := campaigns.Campaign{Slug: "a", Name: "A", Event: "day", Organisation: "Org", Parent: "p", Currency: "USD",
		MinMinor: 5, MaxMinor: 5, StartsAt: noon, EndsAt: noon.Add(1)}
	if err := good.Validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	bad := campaigns.Campaign{Slug: "A", Event: "a b", Parent: "A", Organisation: "x\x00", Currency: "usd", GoalMinor: -1,
		MinMinor: 6, MaxMinor: 5, StartsAt: noon, EndsAt: noon}
	err := bad.Validate()
	if !errors.Is(err, campaigns.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	if faults := strings.Count(err.Error(), campaigns.ErrInvalid.Error()); faults != 9 {
		t.Errorf("%d faults named, want 9: %v", faults, err)
	}
	long := good
	long.Name = strings.Repeat("é", campaigns.NameCharsMax)
	if err := long.Validate(); err != nil {
		t.Errorf("a name of %d characters: %v", campaigns.NameCharsMax, err)
	}
	long.Name += "é"
	if err := long.Validate(); !errors.Is(err, campaigns.ErrInvalid) {
		t.Errorf("a longer one: %v", err)
	}
}

func TestAge_Lag(t *testing.T) {
	for _, c := range []struct {
		asOf time.Time
		want time.Duration
	}{{noon.Add(-time.Second), time.Second}, {noon, 0}, {noon.Add(time.Second), 0}, {time.Time{}, 2 * campaigns.StaleBound}} {
		if got := (campaigns.Age{AsOf: c.asOf}).Lag(noon); got != c.want {
			t.Errorf("as of %v: %v, want %v", c.asOf, got, c.want)
		}
	}
}
