package httpapi

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"spillway/ingest/problem"
)

type metrics struct {
	refusals    *prometheus.CounterVec
	left, ended prometheus.Counter
}

// newMetrics declares the metrics; reg may be nil.
func newMetrics(a *API, reg prometheus.Registerer) *metrics {
	p := promauto.With(reg)
	p.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "reads_streams_count", Help: "Open streams of totals.",
	}, func() float64 { return float64(a.streams.count()) })
	ends := p.NewCounterVec(prometheus.CounterOpts{
		Name: "reads_streams_ended_total", Help: "Streams of totals that ended, by who ended them.",
	}, []string{"by"})
	return &metrics{
		refusals: p.NewCounterVec(prometheus.CounterOpts{
			Name: "reads_refused_total", Help: "Reads refused, by the problem's code.",
		}, []string{"code"}),
		left: ends.WithLabelValues("viewer"), ended: ends.WithLabelValues("server"),
	}
}

func (m *metrics) refused(kind problem.Kind) { m.refusals.WithLabelValues(kind.Code()).Inc() }

// streamEnded counts a stream's end: the viewer left, or it was ended from here, be
// it that the viewer took no more.
func (m *metrics) streamEnded(left bool) {
	if left {
		m.left.Inc()
	} else {
		m.ended.Inc()
	}
}
