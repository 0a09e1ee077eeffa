// Package broker is everything that Spillway asks of NATS JetStream: the streams
// and their settings, the proof that an acknowledgement means disk, the publisher
// that lets donations travel together, the source that the ledger reads, and the
// news of totals, campaigns and whatever else pages show.
//
// The one invariant: Publish returns nil only after the broker has said that the
// envelope is in the expected stream, on a connection for which the gate has seen
// proof of durability.
//
// Goroutines: nats.go's own, started by Connect and ended by Close; one for each
// lane, started by Publisher.Run and ended with it; those of Gate.Run, ReadFrames,
// the watches and ServeDonations are the caller's.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How soon a broker that is gone is noticed and looked for again.
const (
	// pingInterval and pingsOutMax: a broker that stopped answering without closing
	// the connection is given up after six seconds.
	pingInterval = 2 * time.Second
	pingsOutMax  = 2
	// writeTimeout bounds a write to a peer that no longer reads; it is what a lane
	// may be held up beyond its own deadlines.
	writeTimeout = 2 * time.Second
	dialTimeout  = 2 * time.Second
	// reconnectWaitMin doubles with every round over all servers up to reconnectWaitMax;
	// half of it is random, so that front-ends do not come back in step.
	reconnectWaitMin = 50 * time.Millisecond
	reconnectWaitMax = 2 * time.Second
	// drainTimeout bounds Close.
	drainTimeout = 5 * time.Second
	// requestTimeout bounds one question to the broker's API when the caller's
	// context does not: a leader election takes up to a few seconds.
	requestTimeout = 5 * time.Second
)

// Broker is one connection to the broker. It reconnects for ever. Roles that share
// a process do well to have one each, so that the ledger's reading never stands
// in front of a donation's acknowledgement.
type Broker struct {
	cfg  Config
	log  *slog.Logger
	nc   *nats.Conn
	js   jetstream.JetStream
	link link
	done chan struct{} // closed when nats.go has closed the connection

	asking chan struct{} // one place for each open AskDonation

	elsewhere elsewhere
	deposits  deposits
	gathering gathering // of the processor's events
}

// Connect connects, and keeps trying until it has or ctx ends. From then on a
// lost connection is sought again for ever. Errors: an invalid Config, or ctx's
// error with the last reason.
func Connect(ctx context.Context, cfg Config, log *slog.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg.withDefaults(), log: log, done: make(chan struct{}), asking: make(chan struct{}, asksMax)}
	b.link.changes, b.link.watchers = make(chan struct{}), make(map[*watcher]struct{})
	up := make(chan struct{})
	var once sync.Once
	var lastErr atomic.Pointer[error]

	opts := append(cfg.options(),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // credentials may be put right while we wait
		nats.CustomReconnectDelay(reconnectDelay),
		nats.ReconnectBufSize(-1), // what cannot be sent now is refused now
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOutMax),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
		nats.Timeout(dialTimeout),
		nats.DrainTimeout(drainTimeout),
		nats.ConnectHandler(func(*nats.Conn) {
			b.link.moved(true)
			once.Do(func() { close(up) })
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			b.link.moved(true)
			once.Do(func() { close(up) })
			log.Info("broker connected again", "server", nc.ConnectedServerName())
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			b.link.moved(false)
			if err != nil {
				log.Warn("broker connection lost", "error", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { lastErr.Store(&err) }),
		nats.ClosedHandler(func(*nats.Conn) {
			b.link.moved(false)
			close(b.done)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Error("broker connection", "subject", subject, "error", err)
		}),
	)
	nc, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to broker: %w", err)
	}
	b.nc = nc
	if nc.IsConnected() {
		b.link.moved(true)
	} else {
		select {
		case <-up:
		case <-ctx.Done():
			nc.Close()
			<-b.done
			if last := lastErr.Load(); last != nil {
				return nil, fmt.Errorf("connect to broker: %w: %w", ctx.Err(), *last)
			}
			return nil, fmt.Errorf("connect to broker: %w", ctx.Err())
		}
	}
	if b.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		nc.Close()
		<-b.done
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

// Close lets what has been handed over leave (acks, replies) within a few seconds
// and closes the connection. The roles' loops should have ended before.
func (b *Broker) Close() error {
	err := b.nc.Drain()
	if errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrConnectionClosed) {
		err = nil // nothing can leave; Drain has closed it
	}
	select {
	case <-b.done:
	case <-time.After(drainTimeout + writeTimeout):
		b.nc.Close()
		<-b.done
	}
	return err
}

func reconnectDelay(round int) time.Duration {
	wait := reconnectWaitMax
	if round < 6 { // 2^6 times the least is beyond the most
		wait = min(wait, reconnectWaitMin<<max(0, round-1))
	}
	return wait/2 + rand.N(wait/2+1)
}

// generation tells which connection this is, counting from 0, and whether there
// is one. A message sent on one generation is not trusted to be acknowledged on another.
func (b *Broker) generation() (n uint64, connected bool) {
	return b.nc.Stats().Reconnects, b.nc.IsConnected()
}

// errLost says that the connection was lost while an answer was awaited.
var errLost = errors.New("connection to the broker lost")

// within bounds ctx by requestTimeout, and ends it with errLost as its cause when
// the connection is lost: the answer would come to nobody.
func (b *Broker) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancelTime := context.WithTimeout(ctx, requestTimeout)
	ctx, cancel := context.WithCancelCause(ctx)
	generation, _ := b.generation()
	remove := b.link.watch(func() {
		if now, connected := b.generation(); !connected || now != generation {
			cancel(errLost)
		}
	})
	return ctx, func() {
		remove()
		cancel(nil)
		cancelTime()
	}
}

// unavailable sorts an error of asking under ctx, which within returned: the
// caller's own cancellation stays what it is.
func unavailable(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errLost):
		return fmt.Errorf("%w: %w", ErrUnavailable, errLost)
	case errors.Is(cause, context.Canceled):
		return cause
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// ErrUnavailable says that the broker could not be asked or did not answer. Try again.
var ErrUnavailable = errors.New("broker unavailable")

// link tells whoever waits that the connection was lost or made. It follows the
// connection by a moment, so that it may wake somebody but never vouches for anything.
type link struct {
	connected atomic.Bool

	mu       sync.Mutex
	changes  chan struct{} // closed and replaced at each change
	watchers map[*watcher]struct{}
}

// watcher is a function that is called at each change.
type watcher struct{ call func() }

func (l *link) moved(connected bool) {
	l.mu.Lock()
	l.connected.Store(connected)
	close(l.changes)
	l.changes = make(chan struct{})
	watchers := slices.Collect(maps.Keys(l.watchers))
	l.mu.Unlock()
	for _, w := range watchers {
		w.call()
	}
}

// changed returns a channel that is closed when the connection is next lost or made.
func (l *link) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

// watch has call called at each change until remove is called; a call under way
// may still end after that.
func (l *link) watch(call func()) (remove func()) {
	w := &watcher{call}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[w] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, w)
	}
}

// InProcess connects to a broker inside this process; the embedded nats-server is
// one, and so is whatever hands on to the server of the moment.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}
