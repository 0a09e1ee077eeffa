package httpapi

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
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
