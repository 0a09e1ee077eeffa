package payments

import (
	"slices"
	"time"

	"spillway/ledger/money"
)

// captured applies an intent that succeeded: a fact, booked from whatever state.
func (s *step) captured(i *IntentSeen) {
	p := &s.p
	if !named(i.Charge) || i.AmountMinor <= 0 || i.AmountMinor > amountMinorMax {
		s.alarm(AlarmIncomplete)
		return
	}
	currency := i.Currency
	if currency == "" {
		currency = p.Currency
	}
	switch {
	case p.booked(i.Charge):
		s.fee(i.Fee, i.Charge) // learnt once more, perhaps with its fee
	case currency != p.Currency:
		s.alarm(AlarmCurrencyDiffers)
		s.strange(i, currency)
	case p.Charge != "":
		s.alarm(AlarmSecondCharge)
		s.strange(i, currency)
	default:
		s.capture(i)
	}
}

// capture books the payment's charge, and what was held until it was seen.
func (s *step) capture(i *IntentSeen) {
	p := &s.p
	switch {
	case i.AmountMinor != p.AmountMinor:
		s.alarm(AlarmAmountDiffers)
	case p.last().State == Canceled:
		s.alarm(AlarmCapturedCanceled)
	case p.Intent != "" && i.ID != p.Intent:
		s.alarm(AlarmOtherIntent)
	}
	s.settle(i)
	p.Charge, p.CapturedMinor, p.CapturedAt = i.Charge, i.AmountMinor, s.f.At
	s.book(captureEntry(p))
	if o := p.other(i.Charge); o >= 0 { // its fee came first, and is booked
		p.FeeMinor, p.FeeCurrency, p.FeeKnown = p.Others[o].FeeMinor, p.Others[o].FeeCurrency, p.Others[o].FeeKnown
		p.Others = slices.Delete(p.Others, o, o+1)
	}
	s.fee(i.Fee, i.Charge)
	s.release(i.Charge)
}

// strange books a charge that no gift explains, on the suspense account.
func (s *step) strange(i *IntentSeen, currency money.Currency) {
	p := &s.p
	if p.Charge == "" {
		s.settle(i) // nothing more is to be charged, whatever this is
	}
	o := p.other(i.Charge)
	if o < 0 {
		p.Others = append(p.Others, OtherCharge{Charge: i.Charge})
		o = len(p.Others) - 1
	}
	p.Others[o].AmountMinor, p.Others[o].Currency = i.AmountMinor, currency
	s.book(strangeEntry(&p.Others[o], s.f.At))
	s.fee(i.Fee, i.Charge)
	s.release(i.Charge)
}

// settle ends the attempts of a payment that was charged: no call is made any more.
func (s *step) settle(i *IntentSeen) {
	p := &s.p
	if i.ID != "" {
		p.Intent = i.ID
	}
	p.Cancel = NoCancel
	by := p.last()
	s.bring(by, Succeeded)
	if n := i.AttemptNo; n >= 1 && n < len(p.Attempts) && p.Attempts[n-1].No == n {
		by = &p.Attempts[n-1]
		s.bring(by, Succeeded)
	}
	if by.FirstCalledAt.IsZero() {
		by.FirstCalledAt = s.f.At
	}
	by.Charge = i.Charge
}

// release books refunds and disputes that were held until their charge was seen, in
// the order of their IDs.
func (s *step) release(charge string) {
	p := &s.p
	ours := func(named string) bool {
		return named == charge || named == "" && charge == p.Charge
	}
	var refunds []Refund
	p.Refunds = slices.DeleteFunc(p.Refunds, func(r Refund) bool {
		if ours(r.Charge) {
			refunds = append(refunds, r)
		}
		return ours(r.Charge)
	})
	var disputes []Dispute
	p.Disputes = slices.DeleteFunc(p.Disputes, func(d Dispute) bool {
		if ours(d.Charge) {
			disputes = append(disputes, d)
		}
		return ours(d.Charge)
	})
	slices.SortFunc(refunds, func(a, b Refund) int { return compareText(a.ID, b.ID) })
	slices.SortFunc(disputes, func(a, b Dispute) int { return compareText(a.ID, b.ID) })
	for _, r := range refunds {
		s.addRefund(r)
	}
	for _, d := range disputes {
		s.addDispute(d)
	}
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// fee applies what the processor took for a charge. It names no gift, so it is
// booked at once, before the capture too.
func (s *step) fee(seen *FeeSeen, charge string) {
	if seen == nil {
		return
	}
	p := &s.p
	if charge == "" {
		charge = p.Charge
	}
	if !named(charge) || len(seen.BalanceTransaction) > idBytesMax || seen.FeeMinor > amountMinorMax || seen.FeeMinor < -amountMinorMax {
		s.alarm(AlarmIncomplete)
		return
	}
	currency := seen.Currency
	if currency == "" {
		currency = p.Currency
	}
	known, minor, in := &p.FeeKnown, &p.FeeMinor, &p.FeeCurrency
	if charge != p.Charge {
		o := p.other(charge)
		if o < 0 {
			p.Others = append(p.Others, OtherCharge{Charge: charge})
			o = len(p.Others) - 1
		}
		known, minor, in = &p.Others[o].FeeKnown, &p.Others[o].FeeMinor, &p.Others[o].FeeCurrency
	}
	if *known {
		if *minor != seen.FeeMinor || *in != currency {
			s.alarm(AlarmFeeDiffers)
		}
		return
	}
	*known, *minor, *in = true, seen.FeeMinor, currency
	s.applied()
	if seen.FeeMinor != 0 {
		s.book(feeEntry(seen, charge, currency, s.f.At))
	}
}

// orElse is at, or the other time when at is not known.
func orElse(at, other time.Time) time.Time {
	if at.IsZero() {
		return other
	}
	return at
}
