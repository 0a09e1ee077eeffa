package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"spillway/campaigns"
	"spillway/campaigns/postgres"
	"spillway/deploy/onebox/pgtest"
	"spillway/ledger"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func open(t *testing.T) (*postgres.Store, string) {
	t.Helper()
	url := pgtest.URL(t)
	s, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, url
}

func school() *campaigns.Campaign {
	return &campaigns.Campaign{
		Slug: "river-school", Name: "River School", Event: "day-2026", Organisation: "River School Trust",
		Currency: "USD", GoalMinor: 5_000_000, MinMinor: 100, MaxMinor: 1_000_000,
		StartsAt: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), EndsAt: time.Date(2026, 11, 23, 8, 0, 0, 123456000, time.UTC),
	}
}

func plain(slug string) *campaigns.Campaign {
	return &campaigns.Campaign{Slug: slug, Name: slug, Currency: "EUR"}
}

func put(t *testing.T, s *postgres.Store, all ...*campaigns.Campaign) int {
	t.Helper()
	n, err := s.Put(t.Context(), all...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMigrate_SeveralAtOnceAndAgain(t *testing.T) {
	s, _ := open(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestPut_GetGivesEveryFieldBack(t *testing.T) {
	s, _ := open(t)
	parent, child := school(), plain("class-3b")
	child.Parent, child.Rehearsal = parent.Slug, false
	if n := put(t, s, child, parent); n != 2 { // the parent comes after its child
		t.Errorf("changed %d, want 2", n)
	}
	for _, want := range []*campaigns.Campaign{parent, child} {
		got, err := s.Get(t.Context(), want.Slug)
		if err != nil {
			t.Fatal(err)
		}
		if got.Revision < 1 {
			t.Errorf("revision %d", got.Revision)
		}
		want.Revision = got.Revision
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", want.Slug, d)
		}
	}
}

func TestGet_Unknown(t *testing.T) {
	s, _ := open(t)
	if _, err := s.Get(t.Context(), "nobody"); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestPut_OnlyAChangeRaisesTheRevision(t *testing.T) {
	s, _ := open(t)
	put(t, s, school(), plain("other"))
	before, err := s.Get(t.Context(), "river-school")
	if err != nil {
		t.Fatal(err)
	}
	if n := put(t, s, school(), plain("other")); n != 0 {
		t.Errorf("the same again changed %d", n)
	}
	if same, _ := s.Get(t.Context(), "river-school"); same.Revision != before.Revision {
		t.Errorf("revision went from %d to %d without a change", before.Revision, same.Revision)
	}
	changed := school()
	changed.EndsAt = time.Time{}
	if n := put(t, s, changed, plain("other")); n != 1 {
		t.Errorf("changed %d, want 1", n)
	}
	after, _ := s.Get(t.Context(), "river-school")
	if after.Revision <= before.Revision || !after.EndsAt.IsZero() {
		t.Errorf("after the change: %+v", after)
	}
}

func TestPut_Refuses(t *testing.T) {
	s, _ := open(t)
	put(t, s, school())
	cases := map[string]struct {
		change func(*campaigns.Campaign)
		want   error
	}{
		"another currency":  {func(c *campaigns.Campaign) { c.Currency = "EUR" }, campaigns.ErrCurrencyKept},
		"another book":      {func(c *campaigns.Campaign) { c.Rehearsal = true }, campaigns.ErrBookKept},
		"unknown parent":    {func(c *campaigns.Campaign) { c.Parent = "nobody" }, campaigns.ErrUnknown},
		"its own parent":    {func(c *campaigns.Campaign) { c.Parent = c.Slug }, campaigns.ErrInvalid},
		"bad slug":          {func(c *campaigns.Campaign) { c.Slug = "River School" }, campaigns.ErrInvalid},
		"no name":           {func(c *campaigns.Campaign) { c.Name = "" }, campaigns.ErrInvalid},
		"NUL in the name":   {func(c *campaigns.Campaign) { c.Name = "a\x00b" }, campaigns.ErrInvalid},
		"unknown currency":  {func(c *campaigns.Campaign) { c.Currency = "XXX" }, campaigns.ErrInvalid},
		"negative goal":     {func(c *campaigns.Campaign) { c.GoalMinor = -1 }, campaigns.ErrInvalid},
		"min above max":     {func(c *campaigns.Campaign) { c.MinMinor = c.MaxMinor + 1 }, campaigns.ErrInvalid},
		"ends as it starts": {func(c *campaigns.Campaign) { c.EndsAt = c.StartsAt }, campaigns.ErrInvalid},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bad := school()
			c.change(bad)
			if _, err := s.Put(t.Context(), plain("bystander"), bad); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if _, err := s.Get(t.Context(), "bystander"); !errors.Is(err, campaigns.ErrUnknown) {
				t.Errorf("the rest was put: %v", err)
			}
		})
	}
	if _, err := s.Put(t.Context(), plain("twice"), plain("twice")); !errors.Is(err, campaigns.ErrInvalid) {
		t.Errorf("a slug twice: %v", err)
	}
}

// The database holds the rules too, for whoever writes to it by another road.
func TestDatabase_RefusesByNamedConstraint(t *testing.T) {
	s, url := open(t)
	put(t, s, school())
	conn := connect(t, url)
	for constraint, statement := range map[string]string{
		"campaigns_slug_kept":            "UPDATE campaigns.campaigns SET slug = 'lake-school'",
		"campaigns_currency_kept":        "UPDATE campaigns.campaigns SET currency = 'EUR'",
		"campaigns_book_kept":            "UPDATE campaigns.campaigns SET rehearsal = true",
		"campaigns_slug_valid":           "INSERT INTO campaigns.campaigns (revision, slug, name, currency) VALUES (99, 'No', 'x', 'USD')",
		"campaigns_revision_key":         "INSERT INTO campaigns.campaigns (revision, slug, name, currency) SELECT revision, 'twin', 'x', 'USD' FROM campaigns.campaigns",
		"campaigns_amounts_not_negative": "UPDATE campaigns.campaigns SET goal_minor = -1",
		"campaigns_end_after_start":      "UPDATE campaigns.campaigns SET ends_at = starts_at",
	} {
		_, err := conn.Exec(t.Context(), statement)
		if got := constraintOf(err); got != constraint {
			t.Errorf("%s: refused by %q (%v)", statement, got, err)
		}
	}
}

func TestList_PagesInOrderOfSlug(t *testing.T) {
	s, _ := open(t)
	var all []*campaigns.Campaign
	for i := range 25 {
		all = append(all, plain(fmt.Sprintf("c%02d", i)))
	}
	put(t, s, all...)
	var got []string
	for after := ""; ; {
		page, err := s.List(t.Context(), after, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, c := range page {
			got = append(got, c.Slug)
		}
		after = page[len(page)-1].Slug
	}
	if len(got) != 25 || !slices.IsSorted(got) {
		t.Errorf("listed %v", got)
	}
}

// Writers commit in any order; a reader that goes on from the last revision it saw
// must end up with the last change of every campaign.
func TestSince_ConcurrentWritersMissNothing(t *testing.T) {
	s, url := open(t)
	const writers, rounds = 6, 30
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for w := range writers {
		own, err := postgres.Open(postgres.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		wg.Go(func() {
			for r := range rounds {
				c := plain(fmt.Sprintf("w%d-%d", w, r%4))
				c.GoalMinor = int64(r + 1)
				if _, err := own.Put(ctx, c); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen := map[string]int64{}
	var revision int64
	for last := false; ; {
		changed, err := s.Since(ctx, revision)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changed {
			if c.Revision <= revision {
				t.Fatalf("revision %d after %d", c.Revision, revision)
			}
			revision = c.Revision
			seen[c.Slug] = c.GoalMinor
		}
		if last && len(changed) == 0 {
			break
		}
		select {
		case <-done:
			last = true
		default:
		}
	}
	all, err := s.List(ctx, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != writers*4 {
		t.Fatalf("%d campaigns", len(all))
	}
	for _, c := range all {
		if seen[c.Slug] != c.GoalMinor {
			t.Errorf("%s: saw %d, is %d", c.Slug, seen[c.Slug], c.GoalMinor)
		}
	}
}

func TestRaiseRevision_LaterChangesAreAbove(t *testing.T) {
	s, _ := open(t)
	put(t, s, plain("a"))
	for _, least := range []int64{1_000_000, 5} { // never back
		if err := s.RaiseRevision(t.Context(), least); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, plain("b"))
	b, err := s.Get(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if b.Revision <= 1_000_000 {
		t.Errorf("revision %d", b.Revision)
	}
}

func TestAddStubs_StandInForWhatGiftsName(t *testing.T) {
	s, url := open(t)
	put(t, s, plain("known"))
	conn := connect(t, url)
	for _, book := range ledger.Books {
		for _, statement := range []string{
			"CREATE SCHEMA " + book.Schema(),
			"CREATE TABLE " + book.Schema() + ".slots (slot int, campaign text, currency text, version bigint)",
			"INSERT INTO " + book.Schema() + ".slots VALUES (1, 'known', 'EUR', 9), (1, 'lost-" + book.String() + "', 'GBP', 2), (2, 'lost-" + book.String() + "', 'USD', 7)",
		} {
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		for again, want := range [][]string{{"lost-" + book.String()}, nil} {
			got, err := s.AddStubs(t.Context(), book)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%v, time %d: %q, want %q", book, again, got, want)
			}
		}
	}
	stubs, err := s.Stubs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(stubs, []string{"lost-live", "lost-rehearsal"}) {
		t.Errorf("stubs %q", stubs)
	}
	if _, err := s.Get(t.Context(), "lost-live"); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("a stub is a campaign: %v", err)
	}
	if changed, _ := s.Since(t.Context(), 0); len(changed) != 1 {
		t.Errorf("%d published, want the known one only", len(changed))
	}
	// The real one replaces its stub, also in the currency that was guessed.
	real := plain("lost-live")
	put(t, s, real)
	if got, err := s.Get(t.Context(), "lost-live"); err != nil || got.Currency != "EUR" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStore_WithoutDatabaseIsUnavailable(t *testing.T) {
	s, err := postgres.Open(postgres.Config{URL: "postgres://127.0.0.1:1/none"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Since(t.Context(), 0); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("since: %v", err)
	}
	if _, err := s.Put(t.Context(), plain("a")); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// constraintOf is the name of the constraint that refused a statement.
func constraintOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.ConstraintName
	}
	return ""
}

// What holds messages back: a campaign that is open, or was until lately, from its opening on.
func TestOldestOpen(t *testing.T) {
	s, _ := open(t)
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	oldest := func(since time.Time, want string) {
		t.Helper()
		got, err := s.OldestOpen(t.Context(), since)
		if err != nil || (got == nil) != (want == "") || got != nil && got.Slug != want {
			t.Errorf("oldest open since %v: %+v, %v; want %q", since, got, err, want)
		}
	}
	oldest(now, "")
	over, open, later, rehearsed := plain("over"), plain("open"), plain("later"), plain("rehearsed")
	over.StartsAt, over.EndsAt = now.Add(-72*time.Hour), now.Add(-24*time.Hour)
	open.StartsAt, open.EndsAt = now.Add(-48*time.Hour), now.Add(time.Hour)
	later.StartsAt = now.Add(time.Hour)
	rehearsed.Rehearsal = true
	put(t, s, over, open, later, rehearsed)
	oldest(now, "open")
	oldest(over.EndsAt, "open") // [start, end): it was closed then
	oldest(over.EndsAt.Add(-time.Second), "over")
	oldest(open.EndsAt, "later")
	put(t, s, plain("for-ever"))
	oldest(now, "for-ever")
}
