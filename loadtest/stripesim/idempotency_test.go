package stripesim

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"pgregory.net/rapid"
)

const confirmForm = "amount=5000&currency=usd&confirm=true&confirmation_token="

func TestKey_SameCallSameAnswer(t *testing.T) {
	r := start(t, Config{})
	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"success", "ctoken_card_visa", 200}, {"decline", "ctoken_card_chargeDeclined", 402},
		{"error", "ctoken_card_error", 500}, {"error after it was carried out", "ctoken_card_errorAfterCharge", 500},
	} {
		status, header, first := r.raw("POST", "/v1/payment_intents", confirmForm+c.token, c.name)
		if status != c.status || header.Get("Idempotent-Replayed") != "" || header.Get("Idempotency-Key") != c.name {
			t.Errorf("%s: %d %v %s", c.name, status, header, first)
		}
		for range 3 {
			status, header, again := r.raw("POST", "/v1/payment_intents", confirmForm+c.token, c.name)
			if status != c.status || again != first || header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("%s replayed: %d %v\n%s\n%s", c.name, status, header, again, first)
			}
		}
	}
	if b := r.books(); b.Totals[0].Charges != 2 || b.Totals[0].Failed != 1 || b.Totals[0].Intents != 3 {
		t.Errorf("books %+v", b.Totals)
	}
}

// TestKey_AnswerIsOfItsTime: what is replayed is what was said, not what is.
func TestKey_AnswerIsOfItsTime(t *testing.T) {
	r := start(t, Config{})
	p, err := r.charge("d-1", 5000, "ctoken_card_authenticationRequired")
	if err != nil {
		t.Fatal(err)
	}
	if status := r.post("/sim/intents/"+p.ID+"/authenticate?outcome=succeed", "", nil); status != 200 {
		t.Fatal(status)
	}
	again, err := r.charge("d-1", 5000, "ctoken_card_authenticationRequired")
	if err != nil || again.ID != p.ID || again.Status != stripe.PaymentIntentStatusRequiresAction {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestKey_OtherParametersAreAnError(t *testing.T) {
	r := start(t, Config{})
	if status, _, body := r.raw("POST", "/v1/payment_intents", confirmForm+"ctoken_x", "k"); status != 200 {
		t.Fatal(body)
	}
	for _, c := range []struct{ path, form string }{
		{"/v1/payment_intents", confirmForm + "ctoken_y"},
		{"/v1/payment_intents", confirmForm + "ctoken_x&description=more"},
		{"/v1/refunds", confirmForm + "ctoken_x"},
	} {
		status, _, body := r.raw("POST", c.path, c.form, "k")
		if c.path == "/v1/refunds" {
			c.form = "charge=ch_x"
			status, _, body = r.raw("POST", c.path, c.form, "k")
		}
		if status != 400 || !strings.Contains(body, `"type":"idempotency_error"`) {
			t.Errorf("%s %s: %d %s", c.path, c.form, status, body)
		}
	}
	// The order of parameters is none of their content.
	if status, _, body := r.raw("POST", "/v1/payment_intents", "confirmation_token=ctoken_x&confirm=true&currency=usd&amount=5000", "k"); status != 200 {
		t.Errorf("turned round: %d %s", status, body)
	}
}

func TestKey_RefusedBeforeExecutionIsNotRemembered(t *testing.T) {
	r := start(t, Config{})
	if status, _, _ := r.raw("POST", "/v1/payment_intents", "amount=1&currency=usd", "k"); status != 400 {
		t.Fatal(status)
	}
	if status, header, body := r.raw("POST", "/v1/payment_intents", "amount=5000&currency=usd", "k"); status != 200 || header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%d %v %s", status, header, body)
	}
}

func TestKey_ForgottenAfterADay(t *testing.T) {
	r := start(t, Config{})
	first, err := r.charge("d-1", 5000, "ctoken_x")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.server.Advance(24*time.Hour - 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if p, err := r.charge("d-1", 5000, "ctoken_x"); err != nil || p.ID != first.ID {
		t.Fatalf("within the day: %v, %v", p, err)
	}
	if err := r.server.Advance(2 * time.Second); err != nil {
		t.Fatal(err)
	}
	second, err := r.charge("d-1", 5000, "ctoken_x")
	if err != nil || second.ID == first.ID {
		t.Errorf("after it: %v, %v", second, err)
	}
	if b := r.books(); b.Totals[0].Doubled != 1 || len(b.Charged()["d-1"]) != 2 {
		t.Errorf("the books do not show the second charge: %+v", b.Totals)
	}
	if keys := r.server.Stats().Keys; keys != 1 {
		t.Errorf("%d keys are remembered", keys)
	}
}

// TestKey_InFlight: while a call is carried out, the same one is told to come back.
func TestKey_InFlight(t *testing.T) {
	r := start(t, Config{})
	k := hashKey("k")
	r.server.mu.Lock()
	r.server.running[k] = true // as enter does
	r.server.mu.Unlock()
	status, _, body := r.raw("POST", "/v1/payment_intents", confirmForm+"ctoken_x", "k")
	if status != http.StatusConflict || !strings.Contains(body, "idempotency_key_in_use") {
		t.Errorf("%d %s", status, body)
	}
	r.server.mu.Lock()
	delete(r.server.running, k)
	r.server.mu.Unlock()
	for _, replayed := range []string{"", "true"} { // the 409 is not remembered
		if status, header, _ := r.raw("POST", "/v1/payment_intents", confirmForm+"ctoken_x", "k"); status != 200 || header.Get("Idempotent-Replayed") != replayed {
			t.Errorf("after it: %d %v", status, header)
		}
	}
}

func TestIntent_OneCallAtATime(t *testing.T) {
	r := start(t, Config{})
	p, err := r.charge("d-1", 5000, "ctoken_card_authenticationRequired")
	if err != nil {
		t.Fatal(err)
	}
	n := r.server.ids.number(intentKind, p.ID)
	r.server.mu.Lock()
	r.server.busy[n] = true
	r.server.mu.Unlock()
	for _, verb := range []string{"/cancel", "/confirm", ""} {
		status, header, body := r.raw("POST", "/v1/payment_intents/"+p.ID+verb, "", "b")
		if status != http.StatusTooManyRequests || !strings.Contains(body, "lock_timeout") || header.Get("Stripe-Rate-Limited-Reason") != "resource-specific" {
			t.Errorf("%d %s", status, body)
		}
	}
	if status := r.post("/sim/intents/"+p.ID+"/authenticate?outcome=succeed", "", nil); status != http.StatusTooManyRequests {
		t.Errorf("the donor acts meanwhile: %d", status)
	}
	r.server.mu.Lock()
	delete(r.server.busy, n)
	r.server.mu.Unlock()
	if status, _, body := r.raw("POST", "/v1/payment_intents/"+p.ID+"/cancel", "", "b"); status != 200 {
		t.Errorf("after it: %d %s", status, body)
	}
	r.server.mu.RLock()
	defer r.server.mu.RUnlock()
	if len(r.server.busy)+len(r.server.running) != 0 {
		t.Errorf("calls that ended still hold %v, %v", r.server.busy, r.server.running)
	}
}

// TestKey_ChargesOnce is the property that everything above serves: whatever calls
// come in whatever order, on several connections, with answers lost, there is at
// most one charge per key, and its answers are all the same.
func TestKey_ChargesOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, err := New(Config{Seed: rapid.Uint64Range(1, 1<<20).Draw(rt, "seed"), Faults: Faults{DeclineRate: 0.2, ErrorRate: 0.1, ErrorAfterRate: 0.1}})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				rt.Fatal(err)
			}
		}()
		type ask struct{ key, form string }
		asks := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) ask {
			key := fmt.Sprintf("key-%d", rapid.IntRange(0, 4).Draw(rt, "key"))
			amount := rapid.SampledFrom([]int{10, 5000, 5000, 5000, 7000}).Draw(rt, "amount")
			token := rapid.SampledFrom([]string{"ctoken_x", "ctoken_x", "ctoken_card_chargeDeclined"}).Draw(rt, "token")
			return ask{key, fmt.Sprintf("amount=%d&currency=usd&confirm=true&confirmation_token=%s&metadata[donation]=%s", amount, token, key)}
		}), 1, 40).Draw(rt, "asks")
		hands := rapid.IntRange(1, 4).Draw(rt, "hands")
		var mu sync.Mutex
		answers := map[ask]map[string]bool{} // remembered ones
		firsts := map[string]ask{}           // which form a key was remembered with
		var work sync.WaitGroup
		for hand := range hands {
			work.Go(func() {
				for i := hand; i < len(asks); i += hands {
					a := asks[i]
					status, body := serve(s, "POST", "/v1/payment_intents", a.form, a.key)
					if status == http.StatusConflict || strings.Contains(body, `"idempotency_error"`) || strings.Contains(body, "amount_too_small") {
						continue
					}
					mu.Lock()
					if first, ok := firsts[a.key]; ok && first != a {
						rt.Errorf("%s was carried out as %s and as %s", a.key, first.form, a.form)
					}
					firsts[a.key] = a
					if answers[a] == nil {
						answers[a] = map[string]bool{}
					}
					answers[a][body] = true
					mu.Unlock()
				}
			})
		}
		work.Wait()
		for a, bodies := range answers {
			if len(bodies) != 1 {
				rt.Errorf("%d different answers to %s", len(bodies), a.form)
			}
		}
		b, err := s.Books()
		if err != nil {
			rt.Fatal(err)
		}
		for donation, charges := range b.Charged() {
			if len(charges) > 1 {
				rt.Errorf("%s was charged %d times", donation, len(charges))
			}
		}
		checkBooks(rt, b)
	})
}
