package charge_test

import (
	"fmt"
	"testing"
	"time"

	"spillway/loadtest/stripesim"
)

// BenchmarkPace charges a backlog for some seconds at a simulator that limits as
// Stripe does, and reports what it carried out a second, how that compares with
// what it allows, and how many calls it refused.
//
//	go test ./ledger/payments/charge -run '^$' -bench Pace -benchtime 1x
func BenchmarkPace(b *testing.B) {
	const lasts = 6 * time.Second
	for _, perSecond := range []int{25, 250} {
		b.Run(fmt.Sprint(perSecond), func(b *testing.B) {
			for range b.N {
				r := newRealRig(b, stripesim.Config{
					Latency: stripesim.Latency{Median: 120 * time.Millisecond, P99: 600 * time.Millisecond},
					Limits:  stripesim.Limits{PerEndpoint: perSecond, PerAccount: 4 * perSecond},
				}, float64(perSecond))
				for range perSecond*int(lasts.Seconds()+3)/500 + 1 {
					r.give(500, "ctoken_card_visa")
				}
				stop := r.start(tillConfig)
				eventually(b, "it has begun", func() bool { return r.sim.Stats().Charges > int64(perSecond) })
				from, began := r.sim.Stats(), time.Now()
				eventually(b, "some seconds of it", func() bool { return time.Since(began) > lasts })
				to, took := r.sim.Stats(), time.Since(began)
				stop()
				rate := float64(to.Charges-from.Charges) / took.Seconds()
				b.ReportMetric(rate, "charges/s")
				b.ReportMetric(rate/float64(perSecond), "of-allowed")
				b.ReportMetric(float64(to.RateLimited-from.RateLimited), "refused")
			}
		})
	}
}
