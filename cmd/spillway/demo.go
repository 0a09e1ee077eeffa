package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spillway/campaigns"
	campaignsdb "spillway/campaigns/postgres"
)

const (
	// demoLife is how long the demo giving day is open at first, and by how much it
	// is extended.
	demoLife = 365 * 24 * time.Hour
	// demoAhead is how much of it a start leaves at least.
	demoAhead = 30 * 24 * time.Hour
	// demoEvent is the slug of the demo giving day.
	demoEvent = "demo-giving-day"
	// demoCampaign is the campaign that examples give to.
	demoCampaign = "river-school"
)

// demoCampaigns are what donors see on the first start: a spread of causes and of
// goals, in US dollars (goals in cents).
var demoCampaigns = []struct {
	slug, name, organisation string
	goalMinor                int64
}{
	{demoCampaign, "A roof for River School", "River Valley Schools Trust", 25_000_00},
	{"night-shelter", "Warm beds this winter", "Harbour Street Shelter", 60_000_00},
	{"food-bank", "A month of full shelves", "Northside Food Bank", 40_000_00},
	{"lifeboat", "A new engine for the lifeboat", "Saltmarsh Lifeboat Crew", 120_000_00},
	{"animal-rescue", "Vet bills for forty dogs", "Second Chance Animal Rescue", 18_000_00},
	{"community-garden", "Tools and seeds for the garden", "Elm Row Community Garden", 4_500_00},
	{"youth-orchestra", "Instruments on loan", "City Youth Orchestra", 32_000_00},
	{"mountain-rescue", "Radios for every rescuer", "High Peaks Mountain Rescue", 27_500_00},
	{"library-van", "Keep the library van rolling", "Friends of the County Library", 15_000_00},
	{"hospice-nurses", "Nights at home with a nurse", "St Clare's Hospice", 90_000_00},
	{"clean-rivers", "Ten miles of clean river", "Rivers Alive", 50_000_00},
	{"refugee-welcome", "First weeks in a new town", "Open Door Welcome", 22_000_00},
}

// openDemo sees to it that the demo giving day is in the database and open:
// campaigns that are missing are made, and those whose end draws near, or has
// passed, are extended as long as nobody else has set their end.
func openDemo(ctx context.Context, url string, now time.Time) error {
	db, err := campaignsdb.Open(campaignsdb.Config{URL: url, Application: "spillway up"})
	if err != nil {
		return err
	}
	defer db.Close()
	var due []*campaigns.Campaign
	for i := range demoCampaigns {
		d := &demoCampaigns[i]
		c, err := db.Get(ctx, d.slug)
		switch {
		case errors.Is(err, campaigns.ErrUnknown):
			begin := now.UTC().Truncate(time.Hour)
			due = append(due, &campaigns.Campaign{
				Slug: d.slug, Name: d.name, Event: demoEvent, Organisation: d.organisation,
				Currency: "USD", GoalMinor: d.goalMinor, StartsAt: begin, EndsAt: begin.Add(demoLife),
			})
		case err != nil:
			return fmt.Errorf("demo giving day: %w", err)
		default:
			if end, ok := demoEnd(c, now); ok {
				c.EndsAt = end
				due = append(due, c)
			}
		}
	}
	if _, err := db.Put(ctx, due...); err != nil {
		return fmt.Errorf("demo giving day: %w", err)
	}
	return nil
}

// demoEnd returns a later end when the campaign needs one and is still ours: of
// the demo event, and open for a whole number of demoLife, as only this file sets it.
func demoEnd(c *campaigns.Campaign, now time.Time) (end time.Time, ok bool) {
	if c.Event != demoEvent || c.EndsAt.IsZero() || c.EndsAt.After(now.Add(demoAhead)) {
		return time.Time{}, false
	}
	open := c.EndsAt.Sub(c.StartsAt)
	if open <= 0 || open%demoLife != 0 {
		return time.Time{}, false
	}
	for end = c.EndsAt; !end.After(now.Add(demoAhead)); {
		end = end.Add(demoLife)
	}
	return end, true
}
