package charge_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
)

func TestRun_ChargesWhatIsDue(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorld(t)
	good, declined, acting := w.books.record(1, "visa"), w.books.record(2, "decline"), w.books.record(3, "3ds")
	stop := w.run()
	w.books.wait(t, good, payments.StatusSucceeded)
	w.books.wait(t, declined, payments.StatusFailed)
	w.books.wait(t, acting, payments.StatusRequiresAction)
	stop()
	if a := w.books.last(declined); a.Reason != payments.Declined || a.Decline != payments.DeclineFunds {
		t.Errorf("declined as %s, %s", a.Reason, a.Decline)
	}
	if n := w.stripe.charged(good); n != 1 {
		t.Errorf("charged %d times", n)
	}
	if n, twice := w.books.captures(); n != 1 || len(twice) > 0 {
		t.Errorf("%d captures, twice: %v", n, twice)
	}
	w.told.mu.Lock()
	defer w.told.mu.Unlock()
	statuses := map[[16]byte]string{}
	for _, o := range w.told.all {
		statuses[o.Donation] = o.Status
	}
	if len(statuses) != 3 || statuses[acting] != payments.StatusRequiresAction {
		t.Errorf("donors were told %v", statuses)
	}
}

// An amount that the processor has no unit for fails alone, and is never called.
func TestCall_WhatCannotBeSaidIsRefusedInItsTurn(t *testing.T) {
	w := newWorld(t)
	odd, good := w.books.record(1, "odd"), w.books.record(2, "visa")
	w.run()
	w.books.wait(t, odd, payments.StatusFailed)
	w.books.wait(t, good, payments.StatusSucceeded)
	if a := w.books.last(odd); a.Reason != payments.Refused {
		t.Errorf("it failed as %s", a.Reason)
	}
	w.stripe.mu.Lock()
	defer w.stripe.mu.Unlock()
	if w.stripe.calls != 1 {
		t.Errorf("%d calls", w.stripe.calls)
	}
}

// What the processor answers while the books are away is kept until they are back:
// nothing is called twice for it.
func TestCall_AnswersAreHeldWhileTheBooksAreAway(t *testing.T) {
	w := newWorld(t)
	var away atomic.Bool
	w.books.fail = func(method string) error {
		if away.Load() {
			return fmt.Errorf("%w: gone", ledger.ErrUnavailable)
		}
		return nil
	}
	var all [][16]byte
	for n := range 50 {
		all = append(all, w.books.record(n, "visa"))
	}
	w.stripe.answer = func(*payments.Charge) (payments.Answer, bool) {
		away.Store(true)
		return payments.Answer{}, false
	}
	w.run()
	eventually(t, "calls were made", func() bool { w.stripe.mu.Lock(); defer w.stripe.mu.Unlock(); return len(w.stripe.answers) > 0 })
	w.stripe.mu.Lock()
	w.stripe.answer = nil
	w.stripe.mu.Unlock()
	away.Store(false)
	for _, d := range all {
		w.books.wait(t, d, payments.StatusSucceeded)
	}
	w.stripe.mu.Lock()
	defer w.stripe.mu.Unlock()
	if w.stripe.calls != len(all) {
		t.Errorf("%d calls for %d donations", w.stripe.calls, len(all))
	}
}

// A lost commit: the transaction was made, its answer did not come. The repeat of the
// facts changes nothing.
func TestApply_ALostCommitIsRepeatedHarmlessly(t *testing.T) {
	w := newWorld(t)
	d := w.books.record(1, "visa")
	w.slot = &lossy{}
	w.run()
	w.books.wait(t, d, payments.StatusSucceeded)
	if n, twice := w.books.captures(); n != 1 || len(twice) > 0 {
		t.Errorf("%d captures, twice: %v", n, twice)
	}
}

// lossy loses the answer of the first commit.
type lossy struct{ lost atomic.Bool }

func (l *lossy) Move(ctx context.Context, apply func(context.Context, ledger.Lease) ([]campaigns.SlotRow, error)) error {
	if err := (slot{}).Move(ctx, apply); err != nil || !l.lost.CompareAndSwap(false, true) {
		return err
	}
	return fmt.Errorf("%w: connection reset", ledger.ErrUnavailable)
}

// On SIGTERM nothing more is claimed, and what is under way is answered and booked.
func TestRun_StopBooksTheCallsUnderWay(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorld(t)
	called, answer := make(chan struct{}, 1), make(chan struct{})
	w.stripe.answer = func(*payments.Charge) (payments.Answer, bool) {
		called <- struct{}{}
		<-answer
		return payments.Answer{}, false
	}
	first := w.books.record(1, "visa")
	stop := w.run()
	<-called
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	second := w.books.record(2, "visa")
	close(answer)
	<-stopped
	if got := w.books.status(first); got != payments.StatusSucceeded {
		t.Errorf("the call under way ended as %s", got)
	}
	if w.stripe.charged(second) != 0 {
		t.Error("it went on claiming")
	}
}

// What was claimed while the order to stop came is called: nobody else would for as
// long as the claim lasts.
func TestRun_StopCallsWhatItHasClaimed(t *testing.T) {
	w := newWorld(t)
	claiming, claim := make(chan struct{}, 1), make(chan struct{})
	w.books.fail = func(method string) error {
		if method == "Claim" {
			select {
			case claiming <- struct{}{}:
			default:
			}
			<-claim
		}
		return nil
	}
	d := w.books.record(1, "visa")
	if _, err := w.books.Expand(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	stop := w.run()
	<-claiming
	time.AfterFunc(50*time.Millisecond, func() { close(claim) }) // when stop has surely begun; sooner proves less
	stop()
	if got := w.books.status(d); got != payments.StatusSucceeded {
		t.Errorf("it is %s", got)
	}
}

// A processor that never answers does not keep the process from ending.
func TestRun_StopIsBounded(t *testing.T) {
	w := newWorld(t)
	w.config.StopTimeout = 20 * time.Millisecond
	called := make(chan struct{}, 1)
	w.stripe.answer = func(*payments.Charge) (payments.Answer, bool) {
		select {
		case called <- struct{}{}:
		default:
		}
		return payments.Answer{}, false
	}
	var refuse atomic.Bool
	w.books.fail = func(method string) error {
		if method == "Apply" && refuse.Load() {
			return ledger.ErrUnavailable
		}
		return nil
	}
	refuse.Store(true)
	d := w.books.record(1, "visa")
	stop := w.run()
	<-called
	stop() // fails the test when it does not end
	if got := w.books.status(d); got != payments.StatusCharging {
		t.Errorf("it is %s", got)
	}
}

// A 429 is no outcome: due again, and the pace is told, once for a storm.
func TestCall_TooManyRequests(t *testing.T) {
	w := newWorld(t)
	var stormy atomic.Int64
	stormy.Store(30)
	w.stripe.answer = func(c *payments.Charge) (payments.Answer, bool) {
		if stormy.Add(-1) >= 0 {
			return payments.Answer{Kind: payments.Retry, RateLimited: "endpoint-rate", RetryAfter: time.Millisecond}, true
		}
		return payments.Answer{}, false
	}
	var all [][16]byte
	for n := range 30 {
		all = append(all, w.books.record(n, "visa"))
	}
	w.run()
	for _, d := range all {
		w.books.wait(t, d, payments.StatusSucceeded)
	}
	w.books.mu.Lock()
	defer w.books.mu.Unlock()
	if n := len(w.books.slowed); n < 1 || n > 5 {
		t.Errorf("the pace was told %d times: %v", n, w.books.slowed)
	}
}

// While the processor is away charges stay in the queue, where they are honestly
// waiting, save for a probe now and then.
func TestBreaker_AnOutageLeavesTheQueueAlone(t *testing.T) {
	w := newWorld(t)
	w.books.pace = 5
	var away atomic.Bool
	away.Store(true)
	w.stripe.answer = func(*payments.Charge) (payments.Answer, bool) {
		if away.Load() {
			return payments.Answer{Kind: payments.Unknown, Detail: "timeout"}, true
		}
		return payments.Answer{}, false
	}
	const donations = 400
	for n := range donations {
		w.books.record(n, "visa")
	}
	w.run()
	eventually(t, "the breaker opened", func() bool { return gauge(w, "charge_processor_away") == 1 })
	charging := func() (n int) {
		w.books.mu.Lock()
		defer w.books.mu.Unlock()
		for _, p := range w.books.payments {
			if s, _ := payments.Status(p); s == payments.StatusCharging {
				n++
			}
		}
		return n
	}
	if n := charging(); n > donations/2 {
		t.Errorf("%d of %d attempts were called into the outage", n, donations)
	}
	away.Store(false)
	eventually(t, "a probe finds it back", func() bool { return gauge(w, "charge_processor_away") == 0 })
	eventually(t, "the queue is worked off, but for unknown outcomes that wait", func() bool {
		n, _ := w.books.captures()
		return n+charging() == donations && charging() <= donations/2
	})
}

// An unknown outcome stays an unknown outcome until the same call has been answered.
func TestCall_UnknownIsRepeatedAsItWas(t *testing.T) {
	w := newWorld(t)
	var params []string
	w.stripe.answer = func(c *payments.Charge) (payments.Answer, bool) {
		params = append(params, string(c.Params))
		switch len(params) {
		case 1:
			w.stripe.carryOut(c) // it was carried out, and nobody knows
			return payments.Answer{Kind: payments.Unknown, Detail: "timeout"}, true
		case 2: // that this one did nothing says nothing about the first
			return payments.Answer{Kind: payments.Retry, Detail: "no_connection"}, true
		}
		return payments.Answer{}, false
	}
	d := w.books.record(1, "visa")
	w.run()
	for booked := 1; booked <= 2; booked++ {
		eventually(t, "the outcome is booked", func() bool { return w.books.outcomes() == booked })
		if a := w.books.last(d); a.State != payments.Calling || a.FirstCalledAt.IsZero() {
			t.Fatalf("after outcome %d the attempt is in state %d, first called %v", booked, a.State, a.FirstCalledAt)
		}
		w.books.hurry(d)
	}
	w.books.wait(t, d, payments.StatusSucceeded)
	if w.stripe.charged(d) != 1 || params[0] != params[1] || params[1] != params[2] {
		t.Errorf("charged %d times, with %q", w.stripe.charged(d), params)
	}
}

func TestLook_FindsOutBeforeItRepeats(t *testing.T) {
	for name, carriedOut := range map[string]bool{"carried out": true, "never carried out": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.books.record(1, "visa")
			if _, err := w.books.Expand(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			w.books.mu.Lock()
			p := w.books.payments[d]
			a := &p.Attempts[0]
			a.State, a.LookFirst, a.FirstCalledAt = payments.Calling, true, time.Now().Add(-30*time.Hour)
			c := payments.Charge{Donation: d, AttemptNo: 1, Currency: "USD", AmountMinor: 1000, Token: "visa"}
			c.Params = w.stripe.Params(&c)
			w.books.params[d] = c.Params
			w.books.mu.Unlock()
			if carriedOut {
				w.stripe.carryOut(&c)
			}
			w.stripe.blind = 1
			w.run()
			eventually(t, "a look that found nothing out is booked", func() bool { return w.books.outcomes() == 1 })
			w.stripe.mu.Lock()
			if w.stripe.calls > 0 {
				t.Error("it was called without knowing")
			}
			w.stripe.mu.Unlock()
			w.books.hurry(d)
			w.books.wait(t, d, payments.StatusSucceeded)
			w.stripe.mu.Lock()
			defer w.stripe.mu.Unlock()
			if w.stripe.looks == 0 || w.stripe.charges[d] != 1 || (w.stripe.calls > 0) == carriedOut {
				t.Errorf("%d looks, %d calls, %d charges", w.stripe.looks, w.stripe.calls, w.stripe.charges[d])
			}
		})
	}
}

// A donor who canceled, and of whose call nobody knows, is looked for and never charged;
// what was charged before stays so.
func TestLook_WhoCanceledIsNotCharged(t *testing.T) {
	for status, carriedOut := range map[string]bool{payments.StatusSucceeded: true, payments.StatusCanceled: false} {
		t.Run(status, func(t *testing.T) {
			w := newWorld(t)
			d := w.books.record(1, "visa")
			if _, err := w.books.Expand(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			w.books.mu.Lock()
			p := w.books.payments[d]
			p.Cancel = payments.CancelByDonor
			p.Attempts[0].State, p.Attempts[0].LookFirst, p.Attempts[0].FirstCalledAt = payments.Calling, true, time.Now().Add(-time.Hour)
			c := payments.Charge{Donation: d, AttemptNo: 1, Currency: "USD", AmountMinor: 1000, Token: "visa"}
			c.Params = w.stripe.Params(&c)
			w.books.payments[d], w.books.params[d] = p, c.Params
			w.books.mu.Unlock()
			if carriedOut {
				w.stripe.carryOut(&c)
			}
			w.run()
			w.books.wait(t, d, status)
			w.stripe.mu.Lock()
			defer w.stripe.mu.Unlock()
			if w.stripe.looks != 1 || w.stripe.calls != 0 {
				t.Errorf("%d looks, %d calls", w.stripe.looks, w.stripe.calls)
			}
		})
	}
}

func TestNew_RefusesWhatCannotWork(t *testing.T) {
	good := charge.Config{Holder: "test"}
	deps := func(change func(*charge.Deps)) charge.Deps {
		d := charge.Deps{Books: []charge.Book{{Book: ledger.Live, Store: newBooks(), Slot: slot{}}}, Processor: newProcessor(), Webhooks: newQueue()}
		change(&d)
		return d
	}
	for name, try := range map[string]func() (*charge.Service, error){
		"no holder": func() (*charge.Service, error) { return charge.New(charge.Config{}, deps(func(*charge.Deps) {})) },
		"claims too short": func() (*charge.Service, error) {
			return charge.New(charge.Config{Holder: "x", ClaimFor: time.Second}, deps(func(*charge.Deps) {}))
		},
		"a negative bound": func() (*charge.Service, error) {
			return charge.New(charge.Config{Holder: "x", ApplyMax: -1}, deps(func(*charge.Deps) {}))
		},
		"no books": func() (*charge.Service, error) { return charge.New(good, deps(func(d *charge.Deps) { d.Books = nil })) },
		"a book twice": func() (*charge.Service, error) {
			return charge.New(good, deps(func(d *charge.Deps) { d.Books = append(d.Books, d.Books[0]) }))
		},
		"rehearsals for real money": func() (*charge.Service, error) {
			return charge.New(good, deps(func(d *charge.Deps) { d.Books[0].Book = ledger.Rehearsal }))
		},
	} {
		if s, err := try(); err == nil || s != nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := charge.New(good, deps(func(*charge.Deps) {})); err != nil {
		t.Error(err)
	}
	if err := (charge.Config{ApplyMax: -1, ClaimFor: -1}).Validate(); err == nil || len(unwrap(err)) < 3 {
		t.Errorf("not every problem at once: %v", err)
	}
}

func unwrap(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return nil
}

// gauge reads a metric of the live book.
func gauge(w *world, name string) float64 {
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	w.t.Fatalf("no metric %s", name)
	return 0
}
