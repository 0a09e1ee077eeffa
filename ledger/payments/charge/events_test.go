package charge_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// event makes an event that the stand-in can parse, of its ID as the body.
func (w *world) event(name string, e payments.Event) string {
	e.ID, e.Known, e.Body = name, true, []byte(name)
	if e.Type == "" {
		e.Type = "payment_intent.succeeded"
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = time.Now().Truncate(time.Second)
	}
	for i := range e.Facts {
		f := &e.Facts[i]
		f.Donation, f.Source, f.EventID, f.At = e.Donation, payments.FromWebhook, name, e.CreatedAt
	}
	w.stripe.mu.Lock()
	defer w.stripe.mu.Unlock()
	w.stripe.parse[name] = e
	return name
}

// captured is what an event says about a captured donation.
func captured(donation [16]byte) []payments.Fact {
	return []payments.Fact{{Intent: &payments.IntentSeen{
		ID: fmt.Sprintf("pi_%x", donation[:2]), Status: payments.IntentSucceeded, AmountMinor: 1000, Currency: "USD", Charge: fmt.Sprintf("ch_%x_1", donation[:2]),
	}}}
}

func (w *world) acked(events ...string) {
	w.t.Helper()
	for _, e := range events {
		eventually(w.t, e+" is acknowledged", func() bool { return w.webhooks.acks(e) > 0 })
	}
}

// A webhook that overtakes the answer to the call books the capture; the answer
// then changes nothing.
func TestWebhooks_BeforeTheAnswer(t *testing.T) {
	w := newWorld(t)
	called, answer := make(chan struct{}, 1), make(chan struct{})
	w.stripe.answer = func(c *payments.Charge) (payments.Answer, bool) {
		called <- struct{}{}
		<-answer
		return payments.Answer{}, false
	}
	d := w.books.record(1, "visa")
	w.run()
	<-called
	e := w.event("evt_early", payments.Event{Donation: d, Facts: captured(d)})
	w.webhooks.push(e)
	w.acked(e)
	w.books.wait(t, d, payments.StatusSucceeded)
	close(answer)
	eventually(t, "the answer is applied too", func() bool {
		w.books.mu.Lock()
		defer w.books.mu.Unlock()
		return slices.ContainsFunc(w.books.applied, func(facts []payments.Fact) bool { return facts[0].Source == payments.FromCall })
	})
	if n, twice := w.books.captures(); n != 1 || len(twice) > 0 {
		t.Errorf("%d captures, twice: %v", n, twice)
	}
}

// Each kind of event has its end, and every message is acknowledged.
func TestWebhooks_EachHasItsEnd(t *testing.T) {
	w := newWorld(t)
	d := w.books.record(1, "visa")
	good := w.event("evt_good", payments.Event{Donation: d, Facts: captured(d)})
	foreign := w.event("evt_foreign", payments.Event{Facts: captured(id(77)), Intent: "pi_else", Charge: "ch_else"})
	early := w.event("evt_no_donation_yet", payments.Event{Donation: id(9), Facts: captured(id(9))})
	dispute := w.event("evt_dispute_of_whom", payments.Event{Type: "charge.dispute.created", Charge: "ch_nobody", Facts: []payments.Fact{{Dispute: &payments.DisputeSeen{
		ID: "dp_1", Charge: "ch_nobody", AmountMinor: 5, Currency: "USD", Status: payments.DisputeOpen}}}})
	silent := w.event("evt_silent", payments.Event{Type: "payment_intent.created"})
	payout := w.event("evt_payout", payments.Event{Type: "payout.failed", Payout: &payments.PayoutSeen{
		ID: "po_1", AmountMinor: 700, Currency: "USD", Status: payments.PayoutFailed, CreatedAt: time.Now()}})
	unknown := w.event("evt_unknown", payments.Event{Type: "radar.early_fraud_warning.created"})
	w.stripe.mu.Lock()
	u := w.stripe.parse[unknown]
	u.Known = false
	w.stripe.parse[unknown] = u
	w.stripe.mu.Unlock()
	poison := w.event("evt_poison", payments.Event{Donation: id(5), Facts: captured(id(5))})
	w.books.record(5, "visa")
	w.books.refuse = func(f payments.Fact) error {
		if f.EventID == poison {
			return fmt.Errorf("23514 entries_balanced")
		}
		return nil
	}
	w.run()
	w.webhooks.push(good, good, foreign, early, "not an event at all", poison, dispute, silent, unknown, payout, good)
	w.acked(good, foreign, early, "not an event at all", poison, dispute, silent, unknown, payout)
	eventually(t, "every delivery of the repeat is acknowledged", func() bool { return w.webhooks.acks(good) == 3 })

	w.books.wait(t, d, payments.StatusSucceeded)
	w.books.mu.Lock()
	parked := len(w.books.parkedAt)
	var aside []string
	for _, r := range w.books.rejected {
		aside = append(aside, string(r.Reason)+" "+string(r.Payload))
	}
	var refs []string
	for ref := range w.books.entries {
		refs = append(refs, ref)
	}
	w.books.mu.Unlock()
	slices.Sort(aside)
	if want := []string{"malformed not an event at all", "refused evt_poison"}; !slices.Equal(aside, want) {
		t.Errorf("set aside: %q, not %q", aside, want)
	}
	if parked != 2 {
		t.Errorf("%d events parked, not that of a donation to come and that of a charge to come", parked)
	}
	if !slices.Contains(refs, "payout:po_1") || !slices.Contains(refs, "payout_failed:po_1") {
		t.Errorf("the journal has %q", refs)
	}
	// The donation comes, and with it what was parked.
	w.books.record(9, "decline")
	w.books.wait(t, id(9), payments.StatusSucceeded)
	eventually(t, "it is parked no more", func() bool { w.books.mu.Lock(); defer w.books.mu.Unlock(); return len(w.books.parkedAt) == 1 })
}

// An event about a refund made elsewhere names a charge alone.
func TestWebhooks_ADonationIsFoundByItsCharge(t *testing.T) {
	w := newWorld(t)
	d := w.books.record(1, "visa")
	w.run()
	w.books.wait(t, d, payments.StatusSucceeded)
	charge := w.books.charge(d)
	e := w.event("evt_refund", payments.Event{Type: "charge.refunded", Charge: charge, Facts: []payments.Fact{{Refund: &payments.RefundSeen{
		ID: "re_1", Charge: charge, AmountMinor: 1000, Currency: "USD", Status: payments.RefundSucceeded}}}})
	w.webhooks.push(e)
	w.acked(e)
	w.books.wait(t, d, payments.StatusRefunded)
}

// While the books are away messages are held and reported, not given back.
func TestWebhooks_AreHeldWhileTheBooksAreAway(t *testing.T) {
	w := newWorld(t)
	d := w.books.record(1, "3ds")
	w.run()
	w.books.wait(t, d, payments.StatusRequiresAction)
	w.books.mu.Lock()
	w.books.fail = func(method string) error {
		if method == "Apply" {
			return ledger.ErrUnavailable
		}
		return nil
	}
	w.books.mu.Unlock()
	e := w.event("evt_held", payments.Event{Donation: d, Facts: captured(d)})
	w.webhooks.push(e)
	eventually(t, "it is reported as in progress", func() bool { w.webhooks.mu.Lock(); defer w.webhooks.mu.Unlock(); return w.webhooks.progress > 1 })
	if w.webhooks.acks(e) > 0 {
		t.Error("acknowledged before it was booked")
	}
	w.books.mu.Lock()
	w.books.fail = nil
	w.books.mu.Unlock()
	w.acked(e)
	w.books.wait(t, d, payments.StatusSucceeded)
}

func TestSweep_FindsEventsThatNeverCame(t *testing.T) {
	w := newWorld(t)
	d := w.books.record(1, "3ds")
	other := w.books.record(2, "3ds")
	w.run()
	w.books.wait(t, d, payments.StatusRequiresAction)
	w.books.wait(t, other, payments.StatusRequiresAction)
	// Both were captured two minutes ago by the processor's clock; one webhook came.
	at := time.Now().Add(-2 * time.Minute).Truncate(time.Second)
	came := w.event("evt_came", payments.Event{Donation: other, CreatedAt: at, Facts: captured(other)})
	w.event("evt_lost", payments.Event{Donation: d, CreatedAt: at, Facts: captured(d)})
	w.webhooks.push(came)
	w.acked(came)
	w.stripe.mu.Lock()
	w.stripe.events = []payments.Event{w.stripe.parse["evt_came"], w.stripe.parse["evt_lost"]}
	w.stripe.mu.Unlock()
	// The sweep is past that time: a new process begins an hour back.
	w.another()
	w.books.wait(t, d, payments.StatusSucceeded)
	if n, twice := w.books.captures(); n != 2 || len(twice) > 0 {
		t.Errorf("%d captures, twice: %v", n, twice)
	}
}

// A payment that waits for too long is looked for in the list of intents.
func TestSweep_AsksAboutStuckPayments(t *testing.T) {
	w := newWorld(t)
	var ahead atomic.Int64 // the time of business
	d := w.books.record(1, "3ds")
	stop := w.run()
	w.books.wait(t, d, payments.StatusRequiresAction)
	stop()
	w.books.mu.Lock()
	p := w.books.payments[d]
	p.Attempts[0].FirstCalledAt = time.Now().Add(-50 * time.Minute)
	w.books.mu.Unlock()
	w.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	stop = w.another()
	eventually(t, "it was looked for", func() bool { return w.books.asked("Stuck") > 5 })
	if gauge(w, "charge_stuck") != 0 {
		t.Error("fifty minutes are an alarm")
	}
	ahead.Store(int64(20 * time.Minute))
	eventually(t, "seventy are", func() bool { return gauge(w, "charge_stuck") == 1 })
	stop()
	f := captured(d)[0]
	f.Donation, f.At = d, time.Now()
	w.stripe.listed = []payments.Fact{f}
	w.another()
	w.books.wait(t, d, payments.StatusSucceeded)
}

func TestWishes_AnotherCardAndACancellation(t *testing.T) {
	w := newWorld(t)
	d, e := w.books.record(1, "decline"), w.books.record(2, "3ds")
	w.run()
	w.books.wait(t, d, payments.StatusFailed)
	w.books.wait(t, e, payments.StatusRequiresAction)
	now := time.Now()
	w.books.mu.Lock()
	w.books.requests = []payments.Fact{
		{Donation: d, Source: payments.FromDonor, At: now, Card: &payments.CardOffered{Request: id(101), Token: "visa", ExpiresAt: now.Add(time.Hour)}},
		{Donation: e, Source: payments.FromDonor, At: now, Cancel: &payments.CancelAsked{Request: id(102)}},
	}
	w.books.mu.Unlock()
	w.books.wait(t, d, payments.StatusSucceeded)
	w.books.wait(t, e, payments.StatusCanceled)
	if w.stripe.charged(d) != 1 || w.stripe.charged(e) != 0 {
		t.Errorf("charged %d and %d times", w.stripe.charged(d), w.stripe.charged(e))
	}
	if s := w.stripe.status(e); s != payments.IntentCanceled {
		t.Errorf("the intent is %s at the processor", s)
	}
	eventually(t, "both are done", func() bool { w.books.mu.Lock(); defer w.books.mu.Unlock(); return len(w.books.requests) == 0 })
}

// A donor who does not come back is canceled at the processor first.
func TestOverdue_ADonorWhoDoesNotComeBack(t *testing.T) {
	w := newWorld(t)
	d := w.books.record(1, "3ds")
	stop := w.run()
	w.books.wait(t, d, payments.StatusRequiresAction)
	stop()
	w.now = func() time.Time { return time.Now().Add(payments.ActWithinDefault + time.Minute) }
	w.another()
	w.books.wait(t, d, payments.StatusFailed)
	if a := w.books.last(d); a.Reason != payments.Abandoned || w.stripe.status(d) != payments.IntentCanceled {
		t.Errorf("%s, and the intent is %s", a.Reason, w.stripe.status(d))
	}
}

func TestCommands_ARefundIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	d := w.books.record(1, "visa")
	w.run()
	w.books.wait(t, d, payments.StatusSucceeded)
	refund := func(command int, donation [16]byte, minor int64) string {
		body, err := payments.EncodeCommand(&payments.Command{
			ID: id(command), At: time.Now().UTC().Truncate(time.Microsecond), Actor: "ada", Reason: "asked",
			Refund: &payments.RefundAsked{Donation: donation, AmountMinor: minor},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	whole, toCome := refund(201, d, 1000), refund(202, id(50), 1000)
	w.commands.push(whole, whole, toCome, `{"id":"nonsense"}`)
	w.books.wait(t, d, payments.StatusRefunded)
	eventually(t, "the repeat is acknowledged too", func() bool { return w.commands.acks(whole) == 2 })
	eventually(t, "what is none is set aside and acknowledged", func() bool { return w.commands.acks(`{"id":"nonsense"}`) == 1 })
	eventually(t, "one whose donation is to come, comes again", func() bool {
		w.commands.mu.Lock()
		defer w.commands.mu.Unlock()
		return len(w.commands.nacked[toCome]) == 1 && w.commands.nacked[toCome][0] > 0
	})
	w.books.mu.Lock()
	made := 0
	for _, e := range w.books.entries {
		if e.Kind == journal.RefundMade {
			made++
		}
	}
	aside := len(w.books.rejected)
	w.books.mu.Unlock()
	if made != 1 || aside != 1 {
		t.Errorf("%d refunds booked, %d set aside", made, aside)
	}
	tooMuch := refund(203, d, 5000)
	w.commands.push(tooMuch)
	eventually(t, "a refund that the processor refuses is noted", func() bool {
		w.books.mu.Lock()
		defer w.books.mu.Unlock()
		return w.books.refused[id(203)] == "charge_already_refunded"
	})
}

// A command that fails for a reason that nobody knows does not hold up those behind it.
func TestCommands_AFailureWithoutANameIsSetAside(t *testing.T) {
	w := newWorld(t)
	d := w.books.record(1, "visa")
	w.run()
	w.books.wait(t, d, payments.StatusSucceeded)
	w.books.mu.Lock()
	failing := 0
	w.books.fail = func(method string) error {
		if method != "Command" {
			return nil
		}
		if failing++; failing <= 8 {
			return errUnnamed
		}
		return nil
	}
	w.books.mu.Unlock()
	var bodies []string
	for n := 301; n <= 302; n++ {
		body, err := payments.EncodeCommand(&payments.Command{
			ID: id(n), At: time.Now().UTC().Truncate(time.Microsecond), Actor: "ada", Refund: &payments.RefundAsked{Donation: d, AmountMinor: 1000},
		})
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
	w.commands.push(bodies...)
	w.books.wait(t, d, payments.StatusRefunded)
	for _, body := range bodies {
		eventually(t, "it is acknowledged", func() bool { return w.commands.acks(body) == 1 })
	}
	w.books.mu.Lock()
	defer w.books.mu.Unlock()
	if len(w.books.rejected) != 1 || string(w.books.rejected[0].Payload) != bodies[0] {
		t.Errorf("%d records set aside", len(w.books.rejected))
	}
}

// The alarm that a queue outlives its tokens, and its end.
func TestFigures_AQueueThatOutlivesItsTokens(t *testing.T) {
	w := newWorld(t)
	w.books.queue = payments.QueueState{Due: 90_000, Late: 30_000, PerSecond: 25, OldestDue: time.Now().Add(-time.Minute)}
	w.run()
	eventually(t, "the alarm", func() bool { return gauge(w, "charge_queue_late") == 30_000 })
	if due, pace, age := gauge(w, "charge_queue_due"), gauge(w, "charge_pace_per_second"), gauge(w, "charge_oldest_due_age_seconds"); due != 90_000 || pace != 25 || age < 60 {
		t.Errorf("due %v, pace %v, age %v", due, pace, age)
	}
}
