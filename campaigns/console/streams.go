package console

import (
	"context"
	"sync"
	"time"
)

// streams bounds open streams and ends them with the console.
type streams struct {
	ctx  context.Context
	end  context.CancelFunc
	room chan struct{}
	mu   sync.Mutex // orders open against close, so that wait waits for all
	open sync.WaitGroup
}

func (s *streams) init(max int) {
	s.ctx, s.end = context.WithCancel(context.Background())
	s.room = make(chan struct{}, max)
}

// add is frame.Surroundings.Stream.
func (s *streams) add(longest time.Duration) (ctx context.Context, done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, nil, false
	}
	select {
	case s.room <- struct{}{}:
	default:
		return nil, nil, false
	}
	s.open.Add(1)
	ctx, cancel := context.WithTimeout(s.ctx, longest)
	return ctx, sync.OnceFunc(func() {
		cancel()
		<-s.room
		s.open.Done()
	}), true
}

func (s *streams) count() int { return len(s.room) }

func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

func (s *streams) wait() { s.open.Wait() }
