package broker

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest"
	"spillway/ledger/metric"
)

type publisherMetrics struct {
	donations  prometheus.Histogram // per envelope
	bytes      prometheus.Histogram
	ackSeconds prometheus.Histogram
	results    map[error]prometheus.Counter // donations by outcome
	busy       prometheus.Counter
}

func newPublisherMetrics(reg prometheus.Registerer, p *Publisher) *publisherMetrics {
	outcomes := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ingest_donations_published_total",
		Help: "Donations and donors' further wishes handed to the publisher, by what became of them.",
	}, []string{"outcome"}))
	m := &publisherMetrics{
		donations: metric.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingest_envelope_donations", Help: "Donations and further wishes that travelled in one envelope.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		})),
		bytes: metric.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingest_envelope_bytes", Help: "Size of one envelope.",
			Buckets: prometheus.ExponentialBuckets(256, 2, 12),
		})),
		ackSeconds: metric.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingest_broker_ack_seconds", Help: "Time from sending an envelope to its acknowledgement.",
			Buckets:                     prometheus.ExponentialBuckets(50e-6, 2, 17),
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		})),
		results: map[error]prometheus.Counter{
			nil:                outcomes.WithLabelValues("acknowledged"),
			ingest.ErrUnknown:  outcomes.WithLabelValues("unknown"),
			ingest.ErrNotReady: outcomes.WithLabelValues("not_ready"),
		},
		busy: outcomes.WithLabelValues("busy"),
	}
	metric.Register(reg, prometheus.Collector(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ingest_waiting_donations", Help: "Donations that wait for the broker's acknowledgement.",
	}, func() float64 { n, _ := p.Waiting(); return float64(n) })))
	metric.Register(reg, prometheus.Collector(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ingest_waiting_bytes", Help: "Bytes of envelopes that wait for the broker's acknowledgement.",
	}, func() float64 { _, n := p.Waiting(); return float64(n) })))
	return m
}

// settled counts an envelope's end.
func (m *publisherMetrics) settled(o *outgoing, err error) {
	outcome := error(nil)
	switch {
	case errors.Is(err, ingest.ErrUnknown):
		outcome = ingest.ErrUnknown
	case err != nil:
		outcome = ingest.ErrNotReady
	}
	m.results[outcome].Add(float64(o.count))
	if outcome == nil && o.count > 0 { // a probe is no donor's
		m.donations.Observe(float64(o.count))
		m.bytes.Observe(float64(len(o.data)))
		m.ackSeconds.Observe(time.Since(o.sentAt).Seconds())
	}
}
