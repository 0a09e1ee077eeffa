// Package wire is a network that can be broken: a proxy of byte streams that passes
// everything on until it is told to be slow, cut, half-open or to reset.
//
// The one invariant: it never changes, repeats or reorders a byte. What it withholds is
// delivered in order when the weather clears, or the connection is seen to have ended.
//
// Goroutines, all ended by Close:
//
//	accept   one; takes connections
//	session  one for each connection, and two in each direction: reader and writer
package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Kind is how a wire is broken.
type Kind int

// The kinds.
const (
	Clear Kind = iota // everything passes at once
	// Slow adds Latency each way, and passes BytesPerSecond of each connection each way.
	Slow
	// Cut passes nothing, and no connection tells so, nor a new one: as when packets are
	// dropped. What was under way arrives when it is over.
	Cut
	// HalfOpen drops the far ends: those who were called see a reset, those who called keep
	// connections, old and new, on which nothing is ever heard, and see a reset when it is
	// over, as of a machine that has come back and knows of none.
	HalfOpen
	// Reset resets all connections, and new ones while it lasts.
	Reset
)

// Weather is the state of a wire.
type Weather struct {
	Kind           Kind
	Latency        time.Duration // of Slow, each way
	BytesPerSecond int64         // of Slow, each way; 0 is no bound
}

// Config says where a proxy listens and what it stands before.
type Config struct {
	Listen string // host:port, port 0 for any
	// Network and Address are dialled for each connection: "tcp", "127.0.0.1:5432" or
	// "unix", "/run/s/.s.PGSQL.5432".
	Network, Address string
}

// Bounds.
const (
	// dialWithin bounds reaching the far end: it is on this machine.
	dialWithin = 5 * time.Second
	// chunkBytes is what is read and passed on at a time.
	chunkBytes = 16 << 10
	// chunksMost bounds what is on its way in one direction of a slow wire, 2 MB: more
	// than a socket's own buffers hold, so that latency alone slows no stream of 20 MB/s.
	chunksMost = 128
)

// Proxy is one wire.
type Proxy struct {
	cfg      Config
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	under    sync.WaitGroup

	mu       sync.Mutex
	weather  Weather
	changed  chan struct{} // closed at the next change
	sessions map[*session]struct{}
}

// Listen starts a proxy in clear weather. The far end need not be there yet.
func Listen(cfg Config) (*Proxy, error) {
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("wire to %s: %w", cfg.Address, err)
	}
	p := &Proxy{cfg: cfg, listener: listener, changed: make(chan struct{}), sessions: map[*session]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.under.Go(p.accept)
	return p, nil
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Close ends the proxy and all its connections, and returns when they are gone.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.mu.Lock()
	for s := range p.sessions {
		s.end()
	}
	p.mu.Unlock()
	p.under.Wait()
	return err
}

// Set changes the weather, for connections that are there and for those to come.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
	for s := range p.sessions {
		switch w.Kind {
		case Reset:
			s.reset()
		case HalfOpen:
			s.orphan()
		}
	}
}

// now is the weather, and a channel that is closed when it changes.
func (p *Proxy) now() (Weather, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.weather, p.changed
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, or a caller who has gone already: the next one may do.
			if sleep(p.ctx, acceptPause) != nil {
				return
			}
			continue
		}
		near, ok := conn.(*net.TCPConn)
		if !ok {
			panic("a TCP listener accepts TCP connections")
		}
		p.enter(near)
	}
}

// acceptPause is the time between two tries of a listener in trouble.
const acceptPause = 10 * time.Millisecond

// enter makes a session of a connection, as the weather is.
func (p *Proxy) enter(near *net.TCPConn) {
	ctx, cancel := context.WithCancel(p.ctx)
	s := &session{proxy: p, near: near, ctx: ctx, cancel: cancel}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil || p.weather.Kind == Reset {
		s.reset()
		return
	}
	if p.weather.Kind == HalfOpen {
		s.orphan()
	}
	p.sessions[s] = struct{}{}
	p.under.Go(func() {
		s.run()
		p.mu.Lock()
		delete(p.sessions, s)
		p.mu.Unlock()
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
