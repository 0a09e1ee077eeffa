package stripesim

// How each object is written to the log: its fields in order, numbers as varints.
// A field may be added at the end of a section only together with a new tag.

func (p *intent) write(w *writer) {
	w.uint(uint64(p.n))
	w.int(p.created)
	w.int(p.amount)
	w.text(p.currency)
	w.uint(uint64(p.status))
	w.uint(uint64(p.card))
	w.uint(uint64(p.method))
	w.uint(uint64(p.decline))
	w.uint(uint64(p.charge))
	w.uint(uint64(p.tries))
	w.int(p.canceledAt)
	w.text(p.cancelReason)
	w.text(p.returnURL)
	w.bool(p.useSDK)
	w.text(p.description)
	w.text(p.metadata)
	w.uint(uint64(p.draw))
	w.int(p.dueAt)
}

func readIntent(r *reader) (p intent) {
	p.n = r.number()
	p.created = r.int()
	p.amount = r.int()
	p.currency = intern(r.text())
	p.status = intentStatus(r.below(len(intentStatusWords)))
	p.card = card(r.below(len(cards)))
	p.method = r.number()
	p.decline = decline(r.below(len(declines)))
	p.charge = r.number()
	p.tries = uint16(r.number())
	p.canceledAt = r.int()
	p.cancelReason = intern(r.text())
	p.returnURL = r.text()
	p.useSDK = r.bool()
	p.description = r.text()
	p.metadata = r.text()
	p.draw = chance(r.uint())
	p.dueAt = r.int()
	return p
}

func (c *charge) write(w *writer) {
	w.uint(uint64(c.n))
	w.uint(uint64(c.intent))
	w.uint(uint64(c.previous))
	w.int(c.created)
	w.int(c.amount)
	w.text(c.currency)
	w.uint(uint64(c.status))
	w.uint(uint64(c.decline))
	w.uint(uint64(c.card))
	w.uint(uint64(c.method))
	w.uint(uint64(c.txn))
	w.uint(uint64(c.refund))
	w.int(c.refunded)
	w.uint(uint64(c.dispute))
	w.int(c.dueAt)
	w.text(c.metadata)
	w.uint(uint64(c.draw))
}

func readCharge(r *reader) (c charge) {
	c.n = r.number()
	c.intent = r.number()
	c.previous = r.number()
	c.created = r.int()
	c.amount = r.int()
	c.currency = intern(r.text())
	c.status = chargeStatus(r.below(len(chargeStatusWords)))
	c.decline = decline(r.below(len(declines)))
	c.card = card(r.below(len(cards)))
	c.method = r.number()
	c.txn = r.number()
	c.refund = r.number()
	c.refunded = r.int()
	c.dispute = r.number()
	c.dueAt = r.int()
	c.metadata = r.text()
	c.draw = chance(r.uint())
	return c
}

func (t *txn) write(w *writer) {
	w.uint(uint64(t.n))
	w.uint(uint64(t.kind))
	w.uint(uint64(t.source))
	w.int(t.created)
	w.int(t.availableOn)
	w.int(t.amount)
	w.int(t.fee)
	w.text(t.currency)
}

func readTxn(r *reader) (t txn) {
	t.n = r.number()
	t.kind = txnType(r.below(len(txnWords)))
	t.source = r.number()
	t.created = r.int()
	t.availableOn = r.int()
	t.amount = r.int()
	t.fee = r.int()
	t.currency = intern(r.text())
	return t
}

func (f *refund) write(w *writer) {
	w.uint(uint64(f.n))
	w.uint(uint64(f.charge))
	w.uint(uint64(f.intent))
	w.uint(uint64(f.previous))
	w.int(f.created)
	w.int(f.amount)
	w.text(f.currency)
	w.uint(uint64(f.status))
	w.text(f.reason)
	w.uint(uint64(f.txn))
	w.uint(uint64(f.failTxn))
	w.int(f.dueAt)
	w.text(f.metadata)
}

func readRefund(r *reader) (f refund) {
	f.n = r.number()
	f.charge = r.number()
	f.intent = r.number()
	f.previous = r.number()
	f.created = r.int()
	f.amount = r.int()
	f.currency = intern(r.text())
	f.status = settleStatus(r.below(len(refundWords)))
	f.reason = intern(r.text())
	f.txn = r.number()
	f.failTxn = r.number()
	f.dueAt = r.int()
	f.metadata = r.text()
	return f
}

func (d *dispute) write(w *writer) {
	w.uint(uint64(d.n))
	w.uint(uint64(d.charge))
	w.uint(uint64(d.intent))
	w.int(d.created)
	w.int(d.amount)
	w.text(d.currency)
	w.uint(uint64(d.status))
	w.text(d.reason)
	w.uint(uint64(d.withdrawn))
	w.uint(uint64(d.reinstated))
	w.bool(d.wins)
	w.int(d.dueAt)
	w.text(d.metadata)
}

func readDispute(r *reader) (d dispute) {
	d.n = r.number()
	d.charge = r.number()
	d.intent = r.number()
	d.created = r.int()
	d.amount = r.int()
	d.currency = intern(r.text())
	d.status = disputeStatus(r.below(len(disputeWords)))
	d.reason = intern(r.text())
	d.withdrawn = r.number()
	d.reinstated = r.number()
	d.wins = r.bool()
	d.dueAt = r.int()
	d.metadata = r.text()
	return d
}

func (p *payout) write(w *writer) {
	w.uint(uint64(p.n))
	w.int(p.created)
	w.int(p.arrival)
	w.int(p.amount)
	w.text(p.currency)
	w.uint(uint64(p.status))
	w.bool(p.automatic)
	w.uint(uint64(p.txn))
	w.uint(uint64(p.failTxn))
	w.int(p.dueAt)
	w.text(p.metadata)
}

func readPayout(r *reader) (p payout) {
	p.n = r.number()
	p.created = r.int()
	p.arrival = r.int()
	p.amount = r.int()
	p.currency = intern(r.text())
	p.status = settleStatus(r.below(len(payoutWords)))
	p.automatic = r.bool()
	p.txn = r.number()
	p.failTxn = r.number()
	p.dueAt = r.int()
	p.metadata = r.text()
	return p
}

func (t *token) write(w *writer) {
	w.uint(uint64(t.n))
	w.int(t.created)
	w.int(t.expires)
	w.uint(uint64(t.card))
	w.uint(uint64(t.usedBy))
	w.text(t.returnURL)
}

func readToken(r *reader) (t token) {
	t.n = r.number()
	t.created = r.int()
	t.expires = r.int()
	t.card = card(r.below(len(cards)))
	t.usedBy = r.number()
	t.returnURL = r.text()
	return t
}

func (a *answer) write(w *writer) {
	w.text(a.key)
	w.uint(a.asked)
	w.uint(uint64(a.status))
	w.uint(uint64(a.about))
	w.uint(uint64(a.n))
	w.uint(uint64(a.expand))
	w.text(a.fault.kind)
	w.text(a.fault.code)
	w.text(a.fault.message)
	w.text(a.fault.param)
	w.uint(uint64(a.fault.decline))
	w.uint(uint64(a.fault.intent))
	w.uint(uint64(a.fault.charge))
}

func readAnswer(r *reader) *answer {
	a := &answer{key: r.text(), asked: r.uint(), status: uint16(r.number())}
	a.about = kind(r.below(len(kindPrefixes)))
	a.n = r.number()
	a.expand = expansion(r.number())
	a.fault = apiError{status: int(a.status), kind: r.text(), code: r.text(), message: r.text(), param: r.text()}
	a.fault.decline = decline(r.below(len(declines)))
	a.fault.intent = r.number()
	a.fault.charge = r.number()
	return a
}
