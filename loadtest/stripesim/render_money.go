package stripesim

// How charges, refunds, disputes, balance transactions, payouts and tokens are shown.

func (r *renderer) charge(c *charge) {
	r.first("id")
	r.idValue(chargeKind, c.n)
	r.raw("object", `"charge"`)
	r.int("amount", c.amount)
	captured := int64(0)
	if c.status == chargePaid {
		captured = c.amount
	}
	r.int("amount_captured", captured)
	r.int("amount_refunded", c.refunded)
	r.raw("application", "null")
	r.raw("application_fee", "null")
	r.raw("application_fee_amount", "null")
	r.idOr("balance_transaction", txnKind, c.txn, expandTxn)
	r.put(`,"billing_details":{"address":{"city":null,"country":null,"line1":null,"line2":null,"postal_code":null,"state":null},"email":null,"name":null,"phone":null}`)
	r.bool("captured", c.status == chargePaid)
	r.int("created", c.created)
	r.text("currency", c.currency)
	r.raw("customer", "null")
	r.raw("description", "null")
	r.bool("disputed", c.dispute != 0)
	if c.status == chargeFailed {
		r.text("failure_code", declines[c.decline].code)
		r.text("failure_message", declines[c.decline].message)
	} else {
		r.put(`,"failure_code":null,"failure_message":null`)
	}
	r.put(`,"fraud_details":{},"invoice":null,"livemode":false`)
	r.metadata(c.metadata)
	if c.status == chargePaid {
		r.put(`,"outcome":{"network_status":"approved_by_network","reason":null,"risk_level":"normal","risk_score":8,"seller_message":"Payment complete.","type":"authorized"}`)
	} else {
		r.put(`,"outcome":{"network_status":"declined_by_network"`)
		r.text("reason", declines[c.decline].declineCode)
		r.put(`,"risk_level":"normal","risk_score":8,"seller_message":"The bank did not return any further details with this decline.","type":"issuer_declined"}`)
	}
	r.bool("paid", c.status == chargePaid)
	r.idOr("payment_intent", intentKind, c.intent, expandIntent)
	r.id("payment_method", methodKind, c.method)
	r.put(`,"payment_method_details":{"card":{"amount_authorized":`)
	r.put(`null,"brand":"visa","checks":{"address_line1_check":null,"address_postal_code_check":null,"cvc_check":"pass"},"country":"US","exp_month":12,"exp_year":2034,"funding":"credit","last4":"`)
	r.put(cards[c.card].last4)
	r.put(`","network":"visa","three_d_secure":null,"wallet":null},"type":"card"}`)
	r.put(`,"receipt_email":null,"receipt_number":null,"receipt_url":null`)
	r.bool("refunded", c.status == chargePaid && c.refunded == c.amount)
	if r.exp&expandRefunds != 0 {
		r.refundsOf(c)
	}
	r.put(`,"review":null,"shipping":null,"source":null,"source_transfer":null,"statement_descriptor":null,"statement_descriptor_suffix":null`)
	r.text("status", chargeStatusWords[c.status])
	r.put(`,"transfer_data":null,"transfer_group":null}`)
}

// refundsShown is how many refunds a charge shows at most, as Stripe does.
const refundsShown = 10

func (r *renderer) refundsOf(c *charge) {
	r.put(`,"refunds":{"object":"list","data":[`)
	shown := 0
	f, ok := r.in.refund(c.refund)
	for ; ok && shown < refundsShown; f, ok = r.in.refund(f.previous) {
		if shown > 0 {
			r.put(",")
		}
		r.refund(f)
		shown++
	}
	r.bool2(`],"has_more":`, ok)
	r.put(`,"url":"/v1/charges/`)
	r.b = r.ids.appendID(r.b, chargeKind, c.n)
	r.put(`/refunds"}`)
}

func (r *renderer) bool2(before string, v bool) {
	r.put(before)
	if v {
		r.put("true")
	} else {
		r.put("false")
	}
}

// method appends a payment method.
func (r *renderer) method(n uint32, c card, created int64) {
	r.first("id")
	r.idValue(methodKind, n)
	r.put(`,"object":"payment_method","billing_details":{"address":{"city":null,"country":null,"line1":null,"line2":null,"postal_code":null,"state":null},"email":null,"name":null,"phone":null},"card":`)
	r.card(c)
	r.int("created", created)
	r.put(`,"customer":null,"livemode":false,"metadata":{},"type":"card"}`)
}

func (r *renderer) card(c card) {
	r.put(`{"brand":"visa","checks":{"address_line1_check":null,"address_postal_code_check":null,"cvc_check":"unchecked"},"country":"US","exp_month":12,"exp_year":2034,"funding":"credit","generated_from":null,"last4":"`)
	r.put(cards[c].last4)
	r.put(`","networks":{"available":["visa"],"preferred":null},"three_d_secure_usage":{"supported":true},"wallet":null}`)
}

func (r *renderer) txn(t *txn) {
	r.first("id")
	r.idValue(txnKind, t.n)
	r.raw("object", `"balance_transaction"`)
	r.int("amount", t.amount)
	r.int("available_on", t.availableOn)
	r.int("created", t.created)
	r.text("currency", t.currency)
	r.raw("description", "null")
	r.raw("exchange_rate", "null")
	r.int("fee", t.fee)
	if t.fee == 0 {
		r.raw("fee_details", "[]")
	} else {
		r.put(`,"fee_details":[{"amount":`)
		r.number(t.fee)
		r.raw("application", "null")
		r.text("currency", t.currency)
		r.put(`,"description":"Stripe processing fees","type":"stripe_fee"}]`)
	}
	r.int("net", t.net())
	r.text("reporting_category", txnWords[t.kind].category)
	r.idOr("source", t.sourceKind(), t.source, expandSource)
	status := "available"
	if t.availableOn > r.now {
		status = "pending"
	}
	r.text("status", status)
	r.text("type", txnWords[t.kind].word)
	r.put("}")
}

func (r *renderer) refund(f *refund) {
	r.first("id")
	r.idValue(refundKind, f.n)
	r.raw("object", `"refund"`)
	r.int("amount", f.amount)
	r.idOr("balance_transaction", txnKind, f.txn, expandTxn)
	r.idOr("charge", chargeKind, f.charge, expandCharge)
	r.int("created", f.created)
	r.text("currency", f.currency)
	r.raw("destination_details", `{"card":{"reference":null,"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"}`)
	if f.status == settleFailed {
		r.id("failure_balance_transaction", txnKind, f.failTxn)
		r.text("failure_reason", "expired_or_canceled_card")
	}
	r.metadata(f.metadata)
	r.idOr("payment_intent", intentKind, f.intent, expandIntent)
	r.text("reason", f.reason)
	r.raw("receipt_number", "null")
	r.raw("source_transfer_reversal", "null")
	r.text("status", refundWords[f.status])
	r.raw("transfer_reversal", "null")
	r.put("}")
}

// evidenceDays is how long an answer to a dispute may take.
const evidenceDays = 7

func (r *renderer) dispute(d *dispute) {
	r.first("id")
	r.idValue(disputeKind, d.n)
	r.raw("object", `"dispute"`)
	r.int("amount", d.amount)
	r.id("balance_transaction", txnKind, d.withdrawn)
	r.put(`,"balance_transactions":[`)
	comma := ""
	for _, n := range []uint32{d.withdrawn, d.reinstated} {
		if t, ok := r.in.txn(n); ok {
			r.put(comma)
			r.txn(t)
			comma = ","
		}
	}
	r.put("]")
	r.idOr("charge", chargeKind, d.charge, expandCharge)
	r.int("created", d.created)
	r.text("currency", d.currency)
	r.raw("evidence", "{}")
	r.put(`,"evidence_details":{"due_by":`)
	r.number(d.created + evidenceDays*24*3600)
	r.put(`,"has_evidence":`)
	r.bool2("", d.status == disputeUnder)
	r.put(`,"past_due":false,"submission_count":0}`)
	r.bool("is_charge_refundable", false)
	r.raw("livemode", "false")
	r.metadata(d.metadata)
	r.idOr("payment_intent", intentKind, d.intent, expandIntent)
	r.text("reason", d.reason)
	r.text("status", disputeWords[d.status])
	r.put("}")
}

func (r *renderer) payout(p *payout) {
	r.first("id")
	r.idValue(payoutKind, p.n)
	r.raw("object", `"payout"`)
	r.int("amount", p.amount)
	r.raw("application_fee", "null")
	r.raw("application_fee_amount", "null")
	r.int("arrival_date", p.arrival)
	r.bool("automatic", p.automatic)
	r.idOr("balance_transaction", txnKind, p.txn, expandTxn)
	r.int("created", p.created)
	r.text("currency", p.currency)
	r.raw("description", `"STRIPE PAYOUT"`)
	r.raw("destination", `"ba_1SimulatedBankAccount00000"`)
	r.id("failure_balance_transaction", txnKind, p.failTxn)
	if p.status == settleFailed {
		r.text("failure_code", "account_closed")
		r.text("failure_message", "The bank account has been closed")
	} else {
		r.put(`,"failure_code":null,"failure_message":null`)
	}
	r.raw("livemode", "false")
	r.metadata(p.metadata)
	r.raw("method", `"standard"`)
	r.raw("original_payout", "null")
	reconciliation := `"not_applicable"`
	if p.automatic {
		reconciliation = `"completed"`
	}
	r.raw("reconciliation_status", reconciliation)
	r.raw("reversed_by", "null")
	r.raw("source_type", `"card"`)
	r.raw("statement_descriptor", "null")
	r.text("status", payoutWords[p.status])
	r.raw("type", `"bank_account"`)
	r.put("}")
}

// token appends a confirmation token, made by the test helper or not.
func (r *renderer) token(id string, created, expires int64, usedBy uint32, c card, returnURL string) {
	r.first("id")
	r.b = appendText(r.b, id)
	r.raw("object", `"confirmation_token"`)
	r.int("created", created)
	r.int("expires_at", expires)
	r.raw("livemode", "false")
	r.raw("mandate_data", "null")
	r.id("payment_intent", intentKind, usedBy)
	r.raw("payment_method", "null")
	r.put(`,"payment_method_preview":{"billing_details":{"address":{"city":null,"country":null,"line1":null,"line2":null,"postal_code":null,"state":null},"email":null,"name":null,"phone":null},"card":`)
	r.card(c)
	r.put(`,"type":"card"}`)
	r.text("return_url", returnURL)
	r.put(`,"setup_future_usage":null,"setup_intent":null,"shipping":null,"use_stripe_sdk":true}`)
}
