package stripesim

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stripe/stripe-go/v76"
)

// raw makes one call of which the client library knows nothing.
func (r *rig) raw(method, path, form, key string) (status int, header http.Header, body string) {
	r.t.Helper()
	var in io.Reader
	if form != "" {
		in = strings.NewReader(form)
	}
	req, err := http.NewRequest(method, r.url+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if e := res.Body.Close(); err == nil {
		err = e
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

func TestErrors_WhatStripeRefuses(t *testing.T) {
	r := start(t, Config{})
	const create = "/v1/payment_intents"
	for _, c := range []struct {
		method, path, form string
		status             int
		code, param        string
	}{
		{"POST", create, "currency=usd", 400, "parameter_missing", "amount"},
		{"POST", create, "amount=5000", 400, "parameter_missing", "currency"},
		{"POST", create, "amount=fifty&currency=usd", 400, "parameter_invalid_integer", "amount"},
		{"POST", create, "amount=5e3&currency=usd", 400, "parameter_invalid_integer", "amount"},
		{"POST", create, "amount=49&currency=usd", 400, "amount_too_small", "amount"},
		{"POST", create, "amount=50&currency=usd", 200, "", ""},
		{"POST", create, "amount=29&currency=gbp", 400, "amount_too_small", "amount"},
		{"POST", create, "amount=30&currency=gbp", 200, "", ""},
		{"POST", create, "amount=49&currency=jpy", 400, "amount_too_small", "amount"},
		{"POST", create, "amount=50&currency=jpy", 200, "", ""},
		{"POST", create, "amount=17499&currency=huf", 400, "amount_too_small", "amount"},
		{"POST", create, "amount=10050&currency=isk", 400, "invalid_charge_amount", "amount"},
		{"POST", create, "amount=10000&currency=isk", 200, "", ""},
		{"POST", create, "amount=1005&currency=kwd", 400, "invalid_charge_amount", "amount"},
		{"POST", create, "amount=1010&currency=kwd", 200, "", ""},
		{"POST", create, "amount=100000000&currency=usd", 400, "amount_too_large", "amount"},
		{"POST", create, "amount=99999999&currency=USD", 200, "", ""},
		{"POST", create, "amount=5000&currency=dollars", 400, "parameter_invalid", "currency"},
		{"POST", create, "amount=5000&currency=usd&colour=red", 400, "parameter_unknown", "colour"},
		{"POST", create, "amount=5000&currency=usd&confirm=true", 400, "payment_intent_unexpected_state", ""},
		{"POST", create, "amount=5000&currency=usd&confirmation_token=ctoken_x", 400, "parameter_invalid", "confirmation_token"},
		{"POST", create, "amount=5000&currency=usd&confirm=true&confirmation_token=tok_visa", 400, "resource_missing", "confirmation_token"},
		{"POST", create, "amount=5000&currency=usd&confirm=true&payment_method=pm_1abc", 400, "resource_missing", "payment_method"},
		{"POST", create, "amount=5000&currency=usd&confirm=true&payment_method=pm_card_visa&confirmation_token=ctoken_x", 400, "parameters_exclusive", "confirmation_token"},
		{"POST", create, "amount=5000&currency=usd&confirm=true&payment_method=pm_card_visa", 200, "", ""},
		{"POST", create, "amount=5000&currency=usd&capture_method=manual", 400, "parameter_invalid", "capture_method"},
		{"POST", create, "amount=5000&currency=usd&metadata[" + strings.Repeat("k", 41) + "]=v", 400, "parameter_invalid", "metadata[" + strings.Repeat("k", 41) + "]"},
		{"POST", create, "amount=5000&currency=usd&expand[]=bananas", 400, "", "expand"},
		{"POST", create, "amount=%zz", 400, "", ""},
		{"POST", create, "description=" + strings.Repeat("x", bodyMax), 400, "", ""},
		{"POST", create + "/pi_3ofSomebodyElse0000000000/confirm", "confirmation_token=ctoken_x", 404, "resource_missing", "id"},
		{"POST", create + "/pi_3ofSomebodyElse0000000000/cancel", "", 404, "resource_missing", "id"},
		{"GET", create + "/pi_3ofSomebodyElse0000000000", "", 404, "resource_missing", "id"},
		{"GET", create + "?limit=0", "", 400, "parameter_invalid_integer", "limit"},
		{"GET", create + "?limit=101", "", 400, "parameter_invalid_integer", "limit"},
		{"GET", create + "?starting_after=pi_x", "", 400, "resource_missing", "starting_after"},
		{"GET", create + "?created[gte]=yesterday", "", 400, "parameter_invalid_integer", "created[gte]"},
		{"GET", create + "/search?query=" + url.QueryEscape("colour:'red'"), "", 400, "parameter_invalid", "query"},
		{"GET", "/v1/charges/ch_x", "", 404, "resource_missing", "id"},
		{"GET", "/v1/confirmation_tokens/tok_visa", "", 404, "resource_missing", "id"},
		{"POST", "/v1/refunds", "", 400, "parameter_missing", "charge"},
		{"POST", "/v1/refunds", "charge=ch_x", 404, "resource_missing", "charge"},
		{"POST", "/v1/payouts", "amount=1&currency=usd", 400, "balance_insufficient", "amount"},
		{"GET", "/v1/customers", "", 404, "", ""},
		{"DELETE", create, "", 404, "", ""},
		{"GET", "/", "", 404, "", ""},
		{"POST", "/sim/faults", `{"decline_rate":2}`, 400, "parameter_invalid", ""},
		{"POST", "/sim/faults", `{"bad_luck":1}`, 400, "parameter_invalid", ""},
		{"POST", "/sim/intents/pi_x/authenticate?outcome=succeed", "", 404, "resource_missing", "id"},
	} {
		status, _, body := r.raw(c.method, c.path, c.form, "")
		if status != c.status {
			t.Errorf("%s %s %.80s: %d %s", c.method, c.path, c.form, status, body)
			continue
		}
		if c.status != http.StatusOK && c.code != "" && !strings.Contains(body, `"code":"`+c.code+`"`) || c.param != "" && !strings.Contains(body, `"param":"`+c.param+`"`) {
			t.Errorf("%s %s %.80s: %s", c.method, c.path, c.form, body)
		}
	}
}

func TestKey_IsRequiredWhenSet(t *testing.T) {
	r := start(t, Config{Key: "sk_test_sim"})
	if _, err := r.charge("d-1", 5000, "ctoken_x"); err != nil {
		t.Errorf("with the key: %v", err)
	}
	if status, _, _ := r.raw("GET", "/v1/payment_intents", "", ""); status != http.StatusUnauthorized {
		t.Errorf("without it: %d", status)
	}
	other := stripeClient(r.url, r.http)
	other.PaymentIntents.Key = "sk_test_other"
	_, err := other.PaymentIntents.Get("pi_x", nil)
	if e := fault(t, err); e.HTTPStatusCode != http.StatusUnauthorized || e.Type != stripe.ErrorTypeInvalidRequest {
		t.Errorf("with another: %v", e)
	}
}

func TestConfig_SaysEverythingThatIsWrong(t *testing.T) {
	for _, cfg := range []Config{
		{WebhookURL: "127.0.0.1:1", WebhookSecret: "whsec_x"},
		{WebhookURL: "http://127.0.0.1:1"},
		{WebhookSenders: -1},
		{Limits: Limits{PerAccount: -1}},
		{Latency: Latency{Median: 2, P99: 1}},
		{Faults: Faults{TimeoutRate: 1.5}},
		{Faults: Faults{Donors: Donors{SucceedRate: 0.6, FailRate: 0.6}}},
		{Faults: Faults{Outage: "sulking"}},
		{Faults: Faults{Webhooks: WebhookFaults{Delay: -1}}},
	} {
		if s, err := New(cfg); err == nil {
			t.Errorf("%+v was taken: %v", cfg, s.Close())
		}
	}
}
