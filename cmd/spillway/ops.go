package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"spillway/campaigns/status/meter"
)

const (
	// opsHeaderTimeout bounds how long an operator's client may take to ask.
	opsHeaderTimeout = 5 * time.Second
	// opsDrain is what a scrape that has begun gets at the end.
	opsDrain = 2 * time.Second
)

// errStarting is the reason for not being ready before everything is wired.
var errStarting = errors.New("starting")

// ops is the operators' listener: metrics, profiles and health, on an address of
// its own so that no donor reaches it and no donor's load starves it.
type ops struct {
	listener net.Listener
	registry *meter.Registry
	ready    atomic.Pointer[func() error]
	// exemplars offers metrics in OpenMetrics too, the text format that has them: to be
	// set before run.
	exemplars bool
}

// newOps listens on address, for `flag` to be named when it is taken.
func newOps(address, flag string) (*ops, error) {
	ln, err := listen(address, flag)
	if err != nil {
		return nil, err
	}
	o := &ops{listener: ln, registry: meter.NewRegistry()}
	o.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.setReady(func() error { return errStarting })
	return o, nil
}

// setReady says who answers /readyz.
func (o *ops) setReady(ready func() error) { o.ready.Store(&ready) }

// url is the listener's address as a person types it.
func (o *ops) url() string { return "http://" + o.listener.Addr().String() }

// run serves until ctx ends.
func (o *ops) run(ctx context.Context, log *slog.Logger) error {
	server := &http.Server{
		Handler:           o.handler(),
		ReadHeaderTimeout: opsHeaderTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(o.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("operators' listener: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), opsDrain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		_ = server.Close() // a profile that runs on is cut off
	}
	<-served
	return nil
}

func (o *ops) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{Registry: o.registry, EnableOpenMetrics: o.exemplars}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := (*o.ready.Load())(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
