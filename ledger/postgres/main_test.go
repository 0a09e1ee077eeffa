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
	"spillway/ledger/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// patience bounds a wait for something that takes milliseconds on an idle machine.
const patience = 20 * time.Second

// open migrates a database of the test's own.
func open(t testing.TB) (*postgres.DB, string) {
	t.Helper()
	url := pgtest.URL(t)
	db, err := postgres.Open(postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db, url
}

// connect returns a connection that sees the live book's tables, as a person's would.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url+"&search_path=spillway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// count runs a query of one number on the live book.
func count(t testing.TB, url, sql string, args ...any) (n int64) {
	t.Helper()
	if err := connect(t, url).QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// leased returns the live book with a lease on one of its slots.
func leased(t testing.TB, db *postgres.DB) (*postgres.Book, ledger.Lease) {
	t.Helper()
	book := db.Book(ledger.Live)
	lease, err := book.Acquire(t.Context(), "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return book, lease
}

// gift is a donation of the key's own ID, one line per campaign, 10.00 each and a
// covered fee of 0.30.
func gift(key string, campaigns ...string) *envelope.Donation {
	now := time.Now().UTC().Truncate(time.Microsecond)
	d := &envelope.Donation{
		ID: ingest.DeriveID([]byte(key)), ReceivedAt: now, TokenExpiresAt: now.Add(time.Hour),
		Source: 0xfeedfacecafebeef, Currency: "USD", FeeCoverMinor: 30, ConfirmationToken: "ctoken_card_visa",
		Sealed: []byte("sealed bytes of " + key), SealKey: 1<<32 - 1,
	}
	d.AmountMinor = d.FeeCoverMinor
	for _, c := range campaigns {
		d.Lines = append(d.Lines, ingest.Line{Campaign: c, AmountMinor: 1000})
		d.AmountMinor += 1000
	}
	hash := sha256.Sum256([]byte(fmt.Sprint(key, campaigns)))
	copy(d.Fingerprint[:], hash[:])
	return d
}

// gifts are n of them to one campaign, in ID order.
func gifts(prefix string, n int, campaign string) []*envelope.Donation {
	var all []*envelope.Donation
	for i := range n {
		all = append(all, gift(fmt.Sprint(prefix, " number ", i), campaign))
	}
	return sortByID(all)
}

func sortByID(donations []*envelope.Donation) []*envelope.Donation {
	return slices.SortedFunc(slices.Values(donations), func(a, b *envelope.Donation) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}
