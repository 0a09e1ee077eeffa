package postgres_test

import (
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger/payments"
	ledgerpostgres "spillway/ledger/postgres"
)

// restore is what `spillway restore` does to the database.
func (b *books) restore(t testing.TB) payments.Restoration {
	t.Helper()
	now := time.Now().UTC()
	if _, err := b.db.Restore(t.Context(), ledgerpostgres.Restore{LostSince: now.Add(-time.Hour), ReplayTo: now}); err != nil {
		t.Fatal(err)
	}
	b.lease = b.newLease(t)
	return b.restoration(t)
}

func (b *books) restoration(t testing.TB) payments.Restoration {
	t.Helper()
	r, err := b.pay.Restoration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *books) endReplay(t testing.TB, most int) int {
	t.Helper()
	given, err := b.pay.EndReplay(t.Context(), b.restoration(t).Epoch, most)
	if err != nil {
		t.Fatal(err)
	}
	return given
}

// claims fills the pace and claims what may be called now.
func (b *books) claims(t testing.TB) map[[16]byte]payments.Charge {
	t.Helper()
	for _, e := range []string{payments.EndpointAll, endpoint} {
		if err := b.pay.SetPace(t.Context(), account, e, ample, "test"); err != nil {
			t.Fatal(err)
		}
	}
	b.exec(t, "UPDATE spillway.pace SET filled_at = clock_timestamp() - interval '1 second'")
	claimed, _, _, err := b.pay.Claim(t.Context(), request(100), bodyOf)
	if err != nil {
		t.Fatal(err)
	}
	all := map[[16]byte]payments.Charge{}
	for _, c := range claimed {
		all[c.Donation] = c
	}
	return all
}

// at is a gift that was accepted at a time, its token good for a while.
func at(received time.Time) *envelope.Donation {
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	d.ReceivedAt, d.TokenExpiresAt = received.UTC().Truncate(time.Microsecond), received.Add(time.Hour).UTC().Truncate(time.Microsecond)
	return d
}

// What was due or under way at the time of the backup, and what the replay brings, is
// called only after the replay, and looked for first: as early as when it was accepted.
// Who gives afterwards waits for nothing of it.
func TestRestore_WhatMayHaveBeenChargedIsLookedForFirst(t *testing.T) {
	b := openBooks(t)
	now := time.Now()
	if r := b.restoration(t); r != (payments.Restoration{}) {
		t.Errorf("never restored: %+v", r)
	}
	due, calling, failed := at(now.Add(-50*time.Minute)), at(now.Add(-40*time.Minute)), at(now.Add(-30*time.Minute))
	b.record(t, due, calling, failed)
	b.expand(t)
	b.exec(t, "UPDATE attempts SET state = 2, params = 'p', calls = 1, first_called_at = now(), claimed_by = 'gone' WHERE donation_id = $1", calling.ID)
	b.apply(t, payments.Fact{Donation: failed.ID, Source: payments.FromCall, At: now, Outcome: &payments.CallOutcome{AttemptNo: 1, Kind: payments.Definite, Reason: payments.Declined}})

	r := b.restore(t)
	if r.Epoch != 2 || r.Replayed || !r.Looking || !r.Charged || !r.WaitingSince.IsZero() || r.LostSince.After(r.RestoredAt) {
		t.Errorf("restored: %+v", r)
	}
	replayed, later := at(now.Add(-20*time.Minute)), at(now.Add(30*time.Minute))
	b.record(t, replayed, later)
	if r := b.restoration(t); r.WaitingSince.IsZero() {
		t.Errorf("recorded and without attempts: %+v", r)
	}
	b.expand(t)
	claimed := b.claims(t)
	if c, ok := claimed[later.ID]; len(claimed) != 1 || !ok || c.LookFirst || !c.FirstCalledAt.IsZero() {
		t.Errorf("during the replay %+v were claimed, want the gift of afterwards", claimed)
	}
	if n := b.number(t, "SELECT count(*) FROM attempts WHERE donation_id = $1 AND state = 5", failed.ID); n != 1 && b.load(t, failed.ID).Attempts[0].State != payments.Failed {
		t.Error("what had failed is no longer so")
	}

	if given := b.endReplay(t, 2); given != 2 {
		t.Errorf("%d attempts were given their turn, 2 at most were to be", given)
	}
	if given := b.endReplay(t, 100); given != 1 {
		t.Errorf("then %d, one was left", given)
	}
	if given := b.endReplay(t, 100); given != 0 {
		t.Errorf("then %d, none was left", given)
	}
	claimed = b.claims(t)
	for name, d := range map[string]*envelope.Donation{"due": due, "calling": calling, "replayed": replayed} {
		c, ok := claimed[d.ID]
		if !ok || !c.LookFirst || !c.FirstCalledAt.Equal(d.ReceivedAt) || c.Canceled {
			t.Errorf("%s: %v %+v, want to be looked for since %v", name, ok, c, d.ReceivedAt)
		}
	}
	if len(claimed) != 3 {
		t.Errorf("%d were claimed", len(claimed))
	}
	// A batch that is expanded after the replay's end waits for nothing.
	late := at(now.Add(-10 * time.Minute))
	b.record(t, late)
	b.expand(t)
	if c, ok := b.claims(t)[late.ID]; !ok || !c.LookFirst {
		t.Errorf("expanded late: %v %+v", ok, c)
	}
	for _, d := range []*envelope.Donation{due, calling, replayed, late} {
		b.apply(t, captured(d, now))
	}
	if r := b.restoration(t); !r.Replayed || r.Looking || !r.WaitingSince.IsZero() {
		t.Errorf("in the end %+v", r)
	}
}

// A donor who had canceled is not charged because of the order in which things are
// replayed: the wish is there before the attempt is called, and a look that proves that
// nothing was charged ends it.
func TestRestore_WhoHadCanceledIsNotCharged(t *testing.T) {
	b := openBooks(t)
	now := time.Now()
	b.restore(t)
	d := at(now.Add(-20 * time.Minute))
	b.record(t, d)
	if r := b.restoration(t); r.Charged {
		t.Error("nobody has charged anything yet")
	}
	b.expand(t)
	if r := b.restoration(t); !r.Charged {
		t.Error("nobody charges")
	}
	b.apply(t, payments.Fact{Donation: d.ID, Source: payments.FromDonor, At: now.Add(-19 * time.Minute), Cancel: &payments.CancelAsked{Request: [16]byte{1}}})
	if s := b.load(t, d.ID).Attempts[0].State; s == payments.Canceled {
		t.Error("canceled before it was looked for: it may have been charged")
	}
	b.endReplay(t, 10)
	c, ok := b.claims(t)[d.ID]
	if !ok || !c.LookFirst || !c.Canceled {
		t.Fatalf("claimed %v, %+v", ok, c)
	}
	b.apply(t, payments.Fact{Donation: d.ID, Source: payments.FromCall, At: now, Outcome: &payments.CallOutcome{AttemptNo: 1, Kind: payments.Retry, NothingDone: true}})
	if s := b.load(t, d.ID).Attempts[0].State; s != payments.Canceled {
		t.Errorf("after a look that found nothing it is %v", s)
	}
}

// Another card, offered after the backup, is taken only when the card before it has
// failed again in the restored books, and is looked for as well.
func TestRestore_AnotherCardWaitsForTheOneBefore(t *testing.T) {
	b := openBooks(t)
	now := time.Now()
	b.restore(t)
	d := at(now.Add(-20 * time.Minute))
	card := payments.Fact{Donation: d.ID, Source: payments.FromDonor, At: now.Add(-10 * time.Minute),
		Card: &payments.CardOffered{Request: [16]byte{1}, Token: "ctoken_2", ExpiresAt: now.Add(time.Hour)}}
	open := func(when string, want int) []payments.Fact {
		t.Helper()
		facts, err := b.pay.Requests(t.Context(), 10)
		if err != nil || len(facts) != want {
			t.Errorf("%s: %d requests, %v; want %d", when, len(facts), err, want)
		}
		return facts
	}
	b.ask(t, &card)
	open("before its donation", 0)
	b.record(t, d)
	open("before its attempt", 0)
	b.expand(t)
	open("before the look", 0)
	b.endReplay(t, 10)
	b.claims(t)
	b.apply(t, payments.Fact{Donation: d.ID, Source: payments.FromCall, At: now,
		Intent: &payments.IntentSeen{AttemptNo: 1, ID: "pi_1", Status: payments.IntentRequiresPaymentMethod, Decline: payments.DeclineGeneric}})
	b.apply(t, open("after the card before was declined", 1)...)
	c, ok := b.claims(t)[d.ID]
	if !ok || c.AttemptNo != 2 || !c.LookFirst || c.Token != "ctoken_2" || !c.FirstCalledAt.Equal(card.At.UTC().Truncate(time.Microsecond)) {
		t.Errorf("the second card is claimed %v, %+v", ok, c)
	}
}

// A refund that was asked for before the restore waits for the capture that it is of.
func TestRestore_ARefundWaitsForItsCapture(t *testing.T) {
	b := openBooks(t)
	d := at(time.Now().Add(-20 * time.Minute))
	b.record(t, d)
	b.expand(t)
	b.restore(t)
	early := refundOf(1, d, 400)
	early.At = time.Now().Add(-10 * time.Minute)
	if got := b.command(t, early); got.Word != payments.CommandNotYet {
		t.Errorf("asked before the restore: %+v", got)
	}
	afterwards := refundOf(2, d, 100)
	afterwards.At = time.Now().Add(30 * time.Minute)
	if got := b.command(t, afterwards); got != refusedFor(payments.RefusedNotCaptured) {
		t.Errorf("asked afterwards: %+v", got)
	}
	b.apply(t, captured(d, time.Now()))
	if got := b.command(t, early); got != done {
		t.Errorf("with its capture: %+v", got)
	}
}

func TestRestore_ARefundOfNothingIsRefusedInTheEnd(t *testing.T) {
	b := openBooks(t)
	d := at(time.Now().Add(-20 * time.Minute))
	b.record(t, d)
	b.expand(t)
	b.restore(t)
	b.exec(t, "ALTER TABLE restores DISABLE TRIGGER restores_only_grow")
	b.exec(t, "UPDATE restores SET restored_at = restored_at - interval '2 hours'")
	early := refundOf(1, d, 400)
	early.At = time.Now().Add(-3 * time.Hour)
	if got := b.command(t, early); got != refusedFor(payments.RefusedNotCaptured) {
		t.Errorf("two hours after the restore: %+v", got)
	}
}
