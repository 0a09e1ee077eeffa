package webhook

import (
	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger/metric"
)

// result is what became of one request, a closed set.
type result string

const (
	resultStored  result = "stored"
	resultRefused result = "refused" // not the processor's
	resultBusy    result = "busy"
	resultFailed  result = "failed" // the broker did not say that it is stored
)

type metrics struct {
	results map[result]prometheus.Counter
	seconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	byResult := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ingest_webhooks_total", Help: "The processor's events by what became of them at the endpoint.",
	}, []string{"result"}))
	m := &metrics{
		results: make(map[result]prometheus.Counter),
		seconds: metric.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingest_webhook_store_seconds", Help: "Time until the broker had an event on disk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // 0.5 ms to 4 s
		})),
	}
	for _, r := range []result{resultStored, resultRefused, resultBusy, resultFailed} {
		m.results[r] = byResult.WithLabelValues(string(r))
	}
	return m
}
