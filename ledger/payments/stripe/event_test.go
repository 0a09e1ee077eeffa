package stripe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/ledger/payments"
)

// eventJSON is an event about an object.
func eventJSON(eventType, object string) string {
	return fmt.Sprintf(`{"id":"evt_1","object":"event","type":%q,"created":1700000100,"livemode":true,"api_version":"2019-01-01","data":{"object":%s}}`, eventType, object)
}

const (
	chargeObject = `{"id":"ch_1","object":"charge","payment_intent":"pi_1","amount":5000,"amount_captured":5000,"amount_refunded":0,"currency":"usd",
		"status":"succeeded","paid":true,"captured":true,"created":1700000001,"balance_transaction":"txn_1","metadata":{"donation":"` + donationText + `","book":"rehearsal"}%s}`
	refundObject = `{"id":"re_1","object":"refund","charge":"ch_1","payment_intent":"pi_1","amount":3000,"currency":"usd","status":%q,"created":1700000050,
		"metadata":{"donation":"` + donationText + `","refund":"01000000-0000-0000-0000-000000000000"}}`
	disputeObject = `{"id":"dp_1","object":"dispute","charge":"ch_1","payment_intent":"pi_1","amount":5000,"currency":"usd","status":%q,"created":1700000060,"metadata":{},
		"balance_transactions":[{"id":"txn_2","amount":-5000,"fee":1500,"net":-6500,"currency":"usd"}%s]}`
	payoutObject = `{"id":"po_1","object":"payout","amount":480000,"currency":"usd","status":%q,"created":1700000070,"arrival_date":1700086400,
		"balance_transaction":"txn_3","failure_balance_transaction":null,"failure_code":null}`
)

// TestParseEvent is the table of what each event says. %s stands for a state.
func TestParseEvent(t *testing.T) {
	at := time.Unix(1700000100, 0).UTC()
	intent := func(s payments.IntentSeen) payments.Fact {
		s.ID, s.AmountMinor, s.Currency = "pi_1", 5000, "USD"
		return payments.Fact{Intent: &s}
	}
	refund := func(ours byte, id string, minor int64, status payments.RefundStatus) payments.Fact {
		return payments.Fact{Refund: &payments.RefundSeen{ID: id, Ours: [16]byte{ours}, Charge: "ch_1", AmountMinor: minor, Currency: "USD", Status: status}}
	}
	dispute := func(status payments.DisputeStatus, fee, returned int64) payments.Fact {
		return payments.Fact{Dispute: &payments.DisputeSeen{ID: "dp_1", Charge: "ch_1", AmountMinor: 5000, Currency: "USD", Status: status, FeeMinor: fee, FeeReturnedMinor: returned}}
	}
	payout := func(status payments.PayoutStatus) *payments.PayoutSeen {
		return &payments.PayoutSeen{ID: "po_1", AmountMinor: 480000, Currency: "USD", Status: status, CreatedAt: time.Unix(1700000070, 0).UTC(),
			ArrivesAt: time.Unix(1700086400, 0).UTC(), BalanceTransaction: "txn_3"}
	}
	live := payments.Event{Known: true, Donation: donationID, Book: "live", Intent: "pi_1"}
	charged := payments.Event{Known: true, Donation: donationID, Book: "rehearsal", Intent: "pi_1", Charge: "ch_1"}
	refunded := payments.Event{Known: true, Donation: donationID, Intent: "pi_1", Charge: "ch_1"}
	disputed := payments.Event{Known: true, Intent: "pi_1", Charge: "ch_1"}
	capture := intent(payments.IntentSeen{Status: payments.IntentSucceeded, Charge: "ch_1"})
	for _, c := range []struct {
		name, eventType, object string
		want                    payments.Event
		facts                   []payments.Fact
		payout                  *payments.PayoutSeen
	}{
		{"captured", "payment_intent.succeeded", intentJSON("succeeded", `,"latest_charge":"ch_1"`), withCharge(live), []payments.Fact{capture}, nil},
		{"captured, by a version with charges", "payment_intent.succeeded",
			intentJSON("succeeded", `,"charges":{"object":"list","data":[{"id":"ch_1","created":1,"balance_transaction":{"id":"txn_1","fee":175,"currency":"usd"}}]}`), withCharge(live),
			[]payments.Fact{intent(payments.IntentSeen{Status: payments.IntentSucceeded, Charge: "ch_1", Fee: &feeSeen})}, nil},
		{"declined", "payment_intent.payment_failed", intentJSON("requires_payment_method", `,"last_payment_error":{"code":"card_declined","decline_code":"stolen_card"}`), live,
			[]payments.Fact{intent(payments.IntentSeen{Status: payments.IntentRequiresPaymentMethod, Decline: payments.DeclineGeneric})}, nil},
		{"under way", "payment_intent.processing", intentJSON("processing"), live, []payments.Fact{intent(payments.IntentSeen{Status: payments.IntentProcessing})}, nil},
		{"waits for the donor", "payment_intent.requires_action", intentJSON("requires_action", `,"client_secret":"s"`), live,
			[]payments.Fact{intent(payments.IntentSeen{Status: payments.IntentRequiresAction, ClientSecret: "s"})}, nil},
		{"canceled", "payment_intent.canceled", intentJSON("canceled"), live, []payments.Fact{intent(payments.IntentSeen{Status: payments.IntentCanceled})}, nil},
		{"made", "payment_intent.created", intentJSON("requires_payment_method"), live, nil, nil},
		{"none that we made", "payment_intent.canceled", strings.Replace(intentJSON("canceled"), `"metadata":{"donation":"`+donationText+`","book":"live"}`, `"metadata":{"donation":42,"book":"of life"}`, 1),
			payments.Event{Known: true, Intent: "pi_1"}, []payments.Fact{intent(payments.IntentSeen{Status: payments.IntentCanceled})}, nil},

		{"charged", "charge.succeeded", fmt.Sprintf(chargeObject, ""), charged, []payments.Fact{capture}, nil},
		{"captured in part", "charge.captured", strings.Replace(fmt.Sprintf(chargeObject, ""), `"amount_captured":5000`, `"amount_captured":3000`, 1), charged,
			[]payments.Fact{func() payments.Fact {
				f := intent(payments.IntentSeen{Status: payments.IntentSucceeded, Charge: "ch_1"})
				f.Intent.AmountMinor = 3000
				return f
			}()}, nil},
		{"charged, without an intent", "charge.succeeded", strings.Replace(fmt.Sprintf(chargeObject, ""), `"payment_intent":"pi_1"`, `"payment_intent":null`, 1),
			func() payments.Event { e := charged; e.Intent = ""; return e }(), nil, nil},
		{"authorised and not captured", "charge.updated", strings.Replace(fmt.Sprintf(chargeObject, ""), `"captured":true`, `"captured":false`, 1), charged, nil, nil},
		{"a charge that failed", "charge.failed", strings.Replace(fmt.Sprintf(chargeObject, ""), `"succeeded"`, `"failed"`, 1), charged, nil, nil},
		{"charge changed", "charge.updated", fmt.Sprintf(chargeObject, ""), charged, []payments.Fact{capture}, nil},
		{"refunded: another event tells of the refund", "charge.refunded", fmt.Sprintf(chargeObject, ""), charged, []payments.Fact{capture}, nil},
		{"refunded, by a version that shows refunds, newest first", "charge.refunded",
			fmt.Sprintf(chargeObject, `,"refunds":{"data":[{"id":"re_2","amount":1,"currency":"usd","status":"succeeded"},{"id":"re_1","charge":"ch_1","amount":2,"currency":"usd","status":"failed"}]}`), charged,
			[]payments.Fact{capture, refund(0, "re_1", 2, payments.RefundFailed), refund(0, "re_2", 1, payments.RefundSucceeded)}, nil},

		{"refund changed", "charge.refund.updated", fmt.Sprintf(refundObject, "failed"), refunded, []payments.Fact{refund(1, "re_1", 3000, payments.RefundFailed)}, nil},
		{"refund made", "refund.created", fmt.Sprintf(refundObject, "pending"), refunded, []payments.Fact{refund(1, "re_1", 3000, payments.RefundPending)}, nil},
		{"refund failed", "refund.failed", fmt.Sprintf(refundObject, "failed"), refunded, []payments.Fact{refund(1, "re_1", 3000, payments.RefundFailed)}, nil},

		{"disputed", "charge.dispute.created", fmt.Sprintf(disputeObject, "needs_response", ""), disputed, []payments.Fact{dispute(payments.DisputeOpen, 1500, 0)}, nil},
		{"funds gone", "charge.dispute.funds_withdrawn", fmt.Sprintf(disputeObject, "under_review", ""), disputed, []payments.Fact{dispute(payments.DisputeOpen, 1500, 0)}, nil},
		{"lost", "charge.dispute.closed", fmt.Sprintf(disputeObject, "lost", ""), disputed, []payments.Fact{dispute(payments.DisputeLost, 1500, 0)}, nil},
		{"won, with the fee back and one in another currency", "charge.dispute.funds_reinstated",
			fmt.Sprintf(disputeObject, "won", `,{"id":"txn_4","amount":5000,"fee":-1500,"net":6500,"currency":"usd"},{"id":"txn_5","fee":-9,"currency":"eur"}`), disputed,
			[]payments.Fact{dispute(payments.DisputeWon, 1500, 1500)}, nil},
		{"an inquiry moves nothing", "charge.dispute.created", fmt.Sprintf(disputeObject, "warning_needs_response", ""), disputed, nil, nil},
		{"a dispute that shows its charge", "charge.dispute.created",
			strings.Replace(fmt.Sprintf(disputeObject, "lost", ""), `"charge":"ch_1"`, `"charge":`+fmt.Sprintf(chargeObject, ""), 1),
			func() payments.Event { e := disputed; e.Donation = donationID; return e }(), []payments.Fact{dispute(payments.DisputeLost, 1500, 0)}, nil},

		{"paid out", "payout.paid", fmt.Sprintf(payoutObject, "paid"), payments.Event{Known: true}, nil, payout(payments.PayoutPaid)},
		{"payout made", "payout.created", fmt.Sprintf(payoutObject, "in_transit"), payments.Event{Known: true}, nil, payout(payments.PayoutInTransit)},
		{"payout failed", "payout.failed", strings.NewReplacer(`"failure_balance_transaction":null`, `"failure_balance_transaction":"txn_9"`, `"failure_code":null`, `"failure_code":"account_closed"`).
			Replace(fmt.Sprintf(payoutObject, "failed")), payments.Event{Known: true}, nil,
			func() *payments.PayoutSeen {
				p := payout(payments.PayoutFailed)
				p.FailureTransaction, p.FailureCode = "txn_9", "account_closed"
				return p
			}()},

		{"nothing that we know", "customer.subscription.created", `{"id":"sub_1"}`, payments.Event{}, nil, nil},
		{"nothing at all", "capability.updated", `null`, payments.Event{}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := []byte(eventJSON(c.eventType, c.object))
			got, err := ParseEvent(body)
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			want.ID, want.Type, want.CreatedAt, want.Payout, want.Body = "evt_1", c.eventType, at, c.payout, body
			for _, f := range c.facts {
				f.Donation, f.Source, f.EventID, f.At = want.Donation, payments.FromWebhook, "evt_1", at
				want.Facts = append(want.Facts, f)
			}
			if !reflect.DeepEqual(got, want) {
				g, _ := json.MarshalIndent(got, "", " ")
				w, _ := json.MarshalIndent(want, "", " ")
				t.Errorf("got %s\nwant %s", g, w)
			}
		})
	}
}

func withCharge(e payments.Event) payments.Event {
	e.Charge = "ch_1"
	return e
}

func TestParseEvent_SaysWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		id   string // told all the same
	}{
		"nothing":                     {"", ""},
		"an array":                    {"[]", ""},
		"no ID":                       {`{"object":"event","type":"a.b","created":1}`, ""},
		"no type":                     {`{"id":"evt_1","object":"event","created":1}`, ""},
		"a type that is a text":       {`{"id":"evt_1","object":"event","type":"Ada Example","created":1}`, ""},
		"no time":                     {`{"id":"evt_1","object":"event","type":"a.b"}`, ""},
		"a time of nowhere":           {`{"id":"evt_1","object":"event","type":"a.b","created":-5}`, ""},
		"a time after all times":      {`{"id":"evt_1","object":"event","type":"a.b","created":999999999999}`, ""},
		"an intent that is none":      {eventJSON("payment_intent.succeeded", `"pi_1"`), "evt_1"},
		"an intent without an ID":     {eventJSON("payment_intent.succeeded", `{"status":"succeeded","currency":"usd"}`), "evt_1"},
		"a charge of many currencies": {eventJSON("charge.succeeded", strings.Replace(fmt.Sprintf(chargeObject, ""), `"usd"`, `"usd,eur"`, 1)), "evt_1"},
		"a dispute's new state":       {eventJSON("charge.dispute.closed", fmt.Sprintf(disputeObject, "forgotten", "")), "evt_1"},
		"too long":                    {eventJSON("a.b", `"`+strings.Repeat("x", EventBytesMax)+`"`), ""},
	} {
		e, err := ParseEvent([]byte(c.body))
		if !errors.Is(err, ErrEvent) || e.ID != c.id || len(e.Facts) != 0 {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

// A thin event (v2) names an object and does not show it.
func TestParseEvent_OfTheNextKind(t *testing.T) {
	e, err := ParseEvent([]byte(`{"id":"evt_test_1","object":"v2.core.event","type":"v1.billing.meter.error_report_triggered","created":"2026-11-22T20:00:00.123456789Z","livemode":false}`))
	if err != nil || e.Known || !e.Test || e.CreatedAt != time.Date(2026, 11, 22, 20, 0, 0, 123456000, time.UTC) {
		t.Errorf("%+v, %v", e, err)
	}
}

// FuzzParseEvent: whatever comes, an event is read the same way twice, its facts are
// about what it names, and no amount is negative.
func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{
		eventJSON("payment_intent.succeeded", intentJSON("succeeded", chargeJSON)),
		eventJSON("charge.refunded", fmt.Sprintf(chargeObject, `,"refunds":{"data":[{"id":"re_1","amount":2,"currency":"isk","status":"failed"}]}`)),
		eventJSON("refund.updated", fmt.Sprintf(refundObject, "pending")),
		eventJSON("charge.dispute.closed", fmt.Sprintf(disputeObject, "lost", "")),
		eventJSON("payout.paid", fmt.Sprintf(payoutObject, "paid")),
		`{"id":"evt_1","object":"v2.core.event","type":"a.b","created":"2026-11-22T20:00:00Z"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := ParseEvent(body)
		again, errAgain := ParseEvent(bytes.Clone(body))
		if !reflect.DeepEqual(e, again) && len(body) > 0 || (err == nil) != (errAgain == nil) {
			t.Fatalf("read twice: %+v and %+v", e, again)
		}
		if err != nil {
			if !errors.Is(err, ErrEvent) || len(e.Facts) > 0 {
				t.Fatalf("%+v, %v", e, err)
			}
			return
		}
		if identified(e.ID) != nil || !e.Known && (len(e.Facts) > 0 || e.Payout != nil) {
			t.Fatalf("%+v", e)
		}
		for _, fact := range e.Facts {
			if fact.EventID != e.ID || fact.Donation != e.Donation || fact.Source != payments.FromWebhook {
				t.Fatalf("%+v of %+v", fact, e)
			}
			var minor int64
			switch {
			case fact.Intent != nil:
				minor = fact.Intent.AmountMinor
			case fact.Refund != nil:
				minor = fact.Refund.AmountMinor
			case fact.Dispute != nil:
				minor = fact.Dispute.AmountMinor
			default:
				t.Fatalf("an empty fact of %+v", e)
			}
			if minor < 0 {
				t.Fatalf("a negative amount: %+v", fact)
			}
		}
	})
}

// TestParseEvent_OfOtherVersions reads events as versions of the API years apart
// write them, from testdata/events. What they say of a donation is the same.
func TestParseEvent_OfOtherVersions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "events", "*.json"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseEvent(body)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if !e.Known || e.Donation != donationID || e.Book != "live" || len(e.Facts) != 1 || e.Facts[0].Intent == nil {
			t.Errorf("%s: %+v", file, e)
			continue
		}
		if s := e.Facts[0].Intent; s.Status != payments.IntentSucceeded || s.AmountMinor != 5000 || s.Currency != "USD" || s.Charge != "ch_3OaBcDeFgHiJkLmN0pQrStUv" || e.Intent != "pi_3OaBcDeFgHiJkLmN0aBcDeFg" {
			t.Errorf("%s: %+v", file, s)
		}
	}
}

// TestEventTypes_AreUnderstoodAndFitAList: subscribing to what nobody reads costs, and
// a list takes twenty.
func TestEventTypes_AreUnderstoodAndFitAList(t *testing.T) {
	if len(EventTypes) > 20 {
		t.Errorf("%d types; a list takes 20", len(EventTypes))
	}
	for i, name := range EventTypes {
		if readerOf(name) == nil {
			t.Errorf("nothing reads %s", name)
		}
		if slices.Contains(EventTypes[:i], name) {
			t.Errorf("%s stands there twice", name)
		}
	}
}
