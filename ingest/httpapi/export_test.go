package httpapi

import (
	"time"

	"spillway/ingest"
)

// HearOnlyNews makes long polls ask the ledger again for nothing but news. It is
// called before the first of them.
func (s *Server) HearOnlyNews() { s.askFirst = time.Hour }

// Waiting is how many long polls wait for news of a donation.
func (s *Server) Waiting(id ingest.ID) int {
	s.waiters.mu.Lock()
	defer s.waiters.mu.Unlock()
	return len(s.waiters.of[id])
}
