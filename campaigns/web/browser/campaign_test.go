package browser

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"spillway/campaigns"
	campaignsdb "spillway/campaigns/postgres"
)

// made numbers the campaigns of this run.
var made atomic.Int64

// newCampaign opens a campaign that no other test gives to, and returns its slug. It is
// named so that a page which takes names for HTML would show it.
func newCampaign(t testing.TB) string {
	t.Helper()
	return campaignUntil(t, time.Now().Add(24*time.Hour))
}

// campaignUntil is newCampaign with an end of its own.
func campaignUntil(t testing.TB, end time.Time) string {
	t.Helper()
	url := visit(t).url
	slug := fmt.Sprintf("test-%d", made.Add(1))
	db, err := campaignsdb.Open(campaignsdb.Config{URL: shared.database, Application: "browser tests"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	end = end.UTC().Truncate(time.Second)
	_, err = db.Put(t.Context(), &campaigns.Campaign{
		Slug: slug, Name: slug + " <b>for all</b>", Event: "demo-giving-day", Organisation: "Friends & <i>Others</i>",
		LegalName: "Friends & Others, Inc.", TaxNumber: "12-3456789",
		Currency: "USD", GoalMinor: 100_000, MinMinor: 100, MaxMinor: 500_000, StartsAt: end.Add(-48 * time.Hour), EndsAt: end,
	})
	if err == nil {
		err = eventually(func() error { return answers(url + "/v1/campaigns/" + slug) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return slug
}
