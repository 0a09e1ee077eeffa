package stripesim

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// impatient is a client that gives up soon.
func (r *rig) impatient() *rig {
	c := &http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{}}
	r.t.Cleanup(c.CloseIdleConnections)
	return &rig{t: r.t, server: r.server, url: r.url, http: c, api: stripeClient(r.url, c)}
}

func TestTimeout_ChargedAndNeverAnswered(t *testing.T) {
	r := start(t, Config{})
	_, err := r.impatient().charge("d-1", 5000, "ctoken_card_timeout")
	if err == nil {
		t.Fatal("it was answered")
	}
	until(t, "it is carried out", func() bool { st := r.server.Stats(); return st.Charges == 1 && st.Hung == 1 })
	p, err := r.charge("d-1", 5000, "ctoken_card_timeout")
	if err != nil || p.Status != stripe.PaymentIntentStatusSucceeded {
		t.Fatalf("the same call again: %+v, %v", p, err)
	}
	if st := r.server.Stats(); st.Charges != 1 || st.Replays != 1 {
		t.Errorf("%+v", st)
	}
}

func TestReset_InTheMiddleOfTheAnswer(t *testing.T) {
	r := start(t, Config{})
	_, err := r.charge("d-1", 5000, "ctoken_card_reset")
	var e *stripe.Error
	if err == nil || errors.As(err, &e) {
		t.Fatalf("it was answered: %v", err)
	}
	// The head and the half of the body came: a client that trusts the status is wrong.
	res, err := r.http.Post(r.url+"/v1/payment_intents", "application/x-www-form-urlencoded", strings.NewReader(confirmForm+"ctoken_card_reset"))
	if err == nil {
		body, err := io.ReadAll(res.Body)
		if err == nil || res.StatusCode != http.StatusOK || int64(len(body)) >= res.ContentLength {
			t.Errorf("%d, %d of %d bytes, %v", res.StatusCode, len(body), res.ContentLength, err)
		}
		if err := res.Body.Close(); err != nil {
			t.Log(err)
		}
	}
	p, err := r.charge("d-1", 5000, "ctoken_card_reset")
	if err != nil || p.Status != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestErrorAfter_OnlyTheListsTell(t *testing.T) {
	r := start(t, Config{})
	_, err := r.charge("d-1", 5000, "ctoken_card_errorAfterCharge")
	if e := fault(t, err); e.HTTPStatusCode != http.StatusInternalServerError || e.Type != stripe.ErrorTypeAPI {
		t.Errorf("%v", e)
	}
	list := r.api.PaymentIntents.List(&stripe.PaymentIntentListParams{})
	if !list.Next() || list.PaymentIntent().Status != stripe.PaymentIntentStatusSucceeded || list.PaymentIntent().Metadata["donation"] != "d-1" {
		t.Errorf("%+v, %v", list.PaymentIntent(), list.Err())
	}
	tok, err := r.api.ConfirmationTokens.Get("ctoken_card_errorAfterCharge", nil)
	if err != nil || tok.PaymentIntent != list.PaymentIntent().ID {
		t.Errorf("%+v, %v", tok, err)
	}
}

func TestOutages_NothingIsCarriedOut(t *testing.T) {
	r := start(t, Config{})
	for _, outage := range []Outage{Unavailable, Hanging, Disconnected} {
		if status := r.post("/sim/faults", fmt.Sprintf(`{"outage":%q}`, outage), nil); status != 200 {
			t.Fatal(status)
		}
		caller := r
		if outage == Hanging {
			caller = r.impatient()
		}
		_, err := caller.charge("d-"+string(outage), 5000, "ctoken_x")
		var e *stripe.Error
		if answered := errors.As(err, &e); err == nil || answered != (outage == Unavailable) || answered && e.HTTPStatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %v", outage, err)
		}
	}
	if st := r.server.Stats(); st.Intents != 0 || st.Keys != 0 {
		t.Errorf("%+v", st)
	}
	if status := r.post("/sim/faults", `{"outage":""}`, nil); status != 200 {
		t.Fatal(status)
	}
	if _, err := r.charge("d-1", 5000, "ctoken_x"); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// TestFaults_RatesAndTheirRepeatability: each rate hits about as often as it says,
// the same seed hits the same calls in another order, and another seed others.
func TestFaults_RatesAndTheirRepeatability(t *testing.T) {
	fates := func(seed uint64, backwards bool) map[string]string {
		s, err := New(Config{Seed: seed, Faults: Faults{DeclineRate: 0.05, AuthenticateRate: 0.02, ErrorRate: 0.01, ErrorAfterRate: 0.01}})
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		const n = 4000
		for i := range n {
			if backwards {
				i = n - 1 - i
			}
			key := fmt.Sprintf("key %d", i)
			status, body := serve(s, "POST", "/v1/payment_intents", confirmForm+"ctoken_x", key)
			m[key] = fmt.Sprint(status)
			if strings.Contains(body, `"status":"requires_action"`) {
				m[key] = "action"
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := fates(7, false)
	counts := map[string]float64{}
	for _, f := range first {
		counts[f]++
	}
	for fate, rate := range map[string]float64{"402": 0.05, "action": 0.02, "500": 0.02} {
		want := rate * float64(len(first))
		if math.Abs(counts[fate]-want) > 5*math.Sqrt(want) {
			t.Errorf("%s: %g of %d, rate %g", fate, counts[fate], len(first), rate)
		}
	}
	differ := 0
	again, other := fates(7, true), fates(8, false)
	for key, f := range first {
		if again[key] != f {
			t.Errorf("%s: %s, and %s the other way round", key, f, again[key])
		}
		if other[key] != f {
			differ++
		}
	}
	if differ == 0 {
		t.Error("another seed changes nothing")
	}
}

func TestLatency_IsOfTheDistribution(t *testing.T) {
	l := Latency{Median: 300 * time.Millisecond, P99: 1200 * time.Millisecond}
	const n = 20000
	below, beyond := 0, 0
	for i := range uint64(n) {
		switch d := chance(mix(i)).latency(l); {
		case d <= 0 || d > latencyMax:
			t.Fatalf("drew %s", d)
		case d < l.Median:
			below++
		case d > l.P99:
			beyond++
		}
	}
	if math.Abs(float64(below)/n-0.5) > 0.02 || math.Abs(float64(beyond)/n-0.01) > 0.004 {
		t.Errorf("%d of %d below the median, %d beyond the 99th percentile", below, n, beyond)
	}
	if d := chance(1).latency(Latency{}); d != 0 {
		t.Errorf("none is %s", d)
	}
}

func TestLimits_SayWhichWasHit(t *testing.T) {
	r := start(t, Config{Limits: Limits{PerEndpoint: 2, PerAccount: 6, Search: 1}})
	hit := func(reason string, paths ...string) {
		until(t, reason, func() bool {
			for _, path := range paths {
				status, header, body := r.raw("GET", path, "", "")
				if status == http.StatusTooManyRequests && !strings.Contains(body, `"code":"rate_limit"`) {
					t.Errorf("%s", body)
				}
				if header.Get("Stripe-Rate-Limited-Reason") == reason {
					return true
				}
			}
			return false
		})
	}
	hit("endpoint-rate", "/v1/charges")
	hit("endpoint-rate", "/v1/payment_intents/search?query=status:'succeeded'")
	hit("endpoint-rate", "/v1/charges/ch_1", "/v1/charges/ch_2", "/v1/charges/ch_3") // IDs do not make endpoints
	hit("global-rate", "/v1/charges", "/v1/refunds", "/v1/disputes", "/v1/payouts", "/v1/events", "/v1/payment_intents", "/v1/balance")
	// A refused call is not remembered, and its key is free.
	var status int
	until(t, "the charge passes", func() bool {
		status, _, _ = r.raw("POST", "/v1/payment_intents", confirmForm+"ctoken_x", "k")
		return status != http.StatusTooManyRequests
	})
	if status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func TestBucket_LetsPassWhatTheLimitSays(t *testing.T) {
	const perSecond = 25
	var b bucket
	now := time.Unix(1000, 0)
	passed := 0
	for range 100 * 10 { // ten seconds at 100/s
		if b.take(now, perSecond) {
			passed++
		}
		now = now.Add(10 * time.Millisecond)
	}
	// A second's worth at once at the beginning, and then the rate.
	if want := perSecond*10 + perSecond; passed < want-2 || passed > want+1 {
		t.Errorf("%d passed, about %d may", passed, want)
	}
}

func TestStorm_RefusesWhateverTheLimits(t *testing.T) {
	r := start(t, Config{Faults: Faults{RateLimitRate: 0.5}})
	refused := 0
	for i := range 200 {
		status, header, _ := r.raw("POST", "/v1/payment_intents", confirmForm+"ctoken_x", fmt.Sprint(i))
		if status == http.StatusTooManyRequests && header.Get("Stripe-Rate-Limited-Reason") == "global-rate" {
			refused++
		}
	}
	if refused < 60 || refused > 140 {
		t.Errorf("%d of 200 were refused", refused)
	}
	if st := r.server.Stats(); st.Intents != int64(200-refused) {
		t.Errorf("%+v", st)
	}
}

func TestConcurrency_IsLimited(t *testing.T) {
	r := start(t, Config{Limits: Limits{Concurrent: 1}})
	if bad := r.server.limits.admit(Limits{}, "another call", time.Now()); bad != nil {
		t.Fatal(bad)
	}
	status, header, _ := r.raw("GET", "/v1/payment_intents", "", "")
	if status != http.StatusTooManyRequests || header.Get("Stripe-Rate-Limited-Reason") != "global-concurrency" {
		t.Errorf("%d %v", status, header)
	}
	r.server.limits.leave()
	if status, _, body := r.raw("GET", "/v1/payment_intents", "", ""); status != 200 {
		t.Errorf("after it: %d %s", status, body)
	}
}
