package charge

import (
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger"
	"spillway/ledger/payments"
)

// metrics are the service's figures; every one carries the label book.
type metrics struct {
	queueDue, queueUnexpanded, queueLate, calling, requiresAction *prometheus.GaugeVec
	oldestDue, perSecond, inFlight, away, sweptThrough, stuck     *prometheus.GaugeVec
	attemptsMade, setAside, applyFailures, changesLost, ackLost   *prometheus.CounterVec
	calls, facts, alarms, events, limited, commands               *prometheus.CounterVec
	callSeconds, applySeconds, applyFacts                         *prometheus.HistogramVec
}

// bookMetrics are the figures of one book, their labels resolved.
type bookMetrics struct {
	queueDue, queueUnexpanded, queueLate, calling, requiresAction prometheus.Gauge
	oldestDue, perSecond, inFlight, away, sweptThrough, stuck     prometheus.Gauge
	attemptsMade, setAside, applyFailures, changesLost, ackLost   prometheus.Counter
	calls, facts, alarms, events, limited, commands               *prometheus.CounterVec
	callSeconds, applySeconds, applyFacts                         prometheus.Observer
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	var all []prometheus.Collector
	gauge := func(name, help string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"book"})
		all = append(all, v)
		return v
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"book"}, labels...))
		all = append(all, v)
		return v
	}
	histogram := func(name, help string, start float64) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(start, 2, 14),
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}, []string{"book"})
		all = append(all, v)
		return v
	}
	m := &metrics{
		queueDue:        gauge("charge_queue_due", "Attempts that wait for their turn at the processor."),
		queueUnexpanded: gauge("charge_queue_unexpanded", "Recorded donations whose attempts are not made yet, about."),
		queueLate:       gauge("charge_queue_late", "Attempts that wait whose turn comes after their token has expired, at the pace of now: above zero the queue outlives its tokens."),
		calling:         gauge("charge_unknown_outcomes", "Attempts that are called, or whose outcome is not known yet."),
		requiresAction:  gauge("charge_requires_action", "Attempts that wait for their donor."),
		oldestDue:       gauge("charge_oldest_due_age_seconds", "Since when the first attempt in the queue waits."),
		perSecond:       gauge("charge_pace_per_second", "The pace of charges as it is now."),
		inFlight:        gauge("charge_calls_in_flight", "Calls of this process under way, as of its last claim."),
		away:            gauge("charge_processor_away", "1 while this process takes the processor to be away and only probes it."),
		stuck:           gauge("charge_stuck", "Payments that wait for an answer, or for the fee of their capture, once the first of them has waited for more than an hour; 0 before."),
		sweptThrough:    gauge("charge_swept_through_timestamp_seconds", "Up to when the processor's events were compared with ours, in Unix seconds."),
		attemptsMade:    counter("charge_attempts_made_total", "Attempts made of recorded donations."),
		setAside:        counter("charge_set_aside_total", "Events, commands and answers that cannot be applied: each needs a person."),
		applyFailures:   counter("charge_apply_failures_total", "Transactions that failed for a reason that time heals, or for none that is known."),
		changesLost:     counter("charge_changes_lost_total", "Changes that waiting donors were not told of."),
		ackLost:         counter("charge_ack_failures_total", "Acknowledgements that could not be sent."),
		calls:           counter("charge_calls_total", "Calls of the processor, by call (charge, look, cancel, refund) and outcome.", "call", "outcome"),
		facts:           counter("charge_facts_total", "Facts applied, by the road they came and what became of them.", "source", "verdict"),
		alarms:          counter("charge_alarms_total", "What a person must look at, such as second_charge.", "alarm"),
		events:          counter("charge_events_total", "Events of the processor, by road (webhook, sweep, parked) and what became of them.", "road", "verdict"),
		limited:         counter("charge_rate_limited_total", "Answers 429, by the processor's reason.", "reason"),
		commands:        counter("charge_commands_total", "Money commands carried out or refused.", "result"),
		callSeconds:     histogram("charge_call_seconds", "Time of a call, in seconds.", 0.01),
		applySeconds:    histogram("charge_apply_seconds", "Time of a transaction that applies facts, in seconds.", 0.001),
		applyFacts:      histogram("charge_apply_facts", "Facts of one transaction.", 1),
	}
	if registerer != nil {
		registerer.MustRegister(all...)
	}
	return m
}

func (m *metrics) of(book ledger.Book) *bookMetrics {
	l := prometheus.Labels{"book": book.String()}
	b := &bookMetrics{
		queueDue: m.queueDue.With(l), queueUnexpanded: m.queueUnexpanded.With(l), queueLate: m.queueLate.With(l),
		calling: m.calling.With(l), requiresAction: m.requiresAction.With(l), oldestDue: m.oldestDue.With(l),
		perSecond: m.perSecond.With(l), inFlight: m.inFlight.With(l), away: m.away.With(l), sweptThrough: m.sweptThrough.With(l), stuck: m.stuck.With(l),
		attemptsMade: m.attemptsMade.With(l), setAside: m.setAside.With(l), applyFailures: m.applyFailures.With(l),
		changesLost: m.changesLost.With(l), ackLost: m.ackLost.With(l),
		calls: m.calls.MustCurryWith(l), facts: m.facts.MustCurryWith(l), alarms: m.alarms.MustCurryWith(l),
		events: m.events.MustCurryWith(l), limited: m.limited.MustCurryWith(l), commands: m.commands.MustCurryWith(l),
		callSeconds: m.callSeconds.With(l), applySeconds: m.applySeconds.With(l), applyFacts: m.applyFacts.With(l),
	}
	b.perSecond.Set(math.NaN())               // 0 would say that charging is paused, before anybody has asked
	b.alarms.WithLabelValues("second_charge") // the one that must be seen to be zero
	return b
}

func (m *bookMetrics) call(call string, a payments.Answer, took time.Duration) {
	m.calls.WithLabelValues(call, outcome(a)).Inc()
	m.callSeconds.Observe(took.Seconds())
}

func (m *bookMetrics) fact(source payments.Source, v payments.Verdict) {
	m.facts.WithLabelValues(sourceWord(source), verdictWord(v)).Inc()
}

func (m *bookMetrics) event(road, verdict string) { m.events.WithLabelValues(road, verdict).Inc() }

func (m *bookMetrics) rateLimited(reason string) {
	m.limited.WithLabelValues(limitReason(reason)).Inc()
}

// outcome is the word of a closed set for what an answer came to.
func outcome(a payments.Answer) string {
	switch {
	case a.Refund != nil:
		return "refund_" + refundWord(a.Refund.Status)
	case a.Intent != nil && a.Intent.Decline != payments.DeclineNone:
		return "declined"
	case a.Intent != nil:
		switch s := a.Intent.Status; s {
		case payments.IntentSucceeded, payments.IntentRequiresAction, payments.IntentProcessing, payments.IntentCanceled, payments.IntentRequiresPaymentMethod:
			return string(s)
		}
		return "other_status"
	case a.RateLimited != "":
		return "rate_limited"
	case lookedNothing(a):
		return LookedNothing
	case a.Kind == payments.Retry:
		return "not_sent"
	case a.Kind == payments.Definite && a.Reason == payments.CardNeeded:
		return "card_needed"
	case a.Kind == payments.Definite:
		return "refused"
	}
	return unknownOutcome
}

// unknownOutcome is the outcome of a call that nobody knows.
const unknownOutcome = "unknown"

func refundWord(s payments.RefundStatus) string {
	switch s {
	case payments.RefundPending, payments.RefundSucceeded, payments.RefundFailed, payments.RefundCanceled:
		return string(s)
	}
	return "other"
}

func sourceWord(s payments.Source) string {
	switch s {
	case payments.FromCall:
		return "call"
	case payments.FromWebhook:
		return "webhook"
	case payments.FromSweep:
		return "sweep"
	case payments.FromDonor:
		return "donor"
	case payments.FromPerson:
		return "person"
	case payments.FromClock:
		return "clock"
	}
	return "other"
}

func verdictWord(v payments.Verdict) string {
	switch v {
	case payments.Applied:
		return "applied"
	case payments.NoChange:
		return "no_change"
	case payments.Alarming:
		return "alarming"
	case payments.NotOurs:
		return "not_ours"
	case payments.NotYet:
		return "not_yet"
	case payments.Duplicate:
		return "duplicate"
	}
	return "other"
}

// limitReason is the word of a closed set for the reason of a 429
// (docs.stripe.com/rate-limits, the header Stripe-Rate-Limited-Reason).
func limitReason(reason string) string {
	switch r := strings.ToLower(reason); r {
	case "global-rate", "endpoint-rate", "global-concurrency", "endpoint-concurrency", "resource-specific":
		return r
	}
	return "other"
}
