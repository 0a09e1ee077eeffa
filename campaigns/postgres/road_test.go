package postgres_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/campaigns/directory"
	"spillway/campaigns/postgres"
	"spillway/campaigns/publish"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// patience bounds every wait for what happens at once when all is well.
const patience = 30 * time.Second

// road is the whole way from an edit to the front-ends' copies, over a real database
// and a real broker.
type road struct {
	store     *postgres.Store
	publisher *publish.Publisher
	fronts    []*directory.Directory
	broker    *broker.Broker
}

func newRoad(t testing.TB, fronts int) *road {
	t.Helper()
	store, err := postgres.Open(postgres.Config{URL: pgtest.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := brokertest.Start(t)
	r := &road{store: store, broker: server.Connect()}
	if err := r.broker.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	r.publisher = publish.New(publish.Config{}, withoutGifts{store}, r.broker, quiet, nil)
	runs := []func(context.Context) error{r.publisher.Run}
	for range fronts {
		d := directory.New(server.Connect(), nil, quiet, nil)
		r.fronts = append(r.fronts, d)
		runs = append(runs, d.Run)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range runs {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	for _, d := range r.fronts {
		until(t, "a front-end is ready", func() bool { return d.Ready() == nil })
	}
	until(t, "the publisher has looked", func() bool { return r.publisher.Published() == nil })
	return r
}

// withoutGifts is a database that has no ledger beside it.
type withoutGifts struct{ *postgres.Store }

func (withoutGifts) AddStubs(context.Context, ledger.Book) ([]string, error) { return nil, nil }

func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// close ends the campaign at a moment and waits until every front-end knows.
func (r *road) close(t testing.TB, slug string, at time.Time) {
	t.Helper()
	if _, err := r.store.Edit(t.Context(), slug, func(c *campaigns.Campaign) error { c.EndsAt = at; return nil }); err != nil {
		t.Fatal(err)
	}
	r.publisher.Nudge()
	for _, d := range r.fronts {
		until(t, "a front-end knows the end", func() bool { c, ok := d.Find(slug); return ok && c.EndsAt.Equal(at) })
	}
}

func TestRoad_EditsReachEveryFrontEnd(t *testing.T) {
	r := newRoad(t, 3)
	now := time.Now().UTC().Truncate(time.Microsecond)
	school := &campaigns.Campaign{Slug: "river-school", Name: "River School", Event: "day", Organisation: "Trust", Currency: "USD", StartsAt: now.Add(-time.Hour)}
	if _, err := r.store.Put(t.Context(), school); err != nil {
		t.Fatal(err)
	}
	r.close(t, school.Slug, now.Add(2*time.Second))

	// A picture, a story, what receipts say, the giving day: without a nudge they come too.
	key, err := r.store.PutMedia(t.Context(), "image/png", []byte("a picture"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Edit(t.Context(), school.Slug, func(c *campaigns.Campaign) error { c.Story, c.Image = "A story.", key; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.store.PutOrganisation(t.Context(), &campaigns.Organisation{Name: "Trust", LegalName: "The Trust, Inc.", TaxNumber: "12"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.EditEvent(t.Context(), "day", func(e *campaigns.Event) error { e.Banner = "Hello"; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.broker.PublishSwitches(t.Context(), &campaigns.Switches{LiveOff: true, Revision: 1}); err != nil {
		t.Fatal(err)
	}
	want, err := r.store.Get(t.Context(), school.Slug)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.fronts {
		until(t, "a front-end shows the campaign whole", func() bool { c, _ := d.Find(school.Slug); return c != nil && *c == *want })
		until(t, "a front-end shows the day", func() bool { e := d.Event(); return e != nil && e.Banner == "Hello" })
		until(t, "a front-end obeys", func() bool { return d.Switches().LiveOff })
	}
	until(t, "the picture can be had", func() bool {
		_, data, err := r.broker.Media(t.Context(), key)
		return err == nil && string(data) == "a picture"
	})
}

// BenchmarkCloseNow is the time from "close now" in the console until the last of
// three front-ends knows the campaign's new end, which lies two seconds ahead.
func BenchmarkCloseNow(b *testing.B) {
	r := newRoad(b, 3)
	now := time.Now().UTC().Truncate(time.Microsecond)
	if _, err := r.store.Put(b.Context(), plain("a")); err != nil {
		b.Fatal(err)
	}
	var worst time.Duration
	n := 0
	for b.Loop() {
		n++
		before := time.Now()
		r.close(b, "a", now.Add(time.Duration(n)*time.Second))
		worst = max(worst, time.Since(before))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
}
