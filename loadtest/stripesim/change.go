package stripesim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// change is one record of the log: everything that one call, or one thing that
// happened by itself, made of the state. Objects are there as they became. It is
// also what an answer or an event is rendered from later, as it was then.
type change struct {
	at       int64 // Unix milliseconds
	intents  []intent
	charges  []charge
	txns     []txn
	refunds  []refund
	disputes []dispute
	payouts  []payout
	tokens   []token
	events   []told
	// used names the token text that an intent was confirmed with.
	used []tokenUse
	// answer is the answer that an idempotency key is to remember.
	answer *answer
	// sent are numbers of events that are through with their delivery.
	sent []uint32
	// paidOut says that a payout took every transaction of its currency that was
	// available then.
	paidOut uint32
	// clock is how far the clock was moved in all, in milliseconds, when set.
	clock *int64
}

// told is an event as it is written: about object n.
type told struct {
	kind eventType
	n    uint32
}

// tokenUse says that a token, by the hash of its text, was used for an intent.
type tokenUse struct {
	token  uint64
	intent uint32
}

// answer is how a call was answered. The body is rendered from the record.
type answer struct {
	key    string // idempotency key, "" when there was none
	asked  uint64 // fingerprint of endpoint and parameters
	status uint16
	about  kind
	n      uint32
	expand expansion
	fault  apiError // set when status is an error's
}

// errBadRecord says that a record of the log cannot be read.
var errBadRecord = errors.New("record cannot be read")

// tags of a record's sections; never renumber.
const (
	tagIntent  = 1
	tagCharge  = 2
	tagTxn     = 3
	tagRefund  = 4
	tagDispute = 5
	tagPayout  = 6
	tagToken   = 7
	tagEvent   = 8
	tagUsed    = 9
	tagAnswer  = 10
	tagSent    = 11
	tagPaidOut = 12
	tagClock   = 13
)

// append encodes the change.
func (c *change) append(b []byte) []byte {
	w := writer{b}
	w.int(c.at)
	writeAll(&w, tagIntent, c.intents)
	writeAll(&w, tagCharge, c.charges)
	writeAll(&w, tagTxn, c.txns)
	writeAll(&w, tagRefund, c.refunds)
	writeAll(&w, tagDispute, c.disputes)
	writeAll(&w, tagPayout, c.payouts)
	writeAll(&w, tagToken, c.tokens)
	for _, e := range c.events {
		w.tag(tagEvent)
		w.uint(uint64(e.kind))
		w.uint(uint64(e.n))
	}
	for _, u := range c.used {
		w.tag(tagUsed)
		w.uint(u.token)
		w.uint(uint64(u.intent))
	}
	if c.answer != nil {
		w.tag(tagAnswer)
		c.answer.visit(&fields{w: &w})
	}
	for _, n := range c.sent {
		w.tag(tagSent)
		w.uint(uint64(n))
	}
	if c.paidOut != 0 {
		w.tag(tagPaidOut)
		w.uint(uint64(c.paidOut))
	}
	if c.clock != nil {
		w.tag(tagClock)
		w.int(*c.clock)
	}
	return w.b
}

// decodeChange is the inverse of append. It keeps no reference to b. The error is
// errBadRecord: it never panics, whatever the bytes.
func decodeChange(b []byte) (*change, error) {
	r := reader{b: b}
	c := &change{at: r.int()}
	for len(r.b) > 0 && !r.bad {
		switch tag := r.b[0]; tag {
		case tagIntent:
			c.intents = append(c.intents, readOne[intent](&r))
		case tagCharge:
			c.charges = append(c.charges, readOne[charge](&r))
		case tagTxn:
			c.txns = append(c.txns, readOne[txn](&r))
		case tagRefund:
			c.refunds = append(c.refunds, readOne[refund](&r))
		case tagDispute:
			c.disputes = append(c.disputes, readOne[dispute](&r))
		case tagPayout:
			c.payouts = append(c.payouts, readOne[payout](&r))
		case tagToken:
			c.tokens = append(c.tokens, readOne[token](&r))
		case tagEvent:
			r.next()
			e := told{eventType(r.below(len(eventWords))), r.number()}
			c.events = append(c.events, e)
		case tagUsed:
			r.next()
			c.used = append(c.used, tokenUse{r.uint(), r.number()})
		case tagAnswer:
			answer := readOne[answer](&r)
			c.answer = &answer
		case tagSent:
			r.next()
			c.sent = append(c.sent, r.number())
		case tagPaidOut:
			r.next()
			c.paidOut = r.number()
		case tagClock:
			r.next()
			moved := r.int()
			c.clock = &moved
		default:
			return nil, fmt.Errorf("%w: unknown section %d", errBadRecord, tag)
		}
	}
	if r.bad {
		return nil, errBadRecord
	}
	return c, nil
}

// writer appends values.
type writer struct{ b []byte }

func (w *writer) tag(t byte)    { w.b = append(w.b, t) }
func (w *writer) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)   { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) text(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) bool(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

// reader takes values off the front; after the first that is not there it is bad
// and gives zeros.
type reader struct {
	b   []byte
	bad bool
}

// next steps over the tag that was looked at.
func (r *reader) next() *reader {
	r.b = r.b[1:]
	return r
}

func (r *reader) fail() {
	r.bad = true
	r.b = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) number() uint32 {
	v := r.uint()
	if v > math.MaxUint32 {
		r.fail()
		return 0
	}
	return uint32(v)
}

// below reads a number that indexes a table of this length.
func (r *reader) below(length int) uint8 {
	v := r.uint()
	if v >= uint64(length) {
		r.fail()
		return 0
	}
	return uint8(v)
}

func (r *reader) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) bool() bool {
	if len(r.b) == 0 {
		r.fail()
		return false
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v != 0
}
