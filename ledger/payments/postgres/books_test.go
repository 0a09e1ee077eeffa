package postgres_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
	"spillway/ledger/payments/postgres"
	ledgerpostgres "spillway/ledger/postgres"
)

// books is a database of the test's own, with both adapters on it.
type books struct {
	url   string
	db    *ledgerpostgres.DB
	rec   *ledgerpostgres.Book // recording
	paid  *postgres.DB
	pay   *postgres.Book // what is under test
	lease ledger.Lease   // of the live book
	conn  *pgx.Conn      // as the superuser, on the live book
}

func openBooks(t testing.TB) *books {
	t.Helper()
	return openBooksAt(t, pgtest.URL(t))
}

func openBooksAt(t testing.TB, url string) *books {
	t.Helper()
	ctx := context.Background()
	b := &books{url: url}
	var err error
	if b.db, err = ledgerpostgres.Open(ledgerpostgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.db.Close)
	if err := b.db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if b.paid, err = postgres.Open(postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.paid.Close)
	b.rec, b.pay = b.db.Book(ledger.Live), b.paid.Book(ledger.Live)
	b.lease = b.newLease(t)
	if b.conn, err = pgx.Connect(ctx, url+"&search_path=spillway"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.conn.Close(context.Background()) })
	return b
}

func (b *books) newLease(t testing.TB) ledger.Lease {
	t.Helper()
	lease, err := b.rec.Acquire(context.Background(), "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// record records donations, and makes their attempts when make is set.
func (b *books) record(t testing.TB, donations ...*envelope.Donation) {
	t.Helper()
	sorted := slices.SortedFunc(slices.Values(donations), func(x, y *envelope.Donation) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	if _, _, err := b.rec.Record(context.Background(), b.lease, sorted, nil); err != nil {
		t.Fatal(err)
	}
}

// expand makes the attempts of everything recorded.
func (b *books) expand(t testing.TB) {
	t.Helper()
	for {
		made, err := b.pay.Expand(context.Background(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if made == 0 {
			return
		}
	}
}

func (b *books) apply(t testing.TB, facts ...payments.Fact) ([]campaigns.SlotRow, []payments.Outcome) {
	t.Helper()
	rows, outcomes, err := b.pay.Apply(context.Background(), b.lease, facts)
	if err != nil {
		t.Fatal(err)
	}
	return rows, outcomes
}

func (b *books) load(t testing.TB, id [16]byte) payments.Payment {
	t.Helper()
	p, ok, err := b.pay.Load(context.Background(), id)
	if err != nil || !ok {
		t.Fatalf("payment %x: made %v, %v", id, ok, err)
	}
	return p
}

// ask stores the donor's request that a fact carries out, as recording does.
func (b *books) ask(t testing.TB, f *payments.Fact) {
	t.Helper()
	const insert = "INSERT INTO requests (request, donation_id, kind, token, expires_at, received_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"
	switch {
	case f.Card != nil:
		b.exec(t, insert, f.Card.Request, f.Donation, "attempt", f.Card.Token, f.Card.ExpiresAt, f.At)
	case f.Cancel != nil:
		b.exec(t, insert, f.Cancel.Request, f.Donation, "cancellation", "", nil, f.At)
	}
}

// number runs a query of one number on the live book.
func (b *books) number(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	if err := b.conn.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (b *books) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := b.conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// total is the live book's total of a campaign, over all slots.
type total struct{ Pledged, Raised, Donations int64 }

func (b *books) total(t testing.TB, campaign string) (s total) {
	t.Helper()
	err := b.conn.QueryRow(context.Background(), "SELECT coalesce(sum(pledged_minor), 0), coalesce(sum(raised_minor), 0), coalesce(sum(donations), 0) FROM slots WHERE campaign = $1", campaign).
		Scan(&s.Pledged, &s.Raised, &s.Donations)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// owed is minus the balance of a campaign's account: what it raised by the journal.
func (b *books) owed(t testing.TB, campaign string) int64 {
	t.Helper()
	return b.number(t, "SELECT coalesce(-sum(amount_minor), 0)::bigint FROM postings WHERE account = $1", journal.Gifts(campaign))
}

// entries reads the whole journal, slot by slot, and checks every link of its chains.
func (b *books) entries(t testing.TB) []journal.Entry {
	t.Helper()
	rows, err := b.conn.Query(context.Background(), `SELECT slot, n, kind, ref, coalesce(donation_id, '00000000-0000-0000-0000-000000000000'), occurred_at,
		actor, reason, accounts, currencies, amounts, prev, hash FROM entries ORDER BY slot, n`)
	if err != nil {
		t.Fatal(err)
	}
	var all []journal.Entry
	heads := map[int32]journal.Link{}
	var (
		slot                 int32
		n                    int64
		kind                 string
		e                    journal.Entry
		accounts, currencies []string
		amounts              []int64
		prev, hash           []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&slot, &n, &kind, &e.Ref, &e.Donation, &e.OccurredAt, &e.Actor, &e.Reason, &accounts, &currencies, &amounts, &prev, &hash}, func() error {
		entry := e
		entry.Kind, entry.OccurredAt = journal.Kind(kind), e.OccurredAt.UTC()
		for i := range accounts {
			entry.Postings = append(entry.Postings, journal.Posting{Account: accounts[i], Currency: money.Currency(currencies[i]), AmountMinor: amounts[i]})
		}
		if err := journal.Balanced(&entry); err != nil {
			t.Error(err)
		}
		head := heads[slot]
		want := journal.Hash(head.Hash, slot, head.N+1, &entry)
		if n != head.N+1 || !bytes.Equal(prev, head.Hash[:]) || !bytes.Equal(hash, want[:]) {
			t.Errorf("slot %d: entry %d %s is not the link after %d", slot, n, entry.Ref, head.N)
		}
		heads[slot] = journal.Link{N: n, Hash: [32]byte(hash)}
		all = append(all, entry)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for slot, head := range heads {
		if b.number(t, "SELECT count(*) FROM chain_heads WHERE slot = $1 AND n = $2 AND hash = $3", slot, head.N, head.Hash[:]) != 1 {
			t.Errorf("slot %d: the chain's head is not entry %d", slot, head.N)
		}
	}
	return all
}

// census is one number that changes when any row of the payments' tables does.
func (b *books) census(t testing.TB) string {
	t.Helper()
	var s string
	for _, table := range []string{"payments", "attempts", "refunds", "disputes", "processor_events", "requests", "entries", "chain_heads", "slots", "commands", "due_batches"} {
		var n int64
		var versions *string
		err := b.conn.QueryRow(context.Background(), "SELECT count(*), md5(string_agg(xmin::text || ctid::text, ',' ORDER BY ctid)) FROM "+table).Scan(&n, &versions)
		if err != nil {
			t.Fatal(err)
		}
		if versions == nil {
			versions = new(string)
		}
		s += fmt.Sprintf("%s %d %s\n", table, n, *versions)
	}
	return s
}

var giftKeys atomic.Int64

// given is a donation of its own: so much to each campaign, and a covered fee.
func given(fee int64, lines ...ingest.Line) *envelope.Donation {
	now := time.Now().UTC().Truncate(time.Microsecond)
	key := fmt.Sprintf("a gift of the tests, number %d", giftKeys.Add(1))
	d := &envelope.Donation{
		ID: ingest.DeriveID([]byte(key)), ReceivedAt: now, TokenExpiresAt: now.Add(time.Hour), Source: uint64(giftKeys.Load()), Currency: "USD",
		AmountMinor: fee, FeeCoverMinor: fee, ConfirmationToken: "ctoken_card_visa", Lines: lines,
	}
	for _, l := range lines {
		d.AmountMinor += l.AmountMinor
	}
	sum := sha256.Sum256([]byte(key))
	copy(d.Fingerprint[:], sum[:])
	return d
}

// captured is the fact that a donation's whole amount was captured, with its fee.
func captured(d *envelope.Donation, at time.Time) payments.Fact {
	name := hex.EncodeToString(d.ID[:8])
	return payments.Fact{Donation: d.ID, Source: payments.FromCall, At: at, Intent: &payments.IntentSeen{
		AttemptNo: 1, ID: "pi_" + name, Status: payments.IntentSucceeded, AmountMinor: d.AmountMinor, Currency: d.Currency, Charge: "ch_" + name,
		Fee: &payments.FeeSeen{Charge: "ch_" + name, BalanceTransaction: "txn_" + name, FeeMinor: 59, Currency: d.Currency},
	}}
}

// refunded is a refund that the processor made.
func refunded(d *envelope.Donation, id string, minor int64, at time.Time) payments.Fact {
	return payments.Fact{Donation: d.ID, Source: payments.FromWebhook, EventID: "evt_" + id, At: at, Refund: &payments.RefundSeen{
		ID: id, Charge: "ch_" + hex.EncodeToString(d.ID[:8]), AmountMinor: minor, Currency: d.Currency, Status: payments.RefundSucceeded,
	}}
}
