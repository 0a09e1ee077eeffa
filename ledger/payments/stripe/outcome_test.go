package stripe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"spillway/ledger/payments"
)

// fee is what the answer of chargeJSON shows.
var feeSeen = payments.FeeSeen{Charge: "ch_1", BalanceTransaction: "txn_1", FeeMinor: 175, Currency: "USD"}

// TestCharge_ClaimsNoMoreThanIsKnown is the table of outcomes: what one answer of
// the processor makes of a first call.
func TestCharge_ClaimsNoMoreThanIsKnown(t *testing.T) {
	const (
		retry    = payments.Retry
		unknown  = payments.Unknown
		definite = payments.Definite
	)
	refused := func(kind payments.OutcomeKind, reason payments.FailReason, detail string) payments.Answer {
		return payments.Answer{Kind: kind, Reason: reason, Detail: detail}
	}
	shown := func(s payments.IntentSeen) payments.Answer {
		s.AttemptNo, s.ID, s.AmountMinor, s.Currency = 1, "pi_1", 5000, "USD"
		return payments.Answer{Intent: &s}
	}
	alarmed := func(word string) payments.Answer {
		return payments.Answer{Kind: retry, Detail: word, RetryAfter: alarmWait}
	}
	limited := func(detail, reason string, after time.Duration) payments.Answer {
		return payments.Answer{Kind: retry, Detail: detail, RateLimited: reason, RetryAfter: after}
	}
	for _, c := range []struct {
		name   string
		status int
		body   string
		header map[string]string
		want   payments.Answer
	}{
		// Answered.
		{"captured", 200, intentJSON("succeeded", chargeJSON), nil,
			shown(payments.IntentSeen{Status: payments.IntentSucceeded, Charge: "ch_1", Fee: &feeSeen})},
		{"captured, the charge by its ID alone", 200, intentJSON("succeeded", `,"latest_charge":"ch_1"`), nil,
			shown(payments.IntentSeen{Status: payments.IntentSucceeded, Charge: "ch_1"})},
		{"the donor must act", 200, intentJSON("requires_action", `,"client_secret":"pi_1_secret_2","latest_charge":null`), nil,
			shown(payments.IntentSeen{Status: payments.IntentRequiresAction, ClientSecret: "pi_1_secret_2"})},
		{"under way; its secret is not wanted", 200, intentJSON("processing", `,"client_secret":"pi_1_secret_2"`), nil,
			shown(payments.IntentSeen{Status: payments.IntentProcessing})},
		{"declined", 402, errorJSON(`"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","payment_intent":` +
			intentJSON("requires_payment_method", `,"latest_charge":"ch_1","last_payment_error":{"code":"card_declined","decline_code":"insufficient_funds"}`)), nil,
			shown(payments.IntentSeen{Status: payments.IntentRequiresPaymentMethod, Charge: "ch_1", Decline: payments.DeclineFunds})},
		{"declined, told beside the intent alone", 402, errorJSON(`"type":"card_error","code":"expired_card","payment_intent":` + intentJSON("requires_payment_method")), nil,
			shown(payments.IntentSeen{Status: payments.IntentRequiresPaymentMethod, Decline: payments.DeclineExpired})},
		{"declined without an intent", 402, errorJSON(`"type":"card_error","code":"card_declined"`), nil,
			refused(definite, payments.CardNeeded, "card_declined")},
		{"it is in another state already", 400, errorJSON(`"type":"invalid_request_error","code":"payment_intent_unexpected_state","payment_intent":` + intentJSON("succeeded", chargeJSON)), nil,
			shown(payments.IntentSeen{Status: payments.IntentSucceeded, Charge: "ch_1", Fee: &feeSeen})},

		// Surely nothing was done.
		{"too many calls", 429, errorJSON(`"type":"invalid_request_error","code":"rate_limit"`), map[string]string{"Stripe-Rate-Limited-Reason": "endpoint-rate", "Retry-After": "3"},
			limited("rate_limited", "endpoint-rate", 3*time.Second)},
		{"too many calls, without a reason", 429, errorJSON(`"type":"invalid_request_error"`), nil, limited("rate_limited", "unnamed", 0)},
		{"too many calls, from something in between", 429, "<html>slow down</html>", nil, limited("rate_limited", "unnamed", 0)},
		{"an endless wait asked for", 429, "{}", map[string]string{"Retry-After": "99999999"}, limited("rate_limited", "unnamed", retryAfterMax)},
		{"a lock on the object", 429, errorJSON(`"type":"invalid_request_error","code":"lock_timeout"`), nil, limited("lock_timeout", "", 0)},
		{"a lock on the object, as a conflict", 409, errorJSON(`"type":"invalid_request_error","code":"lock_timeout"`), nil, refused(retry, "", "lock_timeout")},
		{"a wrong key", 401, errorJSON(`"type":"invalid_request_error"`), nil, alarmed(alarmUnauthorized)},
		{"a key that may not", 403, errorJSON(`"type":"invalid_request_error","code":"secret_key_required"`), nil, alarmed(alarmForbidden)},
		{"a closed account", 400, errorJSON(`"type":"invalid_request_error","code":"account_invalid"`), nil, alarmed(alarmAccount)},
		{"a key for tests", 400, errorJSON(`"type":"invalid_request_error","code":"testmode_charges_only"`), nil, alarmed(alarmAccount)},
		{"not valid", 400, errorJSON(`"type":"invalid_request_error","code":"parameter_unknown"`), nil, alarmed(alarmRefused)},
		{"not valid, and no word for it", 400, errorJSON(`"type":"invalid_request_error","message":"Ada Example's card"`), nil, alarmed(alarmRefused)},
		{"no such API", 404, errorJSON(`"type":"invalid_request_error"`), nil, alarmed(alarmMissing)},

		// Nobody knows.
		{"our twin is under way", 409, errorJSON(`"type":"idempotency_error","code":"idempotency_key_in_use"`), nil, refused(unknown, "", "idempotency_key_in_use")},
		{"another conflict", 409, errorJSON(`"type":"invalid_request_error"`), nil, refused(unknown, "", "conflict")},
		{"broken inside", 500, errorJSON(`"type":"api_error"`), nil, refused(unknown, "", "server_error")},
		{"broken before", 502, "<html>bad gateway</html>", nil, refused(unknown, "", "server_error")},
		{"not there", 503, "", nil, refused(unknown, "", "server_error")},
		{"broken under another status", 400, errorJSON(`"type":"api_error"`), nil, refused(unknown, "", "server_error")},
		{"sent elsewhere", 302, "{}", map[string]string{"Location": "/elsewhere"}, refused(unknown, "", "status_unexpected")},
		{"a success that is no JSON", 200, "it is done", nil, refused(unknown, "", reasonUnreadable)},
		{"a success of nothing", 200, "{}", nil, refused(unknown, "", reasonUnreadable)},
		{"a success in no currency", 200, strings.Replace(intentJSON("succeeded"), `"usd"`, `"$"`, 1), nil, refused(unknown, "", reasonUnreadable)},
		{"a success of less than nothing", 200, strings.Replace(intentJSON("succeeded"), `"amount_received":5000`, `"amount_received":-1`, 1), nil, refused(unknown, "", reasonUnreadable)},
		{"a state that nobody knows", 200, intentJSON("levitating"), nil, refused(unknown, "", reasonUnreadable)},
		{"an ID with a path in it", 200, strings.Replace(intentJSON("succeeded"), "pi_1", "../pi", 1), nil, refused(unknown, "", reasonUnreadable)},
		{"a refusal that is no JSON", 400, "<html>bad request</html>", nil, refused(unknown, "", reasonUnreadable)},
		{"a status of nowhere", 418, "{}", nil, refused(unknown, "", "status_unexpected")},

		// Refused, and nothing was charged.
		{"too little", 400, errorJSON(`"type":"invalid_request_error","code":"amount_too_small","param":"amount"`), nil, refused(definite, payments.Refused, "amount_too_small")},
		{"too much", 400, errorJSON(`"type":"invalid_request_error","code":"amount_too_large","param":"amount"`), nil, refused(definite, payments.Refused, "amount_too_large")},
		{"no such currency here", 400, errorJSON(`"type":"invalid_request_error","param":"currency"`), nil, refused(definite, payments.Refused, "no_code")},
		{"a word that is a text", 400, errorJSON(`"type":"invalid_request_error","code":"Ada Example","param":"amount"`), nil, refused(definite, payments.Refused, "no_code")},
		{"a card of another kind", 400, errorJSON(`"type":"invalid_request_error","code":"payment_intent_incompatible_payment_method"`), nil,
			refused(definite, payments.CardNeeded, "payment_intent_incompatible_payment_method")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				say(w, c.status, c.body)
			})
			client := s.client(t)
			got := client.Charge(t.Context(), gift(client))
			same(t, got, c.want)
			if n := len(s.requests()); n != 1 {
				t.Errorf("%d calls for one answer", n)
			}
		})
	}
}

// same compares answers, what they point to included.
func same(t *testing.T, got, want payments.Answer) {
	t.Helper()
	g, w := got.Intent, want.Intent
	got.Intent, want.Intent = nil, nil
	if got != want || (g == nil) != (w == nil) {
		t.Fatalf("got %+v (intent %+v), want %+v (intent %+v)", got, g, want, w)
	}
	if g == nil {
		return
	}
	gf, wf := g.Fee, w.Fee
	a, b := *g, *w
	a.Fee, b.Fee = nil, nil
	if a != b || (gf == nil) != (wf == nil) || gf != nil && *gf != *wf {
		t.Fatalf("intent %+v (fee %+v), want %+v (fee %+v)", *g, gf, *w, wf)
	}
}

// hijack takes the connection of a request over.
func hijack(t *testing.T, w http.ResponseWriter) net.Conn {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
	}
	return conn
}

// TestCharge_WhatTheConnectionTells: without a whole answer, only a call that never
// had a connection did nothing.
func TestCharge_WhatTheConnectionTells(t *testing.T) {
	whole := intentJSON("succeeded", chargeJSON)
	for _, c := range []struct {
		name   string
		answer func(t *testing.T, w http.ResponseWriter)
		want   string
	}{
		{"reset after it was sent", func(t *testing.T, w http.ResponseWriter) {
			conn := hijack(t, w)
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}, reasonLost},
		{"closed without a word", func(t *testing.T, w http.ResponseWriter) { hijack(t, w).Close() }, reasonLost},
		{"cut in the middle of the answer", func(_ *testing.T, w http.ResponseWriter) {
			w.Header().Set("Content-Length", "5000")
			say(w, 200, whole[:len(whole)/2])
		}, reasonCut},
		{"cut in the middle of a chunked answer", func(t *testing.T, w http.ResponseWriter) {
			say(w, 200, whole[:len(whole)/2])
			_ = http.NewResponseController(w).Flush()
			hijack(t, w).Close()
		}, reasonCut},
		{"cut where it happens to be JSON", func(_ *testing.T, w http.ResponseWriter) {
			w.Header().Set("Content-Length", "5000")
			say(w, 200, whole)
		}, reasonCut},
		{"not HTTP", func(t *testing.T, w http.ResponseWriter) {
			conn := hijack(t, w)
			_, _ = conn.Write([]byte("hello\r\n\r\n"))
			conn.Close()
		}, reasonLost},
		{"longer than anything of Stripe's", func(_ *testing.T, w http.ResponseWriter) {
			w.WriteHeader(200)
			page := make([]byte, 1<<20)
			for range answerBytesMax>>20 + 1 {
				_, _ = w.Write(page)
			}
		}, reasonCut},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) { c.answer(t, w) })
			client := s.client(t)
			same(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Unknown, Detail: c.want})
		})
	}
	t.Run("429, cut", func(t *testing.T) {
		s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) {
			w.Header().Set("Content-Length", "5000")
			say(w, 429, "{")
		})
		client := s.client(t)
		same(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Retry, Detail: "rate_limited", RateLimited: "unnamed"})
	})
	t.Run("slower than the bound", func(t *testing.T) {
		release := make(chan struct{})
		s := newStandIn(t, func(int, asked, http.ResponseWriter) { <-release })
		defer close(release)
		client := s.client(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
		same(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Unknown, Detail: reasonTimeout})
	})
	t.Run("an answer that never ends", func(t *testing.T) {
		release := make(chan struct{})
		s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) {
			say(w, 200, "{")
			_ = http.NewResponseController(w).Flush()
			<-release
		})
		defer close(release)
		client := s.client(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
		same(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Unknown, Detail: reasonTimeout})
	})
	t.Run("our own process stops", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		s := newStandIn(t, func(int, asked, http.ResponseWriter) {
			cancel()
			<-release
		})
		defer close(release)
		client := s.client(t)
		same(t, client.Charge(ctx, gift(client)), payments.Answer{Kind: payments.Unknown, Detail: reasonStopped})
	})
	t.Run("stopped before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := newStandIn(t, func(int, asked, http.ResponseWriter) { t.Error("called") })
		client := s.client(t)
		same(t, client.Charge(ctx, gift(client)), payments.Answer{Kind: payments.Retry, Detail: reasonStopped})
	})
	t.Run("nobody listens", func(t *testing.T) {
		s := newStandIn(t, func(int, asked, http.ResponseWriter) {})
		client := s.client(t)
		s.Close()
		same(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Retry, Detail: reasonNoConnection})
	})
	t.Run("a certificate of somebody else's", func(t *testing.T) {
		tls := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
		defer tls.Close()
		s := newStandIn(t, func(int, asked, http.ResponseWriter) {})
		client := s.client(t, func(c *Config) { c.BaseURL = tls.URL })
		same(t, client.Charge(t.Context(), gift(client)), payments.Answer{Kind: payments.Retry, Detail: reasonNoConnection})
	})
}

func TestRefund_Outcomes(t *testing.T) {
	due := payments.RefundDue{Refund: [16]byte{1}, Donation: donationID, Intent: "pi_1", Charge: "ch_1", AmountMinor: 3000, Currency: "USD", Lines: []int64{2000, 1000}}
	made := `{"id":"re_1","object":"refund","charge":"ch_1","amount":3000,"currency":"usd","status":"%s","metadata":{"refund":"` + uuid(due.Refund) + `"}}`
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   payments.Answer // of Refund, ID and Status count
	}{
		{"made", 200, strings.Replace(made, "%s", "succeeded", 1), payments.Answer{Refund: &payments.RefundSeen{ID: "re_1", Status: payments.RefundSucceeded}}},
		{"on its way", 200, strings.Replace(made, "%s", "pending", 1), payments.Answer{Refund: &payments.RefundSeen{ID: "re_1", Status: payments.RefundPending}}},
		{"waits for the donor's bank", 200, strings.Replace(made, "%s", "requires_action", 1), payments.Answer{Refund: &payments.RefundSeen{ID: "re_1", Status: payments.RefundPending}}},
		{"a state that nobody knows", 200, strings.Replace(made, "%s", "lost", 1), payments.Answer{Kind: payments.Unknown, Detail: reasonUnreadable}},
		{"refunded already", 400, errorJSON(`"type":"invalid_request_error","code":"charge_already_refunded"`), payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: "charge_already_refunded"}},
		{"the bank has it", 400, errorJSON(`"type":"invalid_request_error","code":"charge_disputed"`), payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: "charge_disputed"}},
		{"a refusal of next year", 400, errorJSON(`"type":"invalid_request_error","code":"refund_of_next_year"`), payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: "refund_of_next_year"}},
		{"more than is left", 400, errorJSON(`"type":"invalid_request_error","param":"amount"`), payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: "no_code"}},
		{"not valid", 400, errorJSON(`"type":"invalid_request_error","code":"parameter_unknown"`), payments.Answer{Kind: payments.Retry, Detail: alarmRefused, RetryAfter: alarmWait}},
		{"not on this account", 404, errorJSON(`"type":"invalid_request_error","code":"resource_missing","param":"charge"`), payments.Answer{Kind: payments.Retry, Detail: alarmMissing, RetryAfter: alarmWait}},
		{"our balance is too low", 400, errorJSON(`"type":"invalid_request_error","code":"balance_insufficient"`), payments.Answer{Kind: payments.Retry, Detail: alarmBalance, RetryAfter: alarmWait}},
		{"too many calls", 429, "{}", payments.Answer{Kind: payments.Retry, Detail: "rate_limited", RateLimited: "unnamed"}},
		{"broken inside", 500, "{}", payments.Answer{Kind: payments.Unknown, Detail: "server_error"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) { say(w, c.status, c.body) })
			got := s.client(t).Refund(t.Context(), &due)
			if c.want.Refund != nil {
				r := got.Refund
				if r == nil || r.ID != c.want.Refund.ID || r.Status != c.want.Refund.Status || r.Ours != due.Refund || r.Charge != "ch_1" ||
					r.AmountMinor != 3000 || r.Currency != "USD" || len(r.Lines) != 2 {
					t.Fatalf("got %+v, %+v", got, r)
				}
			} else if got != c.want {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
			a := s.requests()[0]
			if a.path != "/v1/refunds" || a.form.Get("charge") != "ch_1" || a.form.Get("amount") != "3000" || a.form.Get("metadata[refund]") != uuid(due.Refund) ||
				a.header.Get("Idempotency-Key") != "spillway:"+donationText+":refund:"+uuid(due.Refund) {
				t.Errorf("asked %+v", a)
			}
		})
	}
}

func TestCallError_IsWhatListsFailWith(t *testing.T) {
	s := newStandIn(t, func(_ int, _ asked, w http.ResponseWriter) {
		w.Header().Set("Stripe-Rate-Limited-Reason", "global-rate")
		say(w, 429, "{}")
	})
	_, err := s.client(t).Payouts(t.Context(), time.Time{}, time.Time{}, "")
	var call *payments.CallError
	if !errors.As(err, &call) || call.Answer.RateLimited != "global-rate" || call.Answer.Kind != payments.Unknown {
		t.Errorf("%v", err)
	}
}
