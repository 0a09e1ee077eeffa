package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// session is one connection through the wire: near is who called, far who was called.
type session struct {
	proxy  *Proxy
	near   *net.TCPConn
	ctx    context.Context
	cancel context.CancelFunc
	// orphaned is set when the far end is gone and near is not to know.
	orphaned atomic.Bool

	mu  sync.Mutex
	far stream // nil until it was reached
}

// stream is what TCP and Unix connections have in common.
type stream interface {
	net.Conn
	CloseWrite() error
}

// run passes everything on until both directions have ended.
func (s *session) run() {
	defer s.end()
	if !s.orphaned.Load() && s.reach() {
		var both sync.WaitGroup
		both.Go(func() { s.pass(s.near, s.far) })
		both.Go(func() { s.pass(s.far, s.near) })
		both.Wait()
	}
	if s.orphaned.Load() {
		s.hang()
	}
}

// reach dials the far end once anything passes at all.
func (s *session) reach() bool {
	if s.open() != nil {
		return false
	}
	// Not by the session's context: a dial called off after the far end has accepted would
	// show it an orderly end, where the weather wants a reset.
	dialer := net.Dialer{Timeout: dialWithin}
	conn, err := dialer.DialContext(s.proxy.ctx, s.proxy.cfg.Network, s.proxy.cfg.Address)
	if err != nil {
		// Nobody is there: the caller sees what a closed port shows at the first byte.
		if !s.orphaned.Load() {
			s.reset()
		}
		return false
	}
	far, ok := conn.(stream)
	if !ok {
		panic("a wire leads to TCP or Unix sockets")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil { // ended meanwhile, and whoever did it saw no far end
		abort(far)
		return false
	}
	s.far = far
	return true
}

// open waits until the wire passes anything.
func (s *session) open() error {
	for {
		weather, changed := s.proxy.now()
		if weather.Kind != Cut {
			return s.ctx.Err()
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

// parcel is what was read at once, nil for the end of the stream.
type parcel struct {
	content []byte
	due     time.Time
}

// pass passes one direction on, in order. It ends with the stream, whose end it hands
// on, or with either connection.
func (s *session) pass(from, to stream) {
	under := make(chan parcel, chunksMost)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(under)
		s.read(from, under)
	})
	if err := s.write(to, under); err != nil {
		s.stop()
	}
	for range under { //nolint:revive // lets the reader come to its end
	}
	reading.Wait()
}

func (s *session) read(from stream, under chan<- parcel) {
	for {
		buffer := make([]byte, chunkBytes)
		n, err := from.Read(buffer)
		if s.open() != nil {
			return
		}
		weather, _ := s.proxy.now()
		due := time.Now()
		if weather.Kind == Slow {
			due = due.Add(weather.Latency)
		}
		if n > 0 && !s.send(under, parcel{buffer[:n], due}) {
			return
		}
		if errors.Is(err, io.EOF) {
			s.send(under, parcel{nil, due})
			return
		}
		if err != nil {
			s.stop()
			return
		}
	}
}

func (s *session) send(under chan<- parcel, p parcel) bool {
	select {
	case under <- p:
		return true
	case <-s.ctx.Done():
		return false
	}
}

func (s *session) write(to stream, under <-chan parcel) error {
	for p := range under {
		if err := sleep(s.ctx, time.Until(p.due)); err != nil {
			return err
		}
		if err := s.open(); err != nil {
			return err
		}
		if p.content == nil {
			return to.CloseWrite()
		}
		if _, err := to.Write(p.content); err != nil {
			return err
		}
		if weather, _ := s.proxy.now(); weather.Kind == Slow && weather.BytesPerSecond > 0 {
			if err := s.crawl(time.Duration(float64(len(p.content)) / float64(weather.BytesPerSecond) * float64(time.Second))); err != nil {
				return err
			}
		}
	}
	return nil
}

// crawl waits for as long as bytes take, or until the weather changes.
func (s *session) crawl(d time.Duration) error {
	_, changed := s.proxy.now()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-s.ctx.Done():
	}
	return s.ctx.Err()
}

// stop ends the passing: for good, unless near is not to know.
func (s *session) stop() {
	if !s.orphaned.Load() {
		s.end()
	}
}

// end closes both connections. It may be called again.
func (s *session) end() {
	s.cancel()
	_ = s.near.Close() // may have ended by itself
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.far != nil {
		_ = s.far.Close()
	}
}

// reset ends both connections as by a reset.
func (s *session) reset() {
	s.cancel()
	abort(s.near)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.far != nil {
		abort(s.far)
	}
}

// orphan ends the far connection without near seeing it. It may be called again.
func (s *session) orphan() {
	// Held from before it is marked: hang takes the deadline away only after it was set.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orphaned.Swap(true) {
		return
	}
	s.cancel()
	_ = s.near.SetDeadline(time.Now()) // wakes its reader
	if s.far != nil {
		abort(s.far)
	}
}

// hang takes what near sends and answers nothing, until the weather is another.
func (s *session) hang() {
	var swallowing sync.WaitGroup
	gone := make(chan struct{})
	s.mu.Lock()
	_ = s.near.SetDeadline(time.Time{}) // fails when near has ended, as the next read does
	s.mu.Unlock()
	swallowing.Go(func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, s.near)
	})
	for waiting := true; waiting; {
		weather, changed := s.proxy.now()
		if weather.Kind != HalfOpen {
			break
		}
		select {
		case <-changed:
		case <-gone:
			waiting = false
		case <-s.proxy.ctx.Done():
			waiting = false
		}
	}
	abort(s.near)
	swallowing.Wait()
}

// abort closes with a reset where there is one: a Unix socket just closes.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a closed connection, as does the next
	}
	_ = c.Close()
}
