package httpapi

import (
	"math/rand/v2"
	"time"

	"spillway/ingest"
)

// awaitChange asks again, at once when news of the donation comes and gently when
// none does, until the answer differs from first, the time is over or the server
// stops, and returns the newest truth. With every waiting place taken it does not
// wait at all. News that came before it listened is seen at its second question.
//
// Once the ledger has told a donation's state, a question without an answer
// leaves that state standing, marked stale.
func (s *Server) awaitChange(id ingest.ID, first view, seconds int) view {
	if !s.deps.Waits.Take() {
		return first
	}
	defer s.deps.Waits.Give()
	news, leave := s.waiters.join(id)
	defer leave()
	over := time.NewTimer(time.Duration(seconds) * time.Second)
	defer over.Stop()
	again := time.NewTimer(s.askFirst)
	defer again.Stop()

	latest := first
	for pause := s.askFirst; ; {
		select {
		case <-over.C:
			return latest
		case <-s.stopping:
			return latest
		case <-again.C:
		case <-news:
			pause = s.askFirst // where one change is, the next is often near
		}
		next := s.ask(id)
		if next.stale && latest.state.Found {
			next.state = latest.state
		}
		latest = next
		if changed(&first, &latest) {
			return latest
		}
		pause = min(pause+pause/2, max(askAgainMax, s.askFirst))
		again.Reset(pause + rand.N(pause/4)) // spread: a page full of donors asked together
	}
}

// changed tells whether a donor would read something else in b than in a. Hearing
// nothing is not news.
func changed(a, b *view) bool {
	if b.stale {
		return false
	}
	return b.state.Found != a.state.Found ||
		b.state.Status != a.state.Status ||
		b.state.Reason != a.state.Reason ||
		b.state.AttemptNo != a.state.AttemptNo ||
		b.state.ClientSecret != a.state.ClientSecret ||
		b.state.RefundedMinor != a.state.RefundedMinor ||
		b.state.Dispute != a.state.Dispute ||
		len(b.state.Conflicts) != len(a.state.Conflicts)
}
