package postgres_test

import (
	"fmt"
	"testing"

	"spillway/ingest"
)

// BenchmarkRefresh measures how many donations a second the projector can bring up to
// date when it may work all the time: of donors who give once, and to be paid later.
func BenchmarkRefresh(b *testing.B) {
	const batch = 500
	for _, c := range []struct {
		name      string
		campaigns []string
	}{{"one line", []string{"river"}}, {"seven lines", []string{"a", "b", "c", "d", "e", "f", "g"}}} {
		r := newRig(b)
		var ids []ingest.ID
		more := func() {
			gifts := make([]gift, batch)
			for i := range gifts {
				n := len(ids) + i
				gifts[i] = gift{campaigns: c.campaigns, personal: ingest.Personal{Name: fmt.Sprint("Donor Number", n), Email: fmt.Sprintf("donor-%d@example.org", n)}}
			}
			ids = append(ids, r.giveAll(b, gifts...)...)
		}
		b.Run(c.name+", new", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				more()
				b.StartTimer()
				r.look(b, ids[len(ids)-batch:]...)
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "donations/s")
		})
		b.Run(c.name+", paid", func(b *testing.B) {
			r.exec(b, "INSERT INTO spillway.payments (donation_id, attempt_no, status) SELECT id, 1, 'accepted' FROM spillway.donations")
			r.look(b, ids...)
			at := 0
			for b.Loop() {
				b.StopTimer()
				r.exec(b, "UPDATE spillway.payments SET status = CASE status WHEN 'succeeded' THEN 'refunded' ELSE 'succeeded' END")
				b.StartTimer()
				r.look(b, ids[at:at+batch]...)
				if at += batch; at == len(ids) {
					at = 0
				}
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "donations/s")
		})
		b.Run(c.name+", unchanged", func(b *testing.B) {
			for b.Loop() {
				r.look(b, ids[:batch]...)
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "donations/s")
		})
	}
}
