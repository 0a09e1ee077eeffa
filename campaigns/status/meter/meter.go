package meter

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns/status"
	"spillway/ledger"
)

const (
	// rateWindow is what rates are taken over: short enough to see a spike begin, long
	// enough that envelopes and batches do not show as steps.
	rateWindow = 3 * time.Second
	// ackWindow is what the quantiles of acknowledgements are taken over.
	ackWindow = 10 * time.Second
	// readingsMax bounds the readings that are kept, those of the longer window.
	readingsMax = int(ackWindow/status.Every) + 2
)

// Meter keeps the last readings of the metrics. It is for one goroutine.
type Meter struct {
	from     prometheus.Gatherer
	readings []reading // oldest first
}

// New returns a meter of what from gathers: Registry.Figures, or any other gatherer.
func New(from prometheus.Gatherer) *Meter { return &Meter{from: from} }

// Take reads the metrics and fills in r's figures for the roles that it names.
//
// Errors: some metrics could not be gathered; what could be is filled in.
func (m *Meter) Take(now time.Time, r *status.Report) error {
	newest, err := read(m.from, now)
	if len(m.readings) >= readingsMax {
		m.readings = slices.Delete(m.readings, 0, len(m.readings)-readingsMax+1)
	}
	m.readings = append(m.readings, newest)
	w := window{now: newest, then: m.before(now.Add(-rateWindow)), long: m.before(now.Add(-ackWindow))}
	for _, role := range r.Roles {
		switch role.Name {
		case status.FrontEndRole:
			r.FrontEnd = w.frontEnd()
		case status.LedgerRole:
			r.Ledger = w.ledger()
		case status.PaymentsRole:
			r.Payments = w.payments()
		case status.AdminRole:
			r.Admin = w.admin()
		}
	}
	return err
}

// before is the newest reading that is at least as old as t, or the oldest there is.
func (m *Meter) before(t time.Time) reading {
	for i := len(m.readings) - 1; i > 0; i-- {
		if !m.readings[i].at.After(t) {
			return m.readings[i]
		}
	}
	return m.readings[0]
}

// window are the newest reading and those that it is compared with.
type window struct{ now, then, long reading }

// rate is by how much counters rose, per second. A series that is new rose from 0;
// one that fell, by a restart that is none, counts as 0.
func (w window) rate(name string, want ...label) float64 {
	return w.perSecond(status.Number(w.now.sum(name, want...)) - status.Number(w.then.sum(name, want...)))
}

// perSecond is what rose between the readings, per second, with two digits.
func (w window) perSecond(rose float64) float64 {
	seconds := w.now.at.Sub(w.then.at).Seconds()
	if seconds <= 0 || rose <= 0 {
		return 0
	}
	return math.Round(100*rose/seconds) / 100
}

func (w window) count(name string, want ...label) int64 {
	return int64(math.Round(status.Number(w.now.sum(name, want...))))
}

func (w window) millis(name string, want ...label) int64 {
	return int64(math.Round(1000 * status.Number(w.now.sum(name, want...))))
}

// since is how long ago the moment of a gauge was, in milliseconds; 0 when it was never set.
func (w window) since(name string, want ...label) int64 {
	seconds := status.Number(w.now.sum(name, want...))
	if seconds <= 0 {
		return 0
	}
	return max(0, w.now.at.UnixMilli()-int64(seconds*1000))
}

// most is the largest of the series of a name, in milliseconds.
func (w window) most(name string, want ...label) int64 {
	most := 0.0
	for i := range w.now.samples[name] {
		if s := &w.now.samples[name][i]; s.has(want) {
			most = math.Max(most, status.Number(s.value))
		}
	}
	return int64(math.Round(1000 * most))
}

var (
	live      = label{"book", ledger.Live.String()}
	rehearsal = label{"book", ledger.Rehearsal.String()}
	donating  = label{"route", "donate"}
)

// acceptedReason is the reason of a 202 among those of refusals.
const acceptedReason = "accepted"

func (w window) frontEnd() *status.FrontEnd {
	f := &status.FrontEnd{
		AcceptedPerSecond: w.rate(requestsTotal, donating, label{"reason", acceptedReason}), RehearsedPerSecond: w.rate(rehearsedTotal),
		InFlight: w.count(waitingDonations), Viewers: w.count(viewersCount), StaleMillis: w.millis(totalsLag, live),
	}
	now, long := w.now.buckets(ackSeconds), w.long.buckets(ackSeconds)
	p50, n := quantile(0.5, long, now)
	p99, _ := quantile(0.99, long, now)
	f.AckP50Millis, f.AckP99Millis, f.Acks = 1000*p50, 1000*p99, int64(n)
	before := w.then.by(requestsTotal, "reason")
	for reason, now := range w.now.by(requestsTotal, "reason") {
		rate := w.perSecond(now - before[reason])
		if reason == acceptedReason || rate == 0 || len(f.RefusedPerSecond) >= status.RefusalsMax {
			continue
		}
		if f.RefusedPerSecond == nil {
			f.RefusedPerSecond = map[string]float64{}
		}
		f.RefusedPerSecond[reason] = rate
	}
	return f
}

func (w window) ledger() *status.Ledger {
	recorded := label{"outcome", "new"}
	return &status.Ledger{
		RecordedPerSecond: w.rate(ledgerDonations, live, recorded), RehearsedPerSecond: w.rate(ledgerDonations, rehearsal, recorded),
		// Both books: a ledger that cannot keep up with a rehearsal is late all the same.
		LagMessages: w.count(ledgerWaiting), HeldMessages: w.count(ledgerHeld), LagMillis: w.most(ledgerOldest),
		CountedMillis: w.since(ledgerThrough, live), Quarantined: w.count(ledgerQuarantine),
	}
}

func (w window) payments() *status.Payments {
	charging := label{"call", "charge"}
	p := &status.Payments{
		ChargesPerSecond: w.rate(chargeCalls, live, charging), RehearsedPerSecond: w.rate(chargeCalls, rehearsal, charging),
		CapturesPerSecond: w.rate(chargeCalls, live, charging, label{"outcome", "succeeded"}),
		DeclinesPerSecond: w.rate(chargeCalls, live, charging, label{"outcome", "declined"}),
		Due:               w.count(chargeDue, live), Unexpanded: w.count(chargeUnexpanded, live), Late: w.count(chargeLate, live),
		Unknown: w.count(chargeUnknown, live), RequiresAction: w.count(chargeAction, live), RehearsedDue: w.count(chargeDue, rehearsal),
		OldestMillis: w.millis(chargeOldest, live), Away: w.count(chargeAway, live) > 0, LimitedPerSecond: w.rate(chargeLimited),
		Stuck: w.count(chargeStuck, live), SetAside: w.count(chargeSetAside, live), SecondCharges: w.count(chargeAlarms, live, label{"alarm", "second_charge"}),
		Differences: w.count(reconcileDifferences), OffMinor: w.count(reconcileOff),
	}
	if pace := w.now.sum(chargePace, live); !math.IsNaN(pace) {
		p.PacePerSecond = &pace
	}
	return p
}

func (w window) admin() *status.Admin {
	a := &status.Admin{}
	// Only the process that leads knows; a copy of old would contradict it.
	if w.count(searchLeading, live) == 0 {
		return a
	}
	if w.now.sum(searchAsOf, live) > 0 { // 0 while the projection is being made
		age := w.since(searchAsOf, live)
		a.SearchMillis = &age
	}
	if behind := w.now.sum(searchBehind, live); !math.IsNaN(behind) {
		n := int64(behind)
		a.SearchBehind = &n
	}
	return a
}
