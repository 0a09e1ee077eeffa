package stripesim

import (
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func anyText(t *rapid.T) string { return rapid.StringN(0, 20, 60).Draw(t, "text") }

// anyChange draws a change in which every field of every object may be anything
// that is valid.
func anyChange(t *rapid.T) *change {
	n := rapid.Uint32()
	i := rapid.Int64()
	some := func(name string) int { return rapid.IntRange(0, 2).Draw(t, name) }
	c := &change{at: i.Draw(t, "at")}
	for range some("intents") {
		c.intents = append(c.intents, intent{
			n: n.Draw(t, "n"), created: i.Draw(t, "created"), amount: i.Draw(t, "amount"), currency: anyText(t),
			status: intentStatus(rapid.IntRange(0, len(intentStatusWords)-1).Draw(t, "status")), card: card(rapid.IntRange(0, len(cards)-1).Draw(t, "card")),
			method: n.Draw(t, "method"), decline: decline(rapid.IntRange(0, len(declines)-1).Draw(t, "decline")), charge: n.Draw(t, "charge"),
			tries: rapid.Uint16().Draw(t, "tries"), canceledAt: i.Draw(t, "canceled"), cancelReason: anyText(t), returnURL: anyText(t),
			useSDK: rapid.Bool().Draw(t, "sdk"), description: anyText(t), metadata: anyText(t), draw: chance(rapid.Uint64().Draw(t, "draw")), dueAt: i.Draw(t, "due"),
		})
	}
	for range some("charges") {
		c.charges = append(c.charges, charge{
			n: n.Draw(t, "n"), intent: n.Draw(t, "intent"), previous: n.Draw(t, "previous"), created: i.Draw(t, "created"), amount: i.Draw(t, "amount"),
			currency: anyText(t), status: chargePaid, decline: declinedFunds, card: cardVisa, method: n.Draw(t, "method"), txn: n.Draw(t, "txn"),
			refund: n.Draw(t, "refund"), refunded: i.Draw(t, "refunded"), dispute: n.Draw(t, "dispute"), dueAt: i.Draw(t, "due"), metadata: anyText(t),
			draw: chance(rapid.Uint64().Draw(t, "draw")),
		})
	}
	for range some("txns") {
		c.txns = append(c.txns, txn{
			n: n.Draw(t, "n"), kind: txnType(rapid.IntRange(0, len(txnWords)-1).Draw(t, "kind")), source: n.Draw(t, "source"), created: i.Draw(t, "created"),
			availableOn: i.Draw(t, "available"), amount: i.Draw(t, "amount"), fee: i.Draw(t, "fee"), currency: anyText(t),
		})
	}
	for range some("refunds") {
		c.refunds = append(c.refunds, refund{
			n: n.Draw(t, "n"), charge: n.Draw(t, "charge"), intent: n.Draw(t, "intent"), previous: n.Draw(t, "previous"), created: i.Draw(t, "created"),
			amount: i.Draw(t, "amount"), currency: anyText(t), status: settleFailed, reason: anyText(t), txn: n.Draw(t, "txn"), failTxn: n.Draw(t, "fail"),
			dueAt: i.Draw(t, "due"), metadata: anyText(t),
		})
	}
	for range some("disputes") {
		c.disputes = append(c.disputes, dispute{
			n: n.Draw(t, "n"), charge: n.Draw(t, "charge"), intent: n.Draw(t, "intent"), created: i.Draw(t, "created"), amount: i.Draw(t, "amount"),
			currency: anyText(t), status: disputeUnder, reason: anyText(t), withdrawn: n.Draw(t, "withdrawn"), reinstated: n.Draw(t, "reinstated"),
			wins: rapid.Bool().Draw(t, "wins"), dueAt: i.Draw(t, "due"), metadata: anyText(t),
		})
	}
	for range some("payouts") {
		c.payouts = append(c.payouts, payout{
			n: n.Draw(t, "n"), created: i.Draw(t, "created"), arrival: i.Draw(t, "arrival"), amount: i.Draw(t, "amount"), currency: anyText(t), status: settleDone,
			automatic: rapid.Bool().Draw(t, "automatic"), txn: n.Draw(t, "txn"), failTxn: n.Draw(t, "fail"), dueAt: i.Draw(t, "due"), metadata: anyText(t),
		})
	}
	for range some("tokens") {
		c.tokens = append(c.tokens, token{
			n: n.Draw(t, "n"), created: i.Draw(t, "created"), expires: i.Draw(t, "expires"), card: cardFunds, usedBy: n.Draw(t, "used"), returnURL: anyText(t),
		})
	}
	for range some("events") {
		c.events = append(c.events, told{eventType(rapid.IntRange(0, len(eventWords)-1).Draw(t, "type")), n.Draw(t, "n")})
	}
	for range some("used") {
		c.used = append(c.used, tokenUse{rapid.Uint64().Draw(t, "token"), n.Draw(t, "intent")})
	}
	for range some("sent") {
		c.sent = append(c.sent, n.Draw(t, "sent"))
	}
	if rapid.Bool().Draw(t, "answered") {
		status := rapid.Uint16().Draw(t, "status")
		c.answer = &answer{
			key: anyText(t), asked: rapid.Uint64().Draw(t, "asked"), status: status, about: refundKind, n: n.Draw(t, "n"), expand: expansion(n.Draw(t, "expand")),
			fault: apiError{
				status: int(status), kind: anyText(t), code: anyText(t), message: anyText(t), param: anyText(t), decline: declinedCVC,
				intent: n.Draw(t, "intent"), charge: n.Draw(t, "charge"),
			},
		}
	}
	c.paidOut = n.Draw(t, "paid out")
	if rapid.Bool().Draw(t, "moved") {
		v := i.Draw(t, "clock")
		c.clock = &v
	}
	return c
}

func TestChange_IsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyChange(t)
		b := c.append(nil)
		got, err := decodeChange(b)
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Fatalf("%v\n%+v\n%+v", err, got, c)
		}
		// Cut anywhere, it is an error or a change of fewer sections, never a panic.
		if cut := rapid.IntRange(0, len(b)).Draw(t, "cut"); cut < len(b) {
			if got, err := decodeChange(b[:cut]); err == nil && reflect.DeepEqual(got, c) {
				t.Fatalf("%d of %d bytes are the whole", cut, len(b))
			}
		}
	})
}

func FuzzChange(f *testing.F) {
	p := intent{n: 1, amount: 5000, currency: "usd", status: intentPaid, card: cardVisa, metadata: "donation\x00d-1\x00"}
	f.Add((&change{at: 1, intents: []intent{p}, answer: &answer{key: "k", status: 200, about: intentKind, n: 1}}).append(nil))
	f.Add([]byte{})
	f.Add([]byte{0, tagPaidOut, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeChange(b)
		if err != nil {
			if !errors.Is(err, errBadRecord) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := decodeChange(c.append(nil))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%v\n%+v\n%+v", err, again, c)
		}
		// Whatever a log may hold is rendered or refused, and applied or refused.
		r := renderer{in: c}
		for i := range c.intents {
			r.object(intentKind, c.intents[i].n)
		}
		for i := range c.charges {
			r.object(chargeKind, c.charges[i].n)
		}
		s := newState(idMaker{1}, 1)
		if err := s.apply(c, 0, 0); err != nil && !errors.Is(err, errBadRecord) {
			t.Fatalf("error %v", err)
		}
	})
}

func TestIDs_ThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := idMaker{rapid.Uint64().Draw(t, "seed")}
		k := kind(rapid.IntRange(1, int(requestKind)).Draw(t, "kind"))
		n := rapid.Uint32Range(1, 1<<32-1).Draw(t, "n")
		id := m.id(k, n)
		if got := m.number(k, id); got != n {
			t.Fatalf("%s is %d, not %d", id, got, n)
		}
		if got := (idMaker{m.seed + 1}).number(k, id); got != 0 {
			t.Fatalf("%s of another seed is %d", id, got)
		}
		if got := m.number(k%9+1, id); got != 0 && k%9+1 != k {
			t.Fatalf("%s as another kind is %d", id, got)
		}
		at := rapid.IntRange(0, len(id)-1).Draw(t, "at")
		if other := id[:at] + "-" + id[at+1:]; m.number(k, other) != 0 {
			t.Fatalf("%s is an ID", other)
		}
	})
}
