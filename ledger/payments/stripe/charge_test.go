package stripe

import (
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ledger/payments"
)

func TestCharge_SendsWhatWasStored(t *testing.T) {
	s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) { say(w, 200, intentJSON("succeeded")) })
	client := s.client(t, func(c *Config) { c.Account = "acct_1" })
	ch := gift(client)
	want := "amount=5000&currency=usd&confirm=true&confirmation_token=ctoken_1" +
		"&automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never" +
		"&expand[0]=latest_charge.balance_transaction&metadata[attempt]=1&metadata[book]=live" +
		"&metadata[campaigns]=river-school+hill-clinic&metadata[donation]=" + donationText
	if string(ch.Params) != want {
		t.Fatalf("params %s", ch.Params)
	}
	// As an older build may have stored it; and the payment has learnt of an intent
	// since, by a webhook.
	ch.Params = append(ch.Params, "&metadata[of_old]=%61b"...)
	ch.Intent = "pi_1"
	client.Charge(t.Context(), ch)
	a := s.requests()[0]
	if a.method != "POST" || a.path != "/v1/payment_intents" || a.body != string(ch.Params) {
		t.Errorf("%s %s %s", a.method, a.path, a.body)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer sk_test_secret", "Stripe-Version": "2023-10-16", "Stripe-Account": "acct_1",
		"Idempotency-Key": "spillway:" + donationText + ":1", "Content-Type": "application/x-www-form-urlencoded",
		"X-Stripe-Client-Telemetry": "", "X-Stripe-Client-User-Agent": userAgent,
	} {
		if got := a.header.Values(name); strings.Join(got, "|") != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestCharge_ConfirmsTheSameIntentWithAnotherCard(t *testing.T) {
	s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) { say(w, 200, intentJSON("succeeded")) })
	client := s.client(t)
	got := client.Charge(t.Context(), gift(client, func(ch *payments.Charge) { ch.AttemptNo, ch.Intent, ch.Token = 2, "pi_1", "ctoken_2" }))
	if got.Intent == nil || got.Intent.AttemptNo != 2 {
		t.Errorf("got %+v", got)
	}
	a := s.requests()[0]
	if a.path != "/v1/payment_intents/pi_1/confirm" || a.body != "confirmation_token=ctoken_2&expand[0]=latest_charge.balance_transaction" ||
		a.header.Get("Idempotency-Key") != "spillway:"+donationText+":2" {
		t.Errorf("%s %s %v", a.path, a.body, a.header)
	}
}

func TestParams_OfCurrenciesAndBooks(t *testing.T) {
	client := newStandIn(t, nil).client(t)
	for _, c := range []struct {
		ch   payments.Charge
		want []string
	}{
		{payments.Charge{Currency: "JPY", AmountMinor: 500}, []string{"amount=500&currency=jpy&"}},
		{payments.Charge{Currency: "ISK", AmountMinor: 5}, []string{"amount=500&currency=isk&"}},
		{payments.Charge{Currency: "KWD", AmountMinor: 5120}, []string{"amount=5120&currency=kwd&"}},
		{payments.Charge{Currency: "USD", AmountMinor: 1, Rehearsal: true}, []string{"metadata[book]=rehearsal"}},
	} {
		got := string(client.Params(&c.ch))
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: %s", c.ch, got)
			}
		}
	}
	if got := client.Params(&payments.Charge{Currency: "KWD", AmountMinor: 5125}); got != nil {
		t.Errorf("an amount without a unit: %s", got)
	}
	a := client.Charge(t.Context(), &payments.Charge{Currency: "KWD", AmountMinor: 5125})
	if a.Kind != payments.Definite || a.Reason != payments.Refused {
		t.Errorf("an amount without a unit: %+v", a)
	}
	long := make([]string, 200)
	for i := range long {
		long[i] = strings.Repeat("x", 64)
	}
	if names := campaigns(long); len(names) > campaignsBytesMax || len(names) < campaignsBytesMax-65 {
		t.Errorf("%d bytes of campaigns", len(names))
	}
}

// route answers by the path, and fails the test where it was not expected.
func route(t *testing.T, by map[string]func(a asked, w http.ResponseWriter)) func(int, asked, http.ResponseWriter) {
	return func(_ int, a asked, w http.ResponseWriter) {
		answer, ok := by[a.method+" "+a.path]
		if !ok {
			t.Errorf("asked %s %s", a.method, a.path)
			say(w, 404, "{}")
			return
		}
		answer(a, w)
	}
}

func always(status int, body string) func(asked, http.ResponseWriter) {
	return func(_ asked, w http.ResponseWriter) { say(w, status, body) }
}

const (
	tokenUnusedJSON = `{"id":"ctoken_1","object":"confirmation_token","payment_intent":null,"setup_intent":null}`
	tokenUsedJSON   = `{"id":"ctoken_1","object":"confirmation_token","payment_intent":"pi_1"}`
)

var missingJSON = errorJSON(`"type":"invalid_request_error","code":"resource_missing","param":"token"`)

// TestCharge_TokenThatWeUsedOurselves: a call whose key was forgotten is refused
// because its own token is used up. That is no reason to ask for another card.
func TestCharge_TokenThatWeUsedOurselves(t *testing.T) {
	used := errorJSON(`"type":"invalid_request_error","code":"token_already_used","param":"confirmation_token"`)
	strange := errorJSON(`"type":"invalid_request_error","code":"of_next_year","param":"confirmation_token"`)
	foreign := strings.Replace(intentJSON("succeeded"), donationText, "ab010203-0405-8007-8009-0a0b0c0d0eff", 1)
	for _, c := range []struct {
		name                   string
		refusal, token, intent string
		want                   payments.Answer // Status of the intent counts
	}{
		{"by us", used, tokenUsedJSON, intentJSON("succeeded", chargeJSON), payments.Answer{Intent: &payments.IntentSeen{Status: payments.IntentSucceeded}}},
		{"by us, with a code of next year", strange, tokenUsedJSON, intentJSON("requires_action"), payments.Answer{Intent: &payments.IntentSeen{Status: payments.IntentRequiresAction}}},
		{"by another donation", used, tokenUsedJSON, foreign, payments.Answer{Kind: payments.Definite, Reason: payments.CardNeeded, Detail: "token_already_used"}},
		{"by nobody: it expired", strings.Replace(used, "token_already_used", "confirmation_token_expired", 1), tokenUnusedJSON, "",
			payments.Answer{Kind: payments.Definite, Reason: payments.CardNeeded, Detail: "confirmation_token_expired"}},
		{"with an answer that cannot be read", used, `{"id":"ctoken_2"}`, "", payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){
				"POST /v1/payment_intents":             always(400, c.refusal),
				"GET /v1/confirmation_tokens/ctoken_1": always(200, c.token),
				"GET /v1/payment_intents/pi_1":         always(200, c.intent),
			}))
			client := s.client(t)
			sameState(t, client.Charge(t.Context(), gift(client, func(ch *payments.Charge) { ch.FirstCalledAt = time.Unix(1700000000, 0) })), c.want)
		})
	}
	t.Run("junk that was never called", func(t *testing.T) { // costs the processor's patience once, not a dozen times
		s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){"POST /v1/payment_intents": always(400, used)}))
		client := s.client(t)
		sameState(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Definite, Reason: payments.CardNeeded, Detail: "token_already_used"})
	})
}

// sameState is same, with the intent's status and attempt alone.
func sameState(t *testing.T, got, want payments.Answer) {
	t.Helper()
	g, w := got.Intent, want.Intent
	got.Intent, want.Intent = nil, nil
	if got != want || (g == nil) != (w == nil) || g != nil && (g.Status != w.Status || g.AttemptNo != 1 || g.ID != "pi_1") {
		t.Fatalf("got %+v (%+v), want %+v (%+v)", got, g, want, w)
	}
}

// TestCharge_StoredFailure: the processor repeats a 500 from its memory for a day.
func TestCharge_StoredFailure(t *testing.T) {
	stored := func(_ asked, w http.ResponseWriter) {
		w.Header().Set("Idempotent-Replayed", "true")
		say(w, 500, errorJSON(`"type":"api_error"`))
	}
	t.Run("of a call that was carried out", func(t *testing.T) {
		s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){
			"POST /v1/payment_intents":             stored,
			"GET /v1/confirmation_tokens/ctoken_1": always(200, tokenUsedJSON),
			"GET /v1/payment_intents/pi_1":         always(200, intentJSON("succeeded", chargeJSON)),
		}))
		client := s.client(t)
		sameState(t, client.Charge(t.Context(), gift(client)), payments.Answer{Intent: &payments.IntentSeen{Status: payments.IntentSucceeded}})
	})
	t.Run("of one that was not", func(t *testing.T) {
		s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){
			"POST /v1/payment_intents": func(a asked, w http.ResponseWriter) {
				if strings.HasSuffix(a.header.Get("Idempotency-Key"), ":fresh2") {
					say(w, 200, intentJSON("succeeded", chargeJSON))
					return
				}
				stored(a, w)
			},
			"GET /v1/confirmation_tokens/ctoken_1": always(200, tokenUnusedJSON),
		}))
		client := s.client(t)
		sameState(t, client.Charge(t.Context(), gift(client)), payments.Answer{Intent: &payments.IntentSeen{Status: payments.IntentSucceeded}})
		bodies := map[string]bool{}
		for _, a := range s.requests() {
			if a.method == "POST" {
				bodies[a.body] = true
			}
		}
		if len(bodies) != 1 {
			t.Errorf("different calls: %v", bodies)
		}
	})
	t.Run("for ever", func(t *testing.T) {
		s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){
			"POST /v1/payment_intents":             stored,
			"GET /v1/confirmation_tokens/ctoken_1": always(200, tokenUnusedJSON),
		}))
		client := s.client(t)
		sameState(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Unknown, Detail: alarmReplayed})
		if n := len(s.requests()); n != 2*(freshKeysMax+1) {
			t.Errorf("%d calls", n)
		}
	})
	t.Run("and nobody can say", func(t *testing.T) {
		s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){
			"POST /v1/payment_intents":             stored,
			"GET /v1/confirmation_tokens/ctoken_1": always(503, ""),
		}))
		client := s.client(t)
		sameState(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Unknown, Detail: "server_error"})
	})
}

// TestCharge_ParametersThatDiffer: somebody used our key with another body. What
// became of that call is looked up, and a person must know.
func TestCharge_ParametersThatDiffer(t *testing.T) {
	s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){
		"POST /v1/payment_intents":             always(400, errorJSON(`"type":"idempotency_error"`)),
		"GET /v1/confirmation_tokens/ctoken_1": always(200, tokenUnusedJSON),
	}))
	client := s.client(t)
	sameState(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Unknown, Detail: alarmParameters})
}

func TestCharge_IntentThatOurBooksLost(t *testing.T) {
	s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){
		"GET /v1/confirmation_tokens/ctoken_1": always(200, tokenUnusedJSON),
	}))
	client := s.client(t)
	ch := gift(client, func(ch *payments.Charge) { ch.Intent = "pi_1" })
	ch.Intent = ""
	sameState(t, client.Charge(t.Context(), ch), payments.Answer{Kind: payments.Definite, Reason: payments.CardNeeded, Detail: "intent_gone"})
}

func TestLook(t *testing.T) {
	ours, other := intentJSON("succeeded", chargeJSON), strings.Replace(intentJSON("succeeded"), donationText, "nobody", 1)
	canceled := intentJSON("canceled")
	gone := map[string]func(asked, http.ResponseWriter){"GET /v1/confirmation_tokens/ctoken_1": always(404, missingJSON)}
	searched := func(body string) func(asked, http.ResponseWriter) {
		return func(a asked, w http.ResponseWriter) {
			if q := a.query.Get("query"); q != "metadata['donation']:'"+donationText+"'" {
				say(w, 400, errorJSON(`"type":"invalid_request_error"`))
				return
			}
			say(w, 200, body)
		}
	}
	empty := listJSON(false)
	nothingThere := payments.Answer{Kind: payments.Retry, Detail: "looked_nothing"}
	succeeded := payments.Answer{Intent: &payments.IntentSeen{Status: payments.IntentSucceeded}}
	with := func(more map[string]func(asked, http.ResponseWriter)) map[string]func(asked, http.ResponseWriter) {
		for k, v := range gone {
			if _, set := more[k]; !set {
				more[k] = v
			}
		}
		return more
	}
	for _, c := range []struct {
		name   string
		by     map[string]func(asked, http.ResponseWriter)
		change func(*payments.Charge)
		want   payments.Answer
	}{
		{"the token is unused", map[string]func(asked, http.ResponseWriter){
			"GET /v1/confirmation_tokens/ctoken_1": always(200, tokenUnusedJSON)}, nil, nothingThere},
		{"the token cannot be asked for", map[string]func(asked, http.ResponseWriter){
			"GET /v1/confirmation_tokens/ctoken_1": always(429, "{}")}, nil,
			payments.Answer{Kind: payments.Unknown, Detail: "rate_limited", RateLimited: "unnamed"}},
		{"its intent cannot be asked for", map[string]func(asked, http.ResponseWriter){
			"GET /v1/confirmation_tokens/ctoken_1": always(200, tokenUsedJSON),
			"GET /v1/payment_intents/pi_1":         always(404, missingJSON)}, nil, payments.Answer{Kind: payments.Unknown, Detail: alarmMissing}},
		{"search finds it", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/search": searched(listJSON(false, intentJSON("processing"))),
			"GET /v1/payment_intents/pi_1":   always(200, ours)}), nil, succeeded},
		{"search is behind, the list has it", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/search": searched(empty),
			"GET /v1/payment_intents": func(a asked, w http.ResponseWriter) {
				if a.query.Get("starting_after") == "" {
					say(w, 200, listJSON(true, other, strings.Replace(other, "pi_1", "pi_0", 1)))
					return
				}
				if a.query.Get("starting_after") != "pi_0" || a.query.Get("limit") != "100" || a.query.Get("created[gte]") != "1699999970" {
					t.Errorf("asked %v", a.query)
				}
				say(w, 200, listJSON(false, other, ours))
			}}), nil, succeeded},
		{"nothing anywhere", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/search": searched(empty),
			"GET /v1/payment_intents":        always(200, listJSON(false, other))}), nil, nothingThere},
		{"no search on this account", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/search": always(400, errorJSON(`"type":"invalid_request_error"`)),
			"GET /v1/payment_intents":        always(200, empty)}), nil, nothingThere},
		{"a canceled one is of an earlier attempt", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/search": searched(listJSON(false, canceled)),
			"GET /v1/payment_intents/pi_1":   always(200, canceled),
			"GET /v1/payment_intents":        always(200, listJSON(false, canceled))}), nil, nothingThere},
		{"the list fails in the middle", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/search": searched(empty),
			"GET /v1/payment_intents":        always(500, "")}), nil, payments.Answer{Kind: payments.Unknown, Detail: "server_error"}},
		{"the list does not end", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/search": searched(empty),
			"GET /v1/payment_intents":        always(200, listJSON(true, other))}), nil, payments.Answer{Kind: payments.Unknown, Detail: alarmLook}},
		{"the list promises more and says not where", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/search": searched(empty),
			"GET /v1/payment_intents":        always(200, listJSON(true))}), nil, payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}},
		{"another card: captured", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/pi_1": always(200, ours)}), func(ch *payments.Charge) { ch.Intent = "pi_1" }, succeeded},
		{"another card: the decline is of the card before", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/pi_1": always(200, intentJSON("requires_payment_method", `,"latest_charge":{"id":"ch_0","created":1600000000}`))}),
			func(ch *payments.Charge) { ch.Intent = "pi_1" }, nothingThere},
		{"another card: the decline is its own", with(map[string]func(asked, http.ResponseWriter){
			"GET /v1/payment_intents/pi_1": always(200, intentJSON("requires_payment_method", `,"latest_charge":{"id":"ch_2","created":1700000005}`))}),
			func(ch *payments.Charge) { ch.Intent = "pi_1" }, payments.Answer{Intent: &payments.IntentSeen{Status: payments.IntentRequiresPaymentMethod}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newStandIn(t, route(t, c.by)).client(t)
			ch := gift(client, func(ch *payments.Charge) { ch.FirstCalledAt, ch.LookFirst = time.Unix(1700000000, 0), true })
			if c.change != nil {
				c.change(ch)
			}
			sameState(t, client.Look(t.Context(), ch), c.want)
		})
	}
}

func TestCancelIntent(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   payments.Answer
	}{
		{"canceled", 200, intentJSON("canceled"), payments.Answer{Intent: &payments.IntentSeen{Status: payments.IntentCanceled}}},
		{"captured before", 400, errorJSON(`"type":"invalid_request_error","code":"payment_intent_unexpected_state","payment_intent":` + intentJSON("succeeded", chargeJSON)),
			payments.Answer{Intent: &payments.IntentSeen{Status: payments.IntentSucceeded}}},
		{"unknown to the account", 404, errorJSON(`"type":"invalid_request_error","code":"resource_missing","param":"intent"`), payments.Answer{Kind: payments.Retry, Detail: alarmMissing, RetryAfter: alarmWait}},
		{"broken inside", 500, "{}", payments.Answer{Kind: payments.Unknown, Detail: "server_error"}},
		{"nonsense", 400, errorJSON(`"type":"invalid_request_error","code":"parameter_unknown"`), payments.Answer{Kind: payments.Retry, Detail: alarmRefused, RetryAfter: alarmWait}},
		{"of a card, somehow", 400, errorJSON(`"type":"invalid_request_error","code":"amount_too_small"`), payments.Answer{Kind: payments.Unknown, Detail: "amount_too_small"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) { say(w, c.status, c.body) })
			got := s.client(t).CancelIntent(t.Context(), "pi_1", donationID)
			if got.Intent != nil {
				if got.Intent.AttemptNo != 0 {
					t.Errorf("claims attempt %d", got.Intent.AttemptNo)
				}
				got.Intent.AttemptNo = 1
			}
			sameState(t, got, c.want)
			a := s.requests()[0]
			if a.path != "/v1/payment_intents/pi_1/cancel" || a.header.Get("Idempotency-Key") != "spillway:"+donationText+":cancel:pi_1" {
				t.Errorf("asked %+v", a)
			}
		})
	}
	t.Run("a refusal of yesterday", func(t *testing.T) {
		s := newStandIn(t, func(n int, _ asked, w http.ResponseWriter) {
			if n == 1 {
				w.Header().Set("Idempotent-Replayed", "true")
				say(w, 400, errorJSON(`"type":"invalid_request_error","code":"payment_intent_unexpected_state","payment_intent":`+intentJSON("processing")))
				return
			}
			say(w, 200, intentJSON("canceled"))
		})
		got := s.client(t).CancelIntent(t.Context(), "pi_1", donationID)
		if got.Intent == nil || got.Intent.Status != payments.IntentCanceled {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRefund_LooksBeforeItSaysNo(t *testing.T) {
	due := payments.RefundDue{Refund: [16]byte{1}, Donation: donationID, Charge: "ch_1", AmountMinor: 3000, Currency: "USD", FirstCalledAt: time.Unix(1700000000, 0)}
	refused := always(400, errorJSON(`"type":"invalid_request_error","code":"charge_already_refunded"`))
	row := func(ours string) string {
		return `{"id":"re_1","object":"refund","charge":"ch_1","amount":3000,"currency":"usd","status":"succeeded","metadata":{"refund":"` + ours + `"}}`
	}
	for _, c := range []struct {
		name string
		rows string
		want bool
	}{{"our own did it", row(uuid(due.Refund)), true}, {"another did it", row("elsewhere"), false}} {
		t.Run(c.name, func(t *testing.T) {
			s := newStandIn(t, route(t, map[string]func(asked, http.ResponseWriter){
				"POST /v1/refunds": refused,
				"GET /v1/refunds": func(a asked, w http.ResponseWriter) {
					if a.query.Get("charge") != "ch_1" {
						t.Errorf("asked %v", a.query)
					}
					say(w, 200, listJSON(false, c.rows))
				},
			}))
			got := s.client(t).Refund(t.Context(), &due)
			if c.want != (got.Refund != nil) || !c.want && got.Kind != payments.Definite {
				t.Errorf("got %+v", got)
			}
		})
	}
	if got := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) { say(w, 200, listJSON(false, row(""))) }).client(t).LookRefund(t.Context(), &due); got.Kind != payments.Retry || got.Detail != "looked_nothing" {
		t.Errorf("not there: %+v", got)
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"no key":                  {},
		"a key with a line break": {Key: "sk_1\n"},
		"a base URL without host": {Key: "sk_1", BaseURL: "localhost"},
		"a password in the URL":   {Key: "sk_1", BaseURL: "http://a:b@localhost"},
		"a negative bound":        {Key: "sk_1", Timeout: -1},
	} {
		if _, err := New(c, nil, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s is taken", name)
		} else if c.Key != "" && strings.Contains(err.Error(), "sk_1") {
			t.Errorf("%s: the key is in the error", name)
		}
	}
}

func TestClient_CountsItsCalls(t *testing.T) {
	s := newStandIn(t, func(n int, _ asked, w http.ResponseWriter) {
		w.Header().Set("Stripe-Rate-Limited-Reason", []string{"endpoint-rate", "Ada", "new-reason"}[n%3])
		say(w, []int{429, 200, 429}[n%3], intentJSON("succeeded"))
	})
	reg := prometheus.NewRegistry()
	client, err := New(Config{Key: "sk_1", BaseURL: s.URL}, reg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for range 3 {
		client.Charge(t.Context(), gift(client))
	}
	figures, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range figures {
		if f.GetName() == "payments_processor_alarms_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := f.GetName()
			for _, l := range m.GetLabel() {
				labels += " " + l.GetValue()
			}
			got[labels] = m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"payments_processor_calls_total payment_intents.create 200": 1,
		"payments_processor_calls_total payment_intents.create 429": 2,
		"payments_processor_limited_total endpoint-rate":            1,
		"payments_processor_limited_total other":                    1,
		"payments_processor_seconds payment_intents.create":         0, // a histogram
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("figures %v", got)
	}
}

// A wrong key refuses every call: a person is told once a minute, and each is counted.
func TestClient_SaysWhatNeedsAPerson(t *testing.T) {
	s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) { say(w, 401, errorJSON(`"type":"invalid_request_error"`)) })
	reg := prometheus.NewRegistry()
	var log strings.Builder
	client, err := New(Config{Key: "sk_test_secret", BaseURL: s.URL}, reg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for range 3 {
		client.Charge(t.Context(), gift(client))
	}
	if n := strings.Count(log.String(), "alarm="+alarmUnauthorized); n != 1 || strings.Contains(log.String(), "sk_test") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	figures, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	rung := 0.0
	for _, f := range figures {
		if f.GetName() == "payments_processor_alarms_total" {
			if len(f.GetMetric()) != len(alarmWords) {
				t.Errorf("%d alarms of %d stand at 0", len(f.GetMetric()), len(alarmWords))
			}
			for _, m := range f.GetMetric() {
				rung += m.GetCounter().GetValue()
			}
		}
	}
	if rung != 3 {
		t.Errorf("%v alarms counted", rung)
	}
	var a alarms
	now := time.Unix(1700000000, 0)
	if !a.due("x", now) || a.due("x", now.Add(alarmEvery-1)) || !a.due("y", now) || !a.due("x", now.Add(alarmEvery)) {
		t.Error("an alarm is not due once a minute")
	}
}
