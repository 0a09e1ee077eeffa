package cache

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	hits, misses, loads, dropped prometheus.Counter
}

// newMetrics declares the metrics; reg may be nil.
func newMetrics(reg prometheus.Registerer) *metrics {
	p := promauto.With(reg)
	return &metrics{
		hits: p.NewCounter(prometheus.CounterOpts{
			Name: "cache_totals_hits_total", Help: "Reads of a total answered by the cache.",
		}),
		misses: p.NewCounter(prometheus.CounterOpts{
			Name: "cache_totals_misses_total", Help: "Reads of a total that the cache did not hold, unknown campaigns included.",
		}),
		loads: p.NewCounter(prometheus.CounterOpts{
			Name: "cache_totals_loads_total", Help: "Loads from the feed's table: misses that came together share one.",
		}),
		dropped: p.NewCounter(prometheus.CounterOpts{
			Name: "cache_totals_dropped_total", Help: "Totals that ristretto did not take; the next read loads them.",
		}),
	}
}
