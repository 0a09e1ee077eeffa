// Package otlp sends spans to an OpenTelemetry collector, as Protocol Buffers over
// HTTP.
//
// The one invariant: whatever the collector does, nobody who records a span waits.
// There is a bounded queue; a span that finds it full is dropped and counted.
//
// Goroutines: Run's, and those of its HTTP client, which have ended when Run returns.
package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest/trace"
	"spillway/ledger/backoff"
	"spillway/ledger/metric"
)

// Config says where spans go. Zero fields take the default that is named with them.
type Config struct {
	// Endpoint is the whole URL: http://collector:4318/v1/traces.
	Endpoint string
	// Headers go with every request; their values may be secret.
	Headers map[string]string
	// TLS is how an https endpoint is trusted; the system's way when nil.
	TLS *tls.Config
	// Gzip compresses what is sent.
	Gzip bool
	// Resource describes this process, beside service.name, which is each span's.
	Resource map[string]string

	// QueueMax bounds the spans that wait, and with them the memory: some 400 bytes
	// each. 2048.
	QueueMax int
	// BatchMax is how many leave together. 512.
	BatchMax int
	// Every is how long a span waits for others. 5 s.
	Every time.Duration
	// Timeout bounds one request with its repeats; what was not taken by then is given
	// up. 10 s.
	Timeout time.Duration
	// FlushMax bounds the sending of what is left when the process stops. 3 s.
	FlushMax time.Duration
}

// The defaults of Config: the specification's, where it has one.
const (
	defaultQueue   = 2048
	defaultBatch   = 512
	defaultEvery   = 5 * time.Second
	defaultTimeout = 10 * time.Second
	defaultFlush   = 3 * time.Second

	// answerBytesMax bounds what is read of an answer.
	answerBytesMax = 64 << 10
)

func (c Config) withDefaults() Config {
	number := func(n *int, or int) {
		if *n <= 0 {
			*n = or
		}
	}
	duration := func(d *time.Duration, or time.Duration) {
		if *d <= 0 {
			*d = or
		}
	}
	number(&c.QueueMax, defaultQueue)
	number(&c.BatchMax, defaultBatch)
	duration(&c.Every, defaultEvery)
	duration(&c.Timeout, defaultTimeout)
	duration(&c.FlushMax, defaultFlush)
	return c
}

// Exporter is a trace.Sink.
type Exporter struct {
	config  Config
	client  *http.Client
	log     *slog.Logger
	queue   chan trace.Span
	metrics *metrics

	// Of Run's goroutine.
	batch   []trace.Span
	body    []byte
	failing bool // the last batch was not taken, and somebody was told
}

type metrics struct {
	exported, dropped, failed prometheus.Counter
}

// New makes an exporter; Run sends what it is given. reg may be nil.
func New(c Config, reg prometheus.Registerer, log *slog.Logger) *Exporter {
	c = c.withDefaults()
	e := &Exporter{config: c, log: log, queue: make(chan trace.Span, c.QueueMax), batch: make([]trace.Span, 0, c.BatchMax)}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.MaxIdleConnsPerHost = c.TLS, 1
	e.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	spans := metric.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trace_spans_total", Help: "Spans by what became of them: exported; dropped, for want of room; failed, not taken by the collector.",
	}, []string{"outcome"}))
	e.metrics = &metrics{spans.WithLabelValues("exported"), spans.WithLabelValues("dropped"), spans.WithLabelValues("failed")}
	metric.Register(reg, prometheus.Collector(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "trace_queue_spans", Help: "Spans that wait to be sent.",
	}, func() float64 { return float64(len(e.queue)) })))
	return e
}

// Record takes a span, or drops and counts it. It does not block.
func (e *Exporter) Record(s trace.Span) {
	select {
	case e.queue <- s:
	default:
		e.metrics.dropped.Inc()
	}
}

// Run sends until ctx ends, then what is left, for at most FlushMax, and returns nil.
// What is recorded after that is kept until the queue is full, and never sent.
func (e *Exporter) Run(ctx context.Context) error {
	defer e.client.CloseIdleConnections()
	// sending outlives ctx by FlushMax.
	sending, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(e.config.FlushMax, abandon) })()
	tick := time.NewTicker(e.config.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case s := <-e.queue:
			if e.batch = append(e.batch, s); len(e.batch) == cap(e.batch) {
				e.send(sending)
			}
		case <-tick.C:
			e.send(sending)
		case <-ctx.Done():
		}
	}
	for more := true; more; {
		select {
		case s := <-e.queue:
			if e.batch = append(e.batch, s); len(e.batch) == cap(e.batch) {
				e.send(sending)
			}
		default:
			e.send(sending)
			more = false
		}
	}
	return nil
}

// send sends the batch, and counts what became of it.
func (e *Exporter) send(ctx context.Context) {
	n := len(e.batch)
	if n == 0 {
		return
	}
	refused, err := e.deliver(ctx)
	if err != nil {
		refused = int64(n)
	}
	clear(e.batch) // spans hold memory of their own
	e.batch = e.batch[:0]
	refused = min(refused, int64(n))
	e.metrics.failed.Add(float64(refused))
	e.metrics.exported.Add(float64(int64(n) - refused))
	switch {
	case err != nil && !e.failing:
		e.log.Warn("traces are not taken; nothing waits for them", "spans", n, "error", err)
	case err == nil && e.failing:
		e.log.Info("traces are taken again")
	}
	e.failing = err != nil
}

// deliver posts the batch until it is taken, refused for good, or Timeout is over.
// refused is how many spans the collector says that it did not take.
func (e *Exporter) deliver(ctx context.Context) (refused int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	body, err := e.packed()
	if err != nil {
		return 0, err
	}
	for retry := (backoff.Tries{}); ; {
		refused, wait, err := e.post(ctx, body)
		if err == nil || wait < 0 {
			return refused, err
		}
		if !backoff.Pause(ctx, wait) || !retry.Wait(ctx) {
			return 0, err
		}
	}
}

// packed is the batch as it is sent.
func (e *Exporter) packed() ([]byte, error) {
	var err error
	if e.body, err = appendRequest(e.body[:0], e.batch, e.config.Resource); err != nil || !e.config.Gzip {
		return e.body, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(e.body); err != nil {
		return nil, fmt.Errorf("compress spans: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress spans: %w", err)
	}
	return packed.Bytes(), nil
}

// errRefused says that the collector answered something else than that it took them.
var errRefused = errors.New("refused by the collector")

// post makes one request. wait is how long to wait before another one at least; below
// zero there is to be none.
func (e *Exporter) post(ctx context.Context, body []byte) (refused int64, wait time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.config.Endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, -1, fmt.Errorf("send spans: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	if e.config.Gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	for key, value := range e.config.Headers {
		r.Header.Set(key, value)
	}
	answer, err := e.client.Do(r)
	if err != nil {
		return 0, 0, fmt.Errorf("send spans: %w", err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax)) // an answer that is cut rejects none
	if answer.StatusCode/100 == 2 {
		return rejected(said), 0, nil
	}
	err = fmt.Errorf("%w: status %d", errRefused, answer.StatusCode)
	switch answer.StatusCode { // those that the protocol names
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // 0 for a date: then by our own measure
		return 0, time.Duration(max(0, seconds)) * time.Second, err
	}
	return 0, -1, err
}
