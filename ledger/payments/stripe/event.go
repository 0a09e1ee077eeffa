package stripe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"spillway/ledger/payments"
)

// EventBytesMax bounds one event: Stripe's own are a few kilobytes, one about a
// dispute with its evidence some hundred; a stock broker takes 1 MiB a message.
const EventBytesMax = 512 << 10

// EventTypes are the events that we book something of, and need: what an endpoint
// subscribes to, and what is asked for in lists. Others are understood where they come
// all the same (an older version of the API tells of refunds with the charge), but
// each costs a request and a sync and says nothing more: a charge that succeeded is
// told by its intent. At most 20, which is what a list takes.
var EventTypes = []string{
	"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.processing",
	"payment_intent.requires_action", "payment_intent.canceled",
	"refund.created", "refund.updated", "refund.failed", "charge.refund.updated",
	"charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed",
	"charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
	"payout.created", "payout.updated", "payout.paid", "payout.failed", "payout.canceled", "payout.reconciliation_completed",
}

// ErrEvent says that bytes are no event, or one of a type that we understand about
// an object that we do not.
var ErrEvent = errors.New("not an event of the processor")

// event is an Event of any version of the API, thin ones (v2) included, which say
// what happened and not to what.
type event struct {
	ID       string          `json:"id"`
	Object   string          `json:"object"`
	Type     string          `json:"type"`
	Created  json.RawMessage `json:"created"` // seconds, or RFC 3339 in v2
	Livemode bool            `json:"livemode"`
	Data     struct {
		Object json.RawMessage `json:"object"`
	} `json:"data"`
}

// ParseEvent reads an event into our words. It asks for no particular version of
// the API, and what it does not know it says so: Event.Known. Event.Body is body.
//
// Errors: ErrEvent; ID, Type and CreatedAt are set all the same when the event
// could be read and only its object could not.
func ParseEvent(body []byte) (payments.Event, error) {
	if len(body) > EventBytesMax {
		return payments.Event{}, fmt.Errorf("%w: %d bytes", ErrEvent, len(body))
	}
	var w event
	if err := json.Unmarshal(body, &w); err != nil {
		return payments.Event{}, fmt.Errorf("%w: not its JSON", ErrEvent) // the cause may quote the body
	}
	if err := identified(w.ID); err != nil {
		return payments.Event{}, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if w.Type == "" || word(w.Type) == "" {
		return payments.Event{}, fmt.Errorf("%w: %s has no type", ErrEvent, w.ID)
	}
	created, err := eventTime(w.Created)
	if err != nil {
		return payments.Event{}, fmt.Errorf("%w: %s has no time", ErrEvent, w.ID)
	}
	e := payments.Event{ID: w.ID, Type: w.Type, CreatedAt: created, Test: !w.Livemode, Body: body}
	if w.Object != "event" {
		return e, nil // a thin event: nothing in it to book
	}
	read := readerOf(w.Type)
	if read == nil {
		return e, nil
	}
	e.Known = true
	facts, err := read(&e, w.Data.Object)
	if err != nil {
		return e, fmt.Errorf("%w: %s, %s: %w", ErrEvent, e.ID, e.Type, err)
	}
	for _, f := range facts {
		f.Donation, f.Source, f.EventID, f.At = e.Donation, payments.FromWebhook, e.ID, e.CreatedAt
		e.Facts = append(e.Facts, f)
	}
	return e, nil
}

// ParseEvent is the function of that name.
func (*Client) ParseEvent(body []byte) (payments.Event, error) { return ParseEvent(body) }

// timeMax is the last second of the year 9999, beyond which no time can be stored.
const timeMax = 253402300799

func eventTime(raw json.RawMessage) (time.Time, error) {
	var s int64
	if json.Unmarshal(raw, &s) == nil && !bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		if s < 0 || s > timeMax {
			return time.Time{}, errObject
		}
		return seconds(s), nil
	}
	var text time.Time
	if err := json.Unmarshal(raw, &text); err != nil || text.IsZero() || text.Unix() < 0 || text.Unix() > timeMax {
		return time.Time{}, errObject
	}
	return text.UTC().Truncate(time.Microsecond), nil
}

// reader notes in e what an event's object is about and returns the facts.
type reader func(e *payments.Event, object json.RawMessage) ([]payments.Fact, error)

// readerOf is nil for a type that this build does not know.
func readerOf(eventType string) reader {
	area, what, _ := strings.Cut(eventType, ".")
	switch {
	case area == "payment_intent":
		return read(func(o *intent, e *payments.Event) ([]payments.Fact, error) { return o.happened(e, what) })
	case strings.HasPrefix(eventType, "charge.dispute."):
		return read((*dispute).happened)
	case strings.HasPrefix(eventType, "charge.refund."), area == "refund":
		return read((*refund).happened)
	case area == "charge":
		return read((*charge).happened)
	case area == "payout":
		return read((*payout).happened)
	}
	return nil
}

// read decodes the object before it is asked what happened.
func read[T any](happened func(*T, *payments.Event) ([]payments.Fact, error)) reader {
	return func(e *payments.Event, object json.RawMessage) ([]payments.Fact, error) {
		o := new(T)
		if err := json.Unmarshal(object, o); err != nil {
			return nil, fmt.Errorf("%w: not its JSON", errObject)
		}
		return happened(o, e)
	}
}

// happened: an intent's creation and partial steps say nothing yet; the event that
// shows it done, waiting or failed follows.
func (o *intent) happened(e *payments.Event, what string) ([]payments.Fact, error) {
	s, err := o.seen()
	if err != nil {
		return nil, err
	}
	e.Intent, e.Charge = s.ID, s.Charge
	e.Donation, e.Book = o.Metadata.donation(), o.Metadata.book()
	switch what {
	case "succeeded", "payment_failed", "processing", "requires_action", "canceled":
		return []payments.Fact{{Intent: s}}, nil
	}
	return nil, nil
}

// happened: what is captured is a fact whichever event shows it. A charge that
// failed is told by its intent too, which alone knows whether it was the last try.
func (o *charge) happened(e *payments.Event) ([]payments.Fact, error) {
	if err := identified(o.ID); err != nil {
		return nil, err
	}
	e.Charge, e.Intent = o.ID, o.PaymentIntent.ID
	e.Donation, e.Book = o.Metadata.donation(), o.Metadata.book()
	s, err := o.captured()
	if err != nil {
		return nil, err
	}
	var facts []payments.Fact
	if s != nil {
		facts = append(facts, payments.Fact{Intent: s})
	}
	if o.Refunds == nil { // versions since 2022-11-15 tell of refunds by their own events
		return facts, nil
	}
	for i := len(o.Refunds.Data) - 1; i >= 0; i-- { // newest first there
		r, err := o.Refunds.Data[i].seen()
		if err != nil {
			return nil, err
		}
		if r.Charge == "" {
			r.Charge = o.ID
		}
		facts = append(facts, payments.Fact{Refund: r})
	}
	return facts, nil
}

func (o *refund) happened(e *payments.Event) ([]payments.Fact, error) {
	s, err := o.seen()
	if err != nil {
		return nil, err
	}
	e.Charge, e.Intent = o.Charge.ID, o.PaymentIntent.ID
	e.Donation, e.Book = o.Metadata.donation(), o.Metadata.book()
	return []payments.Fact{{Refund: s}}, nil
}

// donation is the donation that the dispute, or the charge where it is shown, names.
func (o *dispute) donation() [16]byte {
	if id := o.Metadata.donation(); id != [16]byte{} || o.Charge.Object == nil {
		return id
	}
	return o.Charge.Object.Metadata.donation()
}

func (o *dispute) happened(e *payments.Event) ([]payments.Fact, error) {
	s, err := o.seen()
	if err != nil {
		return nil, err
	}
	e.Charge, e.Intent = o.Charge.ID, o.PaymentIntent.ID
	e.Donation, e.Book = o.donation(), o.Metadata.book()
	if s == nil {
		return nil, nil
	}
	return []payments.Fact{{Dispute: s}}, nil
}

func (o *payout) happened(e *payments.Event) (facts []payments.Fact, err error) {
	e.Payout, err = o.seen()
	return nil, err
}
