package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"spillway/ledger/payments"
)

// fill makes so many due attempts at once, one source in a thousand of them greedy:
// it holds every tenth, beyond its share.
func (r *rig) fill(t testing.TB, due int) {
	t.Helper()
	r.exec(t, `INSERT INTO donations (seq, id, fingerprint, received_at, token_expires_at, amount_minor, lines_minor, fee_cover_minor, source, seal_key,
			anonymous, hide_amount, currency, confirmation_token, sealed)
		SELECT n, md5(n::text)::uuid, md5(n::text)::uuid, now(), now() + interval '11 hours' + n * interval '1 millisecond', 5000, 5000, 0,
			CASE WHEN n % 10 = 0 THEN 1 ELSE n END, 0, false, false, 'USD', 'ctoken_card_visa', ''
		FROM generate_series(1, $1::integer) AS n`, due)
	r.exec(t, "INSERT INTO lines (donation_seq, amount_minor, line_no, campaign) SELECT seq, 5000, 1, 'harbour' FROM donations")
	r.exec(t, `INSERT INTO due_batches (donations, count) SELECT array_agg(id ORDER BY id), count(*) FROM donations GROUP BY seq / 4096`)
}

// BenchmarkExpand makes attempts, a thousand in a transaction.
func BenchmarkExpand(b *testing.B) {
	r := newRig(b)
	r.fill(b, 200_000)
	made := 0
	for b.Loop() {
		n, err := r.Expand(context.Background(), 1000)
		if err != nil || n == 0 {
			b.Fatal(n, err)
		}
		made += n
	}
	b.ReportMetric(float64(made)/b.Elapsed().Seconds(), "donations/s")
}

// BenchmarkClaim claims ten at a time of a queue of a hundred thousand, and counts
// the queue at its full length.
func BenchmarkClaim(b *testing.B) {
	r := newRig(b)
	r.pace(b, ample)
	r.fill(b, 100_000)
	r.expand(b)
	began := time.Now()
	if _, err := r.Queue(context.Background(), account, endpoint); err != nil {
		b.Fatal(err)
	}
	counted := time.Since(began)
	claimed := 0
	for b.Loop() {
		got, _, _, err := r.Claim(context.Background(), request(10), bodyOf)
		if err != nil {
			b.Fatal(err)
		}
		claimed += len(got)
	}
	b.ReportMetric(float64(claimed)/b.Elapsed().Seconds(), "claims/s")
	b.ReportMetric(float64(counted.Milliseconds()), "ms/count")
}

// BenchmarkClaimAfterAnOutage claims where thousands of tokens have expired and
// thousands of repeats wait for their time.
func BenchmarkClaimAfterAnOutage(b *testing.B) {
	r := newRig(b)
	r.pace(b, ample)
	r.fill(b, 100_000)
	r.expand(b)
	r.exec(b, "UPDATE attempts SET token_expires_at = now() - interval '1 minute' WHERE source % 3 = 0")
	r.exec(b, "UPDATE attempts SET tier = 3, params = 'p', not_before = now() + interval '1 hour' WHERE source % 3 = 1")
	claimed, expired := 0, []payments.Fact(nil)
	for b.Loop() {
		got, e, _, err := r.Claim(context.Background(), request(10), bodyOf)
		if err != nil {
			b.Fatal(err)
		}
		claimed, expired = claimed+len(got), e
	}
	if len(expired) != 10 {
		b.Fatal(fmt.Sprint(len(expired), " expired"))
	}
	b.ReportMetric(float64(claimed)/b.Elapsed().Seconds(), "claims/s")
}
