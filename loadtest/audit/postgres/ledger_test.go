package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	recorder "spillway/ledger/postgres"
	"spillway/loadtest/audit"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestLedger_ReadsBackWhatTheRecorderWrote writes through the ledger's own
// recorder and reads through the audit's own SQL.
func TestLedger_ReadsBackWhatTheRecorderWrote(t *testing.T) {
	ctx, url := t.Context(), pgtest.URL(t)
	db, err := recorder.Open(recorder.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	received := time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)
	donation := func(key string, lines ...ingest.Line) *envelope.Donation {
		d := &envelope.Donation{ID: ingest.DeriveID([]byte(key)), ReceivedAt: received, TokenExpiresAt: received.Add(time.Hour), Rehearsal: true,
			Source: 1 << 63, Currency: "USD", FeeCoverMinor: 30, AmountMinor: 30, Lines: lines, HideAmount: true, ConfirmationToken: "ctoken_" + key,
			Sealed: []byte("sealed " + key), SealKey: 1<<32 - 1}
		copy(d.Fingerprint[:], "fingerprint of "+key)
		for _, l := range lines {
			d.AmountMinor += l.AmountMinor
		}
		return d
	}
	ours := []*envelope.Donation{
		donation("one", ingest.Line{Campaign: "run-1-a", AmountMinor: 500}),
		donation("basket", ingest.Line{Campaign: "other", AmountMinor: 7}, ingest.Line{Campaign: "run-1-b", AmountMinor: 5}, ingest.Line{Campaign: "run-1-a", AmountMinor: 3}),
	}
	theirs := donation("theirs", ingest.Line{Campaign: "run-2-a", AmountMinor: 1})
	loser := donation("one", ingest.Line{Campaign: "run-1-a", AmountMinor: 501})
	copy(loser.Fingerprint[:], "another print...")
	all := append([]*envelope.Donation{theirs}, ours...)
	slices.SortFunc(all, func(a, b *envelope.Donation) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	book := db.Book(ledger.Rehearsal)
	lease, err := book.Acquire(ctx, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := book.Record(ctx, lease, all, []*envelope.Donation{loser}); err != nil {
		t.Fatal(err)
	}

	l, end, err := Begin(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	var lo, hi ingest.ID
	for i := range hi {
		hi[i] = 0xff
	}
	var got []*audit.Donation
	keep := func(d *audit.Donation) error {
		c := *d
		c.Lines, c.Sealed = slices.Clone(d.Lines), bytes.Clone(d.Sealed)
		got = append(got, &c)
		return nil
	}
	if err := l.Donations(ctx, "run-1-", lo, hi, keep); err != nil {
		t.Fatal(err)
	}
	check := func(d *audit.Donation, want *envelope.Donation) {
		t.Helper()
		var lines int64
		for _, l := range want.Lines {
			lines += l.AmountMinor
		}
		if d.ID != want.ID || d.Fingerprint != want.Fingerprint || !d.ReceivedAt.Equal(want.ReceivedAt) || !d.TokenExpiresAt.Equal(want.TokenExpiresAt) ||
			d.AmountMinor != want.AmountMinor || d.LinesMinor != lines || d.FeeCoverMinor != want.FeeCoverMinor || d.Currency != string(want.Currency) ||
			d.Anonymous != want.Anonymous || d.HideAmount != want.HideAmount || d.ConfirmationToken != want.ConfirmationToken ||
			!bytes.Equal(d.Sealed, want.Sealed) || d.SealKey != want.SealKey || !slices.Equal(d.Lines, want.Lines) {
			t.Errorf("read %+v, wrote %+v", d, want)
		}
	}
	if len(got) != len(ours) {
		t.Fatalf("%d donations of the run, want %d", len(got), len(ours))
	}
	for _, want := range ours {
		i := slices.IndexFunc(got, func(d *audit.Donation) bool { return d.ID == want.ID })
		if i < 0 {
			t.Fatalf("%s is missing", want.ConfirmationToken)
		}
		check(got[i], want)
	}

	got = nil
	id := ours[0].ID
	if err := l.Donations(ctx, "run-1-", id, id, keep); err != nil || len(got) != 1 || got[0].ID != id {
		t.Errorf("range of one: %d, %v", len(got), err)
	}
	got = nil
	if err := l.Find(ctx, []ingest.ID{theirs.ID, ingest.DeriveID([]byte("nobody"))}, keep); err != nil || len(got) != 1 {
		t.Fatalf("found %d, %v", len(got), err)
	}
	check(got[0], theirs)

	var conflicts []audit.Conflict
	if err := l.Conflicts(ctx, lo, hi, func(c audit.Conflict) error { conflicts = append(conflicts, c); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(conflicts) != 1 || conflicts[0] != (audit.Conflict{ID: loser.ID, Fingerprint: loser.Fingerprint}) {
		t.Errorf("conflicts %v", conflicts)
	}
	slots := map[string]string{}
	if err := l.Slots(ctx, "run-1-", func(s campaigns.SlotRow) error {
		slots[s.Campaign] = fmt.Sprint(s.Currency, s.PledgedMinor, s.Donations)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(slots) != 2 || slots["run-1-a"] != "USD503 2" || slots["run-1-b"] != "USD5 1" {
		t.Errorf("slots %v", slots)
	}
	if n, err := Count(ctx, url, "run-1-"); err != nil || n != 3 {
		t.Errorf("counted %d, %v", n, err)
	}

	// A view is of one moment, and what the visitor says goes up.
	other := donation("later", ingest.Line{Campaign: "run-1-a", AmountMinor: 1})
	if _, _, err := book.Record(ctx, lease, []*envelope.Donation{other}, nil); err != nil {
		t.Fatal(err)
	}
	got = nil
	if err := l.Find(ctx, []ingest.ID{other.ID}, keep); err != nil || len(got) != 0 {
		t.Errorf("a view of one moment sees %d of a later one, %v", len(got), err)
	}
	sentinel := errors.New("enough")
	if err := l.Donations(ctx, "run-1-", lo, hi, func(*audit.Donation) error { return sentinel }); !errors.Is(err, sentinel) {
		t.Errorf("visitor's error: %v", err)
	}
}

func TestBegin_NeverQuotesThePassword(t *testing.T) {
	_, _, err := Begin(context.Background(), "postgres://u:secret@[bad")
	if !errors.Is(err, ErrURL) || bytes.Contains([]byte(err.Error()), []byte("secret")) {
		t.Error(err)
	}
}
