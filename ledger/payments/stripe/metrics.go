package stripe

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger/metric"
)

type metrics struct {
	seconds    *prometheus.HistogramVec // by endpoint
	calls      *prometheus.CounterVec   // by endpoint and what came
	limited    *prometheus.CounterVec   // by the processor's reason
	unreadable *prometheus.CounterVec   // by list
	alarms     *prometheus.CounterVec   // by word
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		seconds: metric.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "payments_processor_seconds", Help: "Time of one call to the processor, answer read.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 13), // 5 ms to 20 s
		}, []string{"endpoint"})),
		calls: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "payments_processor_calls_total", Help: "Calls to the processor by HTTP status, or by why none came.",
		}, []string{"endpoint", "result"})),
		limited: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "payments_processor_limited_total", Help: "Calls that the processor turned away as too many, by its reason.",
		}, []string{"reason"})),
		unreadable: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "payments_processor_unreadable_total", Help: "Objects of the processor's lists that could not be read.",
		}, []string{"list"})),
		alarms: metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "payments_processor_alarms_total", Help: "Answers of the processor that need a person: about the key, the account or the books, not one gift.",
		}, []string{"alarm"})),
	}
	for _, word := range alarmWords {
		m.alarms.WithLabelValues(word) // 0 until it rings, so that an increase shows
	}
	return m
}

// called counts one call.
func (m *metrics) called(of endpoint, r *reply, took time.Duration) {
	m.seconds.WithLabelValues(string(of)).Observe(took.Seconds())
	result := r.reason
	if result == "" {
		result = strconv.Itoa(r.status)
	}
	m.calls.WithLabelValues(string(of), result).Inc()
	if r.rateLimited != "" {
		m.limited.WithLabelValues(limitReason(r.rateLimited)).Inc()
	}
}

// limitReason keeps the metric's label in a closed set (docs.stripe.com/rate-limits).
func limitReason(s string) string {
	switch s {
	case "global-rate", "global-concurrency", "endpoint-rate", "endpoint-concurrency", "resource-specific", rateLimitedUnnamed:
		return s
	}
	return "other"
}
