package live

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	events, writes, walls prometheus.Counter
}

// newMetrics declares the metrics; reg may be nil.
func newMetrics(h *Hub, reg prometheus.Registerer) *metrics {
	p := promauto.With(reg)
	p.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "live_viewers_count", Help: "Viewers who watch a campaign's total, several of them, or the day.",
	}, func() float64 { return float64(h.viewers.Load()) })
	return &metrics{
		events: p.NewCounter(prometheus.CounterOpts{
			Name: "live_events_total", Help: "Totals encoded for viewers, once for all of a campaign.",
		}),
		walls: p.NewCounter(prometheus.CounterOpts{
			Name: "live_walls_total", Help: "Walls encoded for viewers, once for all who see one.",
		}),
		writes: p.NewCounter(prometheus.CounterOpts{
			Name: "live_writes_total", Help: "Events and heartbeats sent to viewers.",
		}),
	}
}
