package stripesim

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// bodyMax bounds a call's body, bytes: far above what any call of ours needs.
const bodyMax = 64 << 10

// keyMax is Stripe's longest idempotency key, characters.
const keyMax = 255

// ServeHTTP answers the API under /v1/ and the stand-in's own controls under /sim/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/sim/") {
		s.control(w, r)
		return
	}
	s.counted.calls.Add(1)
	switch s.Faults().Outage {
	case Unavailable:
		s.refuseCall(w, unavailable())
		return
	case Hanging:
		s.hang(r)
	case Disconnected:
		panic(http.ErrAbortHandler) // the server closes the connection
	}
	if !s.authorized(r) {
		s.refuseCall(w, badKey())
		return
	}
	q, bad := s.read(w, r)
	if bad != nil {
		s.refuseCall(w, bad)
		return
	}
	if !q.at.calm {
		number := s.calls.Add(1)
		storm := s.Faults().RateLimitRate
		if chance(mix(s.cfg.Seed^number)).hits("storm", storm) {
			s.refuseCall(w, rateLimited("global-rate"))
			return
		}
		if bad := s.limits.admit(*s.pace.Load(), q.at.name, time.Now()); bad != nil {
			s.refuseCall(w, bad)
			return
		}
		defer s.limits.leave()
	}
	if q.at.get != nil {
		s.answerGet(w, r, q)
	} else {
		s.answerPost(w, r, q)
	}
}

// authorized checks the secret key, as a bearer or as a user name.
func (s *Server) authorized(r *http.Request) bool {
	if s.cfg.Key == "" {
		return true
	}
	if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return key == s.cfg.Key
	}
	user, _, ok := r.BasicAuth()
	return ok && user == s.cfg.Key
}

// read takes a call apart.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (*call, *apiError) {
	at, id := findEndpoint(r.Method, r.URL.Path)
	if at == nil {
		return nil, noRoute(r.Method, r.URL.Path)
	}
	q := &call{at: at, id: id}
	text := r.URL.RawQuery
	if r.Method != http.MethodGet {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if err != nil {
			return nil, malformed("", "", "The request body could not be read, or is larger than %d bytes.", bodyMax)
		}
		text = string(body)
		q.key = strings.TrimSpace(r.Header.Get("Idempotency-Key"))
		if len(q.key) > keyMax {
			return nil, malformed("", "", "Idempotency keys are at most %d characters long.", keyMax)
		}
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, malformed("", "", "The parameters could not be read: they must be application/x-www-form-urlencoded.")
	}
	q.params = params{values}
	if at.known != nil {
		if bad := q.known(at.known); bad != nil {
			return nil, bad
		}
	}
	var bad *apiError
	if q.expand, bad = expansionOf(q.params); bad != nil {
		return nil, bad
	}
	q.asked = hashOf(q.fingerprint(), r.Method+" "+r.URL.Path)
	if q.key != "" {
		q.draw = chance(hashOf(s.cfg.Seed, q.key))
	} else {
		q.draw = chance(mix(s.cfg.Seed ^ mix(s.calls.Load())))
	}
	return q, nil
}

// readShare is how much faster reads are than calls that change something.
const readShare = 4

// answerGet shows something. Everything that it shows is in the log first.
func (s *Server) answerGet(w http.ResponseWriter, r *http.Request, q *call) {
	draw := chance(mix(s.cfg.Seed ^ s.calls.Load()))
	if !s.wait(draw.latency(s.cfg.Latency) / readShare) {
		panic(http.ErrAbortHandler)
	}
	s.mu.RLock()
	err := s.settle()
	out := renderer{ids: s.ids, in: s.state, exp: q.expand, now: s.now().Unix()}
	var bad *apiError
	if err == nil {
		bad = q.at.get(s, q, &out)
	}
	s.mu.RUnlock()
	switch {
	case err != nil:
		panic(http.ErrAbortHandler)
	case bad != nil:
		s.refuseCall(w, bad)
	default:
		s.write(w, http.StatusOK, out.b, nil)
	}
}

// answerPost changes something, once per idempotency key.
func (s *Server) answerPost(w http.ResponseWriter, r *http.Request, q *call) {
	remembered, n, bad := s.enter(q)
	if bad != nil {
		s.refuseCall(w, bad)
		return
	}
	if remembered != nil {
		s.replay(w, r, q, *remembered)
		return
	}
	before, after := s.duration(q)
	if !s.wait(before) {
		s.leave(q, n)
		panic(http.ErrAbortHandler)
	}
	c := s.execute(q, n)
	if s.settle() != nil {
		panic(http.ErrAbortHandler)
	}
	if c.answer.fault.early { // not remembered
		s.refuseWith(w, q, c)
		return
	}
	if !s.wait(after) {
		panic(http.ErrAbortHandler)
	}
	s.reply(w, r, q, c, 0)
}

// duration is how long a call takes before it is carried out and after: an event
// may be on its way before the answer.
func (s *Server) duration(q *call) (before, after time.Duration) {
	if q.at.calm {
		return 0, 0
	}
	total := q.draw.latency(s.cfg.Latency)
	before = total * 7 / 10
	after = total - before
	if s.cardOf(q) == cardSlow {
		before += s.cfg.Slow
	}
	return before, after
}

// cardOf is the card that a call names; 0 when it names none.
func (s *Server) cardOf(q *call) card {
	if text := q.text("confirmation_token"); text != "" {
		s.mu.RLock()
		defer s.mu.RUnlock()
		if t, made := s.tokens.get(s.ids.number(tokenKind, text)); made {
			return t.card
		}
		return cardOfToken(text)
	}
	number, _ := cardOfMethod(q.text("payment_method"))
	return number
}

// reply sends the answer in a change, or has it lost on its way. try is 0 for the
// first time that it is sent, and counts the replays.
func (s *Server) reply(w http.ResponseWriter, r *http.Request, q *call, c *change, try int) {
	if !q.at.calm {
		faults := s.Faults()
		draw := chance(mix(uint64(q.draw) + uint64(try)))
		card := card(0)
		if try == 0 {
			card = s.cardOf(q)
		}
		if card == cardTimeout || draw.hits("timeout", faults.TimeoutRate) {
			s.counted.hung.Add(1)
			s.hang(r)
		}
		if card == cardReset || draw.hits("reset", faults.ResetRate) {
			s.counted.reset.Add(1)
			s.cutShort(w, int(c.answer.status), s.body(c))
			return
		}
	}
	s.refuseWith(w, q, c)
}

// refuseWith sends the answer in a change, whatever it is.
func (s *Server) refuseWith(w http.ResponseWriter, q *call, c *change) {
	if q.key != "" {
		w.Header().Set("Idempotency-Key", q.key)
	}
	s.write(w, int(c.answer.status), s.body(c), &c.answer.fault)
}

// body renders the answer in a change from the change alone, so that every replay
// is the same.
func (s *Server) body(c *change) []byte {
	r := renderer{ids: s.ids, in: c, exp: c.answer.expand, now: c.at / 1000, b: make([]byte, 0, 2048)}
	if c.answer.status == http.StatusOK && r.object(c.answer.about, c.answer.n) {
		return r.b
	}
	fault := c.answer.fault
	if c.answer.status == http.StatusOK {
		fault = *internal() // cannot be: every answer's object is in its change
	}
	r.failure(&fault)
	return r.b
}

// wait takes its time; false when the server is being stopped.
func (s *Server) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stopping:
		return false
	}
}

// hang gives no answer until the client goes away, or for as long as it may. It
// does not return: the connection is closed.
func (s *Server) hang(r *http.Request) {
	// Only behind its body does the server notice that a client goes away.
	if _, err := io.Copy(io.Discard, io.LimitReader(r.Body, bodyMax)); err != nil {
		panic(http.ErrAbortHandler)
	}
	timer := time.NewTimer(s.cfg.HangMax)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-s.stopping:
	}
	panic(http.ErrAbortHandler)
}

// cutShort sends half of an answer and resets the connection.
func (s *Server) cutShort(w http.ResponseWriter, status int, body []byte) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not a connection of its own (HTTP/2): close is all there is
	}
	head := "HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	_, err = buffered.WriteString(head)
	if err == nil {
		_, err = buffered.Write(body[:len(body)/2])
	}
	if err == nil {
		err = buffered.Flush()
	}
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
		err = tcp.SetLinger(0) // close resets
	}
	if e := conn.Close(); err != nil || e != nil {
		s.cfg.Log.Debug("reset a connection", "error", err, "close", e)
	}
}

// refuseCall sends an error that is not remembered.
func (s *Server) refuseCall(w http.ResponseWriter, e *apiError) {
	if e.status == http.StatusTooManyRequests {
		s.counted.limited.Add(1)
	}
	out := renderer{ids: s.ids, in: &change{}}
	out.failure(e)
	s.write(w, e.status, out.b, e)
}

// write sends a whole answer.
func (s *Server) write(w http.ResponseWriter, status int, body []byte, e *apiError) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Request-Id", s.ids.id(requestKind, uint32(s.counted.calls.Load())))
	h.Set("Stripe-Version", apiVersion)
	if e != nil && e.reason != "" {
		h.Set("Stripe-Rate-Limited-Reason", e.reason)
	}
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		s.cfg.Log.Debug("write an answer", "error", err) // the client went away
	}
}
