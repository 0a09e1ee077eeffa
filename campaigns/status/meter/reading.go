package meter

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// names are the metrics that reports are made of.
var names = map[string]bool{
	requestsTotal: true, rehearsedTotal: true, ackSeconds: true, waitingDonations: true, viewersCount: true, totalsLag: true,
	ledgerDonations: true, ledgerWaiting: true, ledgerHeld: true, ledgerOldest: true, ledgerThrough: true, ledgerQuarantine: true,
	chargeCalls: true, chargeDue: true, chargeUnexpanded: true, chargeLate: true, chargeUnknown: true, chargeAction: true,
	chargeOldest: true, chargePace: true, chargeAway: true, chargeLimited: true, chargeStuck: true, chargeSetAside: true, chargeAlarms: true,
	reconcileDifferences: true, reconcileOff: true,
	searchLeading: true, searchAsOf: true, searchBehind: true,
}

// only narrows a metric of many series to those that reports are made of.
var only = map[string]label{requestsTotal: donating}

// The metrics' names, as the packages that own them declare them.
const (
	requestsTotal    = "ingest_requests_total"
	rehearsedTotal   = "ingest_rehearsed_total"
	ackSeconds       = "ingest_ack_seconds"
	waitingDonations = "ingest_donations_waiting"
	viewersCount     = "live_viewers_count"
	totalsLag        = "totals_lag_seconds"

	ledgerDonations  = "ledger_donations_total"
	ledgerWaiting    = "ledger_lag_messages"
	ledgerHeld       = "ledger_held_messages"
	ledgerOldest     = "ledger_oldest_message_age_seconds"
	ledgerThrough    = "ledger_counted_through_timestamp_seconds"
	ledgerQuarantine = "ledger_quarantine_records"

	chargeCalls      = "charge_calls_total"
	chargeDue        = "charge_queue_due"
	chargeUnexpanded = "charge_queue_unexpanded"
	chargeLate       = "charge_queue_late"
	chargeUnknown    = "charge_unknown_outcomes"
	chargeAction     = "charge_requires_action"
	chargeOldest     = "charge_oldest_due_age_seconds"
	chargePace       = "charge_pace_per_second"
	chargeAway       = "charge_processor_away"
	chargeLimited    = "charge_rate_limited_total"
	chargeStuck      = "charge_stuck"
	chargeSetAside   = "charge_set_aside_total"
	chargeAlarms     = "charge_alarms_total"

	reconcileDifferences = "reconcile_differences"
	reconcileOff         = "reconcile_off_minor"

	searchLeading = "search_leading"
	searchAsOf    = "search_as_of_timestamp_seconds"
	searchBehind  = "search_behind_messages"
)

// reading is what the metrics said at a moment.
type reading struct {
	at      time.Time
	samples map[string][]sample // by name
}

// sample is one series.
type sample struct {
	labels []label
	value  float64
	// buckets are a histogram's, cumulative, in order of their bounds; the last holds all.
	buckets []bucket
}

type bucket struct {
	upper float64 // seconds
	count float64 // at most upper
}

// read takes the metrics. What cannot be gathered is left out; the rest counts.
func read(from prometheus.Gatherer, at time.Time) (reading, error) {
	r := reading{at: at, samples: map[string][]sample{}}
	families, err := from.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			s := sample{labels: make([]label, len(m.GetLabel()))}
			for i, l := range m.GetLabel() {
				s.labels[i] = label{l.GetName(), l.GetValue()}
			}
			if must, narrowed := only[f.GetName()]; narrowed && !slices.Contains(s.labels, must) {
				continue
			}
			switch {
			case m.GetCounter() != nil:
				s.value = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				s.value = m.GetGauge().GetValue()
			case m.GetHistogram() != nil:
				h := m.GetHistogram()
				for _, b := range h.GetBucket() {
					s.buckets = append(s.buckets, bucket{b.GetUpperBound(), float64(b.GetCumulativeCount())})
				}
				s.value = float64(h.GetSampleCount())
				s.buckets = append(s.buckets, bucket{math.Inf(1), s.value})
			}
			r.samples[f.GetName()] = append(r.samples[f.GetName()], s)
		}
	}
	return r, err
}

// label narrows to series with this value of a label.
type label struct{ name, value string }

func (s *sample) has(want []label) bool {
	for _, l := range want {
		if !slices.Contains(s.labels, l) {
			return false
		}
	}
	return true
}

// sum adds up the series of a name that have these labels; NaN when there is none.
func (r reading) sum(name string, want ...label) float64 {
	total, found := 0.0, false
	for i := range r.samples[name] {
		if s := &r.samples[name][i]; s.has(want) {
			total, found = total+s.value, true
		}
	}
	if !found {
		return math.NaN()
	}
	return total
}

// by adds up the series of a name for each value of a label.
func (r reading) by(name, of string) map[string]float64 {
	all := map[string]float64{}
	for i := range r.samples[name] {
		s := &r.samples[name][i]
		for _, l := range s.labels {
			if l.name == of {
				all[l.value] += s.value
			}
		}
	}
	return all
}

// buckets are a histogram's.
func (r reading) buckets(name string) []bucket {
	if all := r.samples[name]; len(all) > 0 {
		return all[0].buckets
	}
	return nil
}

// quantile is the q-quantile of what was observed between two readings of a
// histogram, and how many observations there were. Inside a bucket observations are
// taken as spread evenly; beyond the last bound the bound is all that is known.
func quantile(q float64, then, now []bucket) (seconds, observations float64) {
	if len(then) != len(now) {
		then = make([]bucket, len(now)) // there was none yet
	}
	if len(now) == 0 {
		return 0, 0
	}
	last := len(now) - 1
	total := now[last].count - then[last].count
	if total <= 0 {
		return 0, 0
	}
	rank, lower, below := q*total, 0.0, 0.0
	for i, b := range now {
		count := b.count - then[i].count
		if count >= rank {
			if math.IsInf(b.upper, 1) {
				return lower, total
			}
			if inside := count - below; inside > 0 {
				return lower + (b.upper-lower)*(rank-below)/inside, total
			}
			return b.upper, total
		}
		lower, below = b.upper, count
	}
	return lower, total
}
