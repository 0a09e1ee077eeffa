package console

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// acceptPause is the wait after an accept that failed for want of something that
// comes back.
const acceptPause = 100 * time.Millisecond

// listener bounds open connections and gives every write a deadline of its own, so
// that a stream may be long and a browser that does not read cannot hold it.
type listener struct {
	net.Listener
	max   int
	mu    sync.Mutex
	conns map[*conn]struct{}
}

func newListener(ln net.Listener, max int) *listener {
	return &listener{Listener: ln, max: max, conns: map[*conn]struct{}{}}
}

// Accept returns the next connection that there is room for; others are closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !passing(err) {
				return nil, err
			}
			time.Sleep(acceptPause) // others will give something back
			continue
		}
		c := &conn{Conn: raw, listener: l}
		l.mu.Lock()
		room := len(l.conns) < l.max
		if room {
			l.conns[c] = struct{}{}
		}
		l.mu.Unlock()
		if room {
			return c, nil
		}
		_ = raw.Close()
	}
}

// passing tells whether an accept failed for a reason that goes away.
func passing(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

func (l *listener) closeAll() {
	l.mu.Lock()
	open := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

type conn struct {
	net.Conn
	listener *listener
}

func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
