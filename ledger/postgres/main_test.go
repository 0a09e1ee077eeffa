package postgres_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"testing"
	"time"

	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

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

func record(t testing.TB, book *postgres.Book, lease ledger.Lease, donations ...*envelope.Donation) ledger.Counts {
	t.Helper()
	_, counts, err := book.Record(context.Background(), lease, sortByID(donations), nil)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}
