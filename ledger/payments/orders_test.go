package payments

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spillway/ledger/journal"
	"spillway/ledger/money"
)

// happening is one thing that is heard of, and what had to be heard before it could
// happen at all: a donor offers another card after being shown the failure, a call is
// answered after the queue handed it out. Everything else comes in any order.
type happening struct {
	name  string
	fact  Fact
	claim bool     // not a fact: the queue hands the last attempt out
	needs []string // names
}

// ending is what must not depend on the order.
type ending struct {
	status  string
	pledged string // by line
	raised  string
	entries string // sorted: kinds, refs and what moved at the processor and the bank
	exact   string // sorted: every posting
	balance string // by account
}

// play lets happenings follow each other; after each one everything heard so far comes
// once more when repeats is set.
func play(t reporter, order story, repeats bool) ending {
	t.Helper()
	p := claimed(fresh(), after(1))
	var entries []journal.Entry
	refs := map[string]bool{}
	hear := func(h happening) {
		if h.claim {
			p = claimed(p, h.fact.At)
			return
		}
		before := p
		next, fx := Next(p, h.fact)
		holds(t, order, before, next, fx)
		for _, e := range fx.Entries {
			if refs[e.Ref] {
				t.Errorf("%s: %s books %s again", order, h.name, e.Ref)
			}
			refs[e.Ref] = true
		}
		entries = append(entries, fx.Entries...)
		p = next
	}
	for i, h := range order {
		hear(h)
		if !repeats {
			continue
		}
		for _, again := range order[:i+1] {
			if !again.claim {
				hear(again)
			}
		}
	}
	return end(p, entries)
}

func end(p Payment, entries []journal.Entry) ending {
	var e ending
	e.status, _ = Status(p)
	e.status += " " + string(Disputed(p)) + fmt.Sprintf(" refunded %d refundable %d", Refunded(p), Refundable(p))
	type account struct{ name, currency string }
	balances := map[account]int64{}
	var exact, moved []string
	for i := range entries {
		exact = append(exact, flat(&entries[i]))
		m := append(append([]byte(entries[i].Kind), ' '), entries[i].Ref...)
		for k := range entries[i].Postings {
			posting := &entries[i].Postings[k]
			balances[account{posting.Account, string(posting.Currency)}] += posting.AmountMinor
			if posting.Account == journal.Processor || posting.Account == journal.DisputesHeld {
				m = appendPosting(m, posting)
			}
		}
		moved = append(moved, string(m))
	}
	var accounts []string
	for a, minor := range balances {
		if minor != 0 {
			accounts = append(accounts, a.name+" "+a.currency+strconv.FormatInt(minor, 10))
		}
	}
	for _, s := range [][]string{exact, moved, accounts} {
		sort.Strings(s)
	}
	e.exact, e.entries, e.balance = strings.Join(exact, "\n"), strings.Join(moved, "\n"), strings.Join(accounts, "\n")
	for i := range p.Lines {
		e.pledged += " " + strconv.FormatInt(Pledged(p, i), 10)
		e.raised += " " + strconv.FormatInt(Raised(p, i), 10)
	}
	return e
}

// eachOrder calls f with every order in which the happenings could be heard of.
func eachOrder(all []happening, f func(story)) {
	order := make(story, 0, len(all))
	heard := map[string]bool{}
	var extend func()
	extend = func() {
		if len(order) == len(all) {
			f(order)
			return
		}
		for _, h := range all {
			if heard[h.name] || !allHeard(heard, h.needs) {
				continue
			}
			heard[h.name] = true
			order = append(order, h)
			extend()
			order = order[:len(order)-1]
			heard[h.name] = false
		}
	}
	extend()
}

func allHeard(heard map[string]bool, needs []string) bool {
	return !slices.ContainsFunc(needs, func(n string) bool { return !heard[n] })
}

// story is happenings in the order in which they are heard of.
type story []happening

func (s story) String() string {
	var b strings.Builder
	for _, h := range s {
		b.WriteString(" > " + h.name)
	}
	return b.String()
}

func happens(name string, fact Fact, needs ...string) happening {
	return happening{name: name, fact: fact, needs: needs}
}

// TestNext_EveryOrderOfALifeEndsTheSame plays lives of up to six happenings in every
// order they could be heard of, each with and without everything repeated after every
// step. Here even each entry's postings are the same.
func TestNext_EveryOrderOfALifeEndsTheSame(t *testing.T) {
	second := func(i *IntentSeen) { i.Charge = "ch_2" }
	byLines := refundSeen("re_1", 5350, RefundSucceeded, 110, 5000, 0, 0)
	lives := []struct {
		name   string
		life   []happening
		orders int // how many there are
		want   string
	}{
		{"captured after a failure, then refunded", []happening{
			happens("answer declined", seen(1, IntentRequiresPaymentMethod, 2)),
			happens("webhook declined", seen(0, IntentRequiresPaymentMethod, 2)),
			happens("webhook captured", seen(0, IntentSucceeded, 40)),
			happens("fee", feeSeen("ch_1", 330, "USD")),
			happens("refund made", refundSeen("re_1", 10_350, RefundPending, 101)),
			happens("refund done", refundSeen("re_1", 10_350, RefundSucceeded, 120)),
		}, 720, "refunded  refunded 10350 refundable 0"},
		{"parts refunded by lines, a fee in another currency", []happening{
			happens("answer captured", seen(1, IntentSucceeded, 2)),
			happens("webhook captured", seen(0, IntentSucceeded, 3)),
			happens("fee", feeSeen("ch_1", 305, "EUR")),
			happens("refund by lines", byLines),
			happens("the rest, pending", refundSeen("re_2", 5000, RefundPending, 130, 0, 3333, 1667)),
			happens("the rest, done", refundSeen("re_2", 5000, RefundSucceeded, 140, 0, 3333, 1667)),
		}, 720, "refunded  refunded 10350 refundable 0"},
		{"a refund that fails", []happening{
			happens("captured", seen(1, IntentSucceeded, 2)),
			happens("refund made", refundSeen("re_1", 5350, RefundPending, 101, 5000, 0, 0)),
			happens("refund done", refundSeen("re_1", 5350, RefundSucceeded, 110, 5000, 0, 0)),
			happens("refund failed", refundSeen("re_1", 5350, RefundFailed, 150, 5000, 0, 0)),
			happens("fee", feeSeen("ch_1", 330, "USD")),
			happens("a smaller one", refundSeen("re_2", 1000, RefundSucceeded, 160, 0, 1000, 0)),
		}, 720, "succeeded  refunded 1000 refundable 9350"},
		{"a dispute won after it was lost", []happening{
			happens("captured", seen(1, IntentSucceeded, 2)),
			happens("opened", disputeSeen("dp_1", 10_350, DisputeOpen, 201)),
			happens("lost", disputeSeen("dp_1", 10_350, DisputeLost, 300)),
			happens("won", disputeSeen("dp_1", 10_350, DisputeWon, 400)),
			happens("fee", feeSeen("ch_1", 330, "USD")),
		}, 120, "succeeded won refunded 0 refundable 10350"},
		{"a dispute lost after it was won", []happening{
			happens("captured", seen(0, IntentSucceeded, 2)),
			happens("opened", disputeSeen("dp_1", 10_350, DisputeOpen, 201)),
			happens("won", disputeSeen("dp_1", 10_350, DisputeWon, 300)),
			happens("lost", disputeSeen("dp_1", 10_350, DisputeLost, 400)),
			happens("answer declined", seen(1, IntentRequiresPaymentMethod, 2)),
		}, 120, "disputed lost refunded 0 refundable 0"},
		{"both outcomes in one second", []happening{
			happens("captured", seen(1, IntentSucceeded, 2)),
			happens("opened", disputeSeen("dp_1", 10_350, DisputeOpen, 201)),
			happens("won", disputeSeen("dp_1", 10_350, DisputeWon, 300)),
			happens("lost", disputeSeen("dp_1", 10_350, DisputeLost, 300)),
		}, 24, "disputed lost refunded 0 refundable 0"},
		{"3-D Secure fails, another card is captured, late news of the first", []happening{
			happens("must act", seen(1, IntentRequiresAction, 2)),
			happens("not confirmed", seen(0, IntentRequiresPaymentMethod, 60, func(i *IntentSeen) { i.Decline, i.Charge = DeclineAuthentication, "" }), "must act"),
			happens("another card", cardOffered(2, 90), "not confirmed"),
			{name: "claim", claim: true, fact: Fact{At: after(95)}, needs: []string{"another card"}},
			happens("second answer", seen(2, IntentSucceeded, 96, second), "claim"),
			happens("second webhook", seen(0, IntentSucceeded, 96, second), "claim"),
		}, 2, "succeeded  refunded 0 refundable 10350"},
		{"declined, another card must act and is captured, late news of the first", []happening{
			happens("declined", seen(1, IntentRequiresPaymentMethod, 2)),
			happens("another card", cardOffered(2, 90), "declined"),
			{name: "claim", claim: true, fact: Fact{At: after(95)}, needs: []string{"another card"}},
			happens("must act", seen(2, IntentRequiresAction, 96), "claim"),
			happens("webhook of the first", seen(0, IntentRequiresPaymentMethod, 2)),
			happens("captured", seen(0, IntentSucceeded, 130, second), "claim"),
		}, 12, "succeeded  refunded 0 refundable 10350"},
		{"another card is declined too, late news of the first", []happening{
			happens("declined", seen(1, IntentRequiresPaymentMethod, 2)),
			happens("another card", cardOffered(2, 90), "declined"),
			{name: "claim", claim: true, fact: Fact{At: after(95)}, needs: []string{"another card"}},
			happens("declined again", seen(2, IntentRequiresPaymentMethod, 96), "claim"),
			happens("webhook of the first", seen(0, IntentRequiresPaymentMethod, 2)),
			happens("webhook of the second", seen(0, IntentRequiresPaymentMethod, 96, func(i *IntentSeen) { i.Charge = "ch_declined_2" }), "claim"),
		}, 12, "failed  refunded 0 refundable 0"},
		{"the donor cancels while the call is under way, which is declined", []happening{
			happens("cancel", cancelAsked(3)),
			happens("declined", seen(1, IntentRequiresPaymentMethod, 2)),
			happens("webhook declined", seen(0, IntentRequiresPaymentMethod, 2)),
			happens("canceled at the processor", seen(0, IntentCanceled, 20), "cancel", "declined"),
		}, 8, "canceled  refunded 0 refundable 0"},
		{"the donor cancels while the bank waits for them", []happening{
			happens("cancel", cancelAsked(3)),
			happens("must act", seen(1, IntentRequiresAction, 2)),
			happens("webhook must act", seen(0, IntentRequiresAction, 2)),
			happens("nobody came back", overtime(1, ActionExpired), "must act"),
			happens("canceled at the processor", seen(0, IntentCanceled, 5000), "cancel", "must act"),
			happens("not confirmed", seen(0, IntentRequiresPaymentMethod, 60), "must act"),
		}, 108, "canceled  refunded 0 refundable 0"},
		{"the donor cancels and the charge goes through", []happening{
			happens("cancel", cancelAsked(3)),
			happens("answer", seen(1, IntentSucceeded, 2)),
			happens("webhook", seen(0, IntentSucceeded, 2)),
			happens("refund", refundSeen("re_1", 10_350, RefundSucceeded, 101)),
			happens("fee", feeSeen("ch_1", 330, "USD")),
			happens("dispute", disputeSeen("dp_1", 10_350, DisputeWon, 202)),
		}, 720, "refunded won refunded 10350 refundable 0"},
		{"canceled, and captured all the same", []happening{
			happens("must act", seen(1, IntentRequiresAction, 2)),
			happens("cancel", cancelAsked(30)),
			happens("not confirmed", seen(0, IntentRequiresPaymentMethod, 25), "must act"),
			happens("captured", seen(0, IntentSucceeded, 31)),
			happens("refund", refundSeen("re_1", 10_350, RefundPending, 101)),
			happens("dispute", disputeSeen("dp_1", 10_350, DisputeOpen, 202)),
		}, 360, "disputed open refunded 10350 refundable 0"},
		{"an unknown outcome, repeated", []happening{
			happens("unknown", called(1, Unknown)),
			happens("key forgotten", overtime(1, KeyForgotten)),
			happens("turned away", called(1, Retry)),
			happens("captured", seen(1, IntentSucceeded, 50)),
			happens("webhook", seen(0, IntentSucceeded, 2)),
			happens("fee", feeSeen("ch_1", 330, "USD")),
		}, 720, "succeeded  refunded 0 refundable 10350"},
		{"refunded in part elsewhere, and disputed", []happening{
			happens("captured", seen(1, IntentSucceeded, 2)),
			happens("refund", refundSeen("re_1", 1001, RefundSucceeded, 101)),
			happens("opened", disputeSeen("dp_1", 9349, DisputeOpen, 201)),
			happens("won", disputeSeen("dp_1", 9349, DisputeWon, 300)),
			happens("fee", feeSeen("ch_1", 330, "USD")),
		}, 120, "succeeded won refunded 1001 refundable 9349"},
	}
	for _, l := range lives {
		t.Run(strings.ReplaceAll(l.name, " ", "_"), func(t *testing.T) {
			var first *ending
			var firstOrder string
			orders := 0
			eachOrder(l.life, func(order story) {
				if t.Failed() {
					return
				}
				orders++
				for _, repeats := range []bool{false, true} {
					got := play(t, order, repeats)
					if first == nil {
						first, firstOrder = &got, order.String()
					}
					if got != *first {
						t.Errorf("repeats %t\n%s\n%+v\n%s\n%+v", repeats, firstOrder, *first, order, got)
					}
				}
			})
			if l.orders != 0 && orders != l.orders {
				t.Errorf("%d orders, want %d", orders, l.orders)
			}
			if first != nil && first.status != l.want {
				t.Errorf("ends as %q, want %q", first.status, l.want)
			}
		})
	}
}

// drawLife draws everything that may become of a payment: cards one after the other,
// refunds and disputes that overlap, fees, each reported more than once.
func drawLife(t *rapid.T) []happening {
	var life []happening
	add := func(h happening) { life = append(life, h) }
	at, need := 2, []string(nil)
	captured := false
	for no := 1; !captured && no <= 3; no++ {
		answer := fmt.Sprintf("answer %d", no)
		decline := func(i *IntentSeen) { i.Charge = fmt.Sprintf("ch_declined_%d", no) }
		switch rapid.SampledFrom([]string{"captured", "declined", "acts", "acts in vain"}).Draw(t, answer) {
		case "captured":
			add(happens(answer, seen(no, IntentSucceeded, at), need...))
			add(happens("webhook captured", seen(0, IntentSucceeded, at), need...))
			captured = true
		case "acts":
			add(happens(answer, seen(no, IntentRequiresAction, at), need...))
			add(happens("webhook captured", seen(0, IntentSucceeded, at+20), answer))
			captured = true
		case "declined":
			add(happens(answer, seen(no, IntentRequiresPaymentMethod, at, decline), need...))
			add(happens(answer+" by webhook", seen(0, IntentRequiresPaymentMethod, at, decline), need...))
		case "acts in vain":
			add(happens(answer, seen(no, IntentRequiresAction, at), need...))
			in := answer + " in vain"
			add(happens(in, seen(0, IntentRequiresPaymentMethod, at+20, decline), answer))
			answer = in
		}
		if captured || !rapid.Bool().Draw(t, "another card") {
			break
		}
		at += 100
		card, claim := fmt.Sprintf("card %d", no+1), fmt.Sprintf("claim %d", no+1)
		add(happens(card, cardOffered(byte(no+1), at-10), answer))
		add(happening{name: claim, claim: true, fact: Fact{At: after(at - 1)}, needs: []string{card}})
		need = []string{claim}
	}
	if rapid.Bool().Draw(t, "confirmed from elsewhere") && !captured {
		add(happens("captured after all", seen(0, IntentSucceeded, at+50)))
		captured = true
	}
	if rapid.Bool().Draw(t, "canceled by the donor") {
		// After the last card, so that it is the donor's last word.
		add(happens("cancel", cancelAsked(at+60), need...))
	}
	if !captured {
		return life
	}
	if rapid.Bool().Draw(t, "fee") {
		add(happens("fee", feeSeen("ch_1", 330, rapid.SampledFrom([]money.Currency{"USD", "EUR"}).Draw(t, "fee currency"))))
	}
	statuses := []RefundStatus{RefundPending, RefundSucceeded, RefundFailed}
	for n := range rapid.IntRange(0, 3).Draw(t, "refunds") {
		minor := rapid.Int64Range(1, 10_350).Draw(t, "refund")
		var lines []int64
		if rapid.Bool().Draw(t, "by lines") {
			lines = []int64{0, 0, 0}
			left := minor
			for i := range lines {
				lines[i] = rapid.Int64Range(0, left).Draw(t, "line")
				left -= lines[i]
			}
		}
		for k := range rapid.IntRange(1, 3).Draw(t, "reports") {
			add(happens(fmt.Sprintf("refund %d %s", n, statuses[k]), refundSeen(fmt.Sprintf("re_%d", n), minor, statuses[k], 110+k, lines...)))
		}
	}
	for n := range rapid.IntRange(0, 2).Draw(t, "disputes") {
		id, minor := fmt.Sprintf("dp_%d", n), rapid.Int64Range(1, 10_350).Draw(t, "dispute")
		for _, status := range rapid.SampledFrom([][]DisputeStatus{
			{DisputeOpen}, {DisputeOpen, DisputeWon}, {DisputeLost}, {DisputeOpen, DisputeLost, DisputeWon}, {DisputeWon, DisputeLost},
		}).Draw(t, "outcomes") {
			add(happens(id+" "+string(status), disputeSeen(id, minor, status, 300+len(life))))
		}
	}
	return life
}

// drawOrder draws one order in which a life can be heard of, with repeats.
func drawOrder(t *rapid.T, life []happening) story {
	var order story
	heard := map[string]bool{}
	for len(heard) < len(life) {
		var can []happening
		for _, h := range life {
			if !heard[h.name] && allHeard(heard, h.needs) {
				can = append(can, h)
			}
		}
		h := can[rapid.IntRange(0, len(can)-1).Draw(t, "next")]
		heard[h.name] = true
		order = append(order, h)
		if again := order[rapid.IntRange(0, len(order)-1).Draw(t, "again")]; !again.claim && rapid.Bool().Draw(t, "repeat") {
			order = append(order, again)
		}
	}
	return order
}

// TestNext_AnyTwoOrdersEndTheSame draws whole lives, in which refunds and disputes may
// overlap, be more than the gift, and be split by lines or not. The balances of all
// accounts and every movement at the processor are the same; where refunds made
// elsewhere meet others, which of them took a line's last cent may differ.
func TestNext_AnyTwoOrdersEndTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life := drawLife(t)
		one, two := drawOrder(t, life), drawOrder(t, life)
		a, b := play(t, one, false), play(t, two, false)
		a.exact, b.exact = "", ""
		if a != b {
			t.Fatalf("%s\n%+v\n%s\n%+v", one, a, two, b)
		}
	})
}

// TestNext_EveryOrderOfADrawnLifeEndsTheSame plays the first six happenings of drawn
// lives in all their orders, not only in two of them.
func TestNext_EveryOrderOfADrawnLifeEndsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life := drawLife(t)
		life = life[:min(len(life), 6)] // what a happening needs stands before it
		var first *ending
		var firstOrder string
		eachOrder(life, func(order story) {
			got := play(t, order, false)
			got.exact = ""
			if first == nil {
				first, firstOrder = &got, order.String()
			}
			if got != *first {
				t.Fatalf("%s\n%+v\n%s\n%+v", firstOrder, *first, order, got)
			}
		})
	})
}
