package httpapi

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest/problem"
)

// route is where a request went, a label's value.
type route uint8

const (
	routeNone route = iota // unreadable, or nobody's
	routeDonate
	routeState
	routeAttempt
	routeCancel
	routeHealth // and the service's other papers
	routes
)

var routeNames = [routes]string{"none", "donate", "state", "attempt", "cancel", "health"}

// ackBuckets are seconds from handing a donation over to its acknowledgement:
// fine where a healthy disk is, coarse up to the publisher's patience.
var ackBuckets = []float64{.0002, .0005, .001, .002, .003, .005, .0075, .01, .015, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

type metrics struct {
	requests           [routes][]prometheus.Counter // by problem.Kind
	accepted           prometheus.Counter
	rehearsed          prometheus.Counter // of them, those of rehearsals
	told               prometheus.Counter
	requested          [routes]prometheus.Counter // 202 of a further wish
	ackSeconds         prometheus.Histogram
	connectionsRefused prometheus.Counter
}

// newMetrics declares the metrics; a nil registerer leaves them unregistered.
func newMetrics(reg prometheus.Registerer, s *Server) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ingest_requests_total",
		Help: "Requests answered, by route, status and reason; reason is accepted, told or a problem's code.",
	}, []string{"route", "code", "reason"})
	m := &metrics{
		ackSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingest_ack_seconds", Buckets: ackBuckets,
			Help: "From handing a donation to the publisher to its acknowledgement.",
		}),
		rehearsed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ingest_rehearsed_total",
			Help: "Donations of rehearsals among those that were accepted.",
		}),
		connectionsRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ingest_connections_refused_total",
			Help: "Connections that there was no room for.",
		}),
	}
	m.accepted = requests.WithLabelValues(routeNames[routeDonate], "202", "accepted")
	m.told = requests.WithLabelValues(routeNames[routeState], "200", "told")
	for _, r := range []route{routeAttempt, routeCancel} {
		m.requested[r] = requests.WithLabelValues(routeNames[r], "202", "accepted")
	}
	for r := range routes {
		m.requests[r] = make([]prometheus.Counter, len(problem.All()))
		for i, kind := range problem.All() {
			m.requests[r][i] = requests.WithLabelValues(routeNames[r], strconv.Itoa(kind.Status()), kind.Code())
		}
	}
	if reg == nil {
		return m, nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	for _, c := range []prometheus.Collector{
		requests, m.ackSeconds, m.rehearsed, m.connectionsRefused,
		gauge("ingest_donations_waiting", "Donations inside, most of them waiting for their acknowledgement.",
			func() float64 { return float64(s.deps.Donations.Taken()) }),
		gauge("ingest_state_reads_inside", "Questions for a donation's state that the ledger has not answered yet.",
			func() float64 { return float64(s.deps.Reads.Taken()) }),
		gauge("ingest_state_waits_inside", "Long polls waiting for a change.",
			func() float64 { return float64(s.deps.Waits.Taken()) }),
		gauge("ingest_wishes_inside", "Further wishes (another card, a cancellation) that are not answered yet.",
			func() float64 { return float64(s.deps.Requests.Taken()) }),
		gauge("ingest_remembered_donations", "Acknowledged donations remembered to refuse a reused key at once.",
			func() float64 { return float64(s.remembered.entries.Load()) }),
		gauge("ingest_connections_open", "Open connections, live streams not counted.", s.openConnections),
		gauge("ingest_ready", "1 while donations can be taken.", func() float64 {
			if s.deps.Gate.Ready() == nil && s.deps.Directory.Ready() == nil {
				return 1
			}
			return 0
		}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) refused(r route, kind problem.Kind) { m.requests[r][kind].Inc() }

func (s *Server) openConnections() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return 0
	}
	return float64(s.listener.open.Load())
}
