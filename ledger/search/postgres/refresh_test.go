package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger/money"
	"spillway/ledger/payments"
	"spillway/ledger/search"
	"spillway/ledger/search/postgres"
)

func currencyOf(code string) money.Currency { return money.Currency(code) }

// row returns the only donation that a query finds.
func (r *rig) row(t fataler, q search.Query) search.Row {
	t.Helper()
	page, err := r.List(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Rows) != 1 {
		t.Fatalf("%+v finds %d rows", q, len(page.Rows))
	}
	return page.Rows[0]
}

func TestRefresh_ShowsADonationAsTheLedgerHasIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.give(t, gift{
		personal:  ingest.Personal{Name: "Ada Lovelace", Email: "Ada@Example.org", Message: "Go!", DedicationKind: ingest.InHonor, DedicationName: "Grace"},
		campaigns: []string{"river", "hill"}, minor: 5000,
	})
	r.look(t, id)
	want := search.Row{
		ID: id, AcceptedAt: noon.Add(time.Second), Name: "Ada Lovelace", Email: "Ada@Example.org", AmountMinor: 6000, Currency: "USD", Status: "accepted",
		Lines: []search.Line{{Campaign: "river", AmountMinor: 5000}, {Campaign: "hill", AmountMinor: 1000}}, Message: "Go!", Dedication: "In honor of Grace",
	}
	if diff := cmp.Diff(want, r.row(t, search.Query{})); diff != "" {
		t.Error(diff)
	}
	for _, step := range []struct {
		status, want string
		refunded     int64
	}{
		{"requires_action", "requires_action", 0}, {"failed", "failed", 0}, {"accepted", "accepted", 0}, {"succeeded", "succeeded", 0},
		{"part", "succeeded", 100}, {"refunded", "refunded", 6000},
	} {
		r.become(t, id, step.status)
		r.look(t, id)
		got := r.row(t, search.Query{})
		if got.Status != step.want || got.RefundedMinor != step.refunded {
			t.Errorf("after %s it is %s, %d refunded; want %s, %d", step.status, got.Status, got.RefundedMinor, step.want, step.refunded)
		}
		if got.Status == "failed" && got.Reason != string(payments.Declined) {
			t.Errorf("failed because of %q", got.Reason)
		}
	}
}

func TestRefresh_SaysWhatTheLedgerDoesNotHave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	there, missing := r.give(t, gift{}), ingest.DeriveID([]byte("nobody sent this one"))
	done, err := r.Refresh(t.Context(), []ingest.ID{missing, there, missing})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(search.Refreshed{New: 1, Missing: []ingest.ID{missing}}, done); diff != "" {
		t.Error(diff)
	}
	if _, err := r.Story(t.Context(), missing); !errors.Is(err, search.ErrUnknown) {
		t.Errorf("the story of nobody: %v", err)
	}
}

func TestRefresh_WhatTheTablesRefuseStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.exec(t, "ALTER TABLE search_donations ADD CONSTRAINT test_refuses CHECK (name <> 'Bad')")
	var ids []ingest.ID
	for i := range 7 {
		name := "Good"
		if i == 3 {
			name = "Bad"
		}
		ids = append(ids, r.give(t, gift{personal: ingest.Personal{Name: name}}))
	}
	done, err := r.Refresh(t.Context(), ids)
	if err != nil || done.New != 6 || len(done.Refused) != 1 || done.Refused[0] != ids[3] {
		t.Errorf("%+v, %v", done, err)
	}
	if err := r.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.walk(t, 3)
	if f, err := r.Figures(t.Context()); err != nil || f.Rows != 6 || f.Donors != 6 {
		t.Errorf("walked %+v, %v", f, err)
	}
	strange := r.give(t, gift{personal: ingest.Personal{Name: "N\x00UL", Message: strings.Repeat("ﷺ", 500)}})
	r.look(t, strange)
	if row := r.row(t, search.Query{Text: strange.String()}); row.Name != "NUL" {
		t.Errorf("%q", row.Name)
	}
}

// donors reads a wall's donors.
func (r *rig) donors(t fataler, campaign string) int64 {
	t.Helper()
	walls, err := r.Walls(context.Background(), []string{campaign})
	if err != nil {
		t.Fatal(err)
	}
	if len(walls) == 0 {
		return 0
	}
	return walls[0].Donors
}

func TestDonors_AreDistinctPeopleOfDonationsThatCount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ada := ingest.Personal{Email: "ada@example.org"}
	first := r.give(t, gift{personal: ada, campaigns: []string{"river", "hill"}})
	second := r.give(t, gift{personal: ingest.Personal{Email: " ADA@example.org"}})
	nobody := r.give(t, gift{})
	other := r.give(t, gift{})
	r.look(t, first, second, nobody, other)
	expect := func(when string, day, river, hill int64) {
		t.Helper()
		if d, v, h := r.donors(t, campaigns.DayWall), r.donors(t, "river"), r.donors(t, "hill"); d != day || v != river || h != hill {
			t.Errorf("%s: %d on the day, %d river, %d hill; want %d, %d, %d", when, d, v, h, day, river, hill)
		}
	}
	expect("all four", 3, 3, 1)
	r.become(t, first, "failed")
	r.become(t, nobody, "canceled")
	r.look(t, first, nobody)
	expect("one failed, one canceled", 2, 2, 0)
	r.look(t, first, nobody, second)
	expect("looked at again", 2, 2, 0)
	r.become(t, first, "accepted")
	r.look(t, first)
	expect("another card", 2, 2, 1)
	figures, err := r.Figures(t.Context())
	if err != nil || figures.Donors != 2 || figures.Rows != 4 {
		t.Errorf("figures %+v, %v", figures, err)
	}
}

func TestConflict_TheLoserIsNeverShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.donation(gift{personal: ingest.Personal{Name: "Winner", Email: "winner@example.org"}})
	loser := *d
	loser.Fingerprint[0]++
	loser.Sealed, loser.SealKey = r.keys.Seal(nil, d.ID, &ingest.Personal{Name: "Loser", Email: "loser@example.org"})
	r.recordOne(t, d)
	r.recordOne(t, &loser)
	r.look(t, d.ID)
	r.look(t, d.ID)
	if row := r.row(t, search.Query{}); row.Name != "Winner" {
		t.Errorf("%q is shown", row.Name)
	}
	if page, err := r.List(t.Context(), search.Query{Text: "loser"}); err != nil || len(page.Rows) != 0 {
		t.Errorf("the loser is found: %+v, %v", page.Rows, err)
	}
	if n := r.donors(t, "river"); n != 1 {
		t.Errorf("%d donors", n)
	}
	story, err := r.Story(t.Context(), d.ID)
	if err != nil || len(story.Conflicts) != 1 || story.Conflicts[0].Fingerprint != loser.Fingerprint {
		t.Errorf("conflicts %+v, %v", story, err)
	}
}

// The projection is a function of the ledger: whatever was looked at, in whichever
// order and by whom, in the end it is what a walk through the ledger makes.
func TestProjection_EqualsARebuildAfterAnyInterleaving(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other, err := postgres.Open(postgres.Config{URL: r.url, Keys: r.keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	second := &rig{Store: other.Store(1), conn: r.conn}
	var ids []ingest.ID
	rapid.Check(t, func(t *rapid.T) {
		people := []string{"", "ada@example.org", "bob@example.org", "Ada@example.org"}
		places := [][]string{{"river"}, {"hill"}, {"river", "hill"}, {"sea", "hill", "river"}}
		actions := []string{"succeeded", "failed", "canceled", "requires_action", "accepted", "part", "refunded", "disputed", "won"}
		unseen := []ingest.ID{}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			who := r
			if rapid.Bool().Draw(t, "second") {
				who = second
			}
			switch what := rapid.SampledFrom([]string{"give", "give", "act", "act", "act", "look", "journal", "sweep", "walk"}).Draw(t, "step"); what {
			case "give":
				g := gift{personal: ingest.Personal{Email: rapid.SampledFrom(people).Draw(t, "email")}, campaigns: rapid.SampledFrom(places).Draw(t, "campaigns")}
				id := r.give(t, g)
				ids, unseen = append(ids, id), append(unseen, id)
			case "act":
				if len(ids) > 0 {
					r.become(t, rapid.SampledFrom(ids).Draw(t, "of"), rapid.SampledFrom(actions).Draw(t, "action"))
				}
			case "look":
				if len(ids) > 0 {
					who.look(t, rapid.SliceOfN(rapid.SampledFrom(ids), 1, 4).Draw(t, "ids")...)
				}
			case "journal":
				who.follow(t, 3)
			case "sweep":
				who.sweep(t, 3)
			case "walk":
				who.walk(t, 3)
			}
		}
		// The roads, to their ends: the stream brings every donation at least once.
		r.look(t, unseen...)
		r.follow(t, 500)
		r.sweep(t, 500)
		followed := r.dump(t)
		if err := r.Rebuild(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.walk(t, 500)
		r.follow(t, 500)
		if diff := cmp.Diff(r.dump(t), followed); diff != "" {
			t.Fatalf("rebuilt (-), followed (+):\n%s", diff)
		}
	})
}

func TestBegin_ARestoredLedgerIsProjectedAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.give(t, gift{personal: ingest.Personal{Name: "Ada"}})
	r.become(t, id, "succeeded")
	r.look(t, id)
	r.follow(t, 500)
	if err := r.Hide(t.Context(), id, search.HideName, "organiser"); err != nil {
		t.Fatal(err)
	}
	before, err := r.Walls(t.Context(), []string{"river"})
	if err != nil {
		t.Fatal(err)
	}
	if restored, err := r.Begin(t.Context()); err != nil || restored {
		t.Fatalf("the same ledger: restored %v, %v", restored, err)
	}
	r.exec(t, "UPDATE spillway.installation SET epoch = epoch + 1")
	if restored, err := r.Begin(t.Context()); err != nil || !restored {
		t.Fatalf("another epoch: restored %v, %v", restored, err)
	}
	if f, err := r.Figures(t.Context()); err != nil || f.Rows != 0 || f.AsOf.Unix() != 0 {
		t.Errorf("an empty projection says %+v, %v", f, err)
	}
	r.walk(t, 500)
	r.follow(t, 500)
	after, err := r.Walls(t.Context(), []string{"river"})
	if err != nil || len(after) != 1 || len(after[0].Gifts) != 1 {
		t.Fatalf("%+v, %v", after, err)
	}
	if after[0].Version <= before[0].Version {
		t.Errorf("version %d after %d", after[0].Version, before[0].Version)
	}
	if after[0].Gifts[0].Name != "" {
		t.Error("what was hidden is shown after a rebuild")
	}
}

func TestProgress_PromisesNothingWhileTheLedgerIsWalked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 4 {
		r.give(t, gift{})
	}
	asOf := noon.Add(time.Hour)
	if _, done, err := r.Walk(t.Context(), 3); err != nil || done {
		t.Fatalf("done %v, %v", done, err)
	}
	if err := r.Progress(t.Context(), asOf, 5); err != nil {
		t.Fatal(err)
	}
	if f, err := r.Figures(t.Context()); err != nil || f.AsOf.Unix() != 0 || f.Behind != 5 || f.Rows != 3 {
		t.Errorf("half-way %+v, %v", f, err)
	}
	r.walk(t, 500)
	if err := r.Progress(t.Context(), asOf, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := r.Figures(t.Context()); err != nil || !f.AsOf.Equal(asOf) || f.Rows != 4 {
		t.Errorf("at the end %+v, %v", f, err)
	}
}

func TestLead_OnePerBookAtATime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, second := make(chan struct{}), make(chan struct{})
	release := make(chan struct{})
	ended := make(chan error, 2)
	go func() {
		ended <- r.Lead(ctx, func(context.Context) error { close(first); <-release; return nil })
	}()
	<-first
	go func() {
		ended <- r.Lead(ctx, func(context.Context) error {
			select {
			case <-release:
			default:
				return fmt.Errorf("two lead")
			}
			close(second)
			return nil
		})
	}()
	close(release)
	<-second
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestLead_EndsWithItsSession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	leads := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- r.Lead(ctx, func(ctx context.Context) error { close(leads); <-ctx.Done(); return nil })
	}()
	<-leads
	r.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	if err := <-ended; err == nil || ctx.Err() != nil {
		t.Errorf("a leader without a session: %v", err)
	}
}
