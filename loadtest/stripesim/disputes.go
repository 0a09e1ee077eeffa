package stripesim

// chargeDue disputes a charge whose card disputes.
func (s *Server) chargeDue(c *change, h charge) {
	if h.dueAt == 0 || h.dueAt > c.at {
		return
	}
	s.openDispute(c, h)
}

// openDispute takes a charge's money back for the donor's bank; false when there
// is nothing to take.
func (s *Server) openDispute(c *change, h charge) bool {
	h.dueAt = 0
	amount := h.amount - h.refunded
	if h.status != chargePaid || h.dispute != 0 || amount == 0 {
		c.charges = append(c.charges, h)
		return false
	}
	d := dispute{
		n: s.disputes.last + 1, charge: h.n, intent: h.intent, created: c.at / 1000, amount: amount, currency: h.currency,
		status: disputeOpen, reason: "fraudulent",
	}
	faults, verdict := s.Faults(), h.draw.of("verdict")
	switch {
	case h.card == cardDispute: // stays open until it is told otherwise
	case h.card == cardDisputeWon, h.card == cardDisputeLost:
		d.wins = h.card == cardDisputeWon
		d.dueAt = c.at + s.cfg.DisputeAfter.Milliseconds() + 1
	case verdict < faults.DisputeWonRate+faults.DisputeLostRate:
		d.wins = verdict < faults.DisputeWonRate
		d.dueAt = c.at + s.cfg.DisputeAfter.Milliseconds() + 1
	}
	d.withdrawn = s.book(c, txn{kind: txnDispute, source: d.n, amount: -amount, fee: s.cfg.Fees.Dispute, currency: h.currency})
	h.dispute = d.n
	c.charges = append(c.charges, h)
	c.disputes = append(c.disputes, d)
	c.tell(disputeCreatedEvent, d.n)
	c.tell(disputeWithdrawnEvent, d.n)
	return true
}

// disputeDue is the bank's word.
func (s *Server) disputeDue(c *change, d dispute) {
	if d.dueAt == 0 || d.dueAt > c.at {
		return
	}
	s.closeDispute(c, d, d.wins)
}

// closeDispute ends a dispute; false when it has ended.
func (s *Server) closeDispute(c *change, d dispute, won bool) bool {
	if d.status == disputeWon || d.status == disputeLost {
		return false
	}
	d.dueAt = 0
	d.status = disputeLost
	if t, ok := s.txns.get(d.withdrawn); ok {
		c.txns = append(c.txns, *t) // it is shown with the dispute
	}
	if won {
		d.status = disputeWon
		var fee int64
		if s.cfg.Fees.DisputeReturned {
			fee = -s.cfg.Fees.Dispute
		}
		d.reinstated = s.book(c, txn{kind: txnDisputeReversal, source: d.n, amount: d.amount, fee: fee, currency: d.currency})
	}
	c.disputes = append(c.disputes, d)
	c.tell(disputeClosedEvent, d.n)
	if won {
		c.tell(disputeReinstatedEvent, d.n)
	}
	return true
}

var disputeParams = paramSet("evidence", "metadata", "submit")

// Evidence that decides a dispute, as with Stripe's test cards.
const (
	winningEvidence = "winning_evidence"
	losingEvidence  = "losing_evidence"
)

// updateDispute takes evidence: the winning or losing one decides it a little later.
func (s *Server) updateDispute(q *call, c *change) (kind, uint32, *apiError) {
	d, bad := s.disputeOf(q)
	if bad != nil {
		return 0, 0, bad
	}
	if d.metadata, bad = q.metadata(d.metadata); bad != nil {
		return 0, 0, bad
	}
	if d.status == disputeWon || d.status == disputeLost {
		return 0, 0, invalid("dispute_closed", "", "This dispute is already closed.")
	}
	switch q.text("evidence[uncategorized_text]") {
	case winningEvidence:
		d.status, d.wins, d.dueAt = disputeUnder, true, c.at+s.cfg.SettleAfter.Milliseconds()+1
	case losingEvidence:
		d.status, d.wins, d.dueAt = disputeUnder, false, c.at+s.cfg.SettleAfter.Milliseconds()+1
	}
	if t, ok := s.txns.get(d.withdrawn); ok {
		c.txns = append(c.txns, *t) // it is shown with the dispute
	}
	c.disputes = append(c.disputes, d)
	c.tell(disputeUpdatedEvent, d.n)
	return disputeKind, d.n, nil
}

// acceptDispute is the merchant giving in.
func (s *Server) acceptDispute(q *call, c *change) (kind, uint32, *apiError) {
	d, bad := s.disputeOf(q)
	if bad != nil {
		return 0, 0, bad
	}
	if !s.closeDispute(c, d, false) {
		return 0, 0, invalid("dispute_closed", "", "This dispute is already closed.")
	}
	return disputeKind, d.n, nil
}

func (s *Server) disputeOf(q *call) (dispute, *apiError) {
	d, ok := s.disputes.get(s.ids.number(disputeKind, q.id))
	if !ok {
		return dispute{}, noSuch("dispute", q.id)
	}
	return *d, nil
}
