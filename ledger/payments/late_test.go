package payments

import (
	"slices"
	"testing"
)

// TestNext_DeclineOfAnEarlierCardInTheSameSecond: events count in whole seconds, and
// the one about the first card may come when the second card's bank already waits.
func TestNext_DeclineOfAnEarlierCardInTheSameSecond(t *testing.T) {
	p := then(claimed(fresh(), after(1)), seen(1, IntentRequiresPaymentMethod, 2), cardOffered(2, 3))
	p = then(claimed(p, after(3)), seen(2, IntentRequiresAction, 3))
	late := seen(0, IntentRequiresPaymentMethod, 3)
	if got, fx := Next(p, late); fx.Verdict != NoChange || got.last().State != RequiresAction {
		t.Fatalf("the second card failed for the first one's decline: %+v", got.last())
	}
	late.Intent.Charge = "ch_declined_2"
	if got, _ := Next(p, late); got.last().State != Failed {
		t.Fatalf("its own decline is not heard: %+v", got.last())
	}
}

// TestNext_NoCardWhileMoneyIsKnownToHaveMoved: a refund or a dispute proves a capture
// that is still to be seen.
func TestNext_NoCardWhileMoneyIsKnownToHaveMoved(t *testing.T) {
	failed := then(claimed(fresh(), after(1)), seen(1, IntentRequiresPaymentMethod, 2))
	for _, proof := range []Fact{refundSeen("re_1", 350, RefundSucceeded, 101), disputeSeen("dp_1", 350, DisputeOpen, 201)} {
		if p := then(failed, proof, cardOffered(2, 300)); len(p.Attempts) != 1 {
			t.Fatalf("a payment that was captured may be charged again: %+v", p.Attempts)
		}
	}
}

// TestNext_FeeBeforeItsCaptureIsThePaymentsOwn once the capture is seen.
func TestNext_FeeBeforeItsCaptureIsThePaymentsOwn(t *testing.T) {
	p := then(claimed(fresh(), after(1)), feeSeen("ch_1", 305, "EUR"))
	if len(p.Others) != 1 || p.FeeKnown {
		t.Fatalf("%+v", p)
	}
	p = then(p, seen(1, IntentSucceeded, 2))
	if len(p.Others) != 0 || !p.FeeKnown || p.FeeMinor != 305 || p.FeeCurrency != "EUR" {
		t.Fatalf("%+v", p)
	}
	if _, fx := Next(p, feeSeen("ch_1", 306, "EUR")); fx.Alarm != AlarmFeeDiffers || len(fx.Entries) != 0 {
		t.Fatalf("%+v", fx)
	}
}

// TestNext_HeldIsBookedInOneOrder, whatever order it was heard of.
func TestNext_HeldIsBookedInOneOrder(t *testing.T) {
	p := then(claimed(fresh(), after(1)),
		disputeSeen("dp_2", 100, DisputeOpen, 201), refundSeen("re_2", 200, RefundSucceeded, 120), disputeSeen("dp_1", 100, DisputeLost, 205), refundSeen("re_1", 300, RefundPending, 110))
	_, fx := Next(p, seen(1, IntentSucceeded, 400))
	var refs []string
	for i := range fx.Entries {
		refs = append(refs, fx.Entries[i].Ref)
	}
	want := []string{"capture:ch_1", "refund:re_1", "refund:re_2", "dispute_opened:dp_1", "dispute_fee:dp_1", "dispute_lost:dp_1", "dispute_opened:dp_2", "dispute_fee:dp_2"}
	if !slices.Equal(refs, want) {
		t.Fatalf("%v, want %v", refs, want)
	}
}

// TestNext_RefundedAndLostAreApart in a payment's lines.
func TestNext_RefundedAndLostAreApart(t *testing.T) {
	p := then(claimed(fresh(), after(1)), seen(1, IntentSucceeded, 2), refundSeen("re_1", 5175, RefundSucceeded, 110, 5000, 0, 0), disputeSeen("dp_1", 5175, DisputeLost, 300))
	want := []Line{
		{Campaign: "river-school", AmountMinor: 5000, RefundedMinor: 5000},
		{Campaign: "food-bank", AmountMinor: 3333, LostMinor: 3333},
		{Campaign: "shelter", AmountMinor: 1667, LostMinor: 1667},
	}
	if !slices.Equal(p.Lines, want) || Refunded(p) != 5175 || Disputed(p) != DisputeLost || Refundable(p) != 0 {
		t.Fatalf("%+v", p.Lines)
	}
}

// TestNext_LookIsOverWithItsAnswer: the next attempt's call is made without looking.
func TestNext_LookIsOverWithItsAnswer(t *testing.T) {
	p := then(claimed(fresh(), after(1)), called(1, Unknown), overtime(1, KeyForgotten))
	if !p.last().LookFirst {
		t.Fatal("a call that the processor may have forgotten is repeated")
	}
	again := then(p, called(1, Retry, nothingDone))
	if got := again.last(); got.LookFirst || got.State != Due {
		t.Fatalf("%+v", got)
	}
	again = then(p, called(1, Unknown))
	if !again.last().LookFirst {
		t.Fatal("an unknown look is followed by a call")
	}
}

// TestNext_DisputeFeesGrow: answering a dispute costs a fee of its own, and reports
// come in any order.
func TestNext_DisputeFeesGrow(t *testing.T) {
	report := func(taken, returned int64, status DisputeStatus, at int) Fact {
		f := disputeSeen("dp_1", 10_350, status, at)
		f.Dispute.FeeMinor, f.Dispute.FeeReturnedMinor = taken, returned
		return f
	}
	p := then(claimed(fresh(), after(1)), seen(1, IntentSucceeded, 2), report(1500, 0, DisputeOpen, 201))
	p, fx := Next(p, report(3000, 0, DisputeOpen, 250))
	if len(fx.Entries) != 1 || flat(&fx.Entries[0]) != "dispute_fee dispute_fee:dp_1:3000 fees:dispute=USD1500 processor:stripe=USD-1500" {
		t.Fatalf("%+v", fx)
	}
	if _, fx := Next(p, report(1500, 0, DisputeOpen, 201)); len(fx.Entries) != 0 || fx.Alarm != "" {
		t.Fatalf("an older report: %+v", fx)
	}
	p, fx = Next(p, report(3000, 1500, DisputeWon, 300))
	if len(fx.Entries) != 2 || fx.Entries[0].Ref != "dispute_fee_returned:dp_1" {
		t.Fatalf("%+v", fx)
	}
	inEuros := report(3000, 0, DisputeWon, 300)
	inEuros.Dispute.FeeCurrency = "EUR"
	if _, fx := Next(p, inEuros); fx.Alarm != AlarmFeeDiffers || len(fx.Entries) != 0 {
		t.Fatalf("%+v", fx)
	}
}

// TestNext_FeeWithALaterReportOfTheCapture: the event came first, and only the
// answer to the call shows the fee.
func TestNext_FeeWithALaterReportOfTheCapture(t *testing.T) {
	p := then(claimed(fresh(), after(1)), seen(0, IntentSucceeded, 2))
	answer := seen(1, IntentSucceeded, 2, func(i *IntentSeen) {
		i.Fee = &FeeSeen{BalanceTransaction: "txn_1", FeeMinor: 330, Currency: "USD"}
	})
	p, fx := Next(p, answer)
	if !p.FeeKnown || len(fx.Entries) != 1 || fx.Entries[0].Ref != "fee:txn_1" || fx.Changed {
		t.Fatalf("%+v", fx)
	}
	if _, fx := Next(p, answer); fx.Verdict != NoChange {
		t.Fatalf("%+v", fx)
	}
}

// TestNext_ChargeInAnotherCurrency stands apart with all that follows from it.
func TestNext_ChargeInAnotherCurrency(t *testing.T) {
	p := then(claimed(fresh(), after(1)), seen(1, IntentSucceeded, 2, func(i *IntentSeen) { i.Charge, i.Currency, i.AmountMinor = "ch_9", "EUR", 900 }))
	if Raised(p, 0) != 0 || Pledged(p, 0) != 5000 || Refundable(p) != 0 {
		t.Fatalf("raised %d, pledged %d", Raised(p, 0), Pledged(p, 0))
	}
	refund := refundSeen("re_1", 900, RefundSucceeded, 101)
	refund.Refund.Charge, refund.Refund.Currency = "ch_9", "EUR"
	if _, fx := Next(p, refund); len(fx.Entries) != 1 || flat(&fx.Entries[0]) != "refund refund:re_1 suspense:stripe=EUR900 processor:stripe=EUR-900" {
		t.Fatalf("%+v", fx)
	}
	refund.Refund.Currency = "USD"
	if _, fx := Next(p, refund); len(fx.Entries) != 0 || fx.Alarm != AlarmCurrencyDiffers {
		t.Fatalf("%+v", fx)
	}
}

// TestNext_ChangedIsWhatADonorSees, and no more: pages wake for it.
func TestNext_ChangedIsWhatADonorSees(t *testing.T) {
	calling := claimed(fresh(), after(1))
	captured := then(calling, seen(1, IntentSucceeded, 2))
	for _, c := range []struct {
		name string
		p    Payment
		fact Fact
		want bool
	}{
		{"capture", calling, seen(1, IntentSucceeded, 2), true},
		{"must act", calling, seen(1, IntentRequiresAction, 2), true},
		{"decline", calling, seen(1, IntentRequiresPaymentMethod, 2), true},
		{"still processing", calling, seen(1, IntentProcessing, 2), false},
		{"unknown", calling, called(1, Unknown), false},
		{"a wish that is noted", calling, cancelAsked(2), false},
		{"a refund that is held", calling, refundSeen("re_1", 350, RefundSucceeded, 101), false},
		{"canceled", fresh(), cancelAsked(2), true},
		{"fee", captured, feeSeen("ch_1", 330, "USD"), false},
		{"part refund", captured, refundSeen("re_1", 350, RefundSucceeded, 101), true},
		{"dispute won at once", captured, disputeSeen("dp_1", 350, DisputeWon, 201), true},
		{"second charge", captured, seen(0, IntentSucceeded, 3, func(i *IntentSeen) { i.Charge = "ch_2" }), false},
	} {
		if _, fx := Next(c.p, c.fact); fx.Changed != c.want || fx.Verdict == NoChange {
			t.Errorf("%s: changed %t, want %t", c.name, fx.Changed, c.want)
		}
	}
}
