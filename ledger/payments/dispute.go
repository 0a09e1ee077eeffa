package payments

import "spillway/ledger/money"

// dispute applies a dispute that the processor showed. One whose charge was not seen
// captured yet is held, like a refund.
func (s *step) dispute(seen *DisputeSeen) {
	p := &s.p
	if !named(seen.ID) || seen.AmountMinor <= 0 || seen.AmountMinor > amountMinorMax ||
		seen.FeeMinor < 0 || seen.FeeMinor > amountMinorMax || seen.FeeReturnedMinor < 0 || seen.FeeReturnedMinor > amountMinorMax {
		s.alarm(AlarmIncomplete)
		return
	}
	for i := range p.Disputes {
		if p.Disputes[i].ID == seen.ID {
			s.disputeAgain(&p.Disputes[i], seen)
			return
		}
	}
	if s.foreign(seen.Charge, string(seen.Currency)) {
		s.alarm(AlarmCurrencyDiffers)
		return
	}
	s.addDispute(Dispute{
		ID: seen.ID, Charge: seen.Charge, AmountMinor: seen.AmountMinor, Status: seen.status(),
		CreatedAt: orElse(seen.CreatedAt, s.f.At), ChangedAt: s.f.At,
		FeeMinor: seen.FeeMinor, FeeReturnedMinor: seen.FeeReturnedMinor, FeeCurrency: s.disputeFeeCurrency(seen),
	})
}

// status is the outcome, open while there is none.
func (seen *DisputeSeen) status() DisputeStatus {
	if seen.Status == DisputeWon || seen.Status == DisputeLost {
		return seen.Status
	}
	return DisputeOpen
}

func (s *step) disputeFeeCurrency(seen *DisputeSeen) money.Currency {
	switch {
	case seen.FeeMinor == 0 && seen.FeeReturnedMinor == 0:
		return ""
	case seen.FeeCurrency != "":
		return seen.FeeCurrency
	case seen.Currency != "":
		return seen.Currency
	}
	return s.p.Currency
}

// addDispute adds a dispute as it stands, and books it when its charge is booked.
func (s *step) addDispute(d Dispute) {
	p := &s.p
	s.applied()
	if !p.booked(d.Charge) {
		p.Disputes = append(p.Disputes, d)
		if p.Charge != "" {
			s.alarm(AlarmUnknownCharge)
		}
		return
	}
	status := d.Status
	d.Status = DisputeOpen
	p.Disputes = append(p.Disputes, d)
	at := &p.Disputes[len(p.Disputes)-1]
	s.book(disputeOpenedEntry(p.currencyOf(at.Charge), at))
	s.disputeFee(at, 0, at.FeeMinor)
	s.disputeFeeReturned(at, 0, at.FeeReturnedMinor)
	if status == DisputeOpen {
		return
	}
	if at.Turned { // both outcomes came before the capture
		s.bookOutcome(at, status.opposite())
		s.bookReversal(at, status.opposite())
	}
	s.bookOutcome(at, status)
}

// disputeFees applies what the processor told of a dispute's fees so far. They only
// grow: answering a dispute may cost a fee of its own. A report that tells less is
// an older one.
func (s *step) disputeFees(d *Dispute, seen *DisputeSeen) {
	if seen.FeeMinor == 0 && seen.FeeReturnedMinor == 0 {
		return
	}
	currency := s.disputeFeeCurrency(seen)
	if d.FeeCurrency == "" {
		d.FeeCurrency = currency
	}
	learn := func(known *int64, told int64, book func(d *Dispute, from, to int64)) {
		switch {
		case told == 0:
		case d.FeeCurrency != currency:
			s.alarm(AlarmFeeDiffers)
		case told > *known:
			from := *known
			*known = told
			s.applied()
			book(d, from, told)
		}
	}
	learn(&d.FeeMinor, seen.FeeMinor, s.disputeFee)
	learn(&d.FeeReturnedMinor, seen.FeeReturnedMinor, s.disputeFeeReturned)
}

// disputeFee books that the fees taken grew, and disputeFeeReturned that those given
// back did.
func (s *step) disputeFee(d *Dispute, from, to int64) {
	if from != to && s.p.booked(d.Charge) {
		s.book(disputeFeeEntry(d, from, to))
	}
}

func (s *step) disputeFeeReturned(d *Dispute, from, to int64) {
	if from != to && s.p.booked(d.Charge) {
		s.book(disputeFeeReturnedEntry(d, from, to))
	}
}

// disputeAgain applies a further report of a dispute that is known. Of two outcomes
// the later one counts; both are booked, and the other one is reversed, so that the
// books are the same whichever was heard of first.
func (s *step) disputeAgain(d *Dispute, seen *DisputeSeen) {
	if d.AmountMinor != seen.AmountMinor {
		s.alarm(AlarmAmountDiffers)
		return
	}
	s.disputeFees(d, seen)
	status := seen.status()
	later := s.f.At.After(d.ChangedAt)
	switch {
	case status == d.Status:
		if later {
			d.ChangedAt = s.f.At
			s.applied()
		}
	case status == DisputeOpen: // heard of late: it is decided
	case d.Status == DisputeOpen:
		d.ChangedAt = s.f.At
		s.applied()
		s.outcomeOf(d, status)
	case d.Turned:
		if later {
			s.alarm(AlarmDisputeTurnedBack)
		}
	default:
		s.turn(d, status, later || s.f.At.Equal(d.ChangedAt) && status == DisputeLost)
	}
}

// outcomeOf gives an open dispute its outcome.
func (s *step) outcomeOf(d *Dispute, status DisputeStatus) {
	if s.p.booked(d.Charge) {
		s.bookOutcome(d, status)
		return
	}
	d.Status = status
}

// turn applies the second outcome of a dispute, which counts or is only heard of late.
func (s *step) turn(d *Dispute, second DisputeStatus, counts bool) {
	first := d.Status
	d.Turned = true
	s.applied()
	if counts {
		d.ChangedAt = s.f.At
	}
	switch {
	case !s.p.booked(d.Charge):
		if counts {
			d.Status = second
		}
	case counts:
		s.bookReversal(d, first)
		s.bookOutcome(d, second)
	default:
		// Booked and taken back at once: the money is where the first outcome left it.
		s.bookOutcome(d, second)
		s.bookReversal(d, second)
		d.Status = first
	}
}

// bookOutcome brings an open dispute that is booked to its outcome.
func (s *step) bookOutcome(d *Dispute, status DisputeStatus) {
	before := allocate(&s.p)
	d.Status = status
	if status == DisputeWon {
		s.book(disputeWonEntry(s.p.currencyOf(d.Charge), d))
		return
	}
	s.book(disputeLostEntry(s.tookSince(before, d.Charge, d.AmountMinor), s.p.currencyOf(d.Charge), d))
}

// bookReversal brings a dispute back to open.
func (s *step) bookReversal(d *Dispute, from DisputeStatus) {
	before := allocate(&s.p)
	d.Status = DisputeOpen
	if from == DisputeWon {
		s.book(wonReversedEntry(s.p.currencyOf(d.Charge), d))
		return
	}
	s.book(lostReversedEntry(s.tookSince(before, d.Charge, -d.AmountMinor), s.p.currencyOf(d.Charge), d))
}

func (s DisputeStatus) opposite() DisputeStatus {
	if s == DisputeWon {
		return DisputeLost
	}
	return DisputeWon
}
