package payments

// refund applies a refund that the processor showed. One whose charge was not seen
// captured yet is held: it is booked with the capture.
func (s *step) refund(seen *RefundSeen) {
	p := &s.p
	if !named(seen.ID) || seen.AmountMinor <= 0 || seen.AmountMinor > amountMinorMax {
		s.alarm(AlarmIncomplete)
		return
	}
	for i := range p.Refunds {
		if p.Refunds[i].ID == seen.ID {
			s.refundAgain(&p.Refunds[i], seen)
			return
		}
	}
	if s.foreign(seen.Charge, string(seen.Currency)) {
		s.alarm(AlarmCurrencyDiffers)
		return
	}
	s.addRefund(Refund{
		ID: seen.ID, Charge: seen.Charge, AmountMinor: seen.AmountMinor, Status: seen.Status, Lines: s.refundLines(seen),
		CreatedAt: orElse(seen.CreatedAt, s.f.At), ChangedAt: s.f.At,
	})
}

// addRefund adds a refund as it stands, and books it when its charge is booked.
func (s *step) addRefund(r Refund) {
	p := &s.p
	s.applied()
	if !p.booked(r.Charge) {
		p.Refunds = append(p.Refunds, r)
		if p.Charge != "" {
			s.alarm(AlarmUnknownCharge)
		}
		return
	}
	before := allocate(p)
	made := r
	if !r.Status.standing() {
		made.Status = RefundPending
	}
	p.Refunds = append(p.Refunds, made)
	at := &p.Refunds[len(p.Refunds)-1]
	s.book(refundEntry(s.tookSince(before, at.Charge, at.AmountMinor), p.currencyOf(at.Charge), at))
	if !r.Status.standing() {
		s.refundFails(at, r.Status)
	}
}

// refundFails books that the money of a refund came back.
func (s *step) refundFails(r *Refund, status RefundStatus) {
	before := allocate(&s.p)
	r.Status = status
	s.book(refundFailedEntry(s.tookSince(before, r.Charge, -r.AmountMinor), s.p.currencyOf(r.Charge), r))
}

// refundAgain applies a further report of a refund that is known.
func (s *step) refundAgain(r *Refund, seen *RefundSeen) {
	if r.AmountMinor != seen.AmountMinor {
		s.alarm(AlarmAmountDiffers)
		return
	}
	if lines := s.refundLines(seen); len(r.Lines) == 0 && len(lines) > 0 {
		// Learnt elsewhere first and split pro rata; now its command's split is known.
		before := allocate(&s.p)
		r.Lines = lines
		s.applied()
		if s.p.booked(r.Charge) && r.Status.standing() {
			if postings := s.tookSince(before, r.Charge, 0); len(postings) > 0 {
				s.book(resplitEntry(postings, r, s.f.At))
			}
		}
	}
	if rank(seen.Status) <= rank(r.Status) {
		return // statuses of a refund only go forward
	}
	stood := r.Status.standing()
	r.ChangedAt = s.f.At
	s.applied()
	if stood && !seen.Status.standing() && s.p.booked(r.Charge) {
		s.refundFails(r, seen.Status)
		return
	}
	r.Status = seen.Status
}

// rank orders the statuses of a refund (docs.stripe.com/refunds): one that succeeded
// may fail days later, and one that failed stays so.
func rank(s RefundStatus) int {
	switch s {
	case RefundFailed, RefundCanceled:
		return 3
	case RefundSucceeded:
		return 2
	}
	return 1
}

// refundLines is the split that came with a refund, nil when there is none.
func (s *step) refundLines(seen *RefundSeen) []int64 {
	if len(seen.Lines) == 0 {
		return nil
	}
	sum := int64(0)
	ok := len(seen.Lines) == len(s.p.Lines)
	for _, minor := range seen.Lines {
		ok = ok && minor >= 0 && minor <= seen.AmountMinor
		sum += minor
	}
	if !ok || sum > seen.AmountMinor {
		s.alarm(AlarmRefundLines)
		return nil
	}
	return append([]int64(nil), seen.Lines...)
}

// foreign tells whether a movement of a charge is in another currency than it.
func (s *step) foreign(charge, currency string) bool {
	if currency == "" {
		return false
	}
	if o := s.p.other(charge); o >= 0 && s.p.Others[o].AmountMinor > 0 {
		return currency != string(s.p.Others[o].Currency)
	}
	return currency != string(s.p.Currency)
}
