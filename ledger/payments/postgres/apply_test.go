package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/payments/postgres"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

func TestApply_ACaptureMovesMoneyTotalsAndStateTogether(t *testing.T) {
	b := openBooks(t)
	d := given(30, ingest.Line{Campaign: "river", AmountMinor: 700}, ingest.Line{Campaign: "hill", AmountMinor: 300})
	b.record(t, d)
	b.expand(t)
	rows, outcomes := b.apply(t, captured(d, noon))
	if len(rows) != 2 || rows[0].Campaign != "hill" || rows[0].RaisedMinor != 300 || rows[1].RaisedMinor != 700 || rows[1].PledgedMinor != 700 || rows[1].Version != 2 {
		t.Errorf("rows %+v", rows)
	}
	if o := outcomes[0]; o.Verdict != payments.Applied || o.Status != payments.StatusSucceeded || !o.Changed || o.Donation != d.ID {
		t.Errorf("outcome %+v", o)
	}
	if entries := b.entries(t); len(entries) != 2 || entries[0].Ref[:8] != "capture:" || entries[1].Ref[:4] != "fee:" {
		t.Errorf("entries %+v", entries)
	}
	if got := b.total(t, "river"); got != (total{700, 700, 1}) {
		t.Errorf("total of the river: %+v", got)
	}
	if p := b.load(t, d.ID); !p.CapturedAt.Equal(noon) || p.CapturedMinor != 1030 || p.FeeMinor != 59 || p.Attempts[0].State != payments.Succeeded {
		t.Errorf("payment %+v", p)
	}
}

// A repeat, of a batch whose answer to COMMIT was lost for instance, writes nothing
// at all: no version of any row is another afterwards.
func TestApply_ARepeatedBatchWritesNothing(t *testing.T) {
	b := openBooks(t)
	d, other := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000}), given(7, ingest.Line{Campaign: "river", AmountMinor: 2000})
	b.record(t, d, other)
	b.expand(t)
	b.exec(t, "UPDATE attempts SET state = 2, params = 'p', first_called_at = now() WHERE donation_id = $1", other.ID)
	facts := []payments.Fact{
		captured(d, noon),
		{Donation: d.ID, EventID: "evt_1", Source: payments.FromWebhook, At: noon, Intent: captured(d, noon).Intent},
		refunded(d, "re_1", 400, noon.Add(time.Hour)),
		{Donation: other.ID, Source: payments.FromCall, At: noon, Outcome: &payments.CallOutcome{AttemptNo: 1, Kind: payments.Unknown, NotBefore: noon.Add(time.Minute)}},
	}
	b.apply(t, facts...)
	before := b.census(t)
	rows, outcomes := b.apply(t, facts...)
	if len(rows) != 0 {
		t.Errorf("rows %+v", rows)
	}
	if outcomes[0].Verdict != payments.NoChange || outcomes[1].Verdict != payments.Duplicate || outcomes[2].Verdict != payments.Duplicate {
		t.Errorf("outcomes %+v", outcomes)
	}
	if after := b.census(t); after != before {
		t.Errorf("rows changed:\n%s\nbefore:\n%s", after, before)
	}
	if got := b.total(t, "river"); got.Raised != 600 || b.owed(t, "river") != 600 {
		t.Errorf("river raised %d, the journal owes it %d", got.Raised, b.owed(t, "river"))
	}
	if n := b.number(t, "SELECT count(*) FROM attempts WHERE donation_id = $1 AND not_before = $2 AND state = 2", other.ID, noon.Add(time.Minute)); n != 1 {
		t.Error("the unknown call does not wait until its time")
	}
}

func TestApply_ADonationThatIsNotExpandedYetIsExpanded(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	if _, outcomes := b.apply(t, captured(d, noon)); outcomes[0].Verdict != payments.Applied {
		t.Errorf("outcome %+v", outcomes[0])
	}
	b.expand(t)
	if p := b.load(t, d.ID); len(p.Attempts) != 1 || p.CapturedMinor != 1000 {
		t.Errorf("payment %+v", p)
	}
}

func TestApply_FactsAboutNothingRecordedAreLeftOut(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	early := captured(d, noon)
	early.EventID = "evt_early"
	_, outcomes := b.apply(t, early, payments.Fact{At: noon, Fee: &payments.FeeSeen{Charge: "ch_x"}})
	if outcomes[0].Verdict != payments.NotYet || outcomes[1].Verdict != payments.NotOurs {
		t.Errorf("outcomes %+v", outcomes)
	}
	b.record(t, d)
	if _, outcomes := b.apply(t, early); outcomes[0].Verdict != payments.Applied {
		t.Errorf("once it was there: %+v", outcomes[0])
	}
}

func TestApply_AFencedLeaseWritesNothing(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	b.expand(t)
	before := b.census(t)
	old := b.lease
	old.Term--
	if _, _, err := b.pay.Apply(t.Context(), old, []payments.Fact{captured(d, noon)}); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("error %v", err)
	}
	if after := b.census(t); after != before {
		t.Error("a fenced batch left a trace")
	}
}

// One fact of many that the database refuses is named; nothing is written, those
// before it can be applied, and so can those after it.
func TestApply_NamesTheFactThatIsRefused(t *testing.T) {
	b := openBooks(t)
	var facts []payments.Fact
	for range 13 {
		d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
		b.record(t, d)
		facts = append(facts, captured(d, noon))
	}
	b.expand(t)
	b.apply(t, facts[0])
	stolen := *facts[9].Intent
	stolen.Charge = facts[0].Intent.Charge // booked once already, for another donation
	stolen.Fee = nil
	facts[9].Intent = &stolen
	before := b.census(t)
	_, _, err := b.pay.Apply(t.Context(), b.lease, facts)
	var poison *ledger.PoisonError
	var named *payments.FactError
	if !errors.As(err, &poison) || !errors.As(err, &named) || named.Index != 9 || named.Donation != facts[9].Donation {
		t.Fatalf("error %v", err)
	}
	if after := b.census(t); after != before {
		t.Error("a refused batch left a trace")
	}
	b.apply(t, slices.Delete(slices.Clone(facts), 9, 10)...)
	if got := b.total(t, "river"); got.Raised != 12000 || b.owed(t, "river") != 12000 {
		t.Errorf("raised %d, owed %d", got.Raised, b.owed(t, "river"))
	}
}

// A call's answer and the webhook about the same charge come to two processes at
// once, each with a slot of its own.
func TestApply_TwoProcessesBookAChargeOnce(t *testing.T) {
	b := openBooks(t)
	const processes, gifts = 3, 60
	var facts []payments.Fact
	for range gifts {
		d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
		b.record(t, d)
		facts = append(facts, captured(d, noon), refunded(d, "re_"+d.ID.String(), 250, noon.Add(time.Hour)))
	}
	b.expand(t)
	var wait sync.WaitGroup
	for p := range processes {
		lease := b.newLease(t)
		wait.Go(func() {
			mine := slices.Clone(facts)
			if p%2 == 1 { // the other way round: locks are taken in one order all the same
				slices.Reverse(mine)
			}
			for chunk := range slices.Chunk(mine, 14) {
				for {
					_, _, err := b.pay.Apply(context.Background(), lease, chunk)
					if errors.Is(err, ledger.ErrUnavailable) {
						continue
					}
					if err != nil {
						t.Error(err)
					}
					break
				}
			}
		})
	}
	wait.Wait()
	if entries := b.entries(t); len(entries) != 3*gifts {
		t.Errorf("%d entries, want %d", len(entries), 3*gifts)
	}
	if got := b.total(t, "river"); got != (total{gifts * 1000, gifts * 750, gifts}) || b.owed(t, "river") != gifts*750 {
		t.Errorf("total %+v, owed %d", got, b.owed(t, "river"))
	}
}

// A process that slept through its claim says that its call did nothing, while
// another one makes the same call: the attempt stays on its way.
func TestApply_ASleepersNothingSaysNothing(t *testing.T) {
	b := openBooks(t)
	for calls, want := range map[int]payments.AttemptState{1: payments.Due, 2: payments.Calling} {
		d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
		b.record(t, d)
		b.expand(t)
		b.exec(t, "UPDATE attempts SET state = 2, params = 'p', first_called_at = now(), calls = $2 WHERE donation_id = $1", d.ID, calls)
		b.apply(t, payments.Fact{Donation: d.ID, Source: payments.FromCall, At: noon, Outcome: &payments.CallOutcome{
			AttemptNo: 1, Kind: payments.Retry, NothingDone: true, NotBefore: noon.Add(time.Minute),
		}})
		if at := b.load(t, d.ID).Attempts[0]; at.State != want || at.FirstCalledAt.IsZero() != (want == payments.Due) {
			t.Errorf("claimed %d times: %+v", calls, at)
		}
		left := map[int]int64{1: 0, 2: 2}[calls] // as if never called, or as it was
		if n := b.number(t, "SELECT calls FROM attempts WHERE donation_id = $1", d.ID); n != left {
			t.Errorf("claimed %d times: %d afterwards", calls, n)
		}
	}
}

// Rows that a hand has spoilt are refused, naming the fact, and stop neither the
// process nor the other facts.
func TestApply_SpoiltRowsPoisonTheirOwnFactsOnly(t *testing.T) {
	b := openBooks(t)
	for name, spoil := range map[string]string{
		"attempts gone": "DELETE FROM attempts WHERE donation_id = $1",
		"a refund's lines beyond all sums": `INSERT INTO refunds (refund, donation_id, processor_id, amount_minor, lines, status)
			VALUES ($1::uuid, $1::uuid, 're_of_' || $1::uuid, 100, '{-9000000000000000000,-9000000000000000000}', 'succeeded')`,
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000}, ingest.Line{Campaign: "hill", AmountMinor: 500})
			sound := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
			b.record(t, spoilt, sound)
			b.expand(t)
			b.apply(t, captured(spoilt, noon))
			b.exec(t, spoil, spoilt.ID)
			facts := []payments.Fact{captured(sound, noon), refunded(spoilt, "re_"+spoilt.ID.String(), 250, noon.Add(time.Hour))}
			_, _, err := b.pay.Apply(t.Context(), b.lease, facts)
			var poison *ledger.PoisonError
			var named *payments.FactError
			if !errors.As(err, &poison) || !errors.As(err, &named) || named.Index != 1 || named.Donation != spoilt.ID {
				t.Fatalf("refused with %v", err)
			}
			if _, outcomes := b.apply(t, facts[0]); outcomes[0].Verdict != payments.Applied {
				t.Errorf("the other one: %+v", outcomes[0])
			}
		})
	}
}

// A process whose clock is a day ahead does not put a charge off for a day.
func TestApply_AClockAheadPutsNobodyOff(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	b.expand(t)
	b.exec(t, "UPDATE attempts SET state = 2, params = 'p', first_called_at = now(), calls = 1")
	ahead := time.Now().Add(24 * time.Hour)
	b.apply(t, payments.Fact{Donation: d.ID, Source: payments.FromCall, At: ahead, Outcome: &payments.CallOutcome{
		AttemptNo: 1, Kind: payments.Unknown, NotBefore: ahead.Add(time.Minute),
	}})
	if n := b.number(t, "SELECT count(*) FROM attempts WHERE state = 2 AND not_before BETWEEN now() + interval '1 minute' AND now() + interval '20 minutes'"); n != 1 {
		t.Error("the call waits for longer than anything asks for")
	}
}

// Transactions of one slot about different donations and campaigns meet at the end of
// its chain only: it neither forks nor tears, and none of them has to begin again.
func TestApply_OneSlotsTransactionsFollowEachOther(t *testing.T) {
	b := openBooks(t)
	const writers, batches = 4, 12
	var wait sync.WaitGroup
	for w := range writers {
		var mine []payments.Fact
		for range batches {
			d := given(0, ingest.Line{Campaign: fmt.Sprint("campaign-", w), AmountMinor: 100})
			b.record(t, d)
			b.expand(t)
			mine = append(mine, captured(d, noon))
		}
		wait.Go(func() {
			for i := range mine {
				if _, _, err := b.pay.Apply(context.Background(), b.lease, mine[i:i+1]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if n := len(b.entries(t)); n != 2*writers*batches {
		t.Errorf("%d entries", n)
	}
}

// A rehearsal's money is in tables of its own, and so are its slots and chains.
func TestApply_ARehearsalNeverTouchesTheDonorsBooks(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "drill", AmountMinor: 1})
	d.Rehearsal = true
	rehearsal := b.db.Book(ledger.Rehearsal)
	lease, err := rehearsal.Acquire(t.Context(), "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := rehearsal.Record(t.Context(), lease, []*envelope.Donation{d}, nil); err != nil {
		t.Fatal(err)
	}
	before := b.census(t)
	rows, outcomes, err := b.paid.Book(ledger.Rehearsal).Apply(t.Context(), lease, []payments.Fact{captured(d, noon)})
	if err != nil || len(rows) != 1 || rows[0].RaisedMinor != 1 || outcomes[0].Status != payments.StatusSucceeded {
		t.Fatalf("rows %+v, outcomes %+v, %v", rows, outcomes, err)
	}
	if b.census(t) != before {
		t.Error("the live book changed")
	}
	if n := b.number(t, "SELECT count(*) FROM rehearsal.entries"); n != 2 {
		t.Errorf("%d entries in the rehearsal's journal", n)
	}
	if _, outcomes := b.apply(t, captured(d, noon)); outcomes[0].Verdict != payments.NotYet {
		t.Errorf("in the live book: %+v", outcomes[0])
	}
}

// What a snapshot says of the chain is the last entry that was booked under the lease.
func TestSlots_NameTheLastLink(t *testing.T) {
	b := openBooks(t)
	if _, chain, err := b.rec.Slots(t.Context(), b.lease); err != nil || chain != (campaigns.ChainHead{}) {
		t.Errorf("before anything was booked: %+v, %v", chain, err)
	}
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	b.apply(t, captured(d, noon))
	rows, chain, err := b.rec.Slots(t.Context(), b.lease)
	if err != nil || len(rows) != 1 || rows[0].RaisedMinor != 1000 {
		t.Fatalf("rows %+v, %v", rows, err)
	}
	if n := b.number(t, "SELECT count(*) FROM entries WHERE slot = $1 AND n = $2 AND hash = $3", b.lease.Slot, chain.N, chain.Hash[:]); n != 1 || chain.N != 2 {
		t.Errorf("chain %+v", chain)
	}
}

func TestApply_ADeadDatabaseIsUnavailable(t *testing.T) {
	b := openBooks(t)
	paid, err := postgres.Open(postgres.Config{URL: "postgres://nobody@/nowhere?host=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer paid.Close()
	if _, _, err := paid.Book(ledger.Live).Apply(t.Context(), b.lease, []payments.Fact{{Donation: [16]byte{1}}}); !errors.Is(err, ledger.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestJournal_TheDatabaseRefuses(t *testing.T) {
	b := openBooks(t)
	d := given(0, ingest.Line{Campaign: "river", AmountMinor: 1000})
	b.record(t, d)
	b.expand(t)
	b.apply(t, captured(d, noon))
	const insert = "INSERT INTO entries (n, occurred_at, slot, kind, ref, accounts, currencies, amounts, prev, hash) VALUES "
	zero := "decode(repeat('00', 32), 'hex')"
	for name, c := range map[string]struct{ sql, rule string }{
		"an update":            {"UPDATE entries SET amounts = amounts", "23001"},
		"a delete":             {"DELETE FROM entries WHERE false", "23001"},
		"a truncate":           {"TRUNCATE entries", "23001"},
		"a command's edit":     {"UPDATE commands SET outcome = 'done'", "23001"},
		"off by one":           {insert + "(9, now(), 9, 'capture', 'x', '{a,b}', '{USD,USD}', '{5,-4}', " + zero + ", " + zero + ")", "entries_balanced"},
		"off in three":         {insert + "(9, now(), 9, 'capture', 'x', '{a,b,c}', '{USD,USD,USD}', '{5,-4,-2}', " + zero + ", " + zero + ")", "entries_balanced"},
		"two currencies":       {insert + "(9, now(), 9, 'capture', 'x', '{a,b}', '{USD,EUR}', '{5,-5}', " + zero + ", " + zero + ")", "entries_balanced"},
		"four of them":         {insert + "(9, now(), 9, 'capture', 'x', '{a,b,c,d}', '{USD,EUR,USD,EUR}', '{5,-5,-4,4}', " + zero + ", " + zero + ")", "entries_balanced"},
		"a sum that wraps":     {insert + "(9, now(), 9, 'capture', 'x', '{a,b,c}', '{USD,USD,USD}', '{9223372036854775807,9223372036854775807,2}', " + zero + ", " + zero + ")", "entries_balanced"},
		"one posting":          {insert + "(9, now(), 9, 'capture', 'x', '{a}', '{USD}', '{5}', " + zero + ", " + zero + ")", "entries_"},
		"an empty posting":     {insert + "(9, now(), 9, 'capture', 'x', '{a,b}', '{USD,USD}', '{0,0}', " + zero + ", " + zero + ")", "entries_no_zero"},
		"a posting of NULL":    {insert + "(9, now(), 9, 'capture', 'x', '{a,b,c}', '{USD,USD,USD}', '{5,-5,NULL}', " + zero + ", " + zero + ")", "entries_no_null"},
		"no currency":          {insert + "(9, now(), 9, 'capture', 'x', '{a,b}', '{NULL,NULL}', '{5,-5}', " + zero + ", " + zero + ")", "entries_no_null"},
		"more accounts":        {insert + "(9, now(), 9, 'capture', 'x', '{a,b,c}', '{USD,USD}', '{5,-5}', " + zero + ", " + zero + ")", "entries_postings_match"},
		"a short hash":         {insert + "(9, now(), 9, 'capture', 'x', '{a,b}', '{USD,USD}', '{5,-5}', " + zero + ", '\\x00')", "entries_hash_length"},
		"a fork":               {insert + "(1, now(), 1, 'capture', 'x', '{a,b}', '{USD,USD}', '{5,-5}', " + zero + ", " + zero + ")", "entries_pkey"},
		"a movement once more": {insert + "(9, now(), 9, 'capture', (SELECT min(ref) FROM entries), '{a,b}', '{USD,USD}', '{5,-5}', " + zero + ", " + zero + ")", "entries_ref_once"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.conn.Exec(t.Context(), c.sql)
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || pg.Code != c.rule && !(len(pg.ConstraintName) >= len(c.rule) && pg.ConstraintName[:len(c.rule)] == c.rule) {
				t.Errorf("error %v, want %s", err, c.rule)
			}
		})
	}
}
