package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"spillway/deploy/onebox/pgtest"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger/payments"
)

// BenchmarkApply drains a prepared backlog of attempts that are being called: a
// capture with its fee for each, two entries and a total moved, on a cluster that
// syncs. The figures are DESIGN.md's.
//
//	go test ./ledger/payments/postgres -run xxx -bench Apply -benchtime 40x
func BenchmarkApply(b *testing.B) {
	cluster := pgtest.Durable(b)
	const campaigns = 1000
	for _, size := range []int{100, 500, 2000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			books := openBooksAt(b, cluster.Database(b))
			backlog := make([][]payments.Fact, b.N)
			for i := range backlog {
				var donations []*envelope.Donation
				for k := range size {
					d := given(0, ingest.Line{Campaign: fmt.Sprint("campaign-", (i*size+k)%campaigns), AmountMinor: 5000})
					donations = append(donations, d)
					backlog[i] = append(backlog[i], captured(d, noon))
				}
				books.record(b, donations...)
			}
			books.expand(b)
			books.exec(b, "UPDATE attempts SET state = 2, params = '\\x70', first_called_at = now(), calls = 1")
			books.exec(b, "VACUUM ANALYZE")
			b.ResetTimer()
			for i := range b.N {
				if _, _, err := books.pay.Apply(context.Background(), books.lease, backlog[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "captures/s")
			if n := books.number(b, "SELECT count(*) FROM entries"); n != int64(2*size*b.N) {
				b.Fatalf("%d entries, want %d", n, 2*size*b.N)
			}
		})
	}
}
