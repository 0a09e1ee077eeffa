package stripesim

import "net/http"

// What makes a call happen once: enter, execute, and replay of what was remembered.

// enter decides whether a call is to be executed: n is the intent that it holds
// until leave, 0 for none. A remembered answer is returned instead.
func (s *Server) enter(q *call) (remembered *saved, n uint32, bad *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.key != "" {
		k := hashKey(q.key)
		if s.running[k] {
			return nil, 0, keyInUse(q.key)
		}
		if old, ok := s.recall(q.key, s.now().Unix()); ok {
			if old.asked != q.asked {
				return nil, 0, keyReused(q.key)
			}
			if old.tries < 255 {
				old.tries++
			}
			s.keys[k] = old
			return &old, 0, nil
		}
	}
	if q.at.intent {
		n = s.ids.number(intentKind, q.id)
		if n != 0 {
			if s.busy[n] {
				return nil, 0, locked()
			}
			s.busy[n] = true
		}
	}
	if q.key != "" {
		s.running[hashKey(q.key)] = true
	}
	return nil, n, nil
}

// leave lets go of what enter took hold of.
func (s *Server) leave(q *call, n uint32) {
	s.mu.Lock()
	s.free(q, n)
	s.mu.Unlock()
}

func (s *Server) free(q *call, n uint32) {
	delete(s.busy, n)
	if q.key != "" {
		delete(s.running, hashKey(q.key))
	}
}

// execute carries a call out and commits what it made; what it answered is in the
// change.
func (s *Server) execute(q *call, n uint32) *change {
	card := s.cardOf(q)
	faults := s.Faults()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.free(q, n)
	c := &change{at: s.now().UnixMilli()}
	a := &answer{key: q.key, asked: q.asked, status: http.StatusOK, expand: q.expand}
	var bad *apiError
	if !q.at.calm && (card == cardError || q.draw.hits("error", faults.ErrorRate)) {
		bad = internal()
	} else {
		a.about, a.n, bad = q.at.post(s, q, c)
		if bad == nil && !q.at.calm && (card == cardErrorAfter || q.draw.hits("error after", faults.ErrorAfterRate)) {
			bad = internal()
		}
	}
	c.answer = a
	if bad != nil {
		a.status, a.fault = uint16(bad.status), *bad
		a.about, a.n = noKind, 0
		if bad.early {
			return c // nothing happened, and nothing is remembered
		}
		s.counted.errors.Add(1)
	}
	s.commit(c)
	return c
}

// replay answers what was answered before.
func (s *Server) replay(w http.ResponseWriter, r *http.Request, q *call, old saved) {
	s.counted.replays.Add(1)
	if s.settle() != nil {
		panic(http.ErrAbortHandler)
	}
	c, err := s.log.read(old.offset, old.record)
	if err != nil || c.answer == nil {
		s.cfg.Log.Error("replay an answer", "error", err)
		s.refuseCall(w, internal())
		return
	}
	w.Header().Set("Idempotent-Replayed", "true")
	if !s.wait(chance(mix(uint64(q.draw)+uint64(old.tries))).latency(s.cfg.Latency) / readShare) {
		panic(http.ErrAbortHandler)
	}
	s.reply(w, r, q, c, int(old.tries))
}
