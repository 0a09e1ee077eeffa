package httpapi

import (
	"slices"
	"sync"

	"spillway/ingest"
)

// waiters are the long polls that wait for news, by donation. Deps.Waits bounds
// them. News only wakes: what a donor is told is always asked of the ledger.
type waiters struct {
	mu sync.Mutex
	of map[ingest.ID][]chan struct{}
}

// join returns a channel that holds a value when news has come since the last one
// was taken. Whoever joins leaves once.
func (w *waiters) join(id ingest.ID) (news <-chan struct{}, leave func()) {
	own := make(chan struct{}, 1) // news that comes twice is news once
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[ingest.ID][]chan struct{}{}
	}
	w.of[id] = append(w.of[id], own)
	return own, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		rest := slices.DeleteFunc(w.of[id], func(c chan struct{}) bool { return c == own })
		if len(rest) == 0 {
			delete(w.of, id)
			return
		}
		w.of[id] = rest
	}
}

func (w *waiters) wake(ids [][16]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		for _, c := range w.of[id] {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

// Changed wakes the long polls of these donations: their states have changed. It
// does not block and keeps nothing.
func (s *Server) Changed(ids [][16]byte) { s.waiters.wake(ids) }
