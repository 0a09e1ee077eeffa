package stripe

import (
	"context"
	"net/url"
	"strconv"

	"spillway/ledger/payments"
)

// freshKeysMax bounds the further keys that one Charge tries after stored failures.
const freshKeysMax = 4

// Charge makes the attempt's call: create and confirm in one, or confirm again, as
// ch.Params says, which is the body that Params gave and that was stored before
// the first try. Repeating it is safe: the key is made of donation and attempt.
//
// An Intent in the answer is authoritative for the attempt. Retry is about this
// call alone: whether an earlier one of the attempt was carried out is another
// question. A refusal that an earlier call would explain, and a failure that the
// processor only repeats from its memory, are looked into first, which takes a few
// calls more.
func (c *Client) Charge(ctx context.Context, ch *payments.Charge) payments.Answer {
	return c.alarm(c.charge(ctx, ch))
}

func (c *Client) charge(ctx context.Context, ch *payments.Charge) payments.Answer {
	if len(ch.Params) == 0 {
		return payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: noUnit}
	}
	r := call{endpoint: createIntent, path: "/v1/payment_intents", form: ch.Params, key: attemptKey(ch)}
	if !creates(ch.Params) {
		if ch.Intent == "" { // our books lost the intent that this attempt was to confirm
			return c.unless(ctx, ch, payments.Answer{Kind: payments.Definite, Reason: payments.CardNeeded, Detail: "intent_gone"})
		}
		r.endpoint, r.path = confirmIntent, "/v1/payment_intents/"+url.PathEscape(ch.Intent)+"/confirm"
	}
	for fresh := 0; ; fresh++ {
		rep := c.do(ctx, r)
		a, of := chargeAnswer(&rep, ch.AttemptNo)
		switch {
		case of == aboutToken && ch.FirstCalledAt.IsZero() && !ch.LookFirst:
			return a // we never used it: anybody may send us tokens that are none
		case of == aboutToken || of == aboutKey:
			return c.unless(ctx, ch, a)
		case !rep.replayed || a.Kind != payments.Unknown || rep.status < 500:
			return a
		}
		// A failure that is stored under the key comes back for a day, whatever became
		// of the call, which is over. When nothing was done, another key may be tried: the
		// token, of single use, is the fence between this call and whatever still may
		// come of the one before. Each repeat walks the same keys again, so a crash in
		// between changes nothing.
		if look := c.look(ctx, ch); look.Kind != payments.Retry {
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
	look := c.look(ctx, ch)
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
	return c.alarm(a)
}

// Refund asks for a refund, under our own ID of it as the key. A refusal that an
// earlier try would explain, and a failure from the processor's memory, are looked
// into first. Whoever calls looks with LookRefund when the processor may have
// forgotten the key.
func (c *Client) Refund(ctx context.Context, due *payments.RefundDue) payments.Answer {
	return c.alarm(c.refund(ctx, due))
}

func (c *Client) refund(ctx context.Context, due *payments.RefundDue) payments.Answer {
	form, err := refundForm(due)
	if err != nil {
		return payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: noUnit}
	}
	rep := c.do(ctx, call{
		endpoint: createRefund, path: "/v1/refunds", form: form,
		key: "spillway:" + uuid(due.Donation) + ":refund:" + uuid(due.Refund),
	})
	a := refundAnswer(&rep, due)
	stored := rep.replayed && a.Kind == payments.Unknown
	if stored || !due.FirstCalledAt.IsZero() && a.Kind == payments.Definite {
		if found := c.lookRefund(ctx, due); found.Kind != payments.Retry {
			return found
		}
	}
	return a
}

// noUnit is the detail of an amount that Stripe cannot be told.
const noUnit = "amount_without_unit"
