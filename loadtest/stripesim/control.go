package stripesim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// The stand-in's own controls. They need no key: keep the listener private.
//
//	GET  /sim/books                     the books, as JSON lines
//	GET  /sim/stats                     what happened so far, as counts
//	GET  /sim/faults, POST /sim/faults  the faults; POST changes the members that it names
//	POST /sim/limits                    rate limits: {"per_endpoint":25,"per_account":100}
//	POST /sim/clock?advance=1h          moves the clock forward
//	POST /sim/intents/{id}/authenticate?outcome=succeed|fail|abandon
//	POST /sim/charges/{id}/dispute      opens a dispute; {id} may be an intent's
//	POST /sim/disputes/{id}/close?outcome=won|lost
//	POST /sim/payouts                   automatic payouts of what is available
//	POST /sim/payouts/{id}/fail
//	POST /sim/events/{id}/resend        delivers an event once more
func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/sim/"), "/")
	id := ""
	if len(parts) > 1 {
		id = parts[1]
		parts[1] = ":id"
	}
	switch r.Method + " " + strings.Join(parts, "/") {
	case "GET books":
		w.Header().Set("Content-Type", "application/x-ndjson")
		if err := s.WriteBooks(w); err != nil {
			s.cfg.Log.Debug("write books", "error", err)
			panic(http.ErrAbortHandler) // whoever reads must see that it is cut
		}
	case "GET stats":
		s.writeJSON(w, s.Stats())
	case "GET faults":
		s.writeJSON(w, s.Faults())
	case "POST faults":
		f := s.Faults()
		if s.readJSON(w, r, &f) && s.accept(w, s.SetFaults(f)) {
			s.writeJSON(w, s.Faults())
		}
	case "POST limits":
		l := *s.pace.Load()
		if s.readJSON(w, r, &l) && s.accept(w, s.SetLimits(l)) {
			s.writeJSON(w, *s.pace.Load())
		}
	case "POST clock":
		d, err := time.ParseDuration(r.URL.Query().Get("advance"))
		if s.accept(w, err) && s.accept(w, s.Advance(d)) {
			s.writeJSON(w, map[string]int64{"now": s.Now().Unix()})
		}
	case "POST intents/:id/authenticate":
		s.act(w, intentKind, id, func(n uint32, c *change) *apiError { return s.authenticate(n, r.URL.Query().Get("outcome"), c) })
	case "POST charges/:id/dispute":
		s.disputeNow(w, id)
	case "POST disputes/:id/close":
		outcome := r.URL.Query().Get("outcome")
		if outcome != "won" && outcome != "lost" {
			s.refuseCall(w, malformed("parameter_invalid", "outcome", "outcome must be won or lost"))
			return
		}
		s.act(w, disputeKind, id, func(n uint32, c *change) *apiError {
			if !s.closeDispute(c, *s.disputes.at(n), outcome == "won") {
				return invalid("dispute_closed", "", "This dispute is already closed.")
			}
			return nil
		})
	case "POST payouts":
		made := []string{}
		for _, n := range s.payAll() {
			made = append(made, s.ids.id(payoutKind, n))
		}
		s.writeJSON(w, map[string][]string{"payouts": made})
	case "POST payouts/:id/fail":
		s.act(w, payoutKind, id, func(n uint32, c *change) *apiError {
			if !s.failPayout(c, *s.payouts.at(n)) {
				return invalid("", "", "This payout has already failed.")
			}
			return nil
		})
	case "POST events/:id/resend":
		s.resend(w, id)
	default:
		s.refuseCall(w, noRoute(r.Method, r.URL.Path))
	}
}

// act does something to an object and shows what became of it.
func (s *Server) act(w http.ResponseWriter, k kind, id string, do func(n uint32, c *change) *apiError) {
	n := s.ids.number(k, id)
	s.mu.Lock()
	there := map[kind]uint32{intentKind: s.intents.last, disputeKind: s.disputes.last, payoutKind: s.payouts.last, chargeKind: s.charges.last}[k]
	if n == 0 || n > there {
		s.mu.Unlock()
		s.refuseCall(w, noSuch("object", id))
		return
	}
	c := &change{at: s.now().UnixMilli()}
	bad := do(n, c)
	if bad == nil && c.any() {
		s.commit(c)
	}
	out := renderer{ids: s.ids, in: s.state, now: c.at / 1000}
	if bad == nil {
		out.object(k, n)
	}
	s.mu.Unlock()
	switch {
	case s.settle() != nil:
		panic(http.ErrAbortHandler)
	case bad != nil:
		s.refuseCall(w, bad)
	default:
		s.write(w, http.StatusOK, out.b, nil)
	}
}

// The outcomes of an authentication.
const (
	outcomeSucceed = "succeed"
	outcomeFail    = "fail"
	outcomeAbandon = "abandon"
)

// authenticate is a donor at the bank's page. mu is held for writing.
func (s *Server) authenticate(n uint32, outcome string, c *change) *apiError {
	p := *s.intents.at(n)
	switch {
	case p.status != needsAction:
		return wrongState(&p, "authenticat", needsAction)
	case s.busy[n]:
		return locked()
	}
	switch outcome {
	case outcomeSucceed:
		s.later(s.authorize(c, p, cards[p.card].decline))
	case outcomeFail:
		s.later(s.refuse(c, p, declinedAuthentication))
	case outcomeAbandon: // leaves, and never acts by himself any more
		p.dueAt = 0
		c.intents = append(c.intents, p)
	default:
		return malformed("parameter_invalid", "outcome", "outcome must be succeed, fail or abandon")
	}
	return nil
}

// disputeNow opens a dispute of a charge, or of an intent's charge.
func (s *Server) disputeNow(w http.ResponseWriter, id string) {
	s.mu.RLock()
	if p, ok := s.intents.get(s.ids.number(intentKind, id)); ok {
		id = s.ids.id(chargeKind, p.charge)
	}
	s.mu.RUnlock()
	s.act(w, chargeKind, id, func(n uint32, c *change) *apiError {
		if !s.openDispute(c, *s.charges.at(n)) {
			c.charges = nil
			return invalid("", "", "There is nothing to dispute.")
		}
		return nil
	})
}

// resend delivers an event once more, as from Stripe's dashboard.
func (s *Server) resend(w http.ResponseWriter, id string) {
	n := s.ids.number(eventKind, id)
	s.mu.RLock()
	_, ok := s.events.get(n)
	s.mu.RUnlock()
	if !ok || s.cfg.WebhookURL == "" {
		s.refuseCall(w, noSuch("event", id))
		return
	}
	s.hooks.put(delivery{at: time.Now().UnixMilli(), n: n, again: true})
	s.writeJSON(w, map[string]string{"resent": id})
}

// Stats are counts since the start of the process, and sizes.
type Stats struct {
	Calls       int64 `json:"calls"`
	Replays     int64 `json:"replays"`
	RateLimited int64 `json:"rate_limited"`
	Errors      int64 `json:"errors"` // remembered answers that were no success
	Hung        int64 `json:"hung"`
	Reset       int64 `json:"reset"`

	Delivered         int64 `json:"delivered"`
	DeliveriesFailed  int64 `json:"deliveries_failed"`
	DeliveriesPending int64 `json:"deliveries_pending"`
	Lost              int64 `json:"lost"`
	Duplicated        int64 `json:"duplicated"`
	Held              int64 `json:"held"`
	GaveUp            int64 `json:"gave_up"`

	Intents  int64 `json:"intents"`
	Charges  int64 `json:"charges"`
	Refunds  int64 `json:"refunds"`
	Disputes int64 `json:"disputes"`
	Payouts  int64 `json:"payouts"`
	Events   int64 `json:"events"`
	Keys     int64 `json:"keys"`
	Tokens   int64 `json:"tokens"`
	LogBytes int64 `json:"log_bytes"`
}

// Stats returns the counts as they are now.
func (s *Server) Stats() Stats {
	t := &s.counted
	st := Stats{
		Calls: t.calls.Load(), Replays: t.replays.Load(), RateLimited: t.limited.Load(), Errors: t.errors.Load(), Hung: t.hung.Load(), Reset: t.reset.Load(),
		Delivered: t.delivered.Load(), DeliveriesFailed: t.refused.Load(), Lost: t.lost.Load(), Duplicated: t.duplicated.Load(), Held: t.held.Load(), GaveUp: t.gaveUp.Load(),
		DeliveriesPending: int64(s.hooks.pending()),
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Intents, st.Charges, st.Refunds = int64(s.intents.last), int64(s.charges.last), int64(s.refunds.last)
	st.Disputes, st.Payouts, st.Events = int64(s.disputes.last), int64(s.payouts.last), int64(s.events.last)
	st.Keys, st.Tokens = int64(len(s.keys)), int64(s.tokens.last)
	s.log.mu.Lock()
	st.LogBytes = s.log.end
	s.log.mu.Unlock()
	return st
}

// readJSON reads a body over what v holds; an unknown member is an error.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMax))
	in.DisallowUnknownFields()
	return s.accept(w, in.Decode(v))
}

// accept answers an error as the caller's.
func (s *Server) accept(w http.ResponseWriter, err error) bool {
	if err != nil {
		s.refuseCall(w, malformed("parameter_invalid", "", "%s", err.Error()))
	}
	return err == nil
}

func (s *Server) writeJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain numbers and strings always have a JSON form
	}
	s.write(w, http.StatusOK, append(body, '\n'), nil)
}
