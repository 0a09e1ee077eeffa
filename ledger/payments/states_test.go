package payments

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"spillway/ledger/money"
)

var (
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	another = [16]byte{9}
)

func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// fresh is a payment of three lines and a covered fee whose attempt is due.
func fresh() Payment {
	return Payment{
		Donation: [16]byte{1, 2, 3}, Currency: "USD", AmountMinor: 10_350, FeeCoverMinor: 350,
		Lines:    []Line{{Campaign: "river-school", AmountMinor: 5000}, {Campaign: "food-bank", AmountMinor: 3333}, {Campaign: "shelter", AmountMinor: 1667}},
		Attempts: []Attempt{{No: 1, State: Due, Token: "ctoken_1", TokenExpiresAt: after(3600), ChangedAt: noon}},
	}
}

// claimed is what the queue makes of a payment whose attempt is due.
func claimed(p Payment, at time.Time) Payment {
	p = p.clone()
	if a := p.last(); a.State == Due {
		a.State, a.ChangedAt = Calling, at
		if a.FirstCalledAt.IsZero() {
			a.FirstCalledAt = at
		}
	}
	return p
}

// then applies facts in their order.
func then(p Payment, facts ...Fact) Payment {
	for _, f := range facts {
		p, _ = Next(p, f)
	}
	return p
}

func seen(no int, status IntentStatus, at int, change ...func(*IntentSeen)) Fact {
	i := &IntentSeen{AttemptNo: no, ID: "pi_1", Status: status, Currency: "USD"}
	switch status {
	case IntentSucceeded:
		i.AmountMinor, i.Charge = 10_350, "ch_1"
	case IntentRequiresAction:
		i.ClientSecret = "pi_1_secret"
	case IntentRequiresPaymentMethod:
		i.Decline, i.Charge = DeclineFunds, fmt.Sprintf("ch_declined_%d", max(no, 1))
	}
	for _, c := range change {
		c(i)
	}
	source := FromCall
	if no == 0 {
		source = FromWebhook
	}
	return Fact{Source: source, At: after(at), Intent: i}
}

func called(no int, kind OutcomeKind, change ...func(*CallOutcome)) Fact {
	o := &CallOutcome{AttemptNo: no, Kind: kind, NotBefore: after(30)}
	for _, c := range change {
		c(o)
	}
	return Fact{Source: FromCall, At: after(5), Outcome: o}
}

func nothingDone(o *CallOutcome) { o.NothingDone = true }

func feeSeen(charge string, minor int64, currency money.Currency) Fact {
	return Fact{Source: FromWebhook, At: after(20), Fee: &FeeSeen{Charge: charge, BalanceTransaction: "txn_" + charge, FeeMinor: minor, Currency: currency}}
}

func refundSeen(id string, minor int64, status RefundStatus, at int, lines ...int64) Fact {
	return Fact{Source: FromWebhook, At: after(at), Refund: &RefundSeen{ID: id, Charge: "ch_1", AmountMinor: minor, Currency: "USD", Status: status, Lines: lines, CreatedAt: after(100)}}
}

func disputeSeen(id string, minor int64, status DisputeStatus, at int) Fact {
	return Fact{Source: FromWebhook, At: after(at), Dispute: &DisputeSeen{ID: id, Charge: "ch_1", AmountMinor: minor, Currency: "USD", Status: status, FeeMinor: 1500, CreatedAt: after(200)}}
}

func cardOffered(request byte, at int) Fact {
	return Fact{Source: FromDonor, At: after(at), Card: &CardOffered{Request: [16]byte{request}, Token: fmt.Sprintf("ctoken_%d", request), ExpiresAt: after(7200)}}
}

func cancelAsked(at int) Fact {
	return Fact{Source: FromDonor, At: after(at), Cancel: &CancelAsked{Request: another}}
}

func overtime(no int, kind OvertimeKind) Fact {
	return Fact{Source: FromClock, At: after(4000), Overtime: &Overtime{AttemptNo: no, Kind: kind}}
}

// states are a payment in each state of its attempt.
var states = []struct {
	name string
	make func() Payment
}{
	{"due", fresh},
	{"calling", func() Payment { return claimed(fresh(), after(1)) }},
	{"action", func() Payment { return then(claimed(fresh(), after(1)), seen(1, IntentRequiresAction, 2)) }},
	{"processing", func() Payment { return then(claimed(fresh(), after(1)), seen(1, IntentProcessing, 2)) }},
	{"failed", func() Payment { return then(claimed(fresh(), after(1)), seen(1, IntentRequiresPaymentMethod, 2)) }},
	{"canceled", func() Payment { return then(fresh(), cancelAsked(1)) }},
	{"succeeded", func() Payment { return then(claimed(fresh(), after(1)), seen(1, IntentSucceeded, 2)) }},
}

// shown is a payment in one word, with what was noted and what is alarming.
func shown(p Payment, fx Effects) string {
	if fx.Verdict == NoChange {
		return "="
	}
	status, reason := Status(p)
	word := status
	if reason != "" {
		word += ":" + string(reason)
	}
	if d := p.last().Decline; d != "" {
		word += ":" + string(d)
	}
	if p.last().No > 1 {
		word += fmt.Sprintf("#%d", p.last().No)
	}
	if p.Cancel != NoCancel {
		word += "+cancel"
	}
	if p.last().LookFirst {
		word += "+look"
	}
	if held := len(p.Refunds) + len(p.Disputes); held > 0 && p.Charge == "" {
		word += "+held"
	}
	if fx.Alarm != "" {
		word += "!" + fx.Alarm
	}
	return word
}

// TestNext_EveryStateAndFact is the machine as a table: a row for each fact, a column
// for each state it meets. "=" is no change.
func TestNext_EveryStateAndFact(t *testing.T) {
	facts := []struct {
		name string
		fact Fact
		// due, calling, action, processing, failed, canceled, succeeded
		want string
	}{
		{"answer succeeded", seen(1, IntentSucceeded, 9),
			"succeeded succeeded succeeded succeeded succeeded succeeded!captured_after_cancel ="},
		{"answer requires_action", seen(1, IntentRequiresAction, 9),
			"requires_action requires_action = = = = ="},
		{"answer processing", seen(1, IntentProcessing, 9),
			"charging charging charging = = = ="},
		{"answer declined", seen(1, IntentRequiresPaymentMethod, 9),
			"failed:declined:insufficient_funds failed:declined:insufficient_funds failed:declined:insufficient_funds failed:declined:insufficient_funds = = ="},
		{"answer declined without a word", seen(1, IntentRequiresPaymentMethod, 9, func(i *IntentSeen) { i.Decline = DeclineNone }),
			"failed:declined:card_declined failed:declined:card_declined = = = = ="},
		{"answer canceled", seen(1, IntentCanceled, 9),
			"canceled canceled canceled canceled failed:declined:insufficient_funds = ="},
		{"answer requires_confirmation", seen(1, IntentRequiresConfirmation, 9),
			"requires_action+cancel!unexpected_intent requires_action+cancel!unexpected_intent = = = = ="},
		{"answer requires_capture", seen(1, IntentRequiresCapture, 9),
			"charging!unexpected_intent charging!unexpected_intent = = = = ="},
		{"answer of a state that is new", seen(1, "requires_patience", 9),
			"charging!unexpected_intent charging!unexpected_intent = = = = ="},
		{"answer to an attempt that is not there", seen(2, IntentRequiresAction, 9),
			"= = = = = = ="},
		{"capture by an attempt that is not there", seen(2, IntentSucceeded, 9),
			"succeeded succeeded succeeded succeeded succeeded succeeded!captured_after_cancel ="},

		{"webhook succeeded", seen(0, IntentSucceeded, 9),
			"succeeded succeeded succeeded succeeded succeeded succeeded!captured_after_cancel ="},
		{"webhook requires_action", seen(0, IntentRequiresAction, 9),
			"= = = = = = ="},
		{"webhook processing", seen(0, IntentProcessing, 9),
			"= = charging = = = ="},
		{"webhook declined", seen(0, IntentRequiresPaymentMethod, 9),
			"= = failed:declined:insufficient_funds failed:declined:insufficient_funds = = ="},
		{"webhook declined, older than the state", seen(0, IntentRequiresPaymentMethod, 1),
			"= = = = = = ="},
		{"webhook of an intent before it is confirmed", seen(0, IntentRequiresPaymentMethod, 9, func(i *IntentSeen) { i.Decline = DeclineNone }),
			"= = = = = = ="},
		{"webhook canceled", seen(0, IntentCanceled, 9),
			"= = canceled canceled failed:declined:insufficient_funds = ="},
		{"webhook canceled, of another intent", seen(0, IntentCanceled, 9, func(i *IntentSeen) { i.ID = "pi_9" }),
			"= = = = = = ="},
		{"webhook declined, of another intent", seen(0, IntentRequiresPaymentMethod, 9, func(i *IntentSeen) { i.ID = "pi_9" }),
			"= = = = = = ="},
		{"capture of another amount", seen(0, IntentSucceeded, 9, func(i *IntentSeen) { i.AmountMinor = 10_000 }),
			"succeeded!amount_differs succeeded!amount_differs succeeded!amount_differs succeeded!amount_differs succeeded!amount_differs succeeded!amount_differs ="},
		{"capture in another currency", seen(0, IntentSucceeded, 9, func(i *IntentSeen) { i.Currency, i.Charge = "EUR", "ch_9" }),
			"succeeded!currency_differs succeeded!currency_differs succeeded!currency_differs succeeded!currency_differs succeeded!currency_differs succeeded!currency_differs succeeded!currency_differs"},
		{"capture of another intent", seen(0, IntentSucceeded, 9, func(i *IntentSeen) { i.ID = "pi_9" }),
			"succeeded succeeded succeeded!other_intent succeeded!other_intent succeeded!other_intent succeeded!captured_after_cancel ="},
		{"capture by another charge", seen(0, IntentSucceeded, 9, func(i *IntentSeen) { i.Charge = "ch_9" }),
			"succeeded succeeded succeeded succeeded succeeded succeeded!captured_after_cancel succeeded!second_charge"},
		{"capture without a charge", seen(0, IntentSucceeded, 9, func(i *IntentSeen) { i.Charge = "" }),
			"accepted!incomplete_fact charging!incomplete_fact requires_action!incomplete_fact charging!incomplete_fact failed:declined:insufficient_funds!incomplete_fact canceled+cancel!incomplete_fact succeeded!incomplete_fact"},

		{"turned away, nothing done", called(1, Retry, nothingDone),
			"= accepted = = = = ="},
		{"turned away, an earlier call unknown", called(1, Retry),
			"= charging = = = = ="},
		{"unknown", called(1, Unknown),
			"charging charging = = = = ="},
		{"refused", called(1, Definite),
			"failed:refused failed:refused = = = = ="},
		{"refused, card needed", called(1, Definite, func(o *CallOutcome) { o.Reason = CardNeeded }),
			"failed:card_needed failed:card_needed = = = = ="},
		{"refused, of an attempt that is not there", called(2, Definite),
			"= = = = = = ="},

		{"fee", feeSeen("ch_1", 330, "USD"),
			"accepted charging requires_action charging failed:declined:insufficient_funds canceled+cancel succeeded"},
		{"refund", refundSeen("re_1", 10_350, RefundSucceeded, 101),
			"accepted+held charging+held requires_action+held charging+held failed:declined:insufficient_funds+held canceled+cancel+held refunded"},
		{"part refund", refundSeen("re_1", 350, RefundPending, 101),
			"accepted+held charging+held requires_action+held charging+held failed:declined:insufficient_funds+held canceled+cancel+held succeeded"},
		{"refund that failed", refundSeen("re_1", 350, RefundFailed, 101),
			"accepted+held charging+held requires_action+held charging+held failed:declined:insufficient_funds+held canceled+cancel+held succeeded"},
		{"refund in another currency", func() Fact { f := refundSeen("re_1", 350, RefundPending, 101); f.Refund.Currency = "EUR"; return f }(),
			"accepted!currency_differs charging!currency_differs requires_action!currency_differs charging!currency_differs failed:declined:insufficient_funds!currency_differs canceled+cancel!currency_differs succeeded!currency_differs"},
		{"refund of another charge", func() Fact { f := refundSeen("re_1", 350, RefundPending, 101); f.Refund.Charge = "ch_9"; return f }(),
			"accepted+held charging+held requires_action+held charging+held failed:declined:insufficient_funds+held canceled+cancel+held succeeded!unknown_charge"},
		{"dispute opened", disputeSeen("dp_1", 10_350, DisputeOpen, 201),
			"accepted+held charging+held requires_action+held charging+held failed:declined:insufficient_funds+held canceled+cancel+held disputed"},
		{"dispute won", disputeSeen("dp_1", 10_350, DisputeWon, 202),
			"accepted+held charging+held requires_action+held charging+held failed:declined:insufficient_funds+held canceled+cancel+held succeeded"},
		{"dispute lost", disputeSeen("dp_1", 10_350, DisputeLost, 202),
			"accepted+held charging+held requires_action+held charging+held failed:declined:insufficient_funds+held canceled+cancel+held disputed"},

		{"another card", cardOffered(2, 50),
			"= = = = accepted#2 = ="},
		{"donor cancels", cancelAsked(50),
			"canceled+cancel charging+cancel requires_action+cancel charging+cancel canceled+cancel = ="},
		{"token expired", overtime(1, TokenExpired),
			"failed:card_needed = = = = = ="},
		{"action expired", overtime(1, ActionExpired),
			"= = requires_action+cancel = = = ="},
		{"key forgotten", overtime(1, KeyForgotten),
			"= charging+look = = = = ="},
		{"overtime of an attempt that is not there", overtime(2, TokenExpired),
			"= = = = = = ="},
		{"nothing", Fact{At: after(9)},
			"= = = = = = ="},
	}
	for _, f := range facts {
		want := strings.Fields(f.want)
		if len(want) != len(states) {
			t.Fatalf("%s: %d cells, want %d", f.name, len(want), len(states))
		}
		for i, s := range states {
			before := s.make()
			p, fx := Next(before, f.fact)
			if got := shown(p, fx); got != want[i] {
				t.Errorf("%s meets %s: %s, want %s", f.name, s.name, got, want[i])
			}
			holds(t, text(f.name+" meets "+s.name), before, p, fx)
			// Once more: money moves once.
			if _, again := Next(p, f.fact); len(again.Entries) > 0 || again.Changed {
				t.Errorf("%s meets %s twice: %+v", f.name, s.name, again)
			}
		}
	}
}
