// Package console is the organiser's console: a server on a listener of its own, with
// one strict check of who asks in front of every route.
//
// The one invariant: no handler runs before the request was found to come from the
// console's own pages or no browser, over TLS or loopback, by somebody known, who may
// do what the route needs. What is said to those who may not is the same whatever is
// behind the route.
//
// While the database is away, sessions that were seen a while ago are remembered, so
// that a dashboard goes on; nothing can be changed, because nothing can be written
// into the audit log.
//
// Goroutines: fasthttp's, one per connection; one per open stream; the caretaker,
// which asks whether the database answers, sweeps, and writes down failed logins. Run
// starts them and returns when all have ended.
package console

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

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
)

const (
	// requestTimeout bounds a handler's waiting: people do not wait longer.
	requestTimeout = 10 * time.Second
	// readTimeout bounds a request's arrival, uploads included.
	readTimeout = 60 * time.Second
	// writeTimeout bounds one write to a browser.
	writeTimeout = 30 * time.Second
	// idleTimeout is how long a browser may keep its connection.
	idleTimeout = 90 * time.Second
	// headerBytesMax bounds request line and header fields.
	headerBytesMax = 16 << 10
	// drainTime is what requests that are inside get when the console stops.
	drainTime = 5 * time.Second
	// pingEvery is how soon the pages notice that the database is gone or back.
	pingEvery   = time.Second
	pingTimeout = 2 * time.Second
	// sweepEvery: what has expired is refused at once; its rows may stay a while.
	sweepEvery = time.Hour
	// devicesKept is how long a browser stays known after its last login.
	devicesKept = 180 * 24 * time.Hour
)

// Console is the server. It is made by New and run once.
type Console struct {
	config     Config
	deps       Deps
	log        *slog.Logger
	now        func() time.Time
	mux        frame.Mux
	menu       []frame.MenuItem
	http       *fasthttp.Server
	shell      *shell
	remembered *remembered
	logins     *throttle
	accounts   *throttle
	failed     chan access.Entry
	kept       kept
	metrics    *metrics
	streams    streams
	// away is the database's: true while it does not answer.
	away atomic.Bool
}

// New builds the console. Its error reports everything that is wrong at once: with
// the configuration, with what is missing, and with every route of every section.
func New(c Config, d Deps) (*Console, error) {
	if err := errors.Join(c.Validate(), d.validate()); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	s := &Console{config: c.withDefaults(), deps: d, log: d.Log, now: d.Now, failed: make(chan access.Entry, failedMax)}
	s.remembered = newRemembered()
	s.logins, s.accounts = newThrottle(), newThrottle()
	s.streams.init(s.config.Streams)
	var err error
	if s.metrics, err = newMetrics(d.Registerer, s); err != nil {
		return nil, fmt.Errorf("console: metrics: %w", err)
	}
	if s.shell, err = newShell(d.Sections); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if err := s.addRoutes(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	s.http = &fasthttp.Server{
		Handler:                      s.handle,
		HeaderReceived:               s.headerReceived,
		ErrorHandler:                 s.refuseHTTP,
		Logger:                       serverLog{d.Log},
		ReadTimeout:                  readTimeout,
		IdleTimeout:                  idleTimeout,
		MaxRequestBodySize:           frame.BodyBytesDefault,
		ReadBufferSize:               headerBytesMax,
		Concurrency:                  2 * s.config.Connections, // the listener bounds them
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true, // errors quote headers otherwise
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
	}
	return s, nil
}

// Routes are all routes of the console, for tests that walk them.
func (c *Console) Routes() []frame.Route { return c.mux.Routes() }

// Run serves ln until ctx ends, then lets the requests inside finish for a while,
// ends streams, and closes what is left.
func (c *Console) Run(ctx context.Context, ln net.Listener) error {
	bounded := newListener(ln, c.config.Connections)
	var caretaker sync.WaitGroup
	care, stopCare := context.WithCancel(ctx)
	caretaker.Go(func() { c.takeCare(care) })
	defer caretaker.Wait()
	defer stopCare()

	served := make(chan error, 1)
	go func() { served <- c.http.Serve(bounded) }()
	select {
	case err := <-served:
		c.streams.close()
		return fmt.Errorf("console: %w", err)
	case <-ctx.Done():
	}
	c.streams.close()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := c.http.ShutdownWithContext(drain)
	_ = bounded.Close() // again, for a Serve that had not told fasthttp of it yet
	bounded.closeAll()
	c.streams.wait()
	if err := errors.Join(err, <-served); err != nil {
		return fmt.Errorf("stop the console: %w", err)
	}
	return nil
}

// takeCare asks whether the database answers, sweeps, and writes down failed logins,
// until ctx ends.
func (c *Console) takeCare(ctx context.Context) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var swept time.Time
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
			defer cancel()
			c.writeKept(last)
			return
		case e := <-c.failed:
			if err := c.deps.Store.Audit(ctx, e); err != nil && ctx.Err() == nil {
				c.log.Warn("a failed login is not in the audit log", "err", err)
			}
		case <-ping.C:
			bounded, cancel := context.WithTimeout(ctx, pingTimeout)
			err := c.deps.Store.Ping(bounded)
			cancel()
			if ctx.Err() != nil {
				return
			}
			c.databaseAway(err != nil)
			if err == nil {
				c.writeKept(ctx)
			}
			if now := c.now(); err == nil && now.Sub(swept) >= sweepEvery {
				swept = now
				c.remembered.sweep(now)
				if err := c.deps.Store.Sweep(ctx, now, devicesKept); err != nil && ctx.Err() == nil {
					c.log.Warn("expired sessions stay for now", "err", err)
				}
			}
		}
	}
}

// databaseAway notes whether the database answers, and tells once.
func (c *Console) databaseAway(away bool) {
	if c.away.Swap(away) == away {
		return
	}
	if away {
		c.log.Warn("the database does not answer: the console shows what it remembers and changes nothing")
	} else {
		c.log.Info("the database answers again")
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
	l.log.Debug("http server of the console", attrs...)
}
