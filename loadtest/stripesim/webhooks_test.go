package stripesim

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
)

const webhookSecret = "whsec_of_the_test"

// inbox receives webhooks and keeps those whose signature is right.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	events []stripe.Event
	bad    []error
	// answer is the status of the next answers; 0 is 200.
	answer int
}

func openInbox(t *testing.T) *inbox {
	in := &inbox{}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var e stripe.Event
		if err == nil {
			e, err = webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), webhookSecret)
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		if err != nil {
			in.bad = append(in.bad, err)
		}
		if in.answer != 0 {
			w.WriteHeader(in.answer)
		}
		in.events = append(in.events, e)
	}))
	t.Cleanup(func() {
		in.Close()
		if len(in.bad) > 0 {
			t.Errorf("webhooks that no receiver would take: %v", in.bad)
		}
	})
	return in
}

func (in *inbox) set(answer int) {
	in.mu.Lock()
	in.answer = answer
	in.mu.Unlock()
}

// received are the events so far, in the order of their coming.
func (in *inbox) received() []stripe.Event {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.events)
}

// distinct counts the events that came at least once.
func (in *inbox) distinct() int {
	ids := map[string]bool{}
	for _, e := range in.received() {
		ids[e.ID] = true
	}
	return len(ids)
}

func TestWebhooks_SignedAndOfTheirTime(t *testing.T) {
	in := openInbox(t)
	r := start(t, Config{WebhookURL: in.URL, WebhookSecret: webhookSecret})
	p, err := r.charge("d-1", 5000, "ctoken_card_authenticationRequired")
	if err != nil {
		t.Fatal(err)
	}
	if status := r.post("/sim/intents/"+p.ID+"/authenticate?outcome=succeed", "", nil); status != 200 {
		t.Fatal(status)
	}
	until(t, "all events come", func() bool { return in.distinct() == 4 })
	statuses := map[string]string{}
	for _, e := range in.received() {
		if e.APIVersion != stripe.APIVersion || e.Livemode || e.Created == 0 {
			t.Errorf("%+v", e)
		}
		if e.Data.Object["object"] == "payment_intent" && e.Data.Object["id"] != p.ID {
			t.Errorf("about %v", e.Data.Object["id"])
		}
		statuses[string(e.Type)], _ = e.Data.Object["status"].(string)
		if e.Type == "payment_intent.requires_action" && e.Request.IdempotencyKey != "d-1" {
			t.Errorf("request %+v", e.Request)
		}
	}
	for kind, status := range map[string]string{
		"payment_intent.created": "requires_action", "payment_intent.requires_action": "requires_action",
		"charge.succeeded": "succeeded", "payment_intent.succeeded": "succeeded",
	} {
		if statuses[kind] != status {
			t.Errorf("%s shows %q", kind, statuses[kind])
		}
	}
	list := r.api.Events.List(&stripe.EventListParams{Types: []*string{stripe.String("payment_intent.succeeded"), stripe.String("charge.*")}})
	var types []string
	for list.Next() {
		types = append(types, string(list.Event().Type))
	}
	// Long after, an event still shows its object as it was.
	created := r.api.Events.List(&stripe.EventListParams{Type: stripe.String("payment_intent.created")})
	if !created.Next() || created.Event().Data.Object["status"] != "requires_action" {
		t.Errorf("later: %+v, %v", created.Event(), created.Err())
	}
	if list.Err() != nil || !slices.Equal(types, []string{"payment_intent.succeeded", "charge.succeeded"}) {
		t.Errorf("listed %v, %v", types, list.Err())
	}
}

func TestWebhooks_SentAgainUntilTheyAreTaken(t *testing.T) {
	in := openInbox(t)
	in.set(http.StatusServiceUnavailable)
	r := start(t, Config{WebhookURL: in.URL, WebhookSecret: webhookSecret, WebhookRetry: time.Millisecond})
	if _, err := r.charge("d-1", 5000, "ctoken_x"); err != nil {
		t.Fatal(err)
	}
	until(t, "they are refused several times", func() bool { return r.server.Stats().DeliveriesFailed >= 6 })
	in.set(0)
	until(t, "they are taken", func() bool { return r.server.Stats().Delivered == 3 })
	if st := r.server.Stats(); st.DeliveriesPending != 0 {
		t.Errorf("%d are still pending", st.DeliveriesPending)
	}
}

// TestWebhooks_Faults: lost ones never come and are listed all the same; duplicates
// come twice; those held back are overtaken.
func TestWebhooks_Faults(t *testing.T) {
	in := openInbox(t)
	r := start(t, Config{WebhookURL: in.URL, WebhookSecret: webhookSecret, WebhookSenders: 1, Faults: Faults{
		Webhooks: WebhookFaults{LossRate: 0.2, DuplicateRate: 0.2, ReorderRate: 0.3, ReorderBy: Span(50 * time.Millisecond), Delay: Span(time.Millisecond)},
	}})
	const n = 60
	for i := range n {
		if _, err := r.charge("d-"+string(rune('A'+i)), 5000, "ctoken_x"); err != nil {
			t.Fatal(err)
		}
	}
	const events = 3 * n
	until(t, "every event met its fate", func() bool {
		st := r.server.Stats()
		return st.DeliveriesPending == 0 && st.Delivered == events-st.Lost+st.Duplicated
	})
	st := r.server.Stats()
	if st.Lost < events/10 || st.Lost > events*3/10 || st.Duplicated < events/20 || st.Held < events/10 {
		t.Errorf("%+v", st)
	}
	if got := in.distinct(); got != events-int(st.Lost) {
		t.Errorf("%d events came, %d were lost of %d", got, st.Lost, events)
	}
	got := in.received()
	if len(got) != events-int(st.Lost)+int(st.Duplicated) {
		t.Errorf("%d webhooks, %d lost, %d twice", len(got), st.Lost, st.Duplicated)
	}
	overtaken := 0
	for i := 1; i < len(got); i++ {
		if r.server.ids.number(eventKind, got[i].ID) < r.server.ids.number(eventKind, got[i-1].ID) {
			overtaken++
		}
	}
	if overtaken == 0 {
		t.Error("everything came in order")
	}
	listed := 0
	list := r.api.Events.List(&stripe.EventListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(100)}})
	for list.Next() {
		listed++
	}
	if list.Err() != nil || listed != events {
		t.Errorf("%d events are listed, %v", listed, list.Err())
	}
}

func TestWebhooks_PausedAndResent(t *testing.T) {
	in := openInbox(t)
	r := start(t, Config{WebhookURL: in.URL, WebhookSecret: webhookSecret, Faults: Faults{Webhooks: WebhookFaults{Paused: true}}})
	if _, err := r.charge("d-1", 5000, "ctoken_x"); err != nil {
		t.Fatal(err)
	}
	if st := r.server.Stats(); st.DeliveriesPending != 3 || st.Delivered != 0 {
		t.Errorf("%+v", st)
	}
	if status := r.post("/sim/faults", `{"webhooks":{"paused":false}}`, nil); status != 200 {
		t.Fatal(status)
	}
	until(t, "they come", func() bool { return in.distinct() == 3 })
	id := in.received()[0].ID
	if status := r.post("/sim/events/"+id+"/resend", "", nil); status != 200 {
		t.Fatal(status)
	}
	until(t, "it comes again", func() bool { return len(in.received()) == 4 && in.distinct() == 3 })
}

// TestWebhooks_SurviveARestart: what was not taken before the end comes after it,
// and what was taken does not.
func TestWebhooks_SurviveARestart(t *testing.T) {
	in := openInbox(t)
	cfg := Config{Data: t.TempDir(), WebhookURL: in.URL, WebhookSecret: webhookSecret, WebhookRetry: time.Hour}
	r := start(t, cfg)
	if _, err := r.charge("d-1", 5000, "ctoken_x"); err != nil {
		t.Fatal(err)
	}
	until(t, "the first come", func() bool { return r.server.Stats().Delivered == 3 })
	in.set(http.StatusInternalServerError)
	if _, err := r.charge("d-2", 5000, "ctoken_x"); err != nil {
		t.Fatal(err)
	}
	until(t, "the others are refused", func() bool { return r.server.Stats().DeliveriesFailed == 3 })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	in.set(0)
	again := start(t, cfg)
	until(t, "they are sent by the next process", func() bool { return again.server.Stats().Delivered == 3 })
	if n := in.distinct(); n != 6 || len(in.received()) != 9 {
		t.Errorf("%d events in %d webhooks", n, len(in.received()))
	}
}

// TestWebhooks_LostIsLost: what was lost on purpose does not come with the next process.
func TestWebhooks_LostIsLost(t *testing.T) {
	in := openInbox(t)
	cfg := Config{Data: t.TempDir(), WebhookURL: in.URL, WebhookSecret: webhookSecret, Faults: Faults{Webhooks: WebhookFaults{LossRate: 1}}}
	r := start(t, cfg)
	if _, err := r.charge("d-1", 5000, "ctoken_x"); err != nil {
		t.Fatal(err)
	}
	until(t, "all are lost", func() bool { return r.server.Stats().Lost == 3 })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Faults = Faults{}
	again := start(t, cfg)
	if _, err := again.charge("d-2", 5000, "ctoken_x"); err != nil {
		t.Fatal(err)
	}
	until(t, "those of the next charge come", func() bool { return again.server.Stats().Delivered >= 3 })
	if st := again.server.Stats(); in.distinct() != 3 || st.DeliveriesPending != 0 {
		t.Errorf("%d events came, %d are pending", in.distinct(), st.DeliveriesPending)
	}
}

// TestWebhooks_OnlyThoseSubscribedTo: other events are listed and never sent, by the
// next process neither.
func TestWebhooks_OnlyThoseSubscribedTo(t *testing.T) {
	in := openInbox(t)
	cfg := Config{Data: t.TempDir(), WebhookURL: in.URL, WebhookSecret: webhookSecret, WebhookEvents: []string{"payment_intent.succeeded"}}
	r := start(t, cfg)
	if _, err := r.charge("d-1", 5000, "ctoken_x"); err != nil {
		t.Fatal(err)
	}
	until(t, "the one comes", func() bool { return r.server.Stats().Delivered == 1 })
	list := r.api.Events.List(&stripe.EventListParams{})
	listed := 0
	for list.Next() {
		listed++
	}
	if listed != 3 || list.Err() != nil {
		t.Errorf("%d events are listed, %v", listed, list.Err())
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, cfg)
	if st := again.server.Stats(); st.DeliveriesPending != 0 {
		t.Errorf("%d are pending in the next process", st.DeliveriesPending)
	}
	for _, e := range in.received() {
		if e.Type != "payment_intent.succeeded" {
			t.Errorf("came: %s", e.Type)
		}
	}
}
