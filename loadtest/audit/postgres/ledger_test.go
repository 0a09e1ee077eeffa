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

	"github.com/jackc/pgx/v5"

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

	readsThePayments(t, ctx, url, ours[0].ID, ours[1].ID)

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

// fellBeforeARestore restores the database between a donation's coming and its fall, and
// takes both back: the fall that is noted is then the second time that it was learnt, and
// totals may have been without the donation since it came.
func fellBeforeARestore(t *testing.T, ctx context.Context, conn *pgx.Conn, url string, declined ingest.ID, fell time.Time) {
	t.Helper()
	var received time.Time
	if err := conn.QueryRow(ctx, "SELECT received_at FROM rehearsal.donations WHERE id = $1", [16]byte(declined)).Scan(&received); err != nil {
		t.Fatal(err)
	}
	restore := func(epoch int64, at time.Time) {
		t.Helper()
		if _, err := conn.Exec(ctx, `INSERT INTO rehearsal.restores (epoch, restored_at, lost_since, replay_to, look_before)
			VALUES ($1, $2, $2, $2, $2)`, epoch, at); err != nil {
			t.Fatal(err)
		}
	}
	want := func(why string, since time.Time) {
		t.Helper()
		l, end, err := Begin(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		check := func(d *audit.Donation) error {
			if d.ID == declined && !d.Payment.FellAt.Equal(since) {
				t.Errorf("%s: fell at %s, want %s", why, d.Payment.FellAt, since)
			}
			return nil
		}
		if err := errors.Join(l.Find(ctx, []ingest.ID{declined}, check), l.Donations(ctx, "run-1-", declined, declined, check)); err != nil {
			t.Fatal(err)
		}
	}
	restore(2, fell.Add(time.Second))
	want("restored after it fell", fell)
	restore(3, received.Add(-time.Second))
	want("restored before it came", fell)
	restore(4, fell.Truncate(time.Second).Add(time.Second-time.Microsecond)) // what the processor tells is of whole seconds
	want("restored in between", received)
}

// readsThePayments gives the first of a run's two donations a capture with an entry,
// and the second a declined attempt, and reads both back.
func readsThePayments(t *testing.T, ctx context.Context, url string, charged, declined ingest.ID) {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	at := time.Date(2026, 11, 22, 12, 0, 1, 0, time.UTC)
	for _, sql := range []string{
		`INSERT INTO rehearsal.payments (donation_id, intent, charge, captured_minor, captured_at, attempt_no, status, lines_refunded)
			VALUES ($1, 'pi_1', 'ch_1', 530, $3, 1, 'succeeded', '{40}'), ($2, 'pi_2', '', 0, NULL, 1, 'failed', NULL)`,
		`INSERT INTO rehearsal.attempts (donation_id, attempt_no, state, source, token, token_expires_at, not_before, changed_at, calls)
			VALUES ($1, 1, 7, 1, 't', $3, $3, $3, 2), ($2, 1, 5, 1, 't', $3, $3, $3, 1)`,
		`INSERT INTO rehearsal.entries (n, slot, occurred_at, donation_id, kind, ref, accounts, currencies, amounts, prev, hash)
			SELECT 1, 1, $3, $1, 'capture', 'capture:ch_1', '{processor:stripe,gifts:run-1-a}', '{USD,USD}', '{530,-530}', decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex')
			WHERE $2::uuid IS NOT NULL`,
	} {
		if _, err := conn.Exec(ctx, sql, [16]byte(charged), [16]byte(declined), at); err != nil {
			t.Fatal(err)
		}
	}
	l, end, err := Begin(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	read := map[ingest.ID]audit.Payment{}
	if err := l.Find(ctx, []ingest.ID{charged, declined}, func(d *audit.Donation) error { read[d.ID] = d.Payment; return nil }); err != nil {
		t.Fatal(err)
	}
	if p := read[charged]; p.Status != "succeeded" || p.Charge != "ch_1" || p.Intent != "pi_1" || p.CapturedMinor != 530 || p.FeeKnown || !p.FellAt.IsZero() || p.Falls != 0 ||
		!slices.Equal(p.RefundedMinor, []int64{40}) || p.LostMinor != nil {
		t.Errorf("charged: %+v", p)
	}
	if p := read[declined]; p.Status != "failed" || p.Charge != "" || !p.FellAt.Equal(at) || p.Falls != 1 || p.RefundedMinor != nil || p.Pledged() {
		t.Errorf("declined: %+v", p)
	}
	fellBeforeARestore(t, ctx, conn, url, declined, at)
	var entries []audit.Entry
	if err := l.(audit.Journal).Entries(ctx, charged, charged, func(e *audit.Entry) error { entries = append(entries, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Ref != "capture:ch_1" || entries[0].Donation != charged || !slices.Equal(entries[0].Amounts, []int64{530, -530}) {
		t.Errorf("entries %+v", entries)
	}
	till := Till{URL: func() (string, error) { return url, nil }}
	defer till.Close()
	c, err := till.State(ctx, "run-1-")
	if err != nil || c.All != 2 || c.Captured != 1 || c.Feeless != 1 || c.Left() != 0 || c.Calls != 3 || c.PerSecond != 0 || time.Since(c.At).Abs() > time.Hour {
		t.Errorf("state %+v, %v", c, err)
	}
	if _, err := conn.Exec(ctx, "UPDATE rehearsal.payments SET status = 'requires_action' WHERE donation_id = $1", [16]byte(declined)); err != nil {
		t.Fatal(err)
	}
	acting, err := till.Acting(ctx, "run-1-")
	if err != nil || len(acting) != 1 || acting[0] != (audit.Acting{Donation: declined, Intent: "pi_2"}) {
		t.Errorf("acting %+v, %v", acting, err)
	}
	if other, err := till.Acting(ctx, "run-2-"); err != nil || len(other) != 0 {
		t.Errorf("another run's: %+v, %v", other, err)
	}
	if c, err := till.State(ctx, "run-2-"); err != nil || c.All != 1 || c.Waiting != 1 {
		t.Errorf("another run's: %+v, %v", c, err)
	}
	// Called and not answered yet: the payment's row does not say so before the outcome.
	for _, sql := range []string{
		"UPDATE rehearsal.payments SET status = 'accepted' WHERE donation_id = $1",
		"UPDATE rehearsal.attempts SET state = 2, params = 'p', first_called_at = now(), claimed_by = 'somebody' WHERE donation_id = $1",
	} {
		if _, err := conn.Exec(ctx, sql, [16]byte(declined)); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := till.State(ctx, "run-1-"); err != nil || c.Calling != 1 || c.Waiting != 0 || c.Acting != 0 || c.Left() != 1 || c.All != 2 {
		t.Errorf("while it is called %+v, %v", c, err)
	}
}

func TestBegin_NeverQuotesThePassword(t *testing.T) {
	_, _, err := Begin(context.Background(), "postgres://u:secret@[bad")
	if !errors.Is(err, ErrURL) || bytes.Contains([]byte(err.Error()), []byte("secret")) {
		t.Error(err)
	}
}
