package stripesim

import (
	"fmt"
	"math"
	"unique"
)

// state is the sum of the log. Only apply writes to it.
type state struct {
	ids      idMaker
	intents  pages[intent]
	charges  pages[charge]
	txns     pages[txn]
	refunds  pages[refund]
	disputes pages[dispute]
	payouts  pages[payout]
	tokens   pages[token]
	events   pages[event]
	methods  uint32 // payment methods made so far

	// keys are the remembered answers; keyAges are their ages in the order of making.
	keys    map[keyHash]saved
	keyAges []keyAge
	keyLife int64 // seconds

	// uses says which intent a token text was used for; ambiguous for a test token
	// that many were confirmed with.
	uses map[uint64]uint32
	// unpaid are the transactions of a currency that no payout took yet.
	unpaid map[string][]uint32

	last  int64 // time of the newest change, Unix milliseconds: time never goes back
	moved int64 // how far the clock was moved, milliseconds
}

// ambiguous is no number of an intent.
const ambiguous = math.MaxUint32

type keyHash [2]uint64

type keyAge struct {
	key     keyHash
	created int64
}

func newState(ids idMaker, keyLife int64) *state {
	return &state{
		ids: ids, keyLife: keyLife,
		keys: map[keyHash]saved{}, uses: map[uint64]uint32{}, unpaid: map[string][]uint32{},
	}
}

// hashKey is what an idempotency key is remembered by: 128 bits, so that a million
// of them do not meet.
func hashKey(key string) keyHash { return keyHash{hashOf(1, key), hashOf(2, key)} }

// hashToken is what a token's text is remembered by.
func hashToken(text string) uint64 { return hashOf(3, text) }

// intern shares one copy of a text that repeats.
func intern(s string) string { return unique.Make(s).Value() }

// apply makes a change part of the state. offset and size say where in the log its
// record is. An error says that the log is not one of this state's.
func (s *state) apply(c *change, offset int64, size uint32) error {
	ok := true
	for i := range c.intents {
		p := c.intents[i]
		s.methods = max(s.methods, p.method)
		if old, there := s.intents.get(p.n); there {
			// One copy of what never changes.
			p.metadata = same(old.metadata, p.metadata)
			p.description = same(old.description, p.description)
			p.returnURL = same(old.returnURL, p.returnURL)
		}
		ok = s.intents.put(p.n, p) && ok
	}
	for i := range c.charges {
		h := c.charges[i]
		if p, there := s.intents.get(h.intent); there {
			h.metadata = same(p.metadata, h.metadata)
		}
		ok = s.charges.put(h.n, h) && ok
	}
	for i := range c.txns {
		t := c.txns[i]
		if old, there := s.txns.get(t.n); there {
			t.payout = old.payout
		} else if t.kind != txnPayout || t.source != c.paidOut {
			s.unpaid[t.currency] = append(s.unpaid[t.currency], t.n)
		}
		ok = s.txns.put(t.n, t) && ok
	}
	for i := range c.refunds {
		ok = s.refunds.put(c.refunds[i].n, c.refunds[i]) && ok
	}
	for i := range c.disputes {
		ok = s.disputes.put(c.disputes[i].n, c.disputes[i]) && ok
	}
	for i := range c.payouts {
		ok = s.payouts.put(c.payouts[i].n, c.payouts[i]) && ok
	}
	for i := range c.tokens {
		ok = s.tokens.put(c.tokens[i].n, c.tokens[i]) && ok
	}
	for _, u := range c.used {
		if before, there := s.uses[u.token]; there && before != u.intent {
			u.intent = ambiguous
		}
		s.uses[u.token] = u.intent
	}
	for _, e := range c.events {
		ok = s.events.put(s.events.last+1, event{
			kind: e.kind, about: e.n, offset: offset, record: size, created: c.at / 1000, draw: s.drawOf(e),
		}) && ok
	}
	for _, n := range c.sent {
		e, there := s.events.get(n)
		if ok = ok && there; ok {
			e.sent = true
		}
	}
	if !ok {
		return fmt.Errorf("%w: an object out of its order", errBadRecord)
	}
	if c.paidOut != 0 {
		s.payOut(c)
	}
	if c.clock != nil {
		s.moved = *c.clock
	}
	s.last = max(s.last, c.at)
	s.remember(c, offset, size)
	return nil
}

// same returns the old text when both are equal, so that the new copy can go.
func same(old, text string) string {
	if old == text {
		return old
	}
	return text
}

// drawOf is what the fate of an event on its way is drawn from.
func (s *state) drawOf(e told) chance {
	var d chance
	switch eventWords[e.kind].about {
	case intentKind:
		if p, ok := s.intents.get(e.n); ok {
			d = p.draw + chance(p.tries)
		}
	case chargeKind:
		if c, ok := s.charges.get(e.n); ok {
			d = c.draw + chance(c.refunded)
		}
	default:
		d = chance(mix(s.ids.seed ^ uint64(e.n)))
	}
	return chance(hashOf(uint64(d), eventWords[e.kind].word))
}

// payOut marks what a payout took: all of its currency that was available, and its
// own transaction, as Stripe lists it.
func (s *state) payOut(c *change) {
	p, ok := s.payouts.get(c.paidOut)
	if !ok {
		return
	}
	if t, ok := s.txns.get(p.txn); ok {
		t.payout = p.n
	}
	var rest []uint32
	for _, n := range s.unpaid[p.currency] {
		if t := s.txns.at(n); t.availableOn <= p.created {
			t.payout = p.n
		} else {
			rest = append(rest, n)
		}
	}
	s.unpaid[p.currency] = rest
}

// forgetMax bounds the keys that one change lets go, so that no call pays for all.
const forgetMax = 8

// remember keeps the answer of a change, and forgets answers that are too old.
func (s *state) remember(c *change, offset int64, size uint32) {
	now := c.at / 1000
	for i := 0; i < forgetMax && len(s.keyAges) > 0 && s.keyAges[0].created+s.keyLife <= now; i++ {
		oldest := s.keyAges[0]
		if k, ok := s.keys[oldest.key]; ok && k.created == oldest.created {
			delete(s.keys, oldest.key)
		}
		s.keyAges = s.keyAges[1:]
	}
	if c.answer == nil || c.answer.key == "" {
		return
	}
	k := hashKey(c.answer.key)
	s.keys[k] = saved{asked: c.answer.asked, offset: offset, record: size, created: now}
	s.keyAges = append(s.keyAges, keyAge{k, now})
}

// recall returns the remembered answer to a key, unless it is forgotten.
func (s *state) recall(key string, now int64) (saved, bool) {
	k, ok := s.keys[hashKey(key)]
	return k, ok && now < k.created+s.keyLife
}
