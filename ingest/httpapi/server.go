// Package httpapi is intake's HTTP edge: it takes donations and their donors'
// further wishes, answers for their state, and says whether it can do so.
//
// The one invariant: 202 is written only after Publish returned nil, so only
// after the broker said that the donation is on disk. Whatever else happens, a
// refusal, an overload, a panic, the answer is another one.
//
// The same holds for a donor's further wishes.
//
// Goroutines: those of fasthttp, one per connection, started by Serve and ended
// by Shutdown. A handler runs in its connection's, so a waiting donation costs a
// parked goroutine and no timer.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/ingest/problem"
)

// Server serves intake's routes and hands others to Deps.Next.
type Server struct {
	config     Config
	deps       Deps
	now        func() time.Time
	log        *slog.Logger
	http       *fasthttp.Server
	metrics    *metrics
	remembered *remembered
	requested  *remembered // further wishes, with their holders' fingerprints
	waiters    waiters
	// askFirst is askAgainFirst; a test sets another, to hear only news.
	askFirst  time.Duration
	scratches sync.Pool // *scratch
	quick     map[problem.Kind]quickRefusal

	stopping chan struct{} // closed when Shutdown begins: long polls answer then
	stopOnce sync.Once
	draining atomic.Bool

	mu       sync.Mutex
	listener *listener // nil before Serve
}

// New builds a server. Its error reports everything that is wrong at once.
func New(c Config, d Deps) (*Server, error) {
	if err := errors.Join(c.Validate(), d.validate()); err != nil {
		return nil, fmt.Errorf("intake over http: %w", err)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	s := &Server{config: c.withDefaults(), deps: d, now: d.Now, log: d.Log}
	s.stopping = make(chan struct{})
	s.askFirst = askAgainFirst
	s.remembered = newRemembered(s.config.Remembered)
	s.requested = newRemembered(requestsRemembered)
	s.scratches.New = func() any { return newScratch() }
	s.quick = quickRefusals()
	var err error
	if s.metrics, err = newMetrics(d.Registerer, s); err != nil {
		return nil, fmt.Errorf("intake over http: metrics: %w", err)
	}
	s.http = &fasthttp.Server{
		Handler:      s.handle,
		ErrorHandler: s.refuseHTTP,
		ConnState:    connState,
		Logger:       serverLog{d.Log},

		ReadTimeout:           s.config.ReadTimeout,
		WriteTimeout:          s.config.WriteTimeout,
		IdleTimeout:           s.config.IdleTimeout,
		MaxIdleWorkerDuration: workerIdleMax,
		MaxRequestBodySize:    bodyBytesMax,
		ReadBufferSize:        headerBytesMax,
		WriteBufferSize:       writeBufferBytes,
		MaxRequestsPerConn:    requestsPerConnMax,
		// The listener bounds connections, with an answer that is a problem
		// document; fasthttp's own bound stands behind it and is never reached:
		// a refused connection is lingering for a moment while the next comes.
		Concurrency: 2 * s.config.Connections,
		// Behind a proxy all clients share its address.
		MaxConnsPerIP: 0,

		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true, // errors quote headers otherwise
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
		LazyRequestTime:              true, // the injected clock is the only one that is read
	}
	if len(d.Bodies) > 0 {
		s.http.HeaderReceived = s.headerReceived
	}
	return s, nil
}

// headerReceived lets larger bodies through where Deps.Bodies says so. It is called
// for every request, before its body is read.
func (s *Server) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	return fasthttp.RequestConfig{MaxRequestBodySize: s.deps.Bodies[string(h.RequestURI())]} // zero leaves the server's own
}

// Serve answers connections of ln until Shutdown, and returns nil then. It is
// called once.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.listener != nil {
		s.mu.Unlock()
		return errors.New("serve intake: called twice")
	}
	s.listener = newListener(ln, s.config.Connections, refusedConnection(), s.metrics.connectionsRefused.Inc)
	s.listener.early = min(s.config.ReadTimeout, s.config.WriteTimeout, s.config.IdleTimeout) / earlyPart
	bounded := s.listener
	s.mu.Unlock()
	select {
	case <-s.stopping: // Shutdown came first
		return ln.Close()
	default:
	}
	if err := s.http.Serve(bounded); err != nil {
		return fmt.Errorf("serve intake: %w", err)
	}
	return nil
}

// Drain makes /readyz say no, so that a load balancer sends nobody new, while
// everything is still answered. It may be called before Shutdown.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown stops listening, ends long polls, waits for the requests inside, and
// closes every connection. When ctx ends first, connections are closed under
// the remaining requests, whose donors then do not know and ask again; the error
// is ctx's.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	s.stopOnce.Do(func() { close(s.stopping) })
	err := s.http.ShutdownWithContext(ctx)
	s.mu.Lock()
	bounded := s.listener
	s.mu.Unlock()
	if bounded != nil {
		_ = bounded.Close() // again, for a Serve that had not told fasthttp of it yet
		bounded.closeAll()
	}
	if err != nil {
		return fmt.Errorf("shut down intake: %w", err)
	}
	return nil
}

// connState notes when a connection is idle, and takes hijacked ones, live
// streams, out of the bound of connections: who hijacks bounds them.
func connState(c net.Conn, state fasthttp.ConnState) {
	own, ok := c.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateActive:
		own.idle.Store(false)
	case fasthttp.StateIdle:
		own.idle.Store(true)
	case fasthttp.StateHijacked:
		own.uncount()
	}
}

// serverLog passes on what fasthttp has to say, without the arguments: they hold
// clients' addresses and may quote requests.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	attrs := []any{slog.String("message", format)}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			attrs = append(attrs, slog.String("error_type", fmt.Sprintf("%T", err)))
		}
	}
	l.log.Debug("http server", attrs...)
}
