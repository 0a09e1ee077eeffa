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

// openDemo sees to it that the demo giving day is in the database and open:
// campaigns that are missing are made, with who receives, and those whose end draws
// near, or has passed, are extended as long as nobody else has set their end. So is
// the day itself. What an organiser has written is left as it is.
func openDemo(ctx context.Context, url string, now time.Time) error {
	db, err := campaignsdb.Open(campaignsdb.Config{URL: url, Application: "spillway up"})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := openDemoDay(ctx, db, now); err != nil {
		return fmt.Errorf("demo giving day: %w", err)
	}
	var due []*campaigns.Campaign
	for i := range demoCampaigns {
		d := &demoCampaigns[i]
		c, err := db.Get(ctx, d.slug)
		switch {
		case errors.Is(err, campaigns.ErrUnknown):
			begin := now.UTC().Truncate(time.Hour)
			if err := putDemoOrganisation(ctx, db, d.organisation); err != nil {
				return fmt.Errorf("demo giving day: %w", err)
			}
			due = append(due, &campaigns.Campaign{
				Slug: d.slug, Name: d.name, Event: demoEvent, Organisation: d.organisation, Story: demoStories[d.slug],
				Currency: "USD", GoalMinor: d.goalMinor, StartsAt: begin, EndsAt: begin.Add(demoLife),
			})
		case err != nil:
			return fmt.Errorf("demo giving day: %w", err)
		default:
			if end, ok := demoEnd(c.StartsAt, c.EndsAt, now); ok && c.Event == demoEvent {
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

// openDemoDay makes the giving day itself, gives the one that an earlier build made
// its name, or extends it.
func openDemoDay(ctx context.Context, db *campaignsdb.Store, now time.Time) error {
	begin := now.UTC().Truncate(time.Hour)
	day := &campaigns.Event{
		Slug: demoEvent, Name: "Harbour County Giving Day", TimeZone: "America/New_York",
		StartsAt: begin, EndsAt: begin.Add(demoLife),
		Banner: "This is a demonstration: cards are played by a simulator, and no money moves.",
	}
	e, err := db.Event(ctx, demoEvent)
	switch {
	case errors.Is(err, campaigns.ErrUnknown):
		return db.PutEvent(ctx, day)
	case err != nil:
		return err
	case e.Name == demoEvent && e.StartsAt.IsZero() && e.EndsAt.IsZero(): // made of its slug, with its campaigns
		return db.PutEvent(ctx, day)
	}
	if end, ok := demoEnd(e.StartsAt, e.EndsAt, now); ok {
		e.EndsAt = end
		return db.PutEvent(ctx, e)
	}
	return nil
}

// putDemoOrganisation makes an organisation unless it is there.
func putDemoOrganisation(ctx context.Context, db *campaignsdb.Store, name string) error {
	_, err := db.Organisation(ctx, name)
	if !errors.Is(err, campaigns.ErrUnknown) {
		return err
	}
	o := demoOrganisations[name]
	return db.PutOrganisation(ctx, &campaigns.Organisation{Name: name, LegalName: o.legalName, TaxNumber: o.taxNumber})
}

// demoEnd returns a later end when one is needed and the times are still ours: open
// for a whole number of demoLife, as only this file sets it.
func demoEnd(starts, ends, now time.Time) (end time.Time, ok bool) {
	if ends.IsZero() || ends.After(now.Add(demoAhead)) {
		return time.Time{}, false
	}
	open := ends.Sub(starts)
	if open <= 0 || open%demoLife != 0 {
		return time.Time{}, false
	}
	for end = ends; !end.After(now.Add(demoAhead)); {
		end = end.Add(demoLife)
	}
	return end, true
}
