package stripe

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"spillway/ledger/payments"
)

const (
	// keyMemory is how long Stripe surely remembers an idempotency key: it may forget
	// one that is 24 hours old (docs.stripe.com/api/idempotent_requests). The rest is
	// for clocks and for calls under way.
	keyMemory = 20 * time.Hour
	// freshKeysMax bounds the further keys that one Charge tries after stored failures.
	freshKeysMax = 4
)

// Charge makes the attempt's call: create and confirm in one, or confirm again, as
// ch.Params says, which is the body that Params gave and that was stored before
// the first try. Repeating it is safe: the key is made of donation and attempt.
//
// An Intent in the answer is authoritative for the attempt. When an earlier try of
// this attempt may have been carried out (FirstCalledAt is set), that this one did
// nothing says little, and Retry becomes Unknown; and a refusal that such a try
// would explain is looked into first, which takes a few reads more.
func (c *Client) Charge(ctx context.Context, ch *payments.Charge) payments.Answer {
	a := c.charge(ctx, ch)
	if a.Kind == payments.Retry && !ch.FirstCalledAt.IsZero() {
		a.Kind = payments.Unknown
	}
	return a
}

func (c *Client) charge(ctx context.Context, ch *payments.Charge) payments.Answer {
	if len(ch.Params) == 0 {
		return payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: "amount_without_unit"}
	}
	r := call{endpoint: createIntent, path: "/v1/payment_intents", form: ch.Params, key: attemptKey(ch)}
	if !creates(ch.Params) {
		if ch.Intent == "" { // its intent is gone from our books; the processor knows
			return c.Look(ctx, ch)
		}
		r.endpoint, r.path = confirmIntent, "/v1/payment_intents/"+url.PathEscape(ch.Intent)+"/confirm"
	}
	for fresh := 0; ; fresh++ {
		rep := c.do(ctx, r)
		a, of := chargeAnswer(&rep, ch.AttemptNo)
		switch {
		case of == aboutToken || of == aboutKey:
			return c.unless(ctx, ch, a)
		case !rep.replayed || a.Kind != payments.Unknown || rep.status < 500:
			return a
		}
		// A failure that is stored under the key comes back for a day, whatever became
		// of the call. The token is the fence: while the processor says that it is unused,
		// nothing was charged with it, and whatever still may be under way with it and the
		// next call cannot both succeed. Each repeat walks the same keys again, so a
		// crash in between changes nothing.
		if look := c.lookAtToken(ctx, ch); look.Kind != payments.Retry {
			return look
		}
		if fresh == freshKeysMax {
			return payments.Answer{Kind: payments.Unknown, Detail: alarmReplayed}
		}
		r.key = attemptKey(ch) + ":fresh" + strconv.Itoa(fresh+1)
	}
}

// unless looks for an earlier try of the attempt that was carried out, and
// returns refused when there surely was none.
func (c *Client) unless(ctx context.Context, ch *payments.Charge, refused payments.Answer) payments.Answer {
	look := c.Look(ctx, ch)
	if look.Kind == payments.Retry { // nothing was done with the token
		return refused
	}
	return look
}

// CancelIntent cancels a payment's intent. The Intent in the answer is what it is
// now: canceled, or what it had become before, such as succeeded. Its AttemptNo is
// 0: whoever asked knows for which attempt. Errors are Retry or Unknown; both may
// be repeated, a canceled intent stays canceled.
func (c *Client) CancelIntent(ctx context.Context, intent string, donation [16]byte) payments.Answer {
	r := call{
		endpoint: cancelIntent, path: "/v1/payment_intents/" + url.PathEscape(intent) + "/cancel",
		key: "spillway:" + uuid(donation) + ":cancel:" + intent,
	}
	rep := c.do(ctx, r)
	if rep.replayed && rep.problem != nil {
		// A stored refusal tells of then and not of now, a stored failure of nothing.
		// Canceling twice is canceling, so another key does no harm.
		r.key += ":" + strconv.FormatInt(c.cfg.Now().Unix(), 10)
		rep = c.do(ctx, r)
	}
	a, _ := chargeAnswer(&rep, 0)
	if a.Kind == payments.Definite { // of a card: not about a cancellation
		a = payments.Answer{Kind: payments.Unknown, Detail: a.Detail}
	}
	return a
}

// Refund asks for a refund, under our own ID of it as the key. When the processor
// may have forgotten the key, or refuses what an earlier try would explain, the
// charge's refunds are read first: ours carries our ID.
func (c *Client) Refund(ctx context.Context, due payments.RefundDue) payments.Answer {
	form, err := refundForm(&due)
	if err != nil {
		return payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: "amount_without_unit"}
	}
	repeated := !due.FirstCalledAt.IsZero()
	if repeated && c.cfg.Now().Sub(due.FirstCalledAt) > keyMemory {
		if a := c.findRefund(ctx, &due); a.Kind != payments.Retry {
			return a
		}
	}
	rep := c.do(ctx, call{
		endpoint: createRefund, path: "/v1/refunds", form: form,
		key: "spillway:" + uuid(due.Donation) + ":refund:" + uuid(due.Refund),
	})
	a := refundAnswer(&rep, &due)
	stored := rep.replayed && a.Kind == payments.Unknown
	if stored || repeated && a.Kind == payments.Definite {
		if found := c.findRefund(ctx, &due); found.Kind != payments.Retry {
			return found
		}
	}
	if repeated && a.Kind == payments.Retry {
		a.Kind = payments.Unknown
	}
	return a
}
