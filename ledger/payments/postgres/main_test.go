package postgres_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/payments/postgres"
	ledgerdb "spillway/ledger/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// patience bounds a wait for something that takes milliseconds on an idle machine.
const patience = 20 * time.Second

// rig is a migrated database of the test's own, as recording and as payments see it.
type rig struct {
	url    string
	ledger *ledgerdb.DB
	db     *postgres.DB
	*postgres.Book
	book   ledger.Book
	record *ledgerdb.Book
	lease  ledger.Lease
	conn   *pgx.Conn // as a person's, on the book's tables
	offset time.Duration
}

// newRig opens the live book.
func newRig(t testing.TB) *rig { return newRigOf(t, ledger.Live) }

func newRigOf(t testing.TB, book ledger.Book) *rig {
	t.Helper()
	r := &rig{url: pgtest.URL(t), book: book}
	var err error
	if r.ledger, err = ledgerdb.Open(ledgerdb.Config{URL: r.url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.ledger.Close)
	if err := r.ledger.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.record = r.ledger.Book(book)
	r.db = r.another(t)
	r.Book = r.db.Book(book)
	if r.lease, err = r.record.Acquire(t.Context(), "test", time.Hour); err != nil {
		t.Fatal(err)
	}
	if r.conn, err = pgx.Connect(t.Context(), r.url+"&search_path="+book.Schema()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.conn.Close(context.Background()) })
	return r
}

// another opens the database once more, as another process would.
func (r *rig) another(t testing.TB) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(postgres.Config{URL: r.url, ClockOffset: func() time.Duration { return r.offset }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// give records donations, in as many transactions as there are calls.
func (r *rig) give(t testing.TB, donations ...*envelope.Donation) {
	t.Helper()
	sorted := slices.SortedFunc(slices.Values(donations), func(a, b *envelope.Donation) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if _, _, err := r.record.Record(context.Background(), r.lease, sorted, nil); err != nil {
		t.Fatal(err)
	}
}

// exec runs a statement as a person would.
func (r *rig) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := r.conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// count runs a query of one number.
func (r *rig) count(t testing.TB, sql string, args ...any) (n int64) {
	t.Helper()
	if err := r.conn.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// gift is a donation of the key's own ID: one line per campaign, 10.00 each, a
// covered fee of 0.30, a source of its own and a token that lives for an hour.
func gift(key string, campaigns ...string) *envelope.Donation {
	now := time.Now().UTC().Truncate(time.Microsecond)
	hash := sha256.Sum256([]byte(fmt.Sprint(key, campaigns)))
	d := &envelope.Donation{
		ID: ingest.DeriveID([]byte(key)), ReceivedAt: now, TokenExpiresAt: now.Add(time.Hour),
		Source:   uint64(hash[20])<<32 | uint64(hash[21])<<24 | uint64(hash[22])<<16 | uint64(hash[23])<<8 | uint64(hash[24]),
		Currency: "USD", FeeCoverMinor: 30, ConfirmationToken: "ctoken_card_visa",
	}
	d.AmountMinor = d.FeeCoverMinor
	for _, c := range campaigns {
		d.Lines = append(d.Lines, ingest.Line{Campaign: c, AmountMinor: 1000})
		d.AmountMinor += 1000
	}
	copy(d.Fingerprint[:], hash[:])
	return d
}
