package payments

import (
	"slices"

	"spillway/ledger/journal"
)

// The words of alarms: Effects.Alarm, a label of a metric.
const (
	AlarmSecondCharge      = "second_charge"         // the donor was charged twice
	AlarmAmountDiffers     = "amount_differs"        // not what we asked for
	AlarmCurrencyDiffers   = "currency_differs"      // not the donation's
	AlarmCapturedCanceled  = "captured_after_cancel" // we had told the donor that it was canceled
	AlarmOtherIntent       = "other_intent"          // an intent that is not the payment's
	AlarmUnexpectedIntent  = "unexpected_intent"     // a state that our calls never lead to
	AlarmIncomplete        = "incomplete_fact"       // a movement without an ID or an amount
	AlarmUnknownCharge     = "unknown_charge"        // a refund or dispute of a charge never seen
	AlarmFeeDiffers        = "fee_differs"           // another fee than the one booked
	AlarmRefundLines       = "refund_lines"          // lines that are not the payment's
	AlarmDisputeTurnedBack = "dispute_turned_back"   // a third outcome: the books need a correction
)

// amountMinorMax bounds what is believed of one movement, in minor units: that of a
// donation's line. Sums of them cannot overflow.
const amountMinorMax = 1_000_000_000_000

// idBytesMax bounds the processor's IDs: with its kind before it, one is the Ref of
// an entry. Theirs have some thirty bytes.
const idBytesMax = 200

// named tells whether id can name a movement.
func named(id string) bool { return id != "" && len(id) <= idBytesMax }

// step is one fact on its way into a payment.
type step struct {
	p  Payment // ours to change
	f  *Fact
	fx Effects
}

// Next says what a fact makes of a payment, and what else it causes. It is pure, and
// total over every state and fact; p and f are not modified and share nothing with
// what is returned that is changed later.
//
// The same facts in any order that could have happened, with any repeats, lead to
// the same status, the same amounts and the same entries.
func Next(p Payment, f Fact) (Payment, Effects) {
	s := step{p: p.clone(), f: &f, fx: Effects{Verdict: NoChange}}
	switch {
	case f.Intent != nil:
		s.intent(f.Intent)
	case f.Outcome != nil:
		s.outcome(f.Outcome)
	case f.Fee != nil:
		s.fee(f.Fee, f.Fee.Charge)
	case f.Refund != nil:
		s.refund(f.Refund)
	case f.Dispute != nil:
		s.dispute(f.Dispute)
	case f.Card != nil:
		s.card(f.Card)
	case f.Cancel != nil:
		s.cancel()
	case f.Overtime != nil:
		s.overtime(f.Overtime)
	}
	if s.fx.Verdict == NoChange {
		return p, s.fx
	}
	s.fx.Changed = p.view() != s.p.view()
	return s.p, s.fx
}

func (p *Payment) clone() Payment {
	c := *p
	c.Lines = slices.Clone(p.Lines)
	c.Attempts = slices.Clone(p.Attempts)
	c.Others = slices.Clone(p.Others)
	c.Refunds = slices.Clone(p.Refunds)
	c.Disputes = slices.Clone(p.Disputes)
	return c
}

// view is what a donor sees of a payment.
type view struct {
	status   string
	reason   FailReason
	decline  Decline
	secret   string
	refunded int64
	dispute  DisputeStatus
}

func (p *Payment) view() view {
	a := p.last()
	v := view{decline: a.Decline, secret: a.ClientSecret, refunded: p.refundedMinor(), dispute: p.disputeStatus()}
	v.status, v.reason = p.status()
	return v
}

// applied notes that the payment changed.
func (s *step) applied() {
	if s.fx.Verdict == NoChange {
		s.fx.Verdict = Applied
	}
}

// alarm notes that a person must look. The first word stays.
func (s *step) alarm(word string) {
	s.fx.Verdict = Alarming
	if s.fx.Alarm == "" {
		s.fx.Alarm = word
	}
}

// book adds an entry. One that does not balance is our own mistake.
func (s *step) book(e journal.Entry) {
	e.Donation = s.p.Donation
	if err := journal.Balanced(&e); err != nil {
		panic("payments: " + err.Error())
	}
	s.fx.Entries = append(s.fx.Entries, e)
	s.applied()
}
