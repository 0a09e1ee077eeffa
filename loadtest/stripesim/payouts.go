package stripesim

import (
	"slices"
	"time"
)

var payoutParams = paramSet("amount", "currency", "metadata", "description", "method", "destination", "source_type", "statement_descriptor")

// createPayout is a manual payout: an amount, of no transactions in particular.
func (s *Server) createPayout(q *call, c *change) (kind, uint32, *apiError) {
	amount, there, bad := q.number("amount")
	if bad != nil {
		return 0, 0, bad
	}
	if !there || amount < 1 {
		return 0, 0, missingParam("amount")
	}
	currency, bad := checkCurrency(q.text("currency"))
	if bad != nil {
		return 0, 0, bad
	}
	metadata, bad := q.metadata("")
	if bad != nil {
		return 0, 0, bad
	}
	if available, _ := s.balance(currency, c.at/1000); amount > available {
		return 0, 0, invalid("balance_insufficient", "amount", "You have insufficient funds in your Stripe account for this payout.")
	}
	return payoutKind, s.payOutAmount(c, currency, amount, false, metadata), nil
}

// payOutAmount adds a payout and its transaction.
func (s *Server) payOutAmount(c *change, currency string, amount int64, automatic bool, metadata string) uint32 {
	p := payout{
		n: s.payouts.last + 1, created: c.at / 1000, arrival: c.at/1000 + int64(s.cfg.SettleAfter/time.Second), amount: amount,
		currency: currency, status: settlePending, automatic: automatic, dueAt: c.at + s.cfg.SettleAfter.Milliseconds() + 1, metadata: metadata,
	}
	p.txn = s.book(c, txn{kind: txnPayout, source: p.n, amount: -amount, currency: currency})
	c.payouts = append(c.payouts, p)
	c.tell(payoutCreatedEvent, p.n)
	return p.n
}

// balance is what is there in a currency: available now, and pending.
func (s *state) balance(currency string, now int64) (available, pending int64) {
	for n := uint32(1); n <= s.txns.last; n++ {
		t := s.txns.at(n)
		switch {
		case t.currency != currency:
		case t.availableOn <= now:
			available += t.net()
		default:
			pending += t.net()
		}
	}
	return available, pending
}

// payAll makes an automatic payout in every currency that has something available.
func (s *Server) payAll() []uint32 {
	s.mu.Lock()
	var made []uint32
	for _, currency := range s.currencies() {
		if n := s.payOne(currency); n != 0 {
			made = append(made, n)
		}
	}
	s.mu.Unlock()
	if s.settle() != nil {
		return nil
	}
	return made
}

// currencies are those with transactions that no payout took. mu is held.
func (s *state) currencies() []string {
	var all []string
	for c := range s.unpaid {
		all = append(all, c)
	}
	slices.Sort(all)
	return all
}

// payOne makes an automatic payout of what is available in a currency; 0 when the
// sum is nothing. mu is held for writing.
func (s *Server) payOne(currency string) uint32 {
	c := &change{at: s.now().UnixMilli()}
	var sum int64
	for _, n := range s.unpaid[currency] {
		if t := s.txns.at(n); t.availableOn <= c.at/1000 {
			sum += t.net()
		}
	}
	if sum <= 0 {
		return 0
	}
	n := s.payOutAmount(c, currency, sum, true, "")
	c.paidOut = n
	c.tell(payoutReconciledEvent, n)
	s.commit(c)
	return n
}

// payoutDue pays a payout that is on its way.
func (s *Server) payoutDue(c *change, p payout) {
	if p.dueAt == 0 || p.dueAt > c.at {
		return
	}
	p.dueAt, p.status = 0, settleDone
	c.payouts = append(c.payouts, p)
	c.tell(payoutPaidEvent, p.n)
}

// failPayout sends a payout's money back; false when that has happened.
func (s *Server) failPayout(c *change, p payout) bool {
	if p.status == settleFailed {
		return false
	}
	p.dueAt, p.status = 0, settleFailed
	p.failTxn = s.book(c, txn{kind: txnPayoutFailure, source: p.n, amount: p.amount, currency: p.currency})
	c.payouts = append(c.payouts, p)
	c.tell(payoutFailedEvent, p.n)
	return true
}
