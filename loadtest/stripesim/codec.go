package stripesim

// How each object stands in the log: its fields in order, numbers as varints. One
// order serves writing and reading. A field may be added at the end of a section
// only together with a new tag.

// fields is one walk over an object's fields: to the log when w is set, from it
// otherwise.
type fields struct {
	w *writer
	r *reader
}

// object is what has fields in the log.
type object[T any] interface {
	*T
	visit(f *fields)
}

// writeAll writes a section for each of all.
func writeAll[T any, P object[T]](w *writer, tag byte, all []T) {
	f := fields{w: w}
	for i := range all {
		w.tag(tag)
		P(&all[i]).visit(&f)
	}
}

// readOne reads the section whose tag was looked at.
func readOne[T any, P object[T]](r *reader) (v T) {
	P(&v).visit(&fields{r: r.next()})
	return v
}

func (f *fields) int(v *int64) {
	if f.w != nil {
		f.w.int(*v)
		return
	}
	*v = f.r.int()
}

func (f *fields) bool(v *bool) {
	if f.w != nil {
		f.w.bool(*v)
		return
	}
	*v = f.r.bool()
}

func (f *fields) text(v *string) {
	if f.w != nil {
		f.w.text(*v)
		return
	}
	*v = f.r.text()
}

// word is a text of which there are few: equal ones share their bytes.
func (f *fields) word(v *string) {
	if f.text(v); f.w == nil {
		*v = intern(*v)
	}
}

// long is a number of up to 64 bits.
func long[T ~uint64](f *fields, v *T) {
	if f.w != nil {
		f.w.uint(uint64(*v))
		return
	}
	*v = T(f.r.uint())
}

// number is one of up to 32 bits.
func number[T ~uint8 | ~uint16 | ~uint32](f *fields, v *T) {
	if f.w != nil {
		f.w.uint(uint64(*v))
		return
	}
	*v = T(f.r.number())
}

// among is the index of a word in a table of this length.
func among[T ~uint8](f *fields, v *T, length int) {
	if f.w != nil {
		f.w.uint(uint64(*v))
		return
	}
	*v = T(f.r.below(length))
}

func (p *intent) visit(f *fields) {
	number(f, &p.n)
	f.int(&p.created)
	f.int(&p.amount)
	f.word(&p.currency)
	among(f, &p.status, len(intentStatusWords))
	among(f, &p.card, len(cards))
	number(f, &p.method)
	among(f, &p.decline, len(declines))
	number(f, &p.charge)
	number(f, &p.tries)
	f.int(&p.canceledAt)
	f.word(&p.cancelReason)
	f.text(&p.returnURL)
	f.bool(&p.useSDK)
	f.text(&p.description)
	f.text(&p.metadata)
	long(f, &p.draw)
	f.int(&p.dueAt)
}

func (c *charge) visit(f *fields) {
	number(f, &c.n)
	number(f, &c.intent)
	number(f, &c.previous)
	f.int(&c.created)
	f.int(&c.amount)
	f.word(&c.currency)
	among(f, &c.status, len(chargeStatusWords))
	among(f, &c.decline, len(declines))
	among(f, &c.card, len(cards))
	number(f, &c.method)
	number(f, &c.txn)
	number(f, &c.refund)
	f.int(&c.refunded)
	number(f, &c.dispute)
	f.int(&c.dueAt)
	f.text(&c.metadata)
	long(f, &c.draw)
}

func (t *txn) visit(f *fields) {
	number(f, &t.n)
	among(f, &t.kind, len(txnWords))
	number(f, &t.source)
	f.int(&t.created)
	f.int(&t.availableOn)
	f.int(&t.amount)
	f.int(&t.fee)
	f.word(&t.currency)
}

func (b *refund) visit(f *fields) {
	number(f, &b.n)
	number(f, &b.charge)
	number(f, &b.intent)
	number(f, &b.previous)
	f.int(&b.created)
	f.int(&b.amount)
	f.word(&b.currency)
	among(f, &b.status, len(refundWords))
	f.word(&b.reason)
	number(f, &b.txn)
	number(f, &b.failTxn)
	f.int(&b.dueAt)
	f.text(&b.metadata)
}

func (d *dispute) visit(f *fields) {
	number(f, &d.n)
	number(f, &d.charge)
	number(f, &d.intent)
	f.int(&d.created)
	f.int(&d.amount)
	f.word(&d.currency)
	among(f, &d.status, len(disputeWords))
	f.word(&d.reason)
	number(f, &d.withdrawn)
	number(f, &d.reinstated)
	f.bool(&d.wins)
	f.int(&d.dueAt)
	f.text(&d.metadata)
}

func (p *payout) visit(f *fields) {
	number(f, &p.n)
	f.int(&p.created)
	f.int(&p.arrival)
	f.int(&p.amount)
	f.word(&p.currency)
	among(f, &p.status, len(payoutWords))
	f.bool(&p.automatic)
	number(f, &p.txn)
	number(f, &p.failTxn)
	f.int(&p.dueAt)
	f.text(&p.metadata)
}

func (t *token) visit(f *fields) {
	number(f, &t.n)
	f.int(&t.created)
	f.int(&t.expires)
	among(f, &t.card, len(cards))
	number(f, &t.usedBy)
	f.text(&t.returnURL)
}

func (a *answer) visit(f *fields) {
	f.text(&a.key)
	long(f, &a.asked)
	number(f, &a.status)
	among(f, &a.about, len(kindPrefixes))
	number(f, &a.n)
	number(f, &a.expand)
	f.text(&a.fault.kind)
	f.text(&a.fault.code)
	f.text(&a.fault.message)
	f.text(&a.fault.param)
	among(f, &a.fault.decline, len(declines))
	number(f, &a.fault.intent)
	number(f, &a.fault.charge)
	if f.w == nil {
		a.fault.status = int(a.status)
	}
}
