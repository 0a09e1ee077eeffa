package metric_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger/metric"
)

func counter(help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "gifts_total", Help: help})
}

func TestRegister_TheSecondCountsIntoTheFirst(t *testing.T) {
	reg := prometheus.NewRegistry()
	first := metric.Register(reg, counter("gifts"))
	if second := metric.Register(reg, counter("gifts")); second != first {
		t.Error("two counters of one name")
	}
	if alone := counter("gifts"); metric.Register(nil, alone) != alone {
		t.Error("without a registry it is another one")
	}
}

func TestRegister_AnotherShapeIsAMistake(t *testing.T) {
	reg := prometheus.NewRegistry()
	metric.Register(reg, counter("gifts"))
	defer func() {
		if recover() == nil {
			t.Error("a counter with another help was taken")
		}
	}()
	metric.Register(reg, counter("something else"))
}
