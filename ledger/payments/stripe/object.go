package stripe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

// The API's objects, as little of them as we decide on: what is not named here may
// change with the API's version without any harm.

// errObject says that an object of the API lacks what it must have.
var errObject = errors.New("not the processor's object")

// ref is a member that is an ID, or the whole object where that was asked for.
type ref[T any] struct {
	ID     string
	Object *T // nil unless expanded
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *ref[T]) UnmarshalJSON(b []byte) error {
	*r = ref[T]{}
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0 || b[0] == 'n':
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, &r.ID)
	}
	var id struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(b, &id); err != nil {
		return err
	}
	r.ID, r.Object = id.ID, new(T)
	return json.Unmarshal(b, r.Object)
}

// metadata is what we wrote on the objects that we made.
type metadata struct {
	Donation string `json:"donation"`
	Book     string `json:"book"`
	Refund   string `json:"refund"`
}

// UnmarshalJSON takes any object: what others wrote may be of any kind.
func (m *metadata) UnmarshalJSON(b []byte) error {
	*m = metadata{}
	var all map[string]any
	if json.Unmarshal(b, &all) != nil {
		return nil
	}
	m.Donation, _ = all["donation"].(string)
	m.Book, _ = all["book"].(string)
	m.Refund, _ = all["refund"].(string)
	return nil
}

// donation is the donation that the metadata names, zero for none.
func (m *metadata) donation() [16]byte {
	id, _ := parseUUID(m.Donation)
	return id
}

// book is our own word for a book, "" when the metadata has none.
func (m *metadata) book() string {
	if _, ok := ledger.ParseBook(m.Book); !ok {
		return ""
	}
	return m.Book
}

func bookOf(c *payments.Charge) ledger.Book {
	if c.Rehearsal {
		return ledger.Rehearsal
	}
	return ledger.Live
}

// intent is a PaymentIntent.
type intent struct {
	ID               string        `json:"id"`
	Status           string        `json:"status"`
	Amount           int64         `json:"amount"`
	AmountReceived   int64         `json:"amount_received"`
	Currency         string        `json:"currency"`
	Created          int64         `json:"created"`
	ClientSecret     string        `json:"client_secret"`
	LatestCharge     ref[charge]   `json:"latest_charge"`
	LastPaymentError *paymentError `json:"last_payment_error"`
	Metadata         metadata      `json:"metadata"`
	// Charges is where versions before 2022-11-15 show the charges, newest first.
	Charges struct {
		Data []charge `json:"data"`
	} `json:"charges"`
}

type paymentError struct {
	Code        string `json:"code"`
	DeclineCode string `json:"decline_code"`
}

// charge is a Charge.
type charge struct {
	ID                 string                   `json:"id"`
	PaymentIntent      ref[struct{}]            `json:"payment_intent"`
	Amount             int64                    `json:"amount"`
	AmountCaptured     *int64                   `json:"amount_captured"`
	Currency           string                   `json:"currency"`
	Status             string                   `json:"status"`
	Paid               bool                     `json:"paid"`
	Captured           bool                     `json:"captured"`
	Created            int64                    `json:"created"`
	BalanceTransaction ref[balanceTransaction]  `json:"balance_transaction"`
	Metadata           metadata                 `json:"metadata"`
	Refunds            *struct{ Data []refund } `json:"refunds"`
}

// balanceTransaction is a BalanceTransaction.
type balanceTransaction struct {
	ID                string        `json:"id"`
	Type              string        `json:"type"`
	ReportingCategory string        `json:"reporting_category"`
	Source            ref[struct{}] `json:"source"`
	Amount            int64         `json:"amount"`
	Fee               int64         `json:"fee"`
	Net               int64         `json:"net"`
	Currency          string        `json:"currency"`
	Created           int64         `json:"created"`
	AvailableOn       int64         `json:"available_on"`
}

// refund is a Refund.
type refund struct {
	ID            string        `json:"id"`
	Charge        ref[struct{}] `json:"charge"`
	PaymentIntent ref[struct{}] `json:"payment_intent"`
	Amount        int64         `json:"amount"`
	Currency      string        `json:"currency"`
	Status        string        `json:"status"`
	Created       int64         `json:"created"`
	Metadata      metadata      `json:"metadata"`
}

// dispute is a Dispute.
type dispute struct {
	ID                  string               `json:"id"`
	Charge              ref[charge]          `json:"charge"`
	PaymentIntent       ref[struct{}]        `json:"payment_intent"`
	Amount              int64                `json:"amount"`
	Currency            string               `json:"currency"`
	Status              string               `json:"status"`
	Created             int64                `json:"created"`
	BalanceTransactions []balanceTransaction `json:"balance_transactions"`
	Metadata            metadata             `json:"metadata"`
}

// payout is a Payout.
type payout struct {
	ID                 string        `json:"id"`
	Amount             int64         `json:"amount"`
	Currency           string        `json:"currency"`
	Status             string        `json:"status"`
	Created            int64         `json:"created"`
	ArrivalDate        int64         `json:"arrival_date"`
	BalanceTransaction ref[struct{}] `json:"balance_transaction"`
	FailureTransaction ref[struct{}] `json:"failure_balance_transaction"`
	FailureCode        string        `json:"failure_code"`
}

// seconds reads one of the API's times.
func seconds(s int64) time.Time { return time.Unix(s, 0).UTC() }

// idBytesMax bounds an ID; Stripe promises at most 255 characters.
const idBytesMax = 255

// identified checks an ID, which goes into references, paths and unique keys.
func identified(id string) error {
	if id == "" || len(id) > idBytesMax {
		return fmt.Errorf("%w: an ID of %d bytes", errObject, len(id))
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return fmt.Errorf("%w: an ID of other signs", errObject)
		}
	}
	return nil
}

// seen reads an intent into our words.
func (o *intent) seen() (*payments.IntentSeen, error) {
	if err := identified(o.ID); err != nil {
		return nil, err
	}
	s := &payments.IntentSeen{ID: o.ID, Status: payments.IntentStatus(o.Status)}
	units := o.Amount
	switch s.Status {
	case payments.IntentSucceeded:
		units = o.AmountReceived
	case payments.IntentRequiresAction:
		s.ClientSecret = o.ClientSecret
	case payments.IntentRequiresPaymentMethod:
		if e := o.LastPaymentError; e != nil {
			s.Decline = decline(e.Code, e.DeclineCode)
		}
	case payments.IntentProcessing, payments.IntentCanceled, payments.IntentRequiresConfirmation, payments.IntentRequiresCapture:
	default:
		return nil, fmt.Errorf("%w: an intent's unknown status", errObject)
	}
	var err error
	if s.Currency, s.AmountMinor, err = gross(o.Currency, units); err != nil {
		return nil, err
	}
	latest := o.LatestCharge
	if latest.ID == "" && len(o.Charges.Data) > 0 {
		latest = ref[charge]{ID: o.Charges.Data[0].ID, Object: &o.Charges.Data[0]}
	}
	if latest.ID == "" {
		return s, nil
	}
	if err := identified(latest.ID); err != nil {
		return nil, err
	}
	s.Charge = latest.ID
	if latest.Object != nil {
		s.Fee = latest.Object.fee()
	}
	return s, nil
}

// capturedAt is the processor's time of the intent's capture, zero when it does not say.
func (o *intent) capturedAt() time.Time {
	latest := o.LatestCharge.Object
	if latest == nil && len(o.Charges.Data) > 0 {
		latest = &o.Charges.Data[0]
	}
	if o.Status != string(payments.IntentSucceeded) || latest == nil || latest.Created == 0 {
		return time.Time{}
	}
	return seconds(latest.Created)
}

// fee is what the processor took, nil when the charge does not show it.
func (o *charge) fee() *payments.FeeSeen {
	t := o.BalanceTransaction.Object
	if t == nil || identified(t.ID) != nil {
		return nil
	}
	c, minor, err := amount(t.Currency, t.Fee)
	if err != nil {
		return nil // the lists of movements bring it, or name what is wrong with it
	}
	return &payments.FeeSeen{Charge: o.ID, BalanceTransaction: t.ID, FeeMinor: minor, Currency: c}
}

// captured reads a captured charge as the intent that it belongs to; nil when
// nothing is captured, or when it belongs to no intent and hence is none of ours.
func (o *charge) captured() (*payments.IntentSeen, error) {
	if err := identified(o.ID); err != nil {
		return nil, err
	}
	if o.PaymentIntent.ID == "" || o.Status != "succeeded" || !o.Paid || !o.Captured {
		return nil, nil
	}
	if err := identified(o.PaymentIntent.ID); err != nil {
		return nil, err
	}
	units := o.Amount
	if o.AmountCaptured != nil {
		units = *o.AmountCaptured
	}
	c, minor, err := gross(o.Currency, units)
	if err != nil {
		return nil, err
	}
	return &payments.IntentSeen{
		ID: o.PaymentIntent.ID, Status: payments.IntentSucceeded,
		AmountMinor: minor, Currency: c, Charge: o.ID, Fee: o.fee(),
	}, nil
}

// seen reads a refund into our words.
func (o *refund) seen() (*payments.RefundSeen, error) {
	if err := identified(o.ID); err != nil {
		return nil, err
	}
	s := &payments.RefundSeen{ID: o.ID, Charge: o.Charge.ID}
	s.Ours, _ = parseUUID(o.Metadata.Refund)
	switch o.Status {
	case "pending", "requires_action": // the latter waits for the donor's bank details
		s.Status = payments.RefundPending
	case "succeeded", "failed", "canceled":
		s.Status = payments.RefundStatus(o.Status)
	default:
		return nil, fmt.Errorf("%w: a refund's unknown status", errObject)
	}
	var err error
	s.Currency, s.AmountMinor, err = gross(o.Currency, o.Amount)
	return s, err
}

// seen reads a dispute into our words; nil for one in which no money has moved: an
// inquiry of the bank, or a dispute that was prevented.
func (o *dispute) seen() (*payments.DisputeSeen, error) {
	if err := identified(o.ID); err != nil {
		return nil, err
	}
	s := &payments.DisputeSeen{ID: o.ID, Charge: o.Charge.ID}
	switch o.Status {
	case "needs_response", "under_review":
		s.Status = payments.DisputeOpen
	case "won":
		s.Status = payments.DisputeWon
	case "lost":
		s.Status = payments.DisputeLost
	case "warning_needs_response", "warning_under_review", "warning_closed", "prevented", "charge_refunded":
		return nil, nil
	default:
		return nil, fmt.Errorf("%w: a dispute's unknown status", errObject)
	}
	var err error
	if s.Currency, s.AmountMinor, err = gross(o.Currency, o.Amount); err != nil {
		return nil, err
	}
	s.FeeMinor, s.FeeReturnedMinor = o.fees(s.Currency)
	return s, nil
}

// fees sums what was taken and given back beside the amount. Fees in another
// currency than the dispute's are left to the lists of movements.
func (o *dispute) fees(c money.Currency) (taken, returned int64) {
	for _, t := range o.BalanceTransactions {
		in, minor, err := amount(t.Currency, t.Fee)
		if err != nil || in != c {
			continue
		}
		if minor > 0 {
			taken += minor
		} else {
			returned -= minor
		}
	}
	return taken, returned
}

// seen reads a payout into our words.
func (o *payout) seen() (*payments.PayoutSeen, error) {
	if err := identified(o.ID); err != nil {
		return nil, err
	}
	s := &payments.PayoutSeen{
		ID: o.ID, Status: payments.PayoutStatus(o.Status),
		CreatedAt: seconds(o.Created), ArrivesAt: seconds(o.ArrivalDate),
		BalanceTransaction: o.BalanceTransaction.ID, FailureTransaction: o.FailureTransaction.ID,
		FailureCode: word(o.FailureCode),
	}
	switch s.Status {
	case payments.PayoutPending, payments.PayoutInTransit, payments.PayoutPaid, payments.PayoutFailed, payments.PayoutCanceled:
	default:
		return nil, fmt.Errorf("%w: a payout's unknown status", errObject)
	}
	var err error
	s.Currency, s.AmountMinor, err = amount(o.Currency, o.Amount)
	return s, err
}

// seen reads a balance transaction into our words.
func (o *balanceTransaction) seen() (*payments.Movement, error) {
	if err := identified(o.ID); err != nil {
		return nil, err
	}
	m := &payments.Movement{
		ID: o.ID, Type: word(o.Type), Category: word(o.ReportingCategory), Source: o.Source.ID,
		CreatedAt: seconds(o.Created), AvailableAt: seconds(o.AvailableOn),
	}
	var err error
	if m.Currency, m.AmountMinor, err = amount(o.Currency, o.Amount); err != nil {
		return nil, err
	}
	if m.FeeMinor, err = fromProcessor(m.Currency, o.Fee); err != nil {
		return nil, err
	}
	m.NetMinor, err = fromProcessor(m.Currency, o.Net)
	return m, err
}
