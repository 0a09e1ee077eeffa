package web

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	rendered, older, busy prometheus.Counter
	problems              *prometheus.CounterVec
}

// newMetrics registers the pages' metrics; reg may be nil.
func newMetrics(w *Web, reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "web_pages_kept_count", Help: "Pages that are kept rendered."},
		func() float64 { return float64(w.shelf.pagesKept()) })
	return &metrics{
		rendered: f.NewCounter(prometheus.CounterOpts{Name: "web_pages_rendered_total", Help: "Renderings of pages."}),
		older:    f.NewCounter(prometheus.CounterOpts{Name: "web_pages_older_total", Help: "Pages given as they were because all renderers were taken."}),
		busy:     f.NewCounter(prometheus.CounterOpts{Name: "web_pages_busy_total", Help: "Readers sent away because all renderers were taken for long."}),
		problems: f.NewCounterVec(prometheus.CounterOpts{Name: "web_problems_total", Help: "Pages that say what is wrong, by status."}, []string{"status"}),
	}
}
