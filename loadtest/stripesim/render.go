package stripesim

import (
	"encoding/json"
	"strconv"
	"strings"
)

// objects is where a rendering looks up what it shows: the state as it is, or a
// record of the log as it was.
type objects interface {
	intent(n uint32) (*intent, bool)
	charge(n uint32) (*charge, bool)
	txn(n uint32) (*txn, bool)
	refund(n uint32) (*refund, bool)
	dispute(n uint32) (*dispute, bool)
	payout(n uint32) (*payout, bool)
	token(n uint32) (*token, bool)
}

func (s *state) intent(n uint32) (*intent, bool)   { return s.intents.get(n) }
func (s *state) charge(n uint32) (*charge, bool)   { return s.charges.get(n) }
func (s *state) txn(n uint32) (*txn, bool)         { return s.txns.get(n) }
func (s *state) refund(n uint32) (*refund, bool)   { return s.refunds.get(n) }
func (s *state) dispute(n uint32) (*dispute, bool) { return s.disputes.get(n) }
func (s *state) payout(n uint32) (*payout, bool)   { return s.payouts.get(n) }
func (s *state) token(n uint32) (*token, bool)     { return s.tokens.get(n) }

func (c *change) intent(n uint32) (*intent, bool) {
	return find(c.intents, func(p *intent) bool { return p.n == n })
}

func (c *change) charge(n uint32) (*charge, bool) {
	return find(c.charges, func(h *charge) bool { return h.n == n })
}

func (c *change) txn(n uint32) (*txn, bool) {
	return find(c.txns, func(t *txn) bool { return t.n == n })
}

func (c *change) refund(n uint32) (*refund, bool) {
	return find(c.refunds, func(f *refund) bool { return f.n == n })
}

func (c *change) dispute(n uint32) (*dispute, bool) {
	return find(c.disputes, func(d *dispute) bool { return d.n == n })
}

func (c *change) payout(n uint32) (*payout, bool) {
	return find(c.payouts, func(p *payout) bool { return p.n == n })
}

func (c *change) token(n uint32) (*token, bool) {
	return find(c.tokens, func(t *token) bool { return t.n == n })
}

// find looks from the end: a later copy of an object is the newer one.
func find[T any](in []T, is func(*T) bool) (*T, bool) {
	for i := len(in) - 1; i >= 0; i-- {
		if is(&in[i]) {
			return &in[i], true
		}
	}
	return nil, false
}

// expansion says which IDs are shown as objects.
type expansion uint32

const (
	expandCharge  expansion = 1 << iota // latest_charge, charge
	expandTxn                           // balance_transaction, of a charge or refund
	expandIntent                        // payment_intent
	expandSource                        // source
	expandRefunds                       // refunds of a charge
)

// expansionOf reads expand[]: paths may begin with "data.".
func expansionOf(p params) (e expansion, bad *apiError) {
	for name, values := range p.values {
		if name != "expand" && !strings.HasPrefix(name, "expand[") {
			continue
		}
		for _, path := range values {
			for step := range strings.SplitSeq(strings.TrimPrefix(path, "data."), ".") {
				switch step {
				case "latest_charge", "charge":
					e |= expandCharge
				case "balance_transaction", "failure_balance_transaction":
					e |= expandTxn
				case "payment_intent":
					e |= expandIntent
				case "source":
					e |= expandSource
				case "refunds":
					e |= expandRefunds
				case "payment_method", "customer", "invoice": // never there
				default:
					return 0, malformed("", "expand", "This property cannot be expanded (%s).", path)
				}
			}
		}
	}
	return e, nil
}

// renderer appends objects as JSON.
type renderer struct {
	ids idMaker
	in  objects
	exp expansion
	now int64 // Unix seconds
	b   []byte
}

// The helpers append a member and the comma in front of it; first appends none.

func (r *renderer) first(name string) {
	r.b = append(r.b, `{"`...)
	r.b = append(r.b, name...)
	r.b = append(r.b, `":`...)
}

func (r *renderer) name(name string) {
	r.b = append(r.b, `,"`...)
	r.b = append(r.b, name...)
	r.b = append(r.b, `":`...)
}

func (r *renderer) raw(name, value string) {
	r.name(name)
	r.b = append(r.b, value...)
}

func (r *renderer) int(name string, v int64) {
	r.name(name)
	r.b = strconv.AppendInt(r.b, v, 10)
}

func (r *renderer) bool(name string, v bool) {
	r.name(name)
	r.b = strconv.AppendBool(r.b, v)
}

// text is null for "".
func (r *renderer) text(name, v string) {
	r.name(name)
	if v == "" {
		r.b = append(r.b, "null"...)
		return
	}
	r.b = appendText(r.b, v)
}

// intOrNull is null for 0.
func (r *renderer) intOrNull(name string, v int64) {
	if v == 0 {
		r.raw(name, "null")
		return
	}
	r.int(name, v)
}

// id is null for 0.
func (r *renderer) id(name string, k kind, n uint32) {
	r.name(name)
	r.idValue(k, n)
}

func (r *renderer) idValue(k kind, n uint32) {
	if n == 0 {
		r.b = append(r.b, "null"...)
		return
	}
	r.b = append(r.b, '"')
	r.b = r.ids.appendID(r.b, k, n)
	r.b = append(r.b, '"')
}

// idOr shows an ID, or the object when it is to be expanded and is there.
func (r *renderer) idOr(name string, k kind, n uint32, when expansion) {
	r.name(name)
	if n == 0 || r.exp&when == 0 || !r.object(k, n) {
		r.idValue(k, n)
	}
}

func (r *renderer) metadata(text string) {
	r.name("metadata")
	r.b = append(r.b, '{')
	comma := false
	eachPair(text, func(k, v string) {
		if comma {
			r.b = append(r.b, ',')
		}
		comma = true
		r.b = append(appendText(r.b, k), ':')
		r.b = appendText(r.b, v)
	})
	r.b = append(r.b, '}')
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always has a JSON form
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// object appends an object; false, and nothing appended, when it is not there.
func (r *renderer) object(k kind, n uint32) bool {
	switch k {
	case intentKind:
		if p, ok := r.in.intent(n); ok {
			r.intent(p)
			return true
		}
	case chargeKind:
		if c, ok := r.in.charge(n); ok {
			r.charge(c)
			return true
		}
	case txnKind:
		if t, ok := r.in.txn(n); ok {
			r.txn(t)
			return true
		}
	case refundKind:
		if f, ok := r.in.refund(n); ok {
			r.refund(f)
			return true
		}
	case disputeKind:
		if d, ok := r.in.dispute(n); ok {
			r.dispute(d)
			return true
		}
	case payoutKind:
		if p, ok := r.in.payout(n); ok {
			r.payout(p)
			return true
		}
	case tokenKind:
		if t, ok := r.in.token(n); ok {
			r.token(r.ids.id(tokenKind, t.n), t.created, t.expires, t.usedBy, t.card, t.returnURL)
			return true
		}
	}
	return false
}

func (r *renderer) intent(p *intent) {
	r.first("id")
	r.idValue(intentKind, p.n)
	r.raw("object", `"payment_intent"`)
	r.int("amount", p.amount)
	r.raw("amount_capturable", "0")
	r.raw("amount_details", `{"tip":{}}`)
	received := int64(0)
	if p.status == intentPaid {
		received = p.amount
	}
	r.int("amount_received", received)
	r.raw("application", "null")
	r.raw("application_fee_amount", "null")
	r.raw("automatic_payment_methods", `{"allow_redirects":"always","enabled":true}`)
	r.intOrNull("canceled_at", p.canceledAt)
	r.text("cancellation_reason", p.cancelReason)
	r.raw("capture_method", `"automatic"`)
	r.name("client_secret")
	r.b = append(r.ids.appendSecret(append(r.b, '"'), p.n), '"')
	r.raw("confirmation_method", `"automatic"`)
	r.int("created", p.created)
	r.text("currency", p.currency)
	r.raw("customer", "null")
	r.text("description", p.description)
	r.raw("invoice", "null")
	r.name("last_payment_error")
	if p.decline == notDeclined {
		r.b = append(r.b, "null"...)
	} else {
		r.fault(&apiError{kind: kindCard, code: declines[p.decline].code, message: declines[p.decline].message, decline: p.decline, charge: p.failedCharge()}, p)
		r.put("}")
	}
	r.idOr("latest_charge", chargeKind, p.charge, expandCharge)
	r.raw("livemode", "false")
	r.metadata(p.metadata)
	r.nextAction(p)
	r.raw("on_behalf_of", "null")
	if p.decline != notDeclined { // a method that failed is taken off the intent
		r.raw("payment_method", "null")
	} else {
		r.id("payment_method", methodKind, p.method)
	}
	r.raw("payment_method_options", `{"card":{"installments":null,"mandate_options":null,"network":null,"request_three_d_secure":"automatic"}}`)
	r.raw("payment_method_types", `["card"]`)
	r.raw("processing", "null")
	r.raw("receipt_email", "null")
	r.raw("review", "null")
	r.raw("setup_future_usage", "null")
	r.raw("shipping", "null")
	r.raw("statement_descriptor", "null")
	r.raw("statement_descriptor_suffix", "null")
	r.text("status", p.status.String())
	r.raw("transfer_data", "null")
	r.raw("transfer_group", "null")
	r.b = append(r.b, '}')
}

// failedCharge is the charge of the last error: a failed authentication has none.
func (p *intent) failedCharge() uint32 {
	if p.decline == declinedAuthentication || p.decline == declinedNotAsked {
		return 0
	}
	return p.charge
}

// nextAction is what Stripe.js, or a browser sent elsewhere, does next.
func (r *renderer) nextAction(p *intent) {
	if p.status != needsAction {
		r.raw("next_action", "null")
		return
	}
	r.name("next_action")
	if p.returnURL != "" && !p.useSDK {
		r.put(`{"redirect_to_url":{"return_url":`)
		r.b = appendText(r.b, p.returnURL)
		r.put(`,"url":"https://hooks.stripe.com/redirect/authenticate/`)
		r.b = r.ids.appendID(r.b, intentKind, p.n)
		r.put(`"},"type":"redirect_to_url"}`)
		return
	}
	r.put(`{"type":"use_stripe_sdk","use_stripe_sdk":{"type":"three_d_secure_redirect","stripe_js":"https://hooks.stripe.com/redirect/authenticate/`)
	r.b = r.ids.appendID(r.b, intentKind, p.n)
	r.put(`"}}`)
}

func (r *renderer) number(v int64) { r.b = strconv.AppendInt(r.b, v, 10) }

func (r *renderer) put(text string) { r.b = append(r.b, text...) }

// fault appends an error's object but for its end; p is the intent that it is about, or nil.
func (r *renderer) fault(e *apiError, p *intent) {
	r.first("type")
	r.b = appendText(r.b, e.kind)
	if e.code != "" {
		r.text("code", e.code)
		r.text("doc_url", "https://stripe.com/docs/error-codes/"+strings.ReplaceAll(e.code, "_", "-"))
	}
	if e.decline != notDeclined && declines[e.decline].declineCode != "" {
		r.text("decline_code", declines[e.decline].declineCode)
	}
	if e.charge != 0 {
		r.id("charge", chargeKind, e.charge)
	}
	r.text("message", e.message)
	if e.param != "" {
		r.text("param", e.param)
	}
	if p != nil && e.decline != notDeclined {
		r.name("payment_method")
		r.method(p.method, p.card, p.created)
	}
}

// failure appends the body of an error, with the intent that it names.
func (r *renderer) failure(e *apiError) {
	r.put(`{"error":`)
	p, ok := r.in.intent(e.intent)
	if !ok {
		p = nil
	}
	r.fault(e, p)
	if p != nil {
		r.name("payment_intent")
		r.intent(p)
	}
	r.put("}}")
}
