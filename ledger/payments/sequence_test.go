package payments

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"spillway/ledger/money"
)

// drawFact draws any fact, likely or not: of attempts that are not there, charges
// never heard of, amounts that cannot be, outcomes that contradict each other.
func drawFact(t *rapid.T, no int) Fact {
	at := rapid.IntRange(-5, 300).Draw(t, "at")
	charge := rapid.SampledFrom([]string{"ch_1", "ch_1", "ch_2", "ch_declined_1", ""}).Draw(t, "charge")
	currency := rapid.SampledFrom([]money.Currency{"USD", "USD", "USD", "EUR", ""}).Draw(t, "currency")
	minor := rapid.SampledFrom([]int64{10_350, 10_350, 10_349, 1, 350, 5000, 20_700, 0, -1, 1 << 62}).Draw(t, "minor")
	attempt := rapid.IntRange(0, no+1).Draw(t, "attempt")
	f := Fact{At: after(at)}
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0, 1:
		f.Intent = &IntentSeen{
			AttemptNo: attempt, ID: rapid.SampledFrom([]string{"pi_1", "pi_1", "pi_2", ""}).Draw(t, "intent"), AmountMinor: minor, Currency: currency, Charge: charge,
			Status: rapid.SampledFrom([]IntentStatus{
				IntentSucceeded, IntentSucceeded, IntentRequiresAction, IntentRequiresPaymentMethod, IntentRequiresPaymentMethod, IntentProcessing,
				IntentCanceled, IntentRequiresCapture, IntentRequiresConfirmation, "", "new",
			}).Draw(t, "status"),
			Decline: rapid.SampledFrom([]Decline{DeclineNone, DeclineFunds}).Draw(t, "decline"),
		}
		if f.Intent.Status == IntentRequiresAction {
			f.Intent.ClientSecret = "secret"
		}
		if rapid.Bool().Draw(t, "with fee") {
			f.Intent.Fee = &FeeSeen{FeeMinor: minor / 10, Currency: currency, BalanceTransaction: "txn_" + charge}
		}
	case 2:
		f.Outcome = &CallOutcome{
			AttemptNo: attempt, Kind: rapid.SampledFrom([]OutcomeKind{0, Retry, Unknown, Definite}).Draw(t, "outcome"),
			NothingDone: rapid.Bool().Draw(t, "nothing done"), Reason: rapid.SampledFrom([]FailReason{"", CardNeeded, Refused}).Draw(t, "reason"),
		}
	case 3:
		f.Fee = &FeeSeen{Charge: charge, FeeMinor: minor / 10, Currency: currency, BalanceTransaction: "txn_" + charge}
	case 4, 5:
		id := rapid.SampledFrom([]string{"re_1", "re_2", "re_3", ""}).Draw(t, "refund")
		lines := rapid.SampledFrom([][]int64{nil, nil, {1, 0, 0}, {5000, 0, 0}, {0, -1, 0}, {1, 1}, {5000, 3333, 1667}, {9000, 0, 0}}).Draw(t, "lines")
		f.Refund = &RefundSeen{
			ID: id, Charge: charge, AmountMinor: minor, Currency: currency, Lines: lines,
			Status: rapid.SampledFrom([]RefundStatus{RefundPending, RefundSucceeded, RefundFailed, RefundCanceled, "requires_action"}).Draw(t, "status"),
		}
	case 6:
		f.Dispute = &DisputeSeen{
			ID: rapid.SampledFrom([]string{"dp_1", "dp_2", ""}).Draw(t, "dispute"), Charge: charge, AmountMinor: minor, Currency: currency,
			Status:   rapid.SampledFrom([]DisputeStatus{DisputeOpen, DisputeWon, DisputeLost, "warning"}).Draw(t, "status"),
			FeeMinor: rapid.SampledFrom([]int64{0, 1500, 2000}).Draw(t, "fee"), FeeReturnedMinor: rapid.SampledFrom([]int64{0, 0, 1500}).Draw(t, "fee returned"),
		}
	case 7:
		if rapid.Bool().Draw(t, "card") {
			f.Card = &CardOffered{Request: [16]byte{byte(rapid.IntRange(0, 5).Draw(t, "request"))}, Token: rapid.SampledFrom([]string{"ctoken_x", "ctoken_y", ""}).Draw(t, "token")}
		} else {
			f.Cancel = &CancelAsked{}
		}
	case 8:
		f.Overtime = &Overtime{AttemptNo: attempt, Kind: rapid.SampledFrom([]OvertimeKind{0, TokenExpired, ActionExpired, KeyForgotten}).Draw(t, "overtime")}
	}
	return f
}

// TestNext_AnySequenceOfFactsKeepsTheBooks: whatever is heard, and whenever the queue
// hands an attempt out, every entry balances and is booked once, each campaign's
// account says what was raised, and no two attempts are on their way.
func TestNext_AnySequenceOfFactsKeepsTheBooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := fresh()
		if rapid.Bool().Draw(t, "no covered fee") {
			p.FeeCoverMinor, p.AmountMinor = 0, 10_000
		}
		refs := map[string]bool{}
		for heard := range rapid.IntRange(1, 40).Draw(t, "facts") {
			if rapid.IntRange(0, 3).Draw(t, "claim") == 0 {
				p = claimed(p, after(rapid.IntRange(0, 300).Draw(t, "claimed at")))
			}
			f := drawFact(t, p.last().No)
			kept, before := deepCopy(p), p
			next, fx := Next(p, f)
			what := text(fmt.Sprintf("fact %d", heard))
			holds(t, what, before, next, fx)
			if !reflect.DeepEqual(p, kept) {
				t.Fatalf("%s changed the payment it was given", what)
			}
			for _, e := range fx.Entries {
				if refs[e.Ref] {
					t.Fatalf("%s books %s again", what, e.Ref)
				}
				refs[e.Ref] = true
			}
			if open := p.last(); p.last().State.final() && open.State != Failed && next.last().No != open.No {
				t.Fatalf("%s: another attempt after state %d", what, open.State)
			}
			if p.last().State == Succeeded && next.last().State != Succeeded {
				t.Fatalf("%s: a captured payment is to be charged again", what)
			}
			if left := Refundable(next); left < 0 || left > next.CapturedMinor {
				t.Fatalf("%s: refundable %d of %d", what, left, next.CapturedMinor)
			}
			p = next
		}
	})
}

// deepCopy shares nothing with p.
func deepCopy(p Payment) Payment {
	p.Lines, p.Attempts, p.Others = slices.Clone(p.Lines), slices.Clone(p.Attempts), slices.Clone(p.Others)
	p.Refunds, p.Disputes = slices.Clone(p.Refunds), slices.Clone(p.Disputes)
	for i := range p.Refunds {
		p.Refunds[i].Lines = slices.Clone(p.Refunds[i].Lines)
	}
	return p
}

// TestNext_AttemptsAreBounded: nobody tests a thousand cards on one donation.
func TestNext_AttemptsAreBounded(t *testing.T) {
	p := fresh()
	for no := 1; no <= 2*AttemptsMax; no++ {
		p = claimed(p, after(no))
		p = then(p, seen(p.last().No, IntentRequiresPaymentMethod, no), cardOffered(byte(no+1), no))
	}
	if len(p.Attempts) != AttemptsMax || p.last().State != Failed {
		t.Fatalf("%d attempts, the last in state %d", len(p.Attempts), p.last().State)
	}
}

// TestNext_AnotherCardAfterAbandon needs another intent, and another card after a
// decline confirms the same one again.
func TestNext_AnotherCardAfterAbandon(t *testing.T) {
	acting := then(claimed(fresh(), after(1)), seen(1, IntentRequiresAction, 2), overtime(1, ActionExpired))
	if !CancelAtProcessor(acting) {
		t.Fatal("nobody cancels the intent at the processor")
	}
	if got := then(acting, cardOffered(2, 50)); len(got.Attempts) != 1 {
		t.Fatal("another card is taken before the processor has canceled the first intent")
	}
	p := then(acting, seen(0, IntentCanceled, 5000))
	if status, reason := Status(p); status != StatusFailed || reason != Abandoned || CancelAtProcessor(p) {
		t.Fatalf("%s %s", status, reason)
	}
	p = then(p, cardOffered(2, 5001))
	if p.Intent != "" || p.last().No != 2 || p.last().State != Due || p.Cancel != NoCancel {
		t.Fatalf("%+v", p)
	}
	p = then(claimed(p, after(5002)), seen(2, IntentSucceeded, 5003, func(i *IntentSeen) { i.ID, i.Charge = "pi_2", "ch_2" }), seen(0, IntentCanceled, 5000))
	if status, _ := Status(p); status != StatusSucceeded || p.Intent != "pi_2" || p.Charge != "ch_2" || p.Attempts[1].Charge != "ch_2" {
		t.Fatalf("%+v", p)
	}

	declined := then(claimed(fresh(), after(1)), seen(1, IntentRequiresPaymentMethod, 2), cardOffered(2, 50))
	if declined.Intent != "pi_1" {
		t.Fatalf("after a decline the intent is %q, want the same", declined.Intent)
	}
	// The intent was given up meanwhile: a card is needed once more, for a new one.
	p = then(claimed(declined, after(51)), seen(2, IntentCanceled, 52))
	if status, reason := Status(p); status != StatusFailed || reason != CardNeeded || p.Intent != "" {
		t.Fatalf("%s %s, intent %q", status, reason, p.Intent)
	}
	// Known before the call: the next attempt makes a new one.
	p = then(declined, seen(0, IntentCanceled, 40))
	if p.Intent != "" || p.last().State != Due {
		t.Fatalf("%+v", p)
	}
}

// TestNext_RetryOfAFirstCallIsAsIfNeverCalled: then the token may expire, and a
// donor's cancellation is done at once.
func TestNext_RetryOfAFirstCallIsAsIfNeverCalled(t *testing.T) {
	p := then(claimed(fresh(), after(1)), called(1, Retry, nothingDone))
	if a := p.last(); a.State != Due || !a.FirstCalledAt.IsZero() || !a.NotBefore.Equal(after(30)) {
		t.Fatalf("%+v", a)
	}
	if status, reason := Status(then(p, overtime(1, TokenExpired))); status != StatusFailed || reason != CardNeeded {
		t.Fatalf("%s %s", status, reason)
	}
	if status, _ := Status(then(p, cancelAsked(9))); status != StatusCanceled {
		t.Fatal(status)
	}
	wished := then(claimed(fresh(), after(1)), cancelAsked(2), called(1, Retry, nothingDone))
	if status, _ := Status(wished); status != StatusCanceled {
		t.Fatalf("a wish during the call was forgotten: %s", status)
	}
	unknown := then(claimed(fresh(), after(1)), called(1, Unknown), called(1, Retry))
	if unknown.last().State != Calling {
		t.Fatal("a repeat that was turned away says nothing about the call before it")
	}
}

// TestNext_ActionTakesItsTime: the donor's time to act is the call's, or the default.
func TestNext_ActionTakesItsTime(t *testing.T) {
	p := then(claimed(fresh(), after(1)), seen(1, IntentRequiresAction, 2))
	if a := p.last(); !a.ActionBy.Equal(after(2).Add(ActWithinDefault)) || a.ClientSecret != "pi_1_secret" {
		t.Fatalf("%+v", a)
	}
	p = then(claimed(fresh(), after(1)), seen(1, IntentRequiresAction, 2, func(i *IntentSeen) { i.ActWithin = 7e9 }))
	if a := p.last(); !a.ActionBy.Equal(after(9)) {
		t.Fatalf("%+v", a)
	}
	p = then(p, seen(0, IntentSucceeded, 8))
	if a := p.last(); a.ClientSecret != "" || !a.ActionBy.IsZero() {
		t.Fatalf("a secret outlives its state: %+v", a)
	}
}

// BenchmarkNext_Capture is one captured charge with its fee: three lines, two entries.
func BenchmarkNext_Capture(b *testing.B) {
	p := claimed(fresh(), after(1))
	f := seen(1, IntentSucceeded, 2, func(i *IntentSeen) { i.Fee = &FeeSeen{BalanceTransaction: "txn_1", FeeMinor: 330, Currency: "USD"} })
	b.ReportAllocs()
	for range b.N {
		if _, fx := Next(p, f); len(fx.Entries) != 2 {
			b.Fatal(fx)
		}
	}
}
