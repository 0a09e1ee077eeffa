package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns/status"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/broker/brokertest"
)

// A process tells of every role that it runs, with their figures and why one is not
// ready, and says goodbye.
func TestReport_TellsOfEveryRole(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t)
	heard := make(chan *status.Report, 64)
	var wg sync.WaitGroup
	defer wg.Wait()
	watching, stop := context.WithCancel(t.Context())
	defer stop()
	reader := s.Connect()
	wg.Go(func() {
		if err := reader.WatchStatus(watching, func(r *status.Report) {
			select {
			case heard <- r:
			default: // nobody waits for more
			}
		}); err != nil {
			t.Error(err)
		}
	})
	next := func(what string, is func(*status.Report) bool) *status.Report {
		t.Helper()
		for deadline := time.After(patience); ; {
			select {
			case r := <-heard:
				if is(r) {
					return r
				}
			case <-deadline:
				t.Fatalf("%s: not heard", what)
			}
		}
	}

	operators, err := newOps("127.0.0.1:0", "--ops-listen")
	if err != nil {
		t.Fatal(err)
	}
	defer operators.listener.Close()
	viewers := prometheus.NewGauge(prometheus.GaugeOpts{Name: "live_viewers_count"})
	operators.registry.MustRegister(viewers)
	viewers.Set(7)
	group := lifecycle.New(slog.New(slog.DiscardHandler))
	report(t.Context(), group, s.Connect(), operators, slog.New(slog.DiscardHandler),
		reportedRole{status.FrontEndRole, func() error { return errors.New("the broker is not durable") }}, reportedRole{name: status.LedgerRole})
	r := next("a report", func(*status.Report) bool { return true })
	if r.Node != nodeName() || r.Build == "" || len(r.Roles) != 2 || r.Roles[0].Ready || r.Roles[0].Reason != "the broker is not durable" || !r.Roles[1].Ready {
		t.Errorf("got %+v", r)
	}
	if r.FrontEnd == nil || r.FrontEnd.Viewers != 7 || r.Ledger == nil || r.Payments != nil {
		t.Errorf("its figures are %+v, %+v", r.FrontEnd, r.Ledger)
	}
	if err := group.Stop(); err != nil {
		t.Error(err)
	}
	next("a goodbye", func(r *status.Report) bool { return r.Leaving })
}
