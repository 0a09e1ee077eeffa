package httpapi

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// acceptPauseMin and acceptPauseMax bound the pause after an accept that failed
// for want of something that comes back.
const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = 500 * time.Millisecond
)

// listener bounds open connections, knows them all, and gives each the client's
// address in a form that costs nothing per request.
type listener struct {
	net.Listener
	max     int64
	refusal []byte // a whole HTTP answer for connections beyond max
	refused func()
	early   time.Duration // how much sooner than asked for a phase of a connection may end
	open    atomic.Int64  // connections counted against max

	mu    sync.Mutex
	conns map[*conn]struct{} // every connection not closed, hijacked ones too
}

func newListener(ln net.Listener, max int, refusal []byte, refused func()) *listener {
	return &listener{Listener: ln, max: int64(max), refusal: refusal, refused: refused, conns: make(map[*conn]struct{})}
}

// Accept returns the next connection that there is room for. Those beyond the
// bound get their refusal here: it fits an empty send buffer, so nothing waits.
func (l *listener) Accept() (net.Conn, error) {
	for pause := acceptPauseMin; ; {
		c, err := l.Listener.Accept()
		if err != nil {
			if !passing(err) {
				return nil, err
			}
			// Out of file descriptors or memory: others will give some back, and
			// a server that stops listening for good would be worse.
			time.Sleep(pause)
			pause = min(2*pause, acceptPauseMax)
			continue
		}
		pause = acceptPauseMin
		if l.open.Add(1) > l.max {
			l.open.Add(-1)
			l.refused()
			_ = c.SetDeadline(time.Now().Add(drainTimeMax))
			_, _ = c.Write(l.refusal)
			_ = c.Close()
			continue
		}
		counted := &conn{Conn: c, listener: l, counted: true}
		counted.read.early, counted.written.early = l.early, l.early
		if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			counted.remote = tcp.AddrPort().Addr().Unmap().WithZone("")
		}
		l.mu.Lock()
		l.conns[counted] = struct{}{}
		l.mu.Unlock()
		return counted, nil
	}
}

// passing tells whether an accept failed for a reason that goes away.
func passing(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// crowded tells whether three quarters of the connections are taken: then reads
// give theirs back after the answer, so that donors find one.
func (l *listener) crowded() bool { return l.open.Load() > l.max/4*3 }

// closeAll closes every connection, whatever it is doing.
func (l *listener) closeAll() {
	l.mu.Lock()
	conns := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		c.lingers.Store(false)
		_ = c.Close()
	}
}

// conn is one accepted connection.
type conn struct {
	net.Conn
	listener *listener
	remote   netip.Addr // not valid when the peer has no IP address
	lingers  atomic.Bool
	idle     atomic.Bool // an answer has left, and no request came since
	answers  whole
	read     deadline
	written  deadline

	mu      sync.Mutex
	counted bool
}

// Write sends p, or holds it back for a moment: see whole.
func (c *conn) Write(p []byte) (int, error) { return c.answers.write(c.Conn, p) }

// Read reads when the answer before has left.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.answers.release(c.Conn); err != nil {
		return 0, err
	}
	if err := c.read.arm(c.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// SetDeadline is what a connection is handed to a hijacker with: his times are exact.
func (c *conn) SetDeadline(t time.Time) error {
	c.read, c.written = deadline{wanted: t, set: t}, deadline{wanted: t, set: t}
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline bounds the writes to come.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.written.want(t)
	return c.written.arm(c.Conn.SetWriteDeadline)
}

// SetReadDeadline bounds the reads to come. It shortens the wait for another request
// while connections are scarce: idle ones would keep donors out.
func (c *conn) SetReadDeadline(t time.Time) error {
	if err := c.answers.release(c.Conn); err != nil {
		return err
	}
	if c.idle.Load() && c.listener.crowded() {
		if soon := time.Now().Add(idleCrowdedMax); t.IsZero() || soon.Before(t) {
			t = soon
		}
	}
	c.read.want(t)
	return nil
}

// uncount takes the connection out of the bound, once: it is closed, or was
// hijacked and is somebody else's to bound.
func (c *conn) uncount() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counted {
		c.counted = false
		c.listener.open.Add(-1)
	}
}

// linger makes Close wait, within drainBytesMax and drainTimeMax, for a client
// that is still sending.
func (c *conn) linger() { c.lingers.Store(true) }

func (c *conn) Close() error {
	_ = c.answers.release(c.Conn) // a client that is gone needs it no more
	c.uncount()
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	if c.lingers.Swap(false) {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.Conn.SetReadDeadline(time.Now().Add(drainTimeMax))
			_, _ = io.CopyN(io.Discard, c.Conn, drainBytesMax)
		}
	}
	return c.Conn.Close()
}
