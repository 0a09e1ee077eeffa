package main

import (
	"context"
	"log/slog"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/trace"
	"spillway/ingest/trace/otlp"
)

// tracesStop is longer than the exporter's own bound for what is left to be sent.
const tracesStop = 5 * time.Second

// The roles, as traces name their service.
const (
	frontEndService = "ingest"
	ledgerService   = "ledger"
	paymentsService = "payments"
)

// tracing is where a process's traces go. Nil is that of a process that traces nothing.
type tracing struct {
	config *config.Traces
	sink   *otlp.Exporter
	// several tells that the process has more than one role, whose names tell them apart.
	several bool
}

// startTracing begins the sending of traces, where they are wanted: as a part of the
// group that is stopped after those that record them. It makes p's log lines name
// the traces of the donations that they are about.
func startTracing(p *process, c config.Tracing, reg prometheus.Registerer, group *lifecycle.Group, several bool) (*tracing, error) {
	traces, err := c.Traces(p.environment)
	if err != nil || traces == nil {
		return nil, err
	}
	describe(traces.Exporter.Resource)
	t := &tracing{config: traces, sink: otlp.New(traces.Exporter, reg, p.log), several: several}
	group.Go(p.ctx, "traces", tracesStop, t.sink.Run)
	if u, err := url.Parse(traces.Exporter.Endpoint); err == nil { // it may hold a password
		p.log.Info("traces are sent", "endpoint", u.Redacted())
	}
	p.log = slog.New(traceLog{p.log.Handler()})
	return t, nil
}

// on tells whether anything is traced.
func (t *tracing) on() bool { return t != nil }

// of is the tracer of a role; nil when nothing is traced.
func (t *tracing) of(role string) *trace.Tracer {
	if t == nil {
		return nil
	}
	name := t.config.Service
	switch {
	case name == "":
		name = "spillway-" + role
	case t.several:
		name += "-" + role
	}
	return trace.New(name, t.config.Sampler, t.sink)
}

// describe says of this process what nobody said of it.
func describe(resource map[string]string) {
	say := func(key, value string) {
		if _, said := resource[key]; !said && value != "" {
			resource[key] = value
		}
	}
	say("service.namespace", "spillway")
	say("service.instance.id", nodeName())
	if build, ok := debug.ReadBuildInfo(); ok {
		say("service.version", build.Main.Version)
	}
	say("telemetry.sdk.language", "go")
}

// traceLog adds a donation's trace ID to lines that name the donation.
type traceLog struct{ slog.Handler }

// Handle writes the line.
func (l traceLog) Handle(ctx context.Context, r slog.Record) error {
	id := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "donation" && a.Value.Kind() == slog.KindString {
			id = strings.ReplaceAll(a.Value.String(), "-", "")
		}
		return id == ""
	})
	if len(id) == 2*len(trace.ID{}) {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", id))
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs keeps to the same rule.
func (l traceLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceLog{l.Handler.WithAttrs(attrs)}
}

// WithGroup keeps to the same rule.
func (l traceLog) WithGroup(name string) slog.Handler { return traceLog{l.Handler.WithGroup(name)} }
