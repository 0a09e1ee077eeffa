package httpapi

import (
	"context"
	"net"
	"sync"
)

// streams is the registry of open streams. fasthttp forgets a connection that was
// taken from it: bounding them and closing them is done here.
type streams struct {
	mu     sync.Mutex
	max    int
	conns  map[net.Conn]struct{}
	closed bool
	empty  chan struct{} // closed when closed and the last stream has ended
}

func (s *streams) init(max int) {
	s.max, s.conns, s.empty = max, map[net.Conn]struct{}{}, make(chan struct{})
}

// full tells whether no stream may be added now, and whether none ever will.
func (s *streams) full() (full, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) >= s.max, s.closed
}

// count is the number of open streams.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// add reports whether there was room; whoever was added calls remove once.
func (s *streams) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.max {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *streams) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.closed && len(s.conns) == 0 {
		close(s.empty)
	}
}

// close closes every stream's connection and waits until all streams have ended.
func (s *streams) close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if len(s.conns) == 0 {
			close(s.empty)
		}
	}
	for c := range s.conns {
		_ = c.Close() // its reader sees it, and its writer
	}
	s.mu.Unlock()
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
