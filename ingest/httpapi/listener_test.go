package httpapi

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// scriptedListener fails as told, then hands out one end of a pipe.
type scriptedListener struct {
	net.Listener
	errs  []error
	peers []net.Conn
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	c, peer := net.Pipe()
	l.peers = append(l.peers, peer)
	return c, nil
}

// Running out of file descriptors is not the end: fasthttp would stop listening.
func TestListener_SurvivesWhatPasses(t *testing.T) {
	fail := func(errno syscall.Errno) error {
		return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
	}
	l := newListener(&scriptedListener{errs: []error{fail(syscall.EMFILE), fail(syscall.ECONNABORTED), fail(syscall.ENOBUFS)}}, 1, nil, func() {})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if n := l.open.Load(); n != 1 {
		t.Errorf("%d open", n)
	}
	_ = c.Close()
	_ = c.Close() // once is counted
	if n := l.open.Load(); n != 0 || len(l.conns) != 0 {
		t.Errorf("%d open, %d known after closing", n, len(l.conns))
	}
	l = newListener(&scriptedListener{errs: []error{net.ErrClosed}}, 1, nil, func() {})
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want the listener's end", err)
	}
}

// A hijacked connection, a live stream, is somebody else's to bound, and still
// closed with all others.
func TestListener_HijackedIsNotCounted(t *testing.T) {
	refused := 0
	below := &scriptedListener{}
	l := newListener(below, 1, nil, func() { refused++ })
	stream, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	stream.(*conn).uncount()
	_, err = l.Accept() // would never return while the stream counted
	if err != nil || refused != 0 {
		t.Fatalf("%v, %d refused", err, refused)
	}
	l.closeAll()
	for i, peer := range below.peers {
		if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("connection %d after closeAll: %v, want its end", i, err)
		}
	}
	if n := l.open.Load(); n != 0 {
		t.Errorf("%d open", n)
	}
}

// Idle connections are kept for long, unless they keep others out.
func TestConn_IdleIsShortWhenCrowded(t *testing.T) {
	wait := func(max int, idle bool, deadline time.Time) time.Time {
		t.Helper()
		l := newListener(&scriptedListener{}, max, nil, func() {})
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		own, noted := c.(*conn), &deadlineConn{Conn: c.(*conn).Conn}
		own.Conn = noted
		own.idle.Store(idle)
		if err := c.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(nil); err != io.EOF {
			t.Fatal(err)
		}
		return noted.deadline
	}
	far, near := time.Now().Add(time.Hour), time.Now().Add(time.Second)
	if got := wait(100, true, far); !got.Equal(far) {
		t.Errorf("idle with room to spare: %v", got)
	}
	if got := wait(1, false, far); !got.Equal(far) {
		t.Errorf("busy in a crowd: %v", got)
	}
	if got := wait(1, true, near); !got.Equal(near) {
		t.Errorf("idle in a crowd, shorter anyway: %v", got)
	}
	for _, deadline := range []time.Time{far, {}} {
		if got := time.Until(wait(1, true, deadline)); got < 0 || got > idleCrowdedMax {
			t.Errorf("idle in a crowd: %v", got)
		}
	}
}

// deadlineConn notes the deadline that it is given.
type deadlineConn struct {
	net.Conn
	deadline time.Time
}

func (*deadlineConn) Read([]byte) (int, error) { return 0, io.EOF }

func (c *deadlineConn) SetReadDeadline(t time.Time) error {
	c.deadline = t
	return nil
}
