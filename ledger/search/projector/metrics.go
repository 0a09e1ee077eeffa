package projector

import (
	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger"
	"spillway/ledger/metric"
	"spillway/ledger/search"
)

// metrics are the projector's figures; every one carries the label book.
type metrics struct {
	donations    *prometheus.CounterVec // by outcome: new, changed, unread
	batchSeconds prometheus.Histogram
	asOf, behind prometheus.Gauge
	leading, way prometheus.Gauge
	walls        prometheus.Counter
	failures     prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, book ledger.Book) *metrics {
	if registerer != nil {
		registerer = prometheus.WrapRegistererWith(prometheus.Labels{"book": book.String()}, registerer)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return metric.Register(registerer, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	counter := func(name, help string) prometheus.Counter {
		return metric.Register(registerer, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	return &metrics{
		donations: metric.Register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "search_donations_total",
			Help: "Donations that the projection has looked at, by outcome: new, changed, unread (no key opens what the donor said), refused (a mistake of ours)."}, []string{"outcome"})),
		batchSeconds: metric.Register(registerer, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "search_batch_seconds",
			Help: "Time to bring a batch of donations up to date, in seconds.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)})),
		asOf:     gauge("search_as_of_timestamp_seconds", "Up to when the projection is complete, in Unix seconds; 0 while it is being made. Set by the process that leads."),
		behind:   gauge("search_behind_messages", "Messages of donations that the projection has not followed yet. Set by the process that leads."),
		leading:  gauge("search_leading", "1 while this process keeps the projection."),
		way:      gauge("search_way", "How much the projection gives way: 0 not, 1 it rests between batches, 2 it follows states only, 3 it waits for the ledger."),
		walls:    counter("search_walls_published_total", "Walls of campaigns that were published."),
		failures: counter("search_failures_total", "Times that the projection stopped because the database or the broker was away."),
	}
}

func (m *metrics) count(r search.Refreshed) {
	m.donations.WithLabelValues("new").Add(float64(r.New))
	m.donations.WithLabelValues("changed").Add(float64(r.Changed))
	m.donations.WithLabelValues("unread").Add(float64(r.Unread))
	m.donations.WithLabelValues("refused").Add(float64(len(r.Refused)))
}
