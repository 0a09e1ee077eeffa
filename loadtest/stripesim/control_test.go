package stripesim

import (
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
)

func TestFaults_ChangeLiveAndKeepTheRest(t *testing.T) {
	r := start(t, Config{Faults: Faults{DeclineRate: 0.25, Webhooks: WebhookFaults{LossRate: 0.5}}})
	var f Faults
	if status := r.post("/sim/faults", `{"decline_rate":1,"webhooks":{"delay":"1.5s"}}`, &f); status != 200 {
		t.Fatal(status)
	}
	want := Faults{DeclineRate: 1, Webhooks: WebhookFaults{LossRate: 0.5, Delay: Span(1500 * time.Millisecond)}}
	if f != want || r.server.Faults() != want {
		t.Errorf("%+v", f)
	}
	_, err := r.charge("d-1", 5000, "ctoken_x")
	if e := fault(t, err); e.Code != stripe.ErrorCodeCardDeclined {
		t.Errorf("%v", e)
	}
	// Another card is no first try: a rate of declines never stands in its way.
	p, err := r.api.PaymentIntents.Confirm(fault(t, err).PaymentIntent.ID, &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String("pm_card_visa")})
	if err != nil || p.Status != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestLimits_ChangeLive(t *testing.T) {
	r := start(t, Config{Limits: StripeLimits()})
	var l Limits
	if status := r.post("/sim/limits", `{"per_endpoint":250}`, &l); status != 200 || l != (Limits{PerEndpoint: 250, PerAccount: 100, Search: 20}) {
		t.Errorf("%d %+v", status, l)
	}
	if status := r.post("/sim/limits", `{"per_endpoint":-1}`, nil); status != 400 {
		t.Errorf("status %d", status)
	}
}

func TestClock_MovesForwardOnly(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, err := New(Config{Seed: 7, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := s.Now().Sub(now); got != time.Hour {
		t.Errorf("moved by %s", got)
	}
	serve(s, "POST", "/v1/payment_intents", "amount=5000&currency=usd", "")
	then := s.Now()
	now = now.Add(-2 * time.Hour) // the machine's clock is set back
	if got := s.Now(); got.Before(then.Truncate(time.Second)) {
		t.Errorf("it went back from %s to %s", then, got)
	}
	if status, body := serve(s, "POST", "/sim/clock?advance=soon", "", ""); status != 400 {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := serve(s, "POST", "/sim/clock?advance=1m", "", ""); status != 200 {
		t.Errorf("%d", status)
	}
}

func TestControls_AtWork(t *testing.T) {
	r := start(t, Config{})
	p, err := r.charge("d-1", 5000, "ctoken_x")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		status int
	}{
		{"/sim/charges/" + p.ID + "/dispute", 200},              // by the intent
		{"/sim/charges/" + p.LatestCharge.ID + "/dispute", 400}, // there is one
		{"/sim/disputes/dp_x/close?outcome=won", 404},
		{"/sim/disputes/dp_x/close?outcome=draw", 400},
		{"/sim/payouts/po_x/fail", 404},
		{"/sim/events/evt_x/resend", 404},
		{"/sim/unheard/of", 404},
	} {
		if status := r.post(c.path, "", nil); status != c.status {
			t.Errorf("%s: %d", c.path, status)
		}
	}
	if st := r.server.Stats(); st.Disputes != 1 || st.Charges != 1 || st.LogBytes == 0 {
		t.Errorf("%+v", st)
	}
}
