// Package meter takes a process's own metrics once a second and tells the organisers'
// console what they come to, as a status report.
//
// The one invariant: it costs whoever is measured nothing. It reads the counters that
// are there for operators anyway, from outside, and only those that a report is made of.
//
// Goroutines: none but Run's caller.
package meter

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Registry is the operators' registry of a process, which also keeps apart the few
// metrics that reports are made of: to gather all of them every second would be
// hundreds of series for a dozen figures.
type Registry struct {
	*prometheus.Registry
	figures *prometheus.Registry
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{Registry: prometheus.NewRegistry(), figures: prometheus.NewRegistry()}
}

// Register registers a collector for operators, and for reports where they need it.
func (r *Registry) Register(c prometheus.Collector) error {
	if err := r.Registry.Register(c); err != nil {
		return err
	}
	if !reported(c) {
		return nil
	}
	return r.figures.Register(c)
}

// MustRegister registers collectors and panics when it cannot.
func (r *Registry) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister takes a collector out.
func (r *Registry) Unregister(c prometheus.Collector) bool {
	r.figures.Unregister(c)
	return r.Registry.Unregister(c)
}

// Figures are the metrics that reports are made of.
func (r *Registry) Figures() prometheus.Gatherer { return r.figures }

// reported tells whether a report needs any of the collector's metrics.
func reported(c prometheus.Collector) bool {
	descriptions := make(chan *prometheus.Desc)
	go func() { // ends with Describe, which we read to its end
		defer close(descriptions)
		c.Describe(descriptions)
	}()
	found := false
	for d := range descriptions {
		found = found || names[nameOf(d)]
	}
	return found
}

// nameOf is the name of a metric. A Desc tells it only in its text, as
// `Desc{fqName: "ingest_ack_seconds", help: ...`; a test holds the library to that.
func nameOf(d *prometheus.Desc) string {
	_, rest, _ := strings.Cut(d.String(), `fqName: "`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}
