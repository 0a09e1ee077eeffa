package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
)

// TestConsole_ChangesAreOnTheBrokerAtOnce: no ledger runs here, and the console itself
// looks once a minute only, so that what arrives sooner came by its word.
func TestConsole_ChangesAreOnTheBrokerAtOnce(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	text, id, sum := credential.NewKey()
	if err := o.users.AddKey(t.Context(), access.Key{ID: id, Name: "test", Scopes: access.SetOf(access.EditCampaigns), CreatedAt: time.Now()}, sum, access.Entry{}); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() {
		watched <- o.link.WatchCampaigns(ctx, func(c *campaigns.Campaign) { heard <- c.Slug }, func() {})
	}()
	defer func() { cancel(); <-watched }()
	for _, slug := range []string{"first", "second"} { // the first may come with the publisher's own first look
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+o.listener.Addr().String()+"/admin/v1/campaigns",
			strings.NewReader(fmt.Sprintf(`{"slug":%q,"name":"A roof","currency":"USD"}`, slug)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+text)
		req.Header.Set("Content-Type", "application/json")
		got, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil || got.StatusCode != 201 {
			t.Fatalf("%d %s, %v", got.StatusCode, body, err)
		}
		deadline := time.After(officePublishEvery / 2)
		for found := false; !found; {
			select {
			case is := <-heard:
				found = is == slug
			case <-deadline:
				t.Fatalf("%s was not published at once", slug)
			}
		}
	}
}
