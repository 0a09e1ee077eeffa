package stripe

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/stripe/stripe-go/v76/form"

	"spillway/ledger/payments"
)

const (
	// lookPagesMax bounds the pages of a list that one Look reads, a thousand
	// intents: reads are rationed. Beyond it only the token and the sweeps can tell.
	lookPagesMax = 10
	// lookBack is how far back the list is read when our books do not know when the
	// call was first made, after a restore: tokens live for half a day at most.
	lookBack = 48 * time.Hour
	// lookBefore is how far our clock may be ahead of the processor's, which dates
	// intents in whole seconds.
	lookBefore = 30 * time.Second
	// refundPagesMax bounds the pages of one charge's refunds.
	refundPagesMax = 10
)

// Look finds out what became of an attempt's call, whose idempotency key the
// processor may have forgotten. It asks for the confirmation token, which names
// the intent that used it; where the token is gone, for intents with our
// donation: search, which is behind and proves nothing when empty, then the list
// of all that were made since the first call.
//
// Intent is what it is now, authoritative for the attempt; Retry with the detail
// lookedNothing: no call of this attempt was carried out; Unknown: look again
// later. It takes up to lookPagesMax+3 reads.
func (c *Client) Look(ctx context.Context, ch *payments.Charge) payments.Answer {
	return c.alarm(c.look(ctx, ch))
}

func (c *Client) look(ctx context.Context, ch *payments.Charge) payments.Answer {
	a := c.lookAtToken(ctx, ch)
	if a.Detail != tokenGone {
		return a
	}
	if ch.Intent != "" {
		return c.lookAtIntent(ctx, ch)
	}
	if a := c.lookBySearch(ctx, ch); a.Kind != payments.Retry {
		return a
	}
	return c.lookByList(ctx, ch)
}

// Details of looks.
const (
	// lookedNothing proves that the call was never carried out; the charge service
	// decides on this word.
	lookedNothing = "looked_nothing"
	tokenGone     = "token_gone" // the processor no longer knows the token
)

// nothing is the answer of a look that found out that nothing was done.
func nothing() payments.Answer {
	return payments.Answer{Kind: payments.Retry, Detail: lookedNothing}
}

// lookAtToken asks the confirmation token. Retry: surely not used for this donation.
func (c *Client) lookAtToken(ctx context.Context, ch *payments.Charge) payments.Answer {
	rep := c.do(ctx, call{endpoint: getToken, path: "/v1/confirmation_tokens/" + url.PathEscape(ch.Token)})
	if a, ok := rep.read(); !ok {
		if rep.status == http.StatusNotFound {
			a.Detail = tokenGone
		}
		return a
	}
	var token struct {
		ID            string        `json:"id"`
		PaymentIntent ref[struct{}] `json:"payment_intent"`
	}
	if err := json.Unmarshal(rep.body, &token); err != nil || token.ID != ch.Token {
		return payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}
	}
	switch {
	case token.PaymentIntent.ID != "":
		o, a := c.intent(ctx, token.PaymentIntent.ID)
		if o == nil {
			return a
		}
		if o.Metadata.donation() != ch.Donation { // somebody else's: the call will be refused
			return nothing()
		}
		return intentAnswer(o, ch.AttemptNo, "")
	}
	return nothing() // unused, or used up for what is no payment
}

// lookAtIntent judges a call that confirmed a known intent by that intent. While it
// still waits for a card, only a charge made since the first call is the call's.
func (c *Client) lookAtIntent(ctx context.Context, ch *payments.Charge) payments.Answer {
	o, a := c.intent(ctx, ch.Intent)
	if o == nil {
		return a
	}
	if o.Status == string(payments.IntentRequiresPaymentMethod) || o.Status == string(payments.IntentRequiresConfirmation) {
		latest := o.LatestCharge.Object
		if latest == nil || ch.FirstCalledAt.IsZero() || seconds(latest.Created).Before(ch.FirstCalledAt.Add(-lookBefore)) {
			return nothing()
		}
	}
	return intentAnswer(o, ch.AttemptNo, "")
}

// intent asks for one intent; nil with an Answer when it cannot be had.
func (c *Client) intent(ctx context.Context, id string) (*intent, payments.Answer) {
	var f form.Values
	f.Add("expand[0]", expandFee)
	rep := c.do(ctx, call{endpoint: getIntent, path: "/v1/payment_intents/" + url.PathEscape(id), form: []byte(f.Encode())})
	if a, ok := rep.read(); !ok {
		if rep.status == http.StatusNotFound {
			a.Detail = alarmMissing
		}
		return nil, a
	}
	var o intent
	if err := json.Unmarshal(rep.body, &o); err != nil || o.ID != id {
		return nil, payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}
	}
	return &o, payments.Answer{}
}

// lookBySearch asks the index. What it finds is asked for again by its ID, because
// the index is behind; that it finds nothing proves nothing: Retry.
func (c *Client) lookBySearch(ctx context.Context, ch *payments.Charge) payments.Answer {
	var f form.Values
	f.Add("limit", "2")
	f.Add("query", "metadata['donation']:'"+uuid(ch.Donation)+"'")
	rep := c.do(ctx, call{endpoint: searchIntents, path: "/v1/payment_intents/search", form: []byte(f.Encode())})
	if a, ok := rep.read(); !ok {
		if rep.status == http.StatusBadRequest || rep.status == http.StatusNotFound { // not offered for every account
			a = nothing()
		}
		return a
	}
	var found struct {
		Data []intent `json:"data"`
	}
	if err := json.Unmarshal(rep.body, &found); err != nil {
		return payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}
	}
	for i := range found.Data {
		if found.Data[i].Metadata.donation() != ch.Donation {
			continue
		}
		o, a := c.intent(ctx, found.Data[i].ID)
		if o == nil {
			return a
		}
		if o.Status != string(payments.IntentCanceled) { // a canceled one is of an earlier attempt
			return intentAnswer(o, ch.AttemptNo, "")
		}
	}
	return nothing()
}

// lookByList reads the intents made since the first call: any repeat may have been
// the one that was carried out. Retry: there is none of this donation.
func (c *Client) lookByList(ctx context.Context, ch *payments.Charge) payments.Answer {
	since := ch.FirstCalledAt
	if since.IsZero() {
		since = c.cfg.Now().Add(-lookBack)
	}
	cursor := ""
	for range lookPagesMax {
		rows, next, err := page[intent](ctx, c, listIntents, "/v1/payment_intents",
			listForm(since.Add(-lookBefore), time.Time{}, cursor, "data."+expandFee))
		if err != nil {
			return err.Answer
		}
		for i := range rows {
			o := &rows[i].object
			if rows[i].err == nil && o.Metadata.donation() == ch.Donation && o.Status != string(payments.IntentCanceled) {
				return intentAnswer(o, ch.AttemptNo, "")
			}
		}
		if next == "" {
			return nothing()
		}
		cursor = next
	}
	return payments.Answer{Kind: payments.Unknown, Detail: alarmLook}
}

// LookRefund looks for our refund among the charge's. Retry with the detail
// lookedNothing: it is not there; Unknown: look again later.
func (c *Client) LookRefund(ctx context.Context, due *payments.RefundDue) payments.Answer {
	return c.alarm(c.lookRefund(ctx, due))
}

func (c *Client) lookRefund(ctx context.Context, due *payments.RefundDue) payments.Answer {
	cursor := ""
	for range refundPagesMax {
		f := listForm(time.Time{}, time.Time{}, cursor)
		if due.Charge != "" {
			f.Add("charge", due.Charge)
		} else {
			f.Add("payment_intent", due.Intent)
		}
		rows, next, err := page[refund](ctx, c, listRefunds, "/v1/refunds", f)
		if err != nil {
			return err.Answer
		}
		for i := range rows {
			o := &rows[i].object
			if id, ok := parseUUID(o.Metadata.Refund); ok && rows[i].err == nil && id == due.Refund {
				return refundShown(o, due)
			}
		}
		if next == "" {
			return nothing()
		}
		cursor = next
	}
	return payments.Answer{Kind: payments.Unknown, Detail: alarmLook}
}

// read sorts the reply to a question: ok when it has an answer, and otherwise an
// Answer that is always Unknown, because a question that failed answers nothing.
func (r *reply) read() (a payments.Answer, ok bool) {
	if a, failed := r.failed(); failed {
		a.Kind = payments.Unknown
		return a, false
	}
	if r.problem == nil {
		return payments.Answer{}, true
	}
	a, _ = chargeAnswer(r, 0)
	return payments.Answer{Kind: payments.Unknown, Detail: a.Detail}, false
}
