package stripe

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/stripe/stripe-go/v76/form"

	"spillway/ledger/payments"
)

// pageRows is how many rows a page has: the most that Stripe gives.
const pageRows = 100

// row is one row of a list as it was read. err says why object is not it.
type row[T any] struct {
	object T
	body   json.RawMessage
	err    error
}

// page asks for one page of a list. Rows that cannot be read are told by their own
// errors, so that one odd object never hides the others.
func page[T any](ctx context.Context, c *Client, of endpoint, path string, f *form.Values) ([]row[T], string, *payments.CallError) {
	rep := c.do(ctx, call{endpoint: of, path: path, form: []byte(f.Encode())})
	if a, ok := rep.read(); !ok {
		return nil, "", &payments.CallError{Answer: a}
	}
	unreadable := &payments.CallError{Answer: payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}}
	var list struct {
		Object  string            `json:"object"`
		HasMore bool              `json:"has_more"`
		Data    []json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(rep.body, &list); err != nil || list.Object != "list" {
		return nil, "", unreadable
	}
	rows := make([]row[T], len(list.Data))
	for i, body := range list.Data {
		rows[i].body = body
		rows[i].err = json.Unmarshal(body, &rows[i].object)
	}
	if !list.HasMore {
		return rows, "", nil
	}
	var last struct {
		ID string `json:"id"`
	}
	if len(rows) == 0 || json.Unmarshal(rows[len(rows)-1].body, &last) != nil || identified(last.ID) != nil {
		return nil, "", unreadable // more is promised, and nothing says where it begins
	}
	return rows, last.ID, nil
}

// rows turns a list's page into our words, leaving out and counting what cannot be read.
func rows[T, R any](ctx context.Context, c *Client, of endpoint, path string, f *form.Values, read func(*T, json.RawMessage) (R, bool, error)) (payments.Page[R], error) {
	all, next, callErr := page[T](ctx, c, of, path, f)
	if callErr != nil {
		callErr.Answer = c.alarm(callErr.Answer)
		return payments.Page[R]{}, callErr
	}
	out := payments.Page[R]{Next: next, Rows: make([]R, 0, len(all))}
	for i := range all {
		err := all[i].err
		if err == nil {
			var r R
			var keep bool
			if r, keep, err = read(&all[i].object, all[i].body); err == nil && keep {
				out.Rows = append(out.Rows, r)
			}
		}
		if err != nil {
			c.unreadable(of, all[i].body, err)
		}
	}
	return out, nil
}

// unreadable counts an object that cannot be read and names it to operators.
func (c *Client) unreadable(of endpoint, body []byte, err error) {
	var o struct {
		ID string `json:"id"`
	}
	// Without an ID it is counted all the same.
	_ = json.Unmarshal(body, &o)
	if identified(o.ID) != nil {
		o.ID = ""
	}
	c.metrics.unreadable.WithLabelValues(string(of)).Inc()
	c.log.Error("processor's object cannot be read", "list", string(of), "id", o.ID, "error", err)
}

// Intents lists payment intents created in [since, until), whole seconds, newest
// first; a zero time leaves that end open. A row is a Fact by sweep with Intent set;
// intents that name no donation of ours are left out.
//
// Errors, of this and the lists below: *payments.CallError; a ctx that ends is one.
func (c *Client) Intents(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Fact], error) {
	asked := c.cfg.Now().UTC()
	return rows(ctx, c, listIntents, "/v1/payment_intents", listForm(since, until, cursor, "data."+expandFee),
		func(o *intent, _ json.RawMessage) (f payments.Fact, keep bool, err error) {
			if o.Metadata.donation() == [16]byte{} {
				return f, false, nil
			}
			s, err := o.seen()
			return o.fact(s, asked), true, err
		})
}

// Intent asks for one payment intent, a Fact as Intents gives it.
func (c *Client) Intent(ctx context.Context, id string) (payments.Fact, error) {
	asked := c.cfg.Now().UTC()
	o, a := c.intent(ctx, id)
	if o == nil {
		return payments.Fact{}, &payments.CallError{Answer: a}
	}
	s, err := o.seen()
	if err != nil {
		return payments.Fact{}, &payments.CallError{Answer: payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}}
	}
	return o.fact(s, asked), nil
}

// fact is an intent that was asked for: true when it was asked, and a capture when
// it happened.
func (o *intent) fact(s *payments.IntentSeen, asked time.Time) payments.Fact {
	at := asked
	if captured := o.capturedAt(); !captured.IsZero() {
		at = captured
	}
	return payments.Fact{Donation: o.Metadata.donation(), Source: payments.FromSweep, At: at, Intent: s}
}

// Refunds lists refunds. Donation is zero for those that were made elsewhere: their
// Charge tells.
func (c *Client) Refunds(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Fact], error) {
	return rows(ctx, c, listRefunds, "/v1/refunds", listForm(since, until, cursor),
		func(o *refund, _ json.RawMessage) (f payments.Fact, keep bool, err error) {
			s, err := o.seen()
			return payments.Fact{Donation: o.Metadata.donation(), Source: payments.FromSweep, At: seconds(o.Created), Refund: s}, true, err
		})
}

// Disputes lists disputes in which money has moved. Donation is nearly always
// zero: their Charge tells.
func (c *Client) Disputes(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Fact], error) {
	return rows(ctx, c, listDisputes, "/v1/disputes", listForm(since, until, cursor),
		func(o *dispute, _ json.RawMessage) (f payments.Fact, keep bool, err error) {
			s, err := o.seen()
			return payments.Fact{Donation: o.donation(), Source: payments.FromSweep, At: seconds(o.Created), Dispute: s}, s != nil, err
		})
}

// Events lists events of EventTypes, each as its webhook would have brought it.
func (c *Client) Events(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Event], error) {
	f := listForm(since, until, cursor)
	for i, t := range EventTypes {
		f.Add("types["+strconv.Itoa(i)+"]", t)
	}
	return rows(ctx, c, listEvents, "/v1/events", f,
		func(_ *struct{}, body json.RawMessage) (e payments.Event, keep bool, err error) {
			e, err = ParseEvent(body)
			for i := range e.Facts {
				e.Facts[i].Source = payments.FromSweep
			}
			return e, true, err
		})
}

// BalanceTransactions lists movements of money at the processor.
func (c *Client) BalanceTransactions(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Movement], error) {
	return c.movements(ctx, listForm(since, until, cursor))
}

// PayoutTransactions lists the movements that one payout is made of, itself among
// them. Stripe knows them for automatic payouts only.
func (c *Client) PayoutTransactions(ctx context.Context, payout, cursor string) (payments.Page[payments.Movement], error) {
	f := listForm(time.Time{}, time.Time{}, cursor)
	f.Add("payout", payout)
	return c.movements(ctx, f)
}

func (c *Client) movements(ctx context.Context, f *form.Values) (payments.Page[payments.Movement], error) {
	return rows(ctx, c, listMovements, "/v1/balance_transactions", f,
		func(o *balanceTransaction, _ json.RawMessage) (m payments.Movement, keep bool, err error) {
			s, err := o.seen()
			if err != nil {
				return m, false, err
			}
			return *s, true, nil
		})
}

// Payouts lists payouts.
func (c *Client) Payouts(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.PayoutSeen], error) {
	return rows(ctx, c, listPayouts, "/v1/payouts", listForm(since, until, cursor),
		func(o *payout, _ json.RawMessage) (p payments.PayoutSeen, keep bool, err error) {
			s, err := o.seen()
			if err != nil {
				return p, false, err
			}
			return *s, true, nil
		})
}
