package feed

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"spillway/ledger"
)

type metrics struct {
	frames         *prometheus.CounterVec
	snapshots      *prometheus.CounterVec
	snapshotErrors prometheus.Counter
	rendered       prometheus.Counter
}

// newMetrics declares the metrics; reg may be nil.
func newMetrics(f *Feed, reg prometheus.Registerer) *metrics {
	p := promauto.With(reg)
	for _, b := range ledger.Books {
		labels := prometheus.Labels{"book": b.String()}
		p.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "totals_lag_seconds", ConstLabels: labels,
			Help: "How far as_of of the published totals lies behind now.",
		}, func() float64 { return f.Age(b).Lag(f.cfg.Now()).Seconds() })
		p.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "totals_slots", ConstLabels: labels,
			Help: "Writers' slots that are known, closed ones included.",
		}, func() float64 {
			f.mu.RLock()
			defer f.mu.RUnlock()
			return float64(f.state.Slots(b))
		})
		p.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "totals_slots_standing", ConstLabels: labels,
			Help: "Slots that stand still because frames are missing and no snapshot has filled the gap yet.",
		}, func() float64 {
			f.mu.RLock()
			defer f.mu.RUnlock()
			return float64(len(f.state.Standing(b, nil)))
		})
	}
	return &metrics{
		frames: p.NewCounterVec(prometheus.CounterOpts{
			Name: "totals_frames_total", Help: "Frames read, by book and by what became of them.",
		}, []string{"book", "verdict"}),
		snapshots: p.NewCounterVec(prometheus.CounterOpts{
			Name: "totals_snapshots_total", Help: "Snapshots read, by book and by what became of them.",
		}, []string{"book", "verdict"}),
		snapshotErrors: p.NewCounter(prometheus.CounterOpts{
			Name: "totals_snapshot_errors_total", Help: "Readings of snapshots that the broker did not answer.",
		}),
		rendered: p.NewCounter(prometheus.CounterOpts{
			Name: "totals_rendered_total", Help: "Totals rendered for the cache.",
		}),
	}
}

func (m *metrics) frame(b ledger.Book, v Verdict) {
	m.frames.WithLabelValues(b.String(), v.String()).Inc()
}

func (m *metrics) snapshot(b ledger.Book, v Verdict) {
	m.snapshots.WithLabelValues(b.String(), v.String()).Inc()
}
