package console

import "github.com/prometheus/client_golang/prometheus"

// Outcomes of a login, a label's closed set.
const (
	loginDone      = "done"
	loginCode      = "code_asked"
	loginWrong     = "wrong"
	loginThrottled = "throttled"
)

type metrics struct {
	requests *prometheus.CounterVec // by what came of them
	logins   *prometheus.CounterVec
}

func newMetrics(to prometheus.Registerer, c *Console) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "console_requests_total",
			Help: "Requests to the organiser's console by class of status."}, []string{"class"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "console_logins_total",
			Help: "Logins to the organiser's console by outcome."}, []string{"outcome"}),
	}
	if to == nil {
		return m, nil
	}
	for _, collector := range []prometheus.Collector{
		m.requests, m.logins,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "console_streams",
			Help: "Open streams of the organiser's console."}, func() float64 { return float64(c.streams.count()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "console_database_away",
			Help: "1 while the console's database does not answer."}, func() float64 {
			if c.away.Load() {
				return 1
			}
			return 0
		}),
	} {
		if err := to.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// class is the status's class as a label: "2xx".
func class(status int) string {
	switch status / 100 {
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	}
	return "5xx"
}
