package stripe

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/ingest/webhook"
	"spillway/ledger/payments"
	"spillway/loadtest/stripesim"
)

// simulated starts the simulator and a client of it. Its answers that never come
// are given up soon.
func simulated(t *testing.T, change ...func(*stripesim.Config)) (*stripesim.Server, *Client) {
	t.Helper()
	cfg := stripesim.Config{Key: "sk_test_sim", Seed: 7, SearchLag: -1, SettleAfter: time.Millisecond, HangMax: 2 * time.Second, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	sim, err := stripesim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- sim.Run(ctx, ln) }()
	client, err := New(Config{Key: "sk_test_sim", BaseURL: "http://" + ln.Addr().String(), Timeout: time.Second}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return sim, client
}

// nth makes gifts of different donations, so that one simulator serves many cases.
func nth(client *Client, n byte, token string, change ...func(*payments.Charge)) *payments.Charge {
	return gift(client, append([]func(*payments.Charge){func(ch *payments.Charge) {
		ch.Donation[15], ch.Token, ch.FirstCalledAt = n, token, time.Time{}
	}}, change...)...)
}

func wantIntent(t *testing.T, what string, a payments.Answer, status payments.IntentStatus) *payments.IntentSeen {
	t.Helper()
	if a.Intent == nil || a.Intent.Status != status {
		t.Fatalf("%s: %+v (%+v), want %s", what, a, a.Intent, status)
	}
	return a.Intent
}

// TestSimulator_Cards charges cards of each kind over real HTTP.
func TestSimulator_Cards(t *testing.T) {
	_, client := simulated(t)
	ctx := t.Context()

	s := wantIntent(t, "a card", client.Charge(ctx, nth(client, 1, "ctoken_card_visa")), payments.IntentSucceeded)
	if s.AmountMinor != 5000 || s.Charge == "" || s.Fee == nil || s.Fee.FeeMinor != 175 || s.Fee.Charge != s.Charge {
		t.Errorf("%+v, fee %+v", s, s.Fee)
	}

	s = wantIntent(t, "a declined card", client.Charge(ctx, nth(client, 2, "ctoken_card_chargeDeclinedInsufficientFunds")), payments.IntentRequiresPaymentMethod)
	if s.Decline != payments.DeclineFunds || s.AttemptNo != 1 {
		t.Errorf("%+v", s)
	}
	again := nth(client, 2, "ctoken_card_visa", func(ch *payments.Charge) { ch.AttemptNo, ch.Intent = 2, s.ID })
	if second := wantIntent(t, "another card", client.Charge(ctx, again), payments.IntentSucceeded); second.ID != s.ID || second.AttemptNo != 2 {
		t.Errorf("%+v", second)
	}

	s = wantIntent(t, "a card that asks", client.Charge(ctx, nth(client, 3, "ctoken_card_authenticationRequired")), payments.IntentRequiresAction)
	if s.ClientSecret == "" {
		t.Error("the donor has nothing to go on with")
	}
	wantIntent(t, "its cancellation", client.CancelIntent(ctx, s.ID, nth(client, 3, "").Donation), payments.IntentCanceled)
	wantIntent(t, "asked again", client.CancelIntent(ctx, s.ID, nth(client, 3, "").Donation), payments.IntentCanceled)

	for n, c := range []struct {
		token  string
		minor  int64
		reason payments.FailReason
		detail string
	}{
		{"ctoken_card_visa", 10, payments.Refused, "amount_too_small"},
		{"ctoken_card_tokenExpired", 5000, payments.CardNeeded, "confirmation_token_expired"},
		{"ctoken_card_tokenUsed", 5000, payments.CardNeeded, "token_already_used"},
	} {
		a := client.Charge(ctx, nth(client, byte(10+n), c.token, func(ch *payments.Charge) { ch.AmountMinor = c.minor }))
		if a.Kind != payments.Definite || a.Reason != c.reason || a.Detail != c.detail {
			t.Errorf("%s of %d: %+v", c.token, c.minor, a)
		}
	}
}

// TestSimulator_AnswersThatGetLost: the call was carried out and nobody told us.
func TestSimulator_AnswersThatGetLost(t *testing.T) {
	sim, client := simulated(t)
	ctx := t.Context()
	for n, token := range []string{"ctoken_card_timeout", "ctoken_card_reset", "ctoken_card_errorAfterCharge"} {
		ch := nth(client, byte(20+n), token)
		called := time.Now()
		if a := client.Charge(ctx, ch); a.Kind != payments.Unknown {
			t.Fatalf("%s: %+v (%+v)", token, a, a.Intent)
		}
		ch.FirstCalledAt = called
		wantIntent(t, token+", repeated", client.Charge(ctx, ch), payments.IntentSucceeded)
		wantIntent(t, token+", looked for", client.Look(ctx, ch), payments.IntentSucceeded)
	}
	if err := sim.Advance(25 * time.Hour); err != nil { // the keys are forgotten
		t.Fatal(err)
	}
	ch := nth(client, 20, "ctoken_card_timeout", func(ch *payments.Charge) { ch.FirstCalledAt = time.Now() })
	wantIntent(t, "looked for a day later", client.Look(ctx, ch), payments.IntentSucceeded)
	books, err := sim.Books()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		charged := 0
		for _, c := range books.Charges {
			if c.Donation == uuid(nth(client, byte(20+n), "").Donation) && c.Status == "succeeded" {
				charged++
			}
		}
		if charged != 1 {
			t.Errorf("donation %d was charged %d times", n, charged)
		}
	}
}

// TestSimulator_StoredFailures: failures that were stored and did nothing are got
// past, and those that did something are not charged again.
func TestSimulator_StoredFailures(t *testing.T) {
	sim, client := simulated(t, func(c *stripesim.Config) { c.Faults.ErrorRate = 1 })
	ch := nth(client, 40, "ctoken_card_visa")
	called := time.Now()
	if a := client.Charge(t.Context(), ch); a.Kind != payments.Unknown {
		t.Fatalf("%+v", a)
	}
	if err := sim.SetFaults(stripesim.Faults{}); err != nil {
		t.Fatal(err)
	}
	ch.FirstCalledAt = called
	first := wantIntent(t, "past a stored failure", client.Charge(t.Context(), ch), payments.IntentSucceeded)
	if again := wantIntent(t, "and again", client.Charge(t.Context(), ch), payments.IntentSucceeded); again.Charge != first.Charge {
		t.Errorf("charged twice: %s and %s", first.Charge, again.Charge)
	}
}

func TestSimulator_Outages(t *testing.T) {
	sim, client := simulated(t)
	for outage, want := range map[stripesim.Outage]payments.OutcomeKind{
		stripesim.Unavailable: payments.Unknown, stripesim.Hanging: payments.Unknown, stripesim.Disconnected: payments.Unknown,
	} {
		if err := sim.SetFaults(stripesim.Faults{Outage: outage}); err != nil {
			t.Fatal(err)
		}
		if a := client.Charge(t.Context(), nth(client, 50, "ctoken_card_visa")); a.Kind != want {
			t.Errorf("%s: %+v", outage, a)
		}
	}
	if err := sim.SetFaults(stripesim.Faults{RateLimitRate: 1}); err != nil {
		t.Fatal(err)
	}
	if a := client.Charge(t.Context(), nth(client, 51, "ctoken_card_visa")); a.Kind != payments.Retry || a.RateLimited == "" {
		t.Errorf("a storm: %+v", a)
	}
	if err := sim.SetFaults(stripesim.Faults{}); err != nil {
		t.Fatal(err)
	}
	wantIntent(t, "after the outage", client.Charge(t.Context(), nth(client, 50, "ctoken_card_visa")), payments.IntentSucceeded)
}

// TestSimulator_EventsComeByWebhookAndList: what the endpoint stored and what the
// list shows are the same events, and both read alike.
func TestSimulator_EventsComeByWebhookAndList(t *testing.T) {
	const secret = "whsec_sim"
	v, err := NewVerifier([]string{"whsec_old", secret}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	stored := map[string]payments.Event{}
	endpoint, err := webhook.New(webhook.Deps{Verify: v.Verify, Log: slog.New(slog.DiscardHandler), Store: func(_ context.Context, id string, body []byte) error {
		e, err := ParseEvent(append([]byte(nil), body...))
		if err != nil || e.ID != id {
			t.Errorf("%s: %v", id, err)
		}
		mu.Lock()
		defer mu.Unlock()
		stored[e.ID] = e
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: endpoint.Handle}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	_, client := simulated(t, func(c *stripesim.Config) {
		c.WebhookURL, c.WebhookSecret = "http://"+ln.Addr().String()+webhook.Path, secret
		c.Faults.Webhooks.DuplicateRate = 0.5
	})
	ctx := t.Context()
	paid := wantIntent(t, "a gift", client.Charge(ctx, nth(client, 60, "ctoken_card_visa")), payments.IntentSucceeded)
	wantIntent(t, "a decline", client.Charge(ctx, nth(client, 61, "ctoken_card_chargeDeclined")), payments.IntentRequiresPaymentMethod)
	due := payments.RefundDue{Refund: [16]byte{9}, Donation: nth(client, 60, "").Donation, Intent: paid.ID, Charge: paid.Charge, AmountMinor: 1000, Currency: "USD", Lines: []int64{1000}}
	made := client.Refund(ctx, &due)
	if made.Refund == nil || made.Refund.Ours != due.Refund {
		t.Fatalf("%+v", made)
	}
	if found := client.LookRefund(ctx, &due); found.Refund == nil || found.Refund.ID != made.Refund.ID {
		t.Errorf("looked for: %+v", found)
	}
	want := map[string]bool{"payment_intent.succeeded": false, "payment_intent.payment_failed": false}
	deadline := time.Now().Add(time.Minute)
	for {
		page, err := client.Events(ctx, time.Now().Add(-time.Hour), time.Time{}, "")
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		missing, refunds := 0, 0
		for _, e := range page.Rows {
			s, ok := stored[e.ID]
			if !ok {
				missing++
				continue
			}
			if s.Type != e.Type || s.Donation != e.Donation || len(s.Facts) != len(e.Facts) || !s.CreatedAt.Equal(e.CreatedAt) || !s.Test {
				t.Errorf("by webhook %+v, by list %+v", s, e)
			}
			for _, f := range e.Facts {
				if f.Refund != nil && f.Refund.Ours == due.Refund && f.Refund.ID == made.Refund.ID && e.Donation == due.Donation {
					refunds++
				}
			}
			if _, expected := want[e.Type]; expected {
				want[e.Type] = len(e.Facts) == 1 && e.Facts[0].Intent != nil && e.Donation != [16]byte{}
			}
		}
		mu.Unlock()
		if missing == 0 && refunds > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events of the list were never stored, %d about the refund", missing, refunds)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for eventType, ok := range want {
		if !ok {
			t.Errorf("no %s with a fact of ours", eventType)
		}
	}
	// Who subscribes to more is told more, and it is understood; lists ask for EventTypes only.
	charged := func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range stored {
			if e.Type == "charge.succeeded" && len(e.Facts) == 1 && e.Facts[0].Intent != nil && e.Donation == due.Donation {
				return true
			}
		}
		return false
	}
	for !charged() {
		if time.Now().After(deadline) {
			t.Fatal("no charge.succeeded with a fact of ours")
		}
		time.Sleep(10 * time.Millisecond)
	}
	movements, err := client.BalanceTransactions(ctx, time.Time{}, time.Time{}, "")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int64{}
	for _, m := range movements.Rows {
		kinds[m.Category] += m.NetMinor
	}
	if kinds["charge"] != 4825 || kinds["refund"] != -1000 {
		t.Errorf("movements %v", kinds)
	}
	if intents, err := client.Intents(ctx, time.Time{}, time.Time{}, ""); err != nil || len(intents.Rows) != 2 {
		t.Errorf("%d intents, %v", len(intents.Rows), err)
	}
}

// TestSimulator_FaultsOfEveryKind charges many gifts side by side while calls are
// refused, lost, cut, answered 500 with and without effect, and repeated from the
// processor's memory. Each is repeated until it has an answer; then the processor's
// own books hold one charge for each that succeeded, and no other.
func TestSimulator_FaultsOfEveryKind(t *testing.T) {
	const gifts, hands, triesMax = 200, 16, 100
	sim, client := simulated(t, func(c *stripesim.Config) {
		c.HangMax, c.SearchLag = 300*time.Millisecond, time.Hour // the search knows nothing yet
		c.Faults = stripesim.Faults{
			DeclineRate: 0.1, AuthenticateRate: 0.05, TimeoutRate: 0.05, ResetRate: 0.1,
			ErrorRate: 0.15, ErrorAfterRate: 0.15, RateLimitRate: 0.1,
		}
	})
	began := time.Now()
	donation := func(n int) [16]byte { return [16]byte{1, byte(n >> 8), byte(n)} }
	answers := make([]payments.Answer, gifts)
	next := make(chan int, gifts)
	for n := range gifts {
		next <- n
	}
	close(next)
	var working sync.WaitGroup
	for range hands {
		working.Go(func() {
			for n := range next {
				ch := gift(client, func(ch *payments.Charge) { ch.Donation, ch.Token = donation(n), "ctoken_"+uuid(donation(n)) })
				for range triesMax {
					answers[n] = client.Charge(t.Context(), ch)
					ch.FirstCalledAt = began
					if answers[n].Intent != nil {
						break
					}
					if a := answers[n]; a.Kind == payments.Definite {
						t.Errorf("gift %d is refused: %+v", n, a)
						break
					}
				}
			}
		})
	}
	working.Wait()
	books, err := sim.Books()
	if err != nil {
		t.Fatal(err)
	}
	charged := map[string]int{}
	for _, c := range books.Charges {
		if c.Status == "succeeded" {
			charged[c.Donation]++
		}
	}
	seen := map[payments.IntentStatus]int{}
	for n, a := range answers {
		if a.Intent == nil {
			t.Errorf("gift %d has no answer after %d tries: %+v", n, triesMax, a)
			continue
		}
		seen[a.Intent.Status]++
		want := 0
		if a.Intent.Status == payments.IntentSucceeded {
			want = 1
		}
		if got := charged[uuid(donation(n))]; got != want {
			t.Errorf("gift %d is %s and was charged %d times", n, a.Intent.Status, got)
		}
	}
	for _, s := range []payments.IntentStatus{payments.IntentSucceeded, payments.IntentRequiresPaymentMethod, payments.IntentRequiresAction} {
		if seen[s] == 0 {
			t.Errorf("no gift is %s: %v", s, seen)
		}
	}
	t.Logf("%v", seen)
}
