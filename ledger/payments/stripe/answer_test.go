package stripe

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"spillway/ledger/payments"
)

// FuzzAnswer: whatever an answer looks like, it is one thing only, and none that
// money could be lost by.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []struct {
		status int
		body   string
	}{
		{200, intentJSON("succeeded", chargeJSON)},
		{200, intentJSON("requires_action", `,"client_secret":"s"`)},
		{402, errorJSON(`"type":"card_error","code":"card_declined","decline_code":"lost_card","payment_intent":` + intentJSON("requires_payment_method"))},
		{400, errorJSON(`"type":"invalid_request_error","code":"amount_too_small","param":"amount"`)},
		{400, errorJSON(`"type":"idempotency_error"`)},
		{409, errorJSON(`"type":"idempotency_error","code":"idempotency_key_in_use"`)},
		{429, errorJSON(`"code":"lock_timeout"`)},
		{500, "<html>"},
		{301, ""},
	} {
		f.Add(seed.status, []byte(seed.body), true, false)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, whole, replayed bool) {
		if status < 100 || status > 999 {
			return // net/http gives no other
		}
		x := exchange{status: status, header: http.Header{}, body: body, whole: whole}
		x.connected.Store(true)
		if replayed {
			x.header.Set("Idempotent-Replayed", "true")
		}
		rep := x.reply(context.Background(), nil)
		a, of := chargeAnswer(&rep, 3)
		if (a.Intent != nil) == (a.Kind != 0) || a.Refund != nil {
			t.Fatalf("%d %q: %+v", status, body, a)
		}
		switch {
		case a.Intent != nil:
			if s := a.Intent; identified(s.ID) != nil || s.AmountMinor < 0 || s.AttemptNo != 3 || s.Currency == "" || !whole ||
				s.ClientSecret != "" && s.Status != payments.IntentRequiresAction {
				t.Fatalf("%d %q: %+v", status, body, s)
			}
		case a.Kind == payments.Definite:
			if a.Reason == "" || status < 400 || status > 499 || !whole {
				t.Fatalf("%d %q is final: %+v", status, body, a)
			}
		case a.Kind == payments.Retry:
			if status < 400 || status > 499 || status == 402 && of != aboutAnswered {
				t.Fatalf("%d %q surely did nothing: %+v", status, body, a)
			}
		case a.Kind != payments.Unknown:
			t.Fatalf("%d %q: %+v", status, body, a)
		}
		if a.Detail != "" && word(a.Detail) == "" {
			t.Fatalf("%d %q: a text of theirs in %q", status, body, a.Detail)
		}
		due := payments.RefundDue{Refund: [16]byte{1}, Charge: "ch_1"}
		if a := refundAnswer(&rep, &due); (a.Refund != nil) == (a.Kind != 0) || a.Intent != nil || a.Kind == payments.Definite && (status < 400 || status > 499) {
			t.Fatalf("refund: %d %q: %+v", status, body, a)
		}
	})
}

// TestCharge_AKeptConnectionThatIsGone: net/http repeats a call by itself when a kept
// connection ends before any answer. It must be the very same call.
func TestCharge_AKeptConnectionThatIsGone(t *testing.T) {
	s := newStandIn(t, func(n int, _ asked, w http.ResponseWriter) {
		if n == 2 { // on the connection that the first call left behind
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
			return
		}
		say(w, 200, intentJSON("succeeded"))
	})
	client := s.client(t)
	client.Charge(t.Context(), gift(client, func(ch *payments.Charge) { ch.Donation[0] = 1 }))
	a := client.Charge(t.Context(), gift(client))
	if a.Intent == nil || a.Intent.Status != payments.IntentSucceeded {
		t.Fatalf("%+v", a)
	}
	got := s.requests()
	if len(got) != 3 || got[1].body != got[2].body || got[1].header.Get("Idempotency-Key") != got[2].header.Get("Idempotency-Key") {
		t.Errorf("%d calls: %+v", len(got), got)
	}
}

// TestClient_OneCallOneConnection: calls side by side never share a connection, so
// that one which breaks makes one outcome unknown; and connections are kept.
func TestClient_OneCallOneConnection(t *testing.T) {
	const calls = 40
	arrived, release := make(chan string, calls), make(chan struct{})
	s := newStandIn(t, func(_ int, a asked, w http.ResponseWriter) {
		arrived <- a.header.Get("Idempotency-Key")
		<-release
		say(w, 200, intentJSON("succeeded"))
	})
	client := s.client(t)
	round := func() {
		done := make(chan payments.Answer, calls)
		for n := range calls {
			go func() {
				done <- client.Charge(t.Context(), gift(client, func(ch *payments.Charge) { ch.Donation[15] = byte(n) }))
			}()
		}
		for range calls {
			if key := <-arrived; !strings.HasPrefix(key, "spillway:") {
				t.Errorf("key %q", key)
			}
		}
		for range calls { // all are inside at once
			release <- struct{}{}
		}
		for range calls {
			if a := <-done; a.Intent == nil {
				t.Errorf("%+v", a)
			}
		}
	}
	round()
	connections := func() int {
		seen := map[string]bool{}
		for _, a := range s.requests() {
			seen[a.remote] = true
		}
		return len(seen)
	}
	first := connections()
	round()
	if first != calls || connections() != calls {
		t.Errorf("%d connections for %d calls at once, then %d more", first, calls, connections()-first)
	}
}

// BenchmarkCharge is one call over loopback HTTP, both sides' cost together.
func BenchmarkCharge(b *testing.B) {
	s := newStandIn(b, func(_ int, _ asked, w http.ResponseWriter) { say(w, 200, intentJSON("succeeded", chargeJSON)) })
	client := s.client(b)
	ch := gift(client)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a := client.Charge(b.Context(), ch); a.Intent == nil {
				b.Errorf("%+v", a)
			}
		}
	})
}

func BenchmarkParseEvent(b *testing.B) {
	body := []byte(eventJSON("payment_intent.succeeded", intentJSON("succeeded", chargeJSON)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEvent(body); err != nil {
			b.Fatal(err)
		}
	}
}
