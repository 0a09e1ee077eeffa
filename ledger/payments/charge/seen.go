package charge

import "sync"

// seen remembers the last events that this process dealt with, between seenMax/2 and
// seenMax of them. It only saves questions: the mark in the books decides.
type seen struct {
	mu         sync.Mutex
	young, old map[string]struct{}
}

func newSeen() *seen { return &seen{young: map[string]struct{}{}} }

func (s *seen) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= seenMax/2 {
		s.young, s.old = map[string]struct{}{}, s.young
	}
	s.young[id] = struct{}{}
}

func (s *seen) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.young[id]; ok {
		return true
	}
	_, ok := s.old[id]
	return ok
}
