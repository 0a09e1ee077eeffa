// Package metric registers what a part counts, where several of the same part may live
// in one process.
//
// The one invariant: whoever registers what stands there already counts into that.
package metric

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register registers c and returns it, or the one of its name and shape that stands
// there already. It panics when one of another shape has the name: our own mistake.
// reg may be nil.
func Register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	if err != nil {
		panic(err)
	}
	return c
}
