package postgres_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger/postgres"
)

// benchCampaigns is how many campaigns a batch is spread over: more slots to raise
// than a real minute ever had.
const benchCampaigns = 1000

// BenchmarkRecord measures recording on a cluster that syncs, per donation, and
// BenchmarkCopy the ceiling: plain COPY of the same rows into the same tables.
// The sizes are DESIGN.md's.
//
//	go test ./ledger/postgres -bench 'Record|Copy' -benchtime 100x
func BenchmarkRecord(b *testing.B) {
	eachSize(b, func(b *testing.B, db *postgres.DB, _ *pgx.Conn, batch func() []*envelope.Donation) {
		book, lease := leased(b, db)
		for b.Loop() {
			b.StopTimer()
			donations := batch()
			b.StartTimer()
			if _, _, err := book.Record(context.Background(), lease, donations, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCopy(b *testing.B) {
	eachSize(b, func(b *testing.B, _ *postgres.DB, conn *pgx.Conn, batch func() []*envelope.Donation) {
		seq := int64(0)
		for b.Loop() {
			b.StopTimer()
			donations := batch()
			b.StartTimer()
			if err := copyBatch(conn, donations, &seq); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func eachSize(b *testing.B, run func(b *testing.B, db *postgres.DB, conn *pgx.Conn, batch func() []*envelope.Donation)) {
	cluster := pgtest.Durable(b)
	for _, size := range []int{256, 1024, 4096, 8192} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			url := cluster.Database(b)
			db, err := postgres.Open(postgres.Config{URL: url})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			if err := db.Migrate(context.Background()); err != nil {
				b.Fatal(err)
			}
			run(b, db, connect(b, url), func() []*envelope.Donation { return benchBatch(size) })
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "donations/s")
		})
	}
}

func benchBatch(size int) []*envelope.Donation {
	now := time.Now().UTC().Truncate(time.Microsecond)
	batch := make([]*envelope.Donation, size)
	for i := range batch {
		var key [32]byte
		_, _ = rand.Read(key[:])
		d := &envelope.Donation{
			ID: ingest.DeriveID(key[:]), ReceivedAt: now, TokenExpiresAt: now.Add(time.Hour), Source: 7, Currency: "USD",
			ConfirmationToken: "ctoken_1NnQUf2eZvKYlo2CIObdtbnb", Sealed: make([]byte, 120), SealKey: 1, AmountMinor: 5000,
			Lines: []ingest.Line{{Campaign: fmt.Sprint("campaign-", i%benchCampaigns), AmountMinor: 5000}},
		}
		copy(d.Fingerprint[:], key[:])
		batch[i] = d
	}
	return sortByID(batch)
}

// copyBatch is what a loader does that knows nothing is there yet.
func copyBatch(conn *pgx.Conn, donations []*envelope.Donation, seq *int64) error {
	ctx := context.Background()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	first := *seq
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"donations"}, []string{
		"seq", "received_at", "token_expires_at", "amount_minor", "lines_minor", "fee_cover_minor", "source", "seal_key",
		"anonymous", "hide_amount", "id", "fingerprint", "currency", "confirmation_token", "sealed",
	}, pgx.CopyFromSlice(len(donations), func(i int) ([]any, error) {
		d := donations[i]
		*seq++
		return []any{
			*seq, d.ReceivedAt, d.TokenExpiresAt, d.AmountMinor, d.AmountMinor, d.FeeCoverMinor, int64(d.Source), int64(d.SealKey),
			d.Anonymous, d.HideAmount, [16]byte(d.ID), [16]byte(d.Fingerprint), string(d.Currency), d.ConfirmationToken, d.Sealed,
		}, nil
	}))
	if err != nil {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"lines"}, []string{"donation_seq", "amount_minor", "line_no", "campaign"},
		pgx.CopyFromSlice(len(donations), func(i int) ([]any, error) {
			return []any{first + int64(i) + 1, donations[i].AmountMinor, int16(1), donations[i].Lines[0].Campaign}, nil
		}))
	if err != nil {
		return err
	}
	return tx.Commit(ctx)
}
