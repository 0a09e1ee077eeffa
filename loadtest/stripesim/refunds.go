package stripesim

import "slices"

var (
	refundParams  = paramSet("charge", "payment_intent", "amount", "reason", "metadata", "instructions_email", "currency", "origin")
	refundReasons = []string{"", "duplicate", "fraudulent", "requested_by_customer"}
)

// createRefund gives back a charge, or a part of it.
func (s *Server) createRefund(q *call, c *change) (kind, uint32, *apiError) {
	h, bad := s.chargeOf(q)
	if bad != nil {
		return 0, 0, bad
	}
	if !slices.Contains(refundReasons, q.text("reason")) {
		return 0, 0, malformed("parameter_invalid", "reason", "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer")
	}
	metadata, bad := q.metadata("")
	if bad != nil {
		return 0, 0, bad
	}
	left := h.amount - h.refunded
	amount, there, bad := q.number("amount")
	if bad != nil {
		return 0, 0, bad
	}
	switch {
	case there && amount < 1:
		return 0, 0, malformed("parameter_invalid_integer", "amount", "Invalid positive integer")
	case h.status != chargePaid:
		return 0, 0, invalid("charge_not_refundable", "", "This charge was not successful and cannot be refunded.")
	case h.dispute != 0 && s.disputes.at(h.dispute).status != disputeWon:
		return 0, 0, invalid("charge_disputed", "", "Charge %s has been charged back; cannot issue a refund.", s.ids.id(chargeKind, h.n))
	case left == 0:
		return 0, 0, invalid("charge_already_refunded", "", "Charge %s has already been refunded.", s.ids.id(chargeKind, h.n))
	case there && amount > left:
		return 0, 0, invalid("", "amount", "Refund amount (%d) is greater than unrefunded amount on charge (%d)", amount, left)
	case !there:
		amount = left
	}
	f := refund{
		n: s.refunds.last + 1, charge: h.n, intent: h.intent, previous: h.refund, created: c.at / 1000, amount: amount,
		currency: h.currency, status: settleDone, reason: intern(q.text("reason")), metadata: metadata,
	}
	f.txn = s.book(c, txn{kind: txnRefund, source: f.n, amount: -amount, currency: h.currency})
	switch h.card {
	case cardRefundPending:
		f.status = settlePending
		f.dueAt = c.at + s.cfg.SettleAfter.Milliseconds() + 1
	case cardRefundFails: // succeeds first, and fails later, as Stripe's test card does
		f.dueAt = c.at + s.cfg.SettleAfter.Milliseconds() + 1
	}
	h.refunded += amount
	h.refund = f.n
	c.charges = append(c.charges, h)
	c.refunds = append(c.refunds, f)
	c.tell(chargeRefundedEvent, h.n)
	c.tell(refundCreatedEvent, f.n)
	return refundKind, f.n, nil
}

// chargeOf finds the charge that a call wants to have refunded.
func (s *Server) chargeOf(q *call) (charge, *apiError) {
	id, about := q.text("charge"), q.text("payment_intent")
	switch {
	case id != "":
		if h, ok := s.charges.get(s.ids.number(chargeKind, id)); ok {
			return *h, nil
		}
		e := noSuch("charge", id)
		e.param = "charge"
		return charge{}, e
	case about != "":
		p, ok := s.intents.get(s.ids.number(intentKind, about))
		if !ok {
			e := noSuch("payment_intent", about)
			e.param = "payment_intent"
			return charge{}, e
		}
		if p.status != intentPaid {
			return charge{}, invalid("payment_intent_unexpected_state", "payment_intent", "This PaymentIntent (%s) does not have a successful charge to refund.", about)
		}
		return *s.charges.at(p.charge), nil
	}
	return charge{}, malformed("parameter_missing", "charge", "One of the following params should be provided for this request: payment_intent or charge.")
}

// updateRefund changes metadata.
func (s *Server) updateRefund(q *call, c *change) (kind, uint32, *apiError) {
	f, ok := s.refunds.get(s.ids.number(refundKind, q.id))
	if !ok {
		return 0, 0, noSuch("refund", q.id)
	}
	updated := *f
	var bad *apiError
	if updated.metadata, bad = q.metadata(f.metadata); bad != nil {
		return 0, 0, bad
	}
	c.refunds = append(c.refunds, updated)
	c.tell(refundUpdatedEvent, updated.n)
	return refundKind, updated.n, nil
}

// refundDue settles a refund: one that is pending succeeds, one that had succeeded
// fails, and its money comes back.
func (s *Server) refundDue(c *change, f refund) {
	if f.dueAt == 0 || f.dueAt > c.at {
		return
	}
	f.dueAt = 0
	if f.status == settlePending {
		f.status = settleDone
		c.refunds = append(c.refunds, f)
		c.tell(refundUpdatedEvent, f.n)
		c.tell(chargeRefundUpdated, f.n)
		return
	}
	h := *s.charges.at(f.charge)
	h.refunded -= f.amount
	f.status = settleFailed
	f.failTxn = s.book(c, txn{kind: txnRefundFailure, source: f.n, amount: f.amount, currency: f.currency})
	c.charges = append(c.charges, h)
	c.refunds = append(c.refunds, f)
	c.tell(refundUpdatedEvent, f.n)
	c.tell(chargeRefundUpdated, f.n)
	c.tell(refundFailedEvent, f.n)
}
