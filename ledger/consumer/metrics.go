package consumer

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger"
	"spillway/ledger/backoff"
)

// metrics are the consumer's figures; every one carries the label book.
type metrics struct {
	recordedTotal   *prometheus.CounterVec // by outcome: new, repeat, conflict
	quarantined     *prometheus.CounterVec // by reason
	quarantine      prometheus.Gauge
	batchDonations  prometheus.Histogram
	batchSeconds    prometheus.Histogram
	waiting, held   prometheus.Gauge
	oldest, through prometheus.Gauge
	term, renewed   prometheus.Gauge
	publishFailures *prometheus.CounterVec // by what
	recordFailures  prometheus.Counter
	fetchFailures   prometheus.Counter
	ackFailures     prometheus.Counter
	fenced, adopted prometheus.Counter

	// Resolved once: the lookup of a label costs more than the addition.
	new, repeats, conflicts prometheus.Counter
}

// slotOnlyPrefix tells the figures of a slot that only Move writes from those of the
// process that records, which may be the same one.
const slotOnlyPrefix = "payments_"

func newMetrics(registerer prometheus.Registerer, book ledger.Book, slotOnly bool) *metrics {
	counter := func(name, help string) prometheus.CounterOpts { return prometheus.CounterOpts{Name: name, Help: help} }
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	histogram := func(name, help string, start float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(start, 2, 14),
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		})
	}
	m := &metrics{
		recordedTotal:   prometheus.NewCounterVec(counter("ledger_donations_total", "Donations that this process settled, by outcome: new, repeat, conflict."), []string{"outcome"}),
		quarantined:     prometheus.NewCounterVec(counter("ledger_quarantined_total", "Records that this process set aside, by reason."), []string{"reason"}),
		quarantine:      gauge("ledger_quarantine_records", "Records set aside in the database: anything above zero needs a person."),
		batchDonations:  histogram("ledger_batch_donations", "Records settled per batch.", 1),
		batchSeconds:    histogram("ledger_batch_seconds", "Time to settle a batch, in seconds.", 0.001),
		waiting:         gauge("ledger_lag_messages", "Messages that no consumer has been given yet."),
		held:            gauge("ledger_held_messages", "Messages given to consumers and not acknowledged yet."),
		oldest:          gauge("ledger_oldest_message_age_seconds", "Age of the oldest message that no process has settled."),
		through:         gauge("ledger_counted_through_timestamp_seconds", "What this process's last frame claimed to be complete up to, in Unix seconds."),
		term:            gauge("ledger_lease_term", "Term of the slot that this process holds."),
		renewed:         gauge("ledger_lease_renewed_timestamp_seconds", "When the lease was last renewed, in Unix seconds."),
		publishFailures: prometheus.NewCounterVec(counter("ledger_publish_failures_total", "Publications that the broker did not confirm, by what: frame, snapshot."), []string{"what"}),
		recordFailures:  prometheus.NewCounter(counter("ledger_record_failures_total", "Transactions that failed for a reason that time heals, or for none that is known.")),
		fetchFailures:   prometheus.NewCounter(counter("ledger_fetch_failures_total", "Fetches that the broker did not answer.")),
		ackFailures:     prometheus.NewCounter(counter("ledger_ack_failures_total", "Acknowledgements that could not be sent.")),
		fenced:          prometheus.NewCounter(counter("ledger_lease_lost_total", "Times that another process took this one's slot over.")),
		adopted:         prometheus.NewCounter(counter("ledger_lease_adopted_total", "Slots of vanished processes that this one closed.")),
	}
	m.new = m.recordedTotal.WithLabelValues("new")
	m.repeats = m.recordedTotal.WithLabelValues("repeat")
	m.conflicts = m.recordedTotal.WithLabelValues("conflict")
	for _, reason := range []ledger.Reason{ledger.ReasonVersion, ledger.ReasonMalformed, ledger.ReasonRefused, ledger.ReasonUnknown} {
		m.quarantined.WithLabelValues(string(reason))
	}
	if registerer == nil {
		return m
	}
	registerer = prometheus.WrapRegistererWith(prometheus.Labels{"book": book.String()}, registerer)
	if slotOnly {
		registerer = prometheus.WrapRegistererWithPrefix(slotOnlyPrefix, registerer)
	} else {
		registerer.MustRegister(m.recordedTotal, m.quarantined, m.quarantine, m.batchDonations, m.batchSeconds, m.waiting, m.held, m.oldest,
			m.recordFailures, m.fetchFailures, m.ackFailures)
	}
	registerer.MustRegister(m.through, m.term, m.renewed, m.publishFailures, m.fenced, m.adopted)
	return m
}

func (m *metrics) recorded(c ledger.Counts) {
	m.new.Add(float64(c.New))
	m.repeats.Add(float64(c.Repeats))
	m.conflicts.Add(float64(c.Conflicts))
}

func (m *metrics) settled(b *batch, took time.Duration) {
	m.repeats.Add(float64(b.dropped))
	m.batchDonations.Observe(float64(b.records))
	b.observe(m.batchSeconds, took)
}

// watchLoop asks now and then for what only the database and the broker know.
func (c *Consumer) watchLoop(ctx context.Context) {
	for {
		c.watch(ctx)
		if !backoff.Pause(ctx, watchEvery) {
			return
		}
	}
}

// watch asks the broker first: how far recording is behind counts most while the
// database, which is asked last, does not answer.
func (c *Consumer) watch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	// What cannot be asked keeps its last value; the failure shows elsewhere.
	c.watchLag(ctx)
	if n, err := c.store.Quarantined(ctx); err == nil {
		c.metrics.quarantine.Set(float64(n))
	}
}

func (c *Consumer) watchLag(ctx context.Context) {
	var waiting, held uint64
	var age time.Duration
	for _, s := range c.shards {
		lag, err := s.Source.Lag(ctx)
		if err != nil {
			return
		}
		waiting, held = waiting+lag.Waiting, held+lag.Held
		if !lag.Oldest.IsZero() {
			age = max(age, time.Since(lag.Oldest))
		}
	}
	c.metrics.waiting.Set(float64(waiting))
	c.metrics.held.Set(float64(held))
	c.metrics.oldest.Set(age.Seconds())
}
