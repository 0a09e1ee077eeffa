package stripesim

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"time"
)

// Bounds of a list's page (docs.stripe.com/api/pagination).
const (
	pageDefault = 10
	pageMax     = 100
)

// listing is what a list call asks for: the newest first.
type listing struct {
	limit         int
	after, before uint32 // numbers; 0 is none
	from, to      int64  // created in [from, to], Unix seconds
}

const farFuture = 1 << 40

// listingOf reads the parameters that all lists have.
func (s *Server) listingOf(q *call, k kind) (l listing, bad *apiError) {
	l = listing{limit: pageDefault, to: farFuture}
	if n, there, bad := q.number("limit"); bad != nil {
		return l, bad
	} else if there {
		if n < 1 || n > pageMax {
			return l, malformed("parameter_invalid_integer", "limit", "This value must be between 1 and %d.", pageMax)
		}
		l.limit = int(n)
	}
	for name, to := range map[string]*uint32{"starting_after": &l.after, "ending_before": &l.before} {
		if id := q.text(name); id != "" {
			if *to = s.ids.number(k, id); *to == 0 {
				e := noSuch("object", id)
				e.param, e.status = name, 400
				return l, e
			}
		}
	}
	if l.after != 0 && l.before != 0 {
		return l, malformed("parameters_exclusive", "starting_after", "You may only specify one of these parameters: starting_after, ending_before.")
	}
	for name, bound := range map[string]func(int64){
		"created":      func(v int64) { l.from, l.to = v, v },
		"created[gt]":  func(v int64) { l.from = v + 1 },
		"created[gte]": func(v int64) { l.from = v },
		"created[lt]":  func(v int64) { l.to = v - 1 },
		"created[lte]": func(v int64) { l.to = v },
	} {
		v, there, bad := q.number(name)
		if bad != nil {
			return l, bad
		}
		if there {
			bound(v)
		}
	}
	return l, nil
}

// page walks objects 1..last, which are in the order of their making, and shows a
// page of those wanted.
func (l listing) page(r *renderer, url string, last uint32, created func(n uint32) int64, wanted func(n uint32) bool, show func(n uint32)) {
	// The numbers in [low, high] lie in the times asked for.
	low := uint32(sort.Search(int(last), func(i int) bool { return created(uint32(i)+1) >= l.from })) + 1
	high := uint32(sort.Search(int(last), func(i int) bool { return created(uint32(i)+1) > l.to }))
	if l.after != 0 {
		high = min(high, l.after-1)
	}
	var chosen []uint32
	if l.before != 0 { // the page just above, so upwards
		for n := max(low, l.before+1); n <= high && len(chosen) <= l.limit; n++ {
			if wanted(n) {
				chosen = append(chosen, n)
			}
		}
	} else {
		for n := high; n >= low && n > 0 && len(chosen) <= l.limit; n-- {
			if wanted(n) {
				chosen = append(chosen, n)
			}
		}
	}
	more := len(chosen) > l.limit
	chosen = chosen[:min(len(chosen), l.limit)]
	if l.before != 0 {
		slices.Reverse(chosen)
	}
	r.put(`{"object":"list","data":[`)
	for i, n := range chosen {
		if i > 0 {
			r.put(",")
		}
		show(n)
	}
	r.bool2(`],"has_more":`, more)
	r.put(`,"url":"` + url + `"}`)
}

func all(uint32) bool { return true }

func (s *Server) listIntents(q *call, r *renderer) *apiError {
	l, bad := s.listingOf(q, intentKind)
	if bad != nil {
		return bad
	}
	wanted := all
	if q.text("customer") != "" {
		wanted = func(uint32) bool { return false } // there are no customers here
	}
	l.page(r, "/v1/payment_intents", s.intents.last, func(n uint32) int64 { return s.intents.at(n).created }, wanted,
		func(n uint32) { r.intent(s.intents.at(n)) })
	return nil
}

// owner reads a filter that names another object: its number, or 0 when there is
// no filter. Something unknown is an error.
func (s *Server) owner(q *call, name string, k kind) (uint32, *apiError) {
	id := q.text(name)
	if id == "" {
		return 0, nil
	}
	n := s.ids.number(k, id)
	if n == 0 {
		e := noSuch(name, id)
		e.param, e.status = name, 400
		return 0, e
	}
	return n, nil
}

func (s *Server) listCharges(q *call, r *renderer) *apiError {
	l, bad := s.listingOf(q, chargeKind)
	if bad != nil {
		return bad
	}
	of, bad := s.owner(q, "payment_intent", intentKind)
	if bad != nil {
		return bad
	}
	wanted := all
	if of != 0 {
		wanted = func(n uint32) bool { return s.charges.at(n).intent == of }
		// An intent's charges are younger than it: the walk ends there.
		if p, ok := s.intents.get(of); ok {
			l.from = max(l.from, p.created)
		}
	}
	l.page(r, "/v1/charges", s.charges.last, func(n uint32) int64 { return s.charges.at(n).created }, wanted,
		func(n uint32) { r.charge(s.charges.at(n)) })
	return nil
}

// listingOfPayment is listingOf with the two filters of what belongs to a payment: its
// charge and its intent, 0 for any.
func (s *Server) listingOfPayment(q *call, of kind) (l listing, charge, intent uint32, bad *apiError) {
	if l, bad = s.listingOf(q, of); bad != nil {
		return l, 0, 0, bad
	}
	if charge, bad = s.owner(q, "charge", chargeKind); bad != nil {
		return l, 0, 0, bad
	}
	intent, bad = s.owner(q, "payment_intent", intentKind)
	return l, charge, intent, bad
}

func (s *Server) listRefunds(q *call, r *renderer) *apiError {
	l, charge, intent, bad := s.listingOfPayment(q, refundKind)
	if bad != nil {
		return bad
	}
	l.page(r, "/v1/refunds", s.refunds.last, func(n uint32) int64 { return s.refunds.at(n).created }, func(n uint32) bool {
		f := s.refunds.at(n)
		return (charge == 0 || f.charge == charge) && (intent == 0 || f.intent == intent)
	}, func(n uint32) { r.refund(s.refunds.at(n)) })
	return nil
}

func (s *Server) listDisputes(q *call, r *renderer) *apiError {
	l, charge, intent, bad := s.listingOfPayment(q, disputeKind)
	if bad != nil {
		return bad
	}
	l.page(r, "/v1/disputes", s.disputes.last, func(n uint32) int64 { return s.disputes.at(n).created }, func(n uint32) bool {
		d := s.disputes.at(n)
		return (charge == 0 || d.charge == charge) && (intent == 0 || d.intent == intent)
	}, func(n uint32) { r.dispute(s.disputes.at(n)) })
	return nil
}

func (s *Server) listTxns(q *call, r *renderer) *apiError {
	l, bad := s.listingOf(q, txnKind)
	if bad != nil {
		return bad
	}
	payout, bad := s.owner(q, "payout", payoutKind)
	if bad != nil {
		return bad
	}
	source, word, currency := q.text("source"), q.text("type"), q.text("currency")
	l.page(r, "/v1/balance_transactions", s.txns.last, func(n uint32) int64 { return s.txns.at(n).created }, func(n uint32) bool {
		t := s.txns.at(n)
		return (payout == 0 || t.payout == payout) && (word == "" || txnWords[t.kind].word == word) && (currency == "" || t.currency == currency) &&
			(source == "" || s.ids.number(t.sourceKind(), source) == t.source)
	}, func(n uint32) { r.txn(s.txns.at(n)) })
	return nil
}

func (s *Server) listPayouts(q *call, r *renderer) *apiError {
	l, bad := s.listingOf(q, payoutKind)
	if bad != nil {
		return bad
	}
	status := q.text("status")
	l.page(r, "/v1/payouts", s.payouts.last, func(n uint32) int64 { return s.payouts.at(n).created },
		func(n uint32) bool { return status == "" || payoutWords[s.payouts.at(n).status] == status },
		func(n uint32) { r.payout(s.payouts.at(n)) })
	return nil
}

func (s *Server) listEvents(q *call, r *renderer) *apiError {
	l, bad := s.listingOf(q, eventKind)
	if bad != nil {
		return bad
	}
	var types [len(eventWords)]bool
	filtered := false
	for name, values := range q.values {
		if name != "type" && !strings.HasPrefix(name, "types[") && name != "types" {
			continue
		}
		filtered = true
		for _, v := range values {
			for i, w := range eventWords {
				prefix, wild := strings.CutSuffix(v, "*")
				if w.word != "" && (w.word == v || wild && strings.HasPrefix(w.word, prefix)) {
					types[i] = true
				}
			}
		}
	}
	delivery := q.text("delivery_success")
	var failed error
	l.page(r, "/v1/events", s.events.last, func(n uint32) int64 { return s.events.at(n).created }, func(n uint32) bool {
		e := s.events.at(n)
		return (!filtered || types[e.kind]) && (delivery == "" || e.sent == (delivery == "true"))
	}, func(n uint32) {
		if err := s.renderEvent(r, n, *s.events.at(n)); err != nil {
			failed = err
		}
	})
	if failed != nil {
		s.cfg.Log.Error("render events", "error", failed)
		return internal()
	}
	return nil
}

func (s *Server) showEvent(q *call, r *renderer) *apiError {
	n := s.ids.number(eventKind, q.id)
	e, ok := s.events.get(n)
	if !ok {
		return noSuch("event", q.id)
	}
	if err := s.renderEvent(r, n, *e); err != nil {
		s.cfg.Log.Error("render event", "error", err)
		return internal()
	}
	return nil
}

// showToken shows a token of the test helper. Any other is known by the intent that
// it was used for, and is unused before. A test token that many intents were
// confirmed with is nobody's: it is not found, because to name none, or any, would
// be a lie about somebody's money.
func (s *Server) showToken(q *call, r *renderer) *apiError {
	if r.object(tokenKind, s.ids.number(tokenKind, q.id)) {
		return nil
	}
	used := s.uses[hashToken(q.id)]
	created := r.now
	if p, ok := s.intents.get(used); ok {
		created = p.created
	}
	if used == ambiguous || !strings.HasPrefix(q.id, tokenPrefix) {
		return noSuch("confirmation_token", q.id)
	}
	r.token(q.id, created, created+int64(s.cfg.TokenLife/time.Second), used, cardOfToken(q.id), "")
	return nil
}

func (s *Server) showBalance(_ *call, r *renderer) *apiError {
	type part struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	b := struct {
		Object    string `json:"object"`
		Available []part `json:"available"`
		Livemode  bool   `json:"livemode"`
		Pending   []part `json:"pending"`
	}{Object: "balance"}
	for _, currency := range s.currencies() {
		available, pending := s.balance(currency, r.now)
		b.Available = append(b.Available, part{available, currency})
		b.Pending = append(b.Pending, part{pending, currency})
	}
	body, err := json.Marshal(b)
	if err != nil {
		panic(err) // numbers and strings always have a JSON form
	}
	r.b = append(r.b, body...)
	return nil
}
