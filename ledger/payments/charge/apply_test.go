package charge_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/ledger"
	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
)

// Whatever is refused, by name or without one, all the rest is applied once, in order,
// and exactly the culprits are set aside.
func TestApply_OnlyTheCulpritsAreLeftOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.quiet = true
		donations := rapid.IntRange(1, 12).Draw(rt, "donations")
		named := rapid.Bool().Draw(rt, "named")
		culprits := map[string]bool{}
		var all []string
		for n := range donations {
			d := w.books.record(n, "3ds")
			event := w.event(fmt.Sprint("evt_", n), payments.Event{Donation: d, Facts: append(captured(d), payments.Fact{
				Fee: &payments.FeeSeen{Charge: fmt.Sprintf("ch_%x_1", d[:2]), BalanceTransaction: fmt.Sprint("txn_", n), FeeMinor: 59, Currency: "USD"}})})
			culprits[event] = rapid.IntRange(0, 3).Draw(rt, event) == 0
			all = append(all, event)
		}
		w.books.pace = 0 // no calls: webhooks alone
		refuse := func(f payments.Fact) error {
			if culprits[f.EventID] {
				return errors.New("23514")
			}
			return nil
		}
		if named {
			w.books.refuse = refuse
		} else {
			w.books.refuseAll = refuse
		}
		stop := w.run()
		defer stop()
		w.webhooks.push(all...)
		for _, e := range all {
			eventually(t, e+" is acknowledged", func() bool { return w.webhooks.acks(e) > 0 })
		}
		w.books.mu.Lock()
		defer w.books.mu.Unlock()
		var aside []string
		for _, r := range w.books.rejected {
			aside = append(aside, string(r.Payload))
		}
		for n, e := range all {
			p, made := w.books.payments[id(n)]
			captured := made && p.Charge != ""
			if captured == culprits[e] || slices.Contains(aside, e) != culprits[e] {
				rt.Errorf("%s: culprit %v, captured %v, set aside %v", e, culprits[e], captured, slices.Contains(aside, e))
			}
			if captured && !p.FeeKnown {
				rt.Errorf("%s: its fee was parted from its capture", e)
			}
		}
		if len(w.books.twice) > 0 {
			rt.Errorf("booked twice: %v", w.books.twice)
		}
	})
}

// A failure that nobody can name does not keep everything from being booked for ever.
func TestApply_AFailureWithoutANameIsLookedForInTheFacts(t *testing.T) {
	w := newWorld(t)
	good, bad := w.books.record(1, "visa"), w.books.record(2, "visa")
	w.books.refuseAll = func(f payments.Fact) error {
		if f.Donation == bad && f.Outcome == nil {
			return errUnnamed
		}
		return nil
	}
	w.run()
	w.books.wait(t, good, payments.StatusSucceeded)
	if s := w.books.status(bad); s != payments.StatusCharging {
		t.Errorf("the other one is %s", s)
	}
}

// While bookings stand still nothing more is claimed.
func TestClaim_WaitsWhileBookingsStandStill(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	w := newWorld(t)
	var away atomic.Bool
	away.Store(true)
	w.books.fail = func(method string) error {
		if method == "Apply" && away.Load() {
			return ledger.ErrUnavailable
		}
		return nil
	}
	w.books.pace = 1
	w.config.ClaimEvery = 50 * time.Millisecond
	first := w.books.record(0, "visa")
	w.run()
	eventually(t, "the first is called", func() bool { return w.stripe.charged(first) == 1 })
	eventually(t, "claims stop", func() bool {
		before := w.books.asked("Claim")
		<-time.After(500 * time.Millisecond)
		return w.books.asked("Claim") == before
	})
	away.Store(false)
	w.books.wait(t, first, payments.StatusSucceeded)
	w.books.wait(t, w.books.record(1, "visa"), payments.StatusSucceeded)
}

// Of two books, each has its own donations' events, also those that do not say whose
// they are.
func TestBooks_EventsFindTheirs(t *testing.T) {
	w := newWorld(t)
	w.config.Simulator = true
	w.rehearsal = newBooks()
	live, rehearsed := w.books.record(1, "3ds"), w.rehearsal.record(2, "3ds")
	w.run()
	w.books.wait(t, live, payments.StatusRequiresAction)
	w.rehearsal.wait(t, rehearsed, payments.StatusRequiresAction)
	ofLive := w.event("evt_live", payments.Event{Donation: live, Facts: captured(live)})
	ofRehearsal := w.event("evt_rehearsal", payments.Event{Donation: rehearsed, Facts: captured(rehearsed)})
	named := w.event("evt_named", payments.Event{Donation: id(3), Book: "rehearsal", Facts: captured(id(3))})
	nobodys := w.event("evt_nobodys", payments.Event{Donation: id(4), Facts: captured(id(4))})
	w.webhooks.push(ofLive, ofRehearsal, named, nobodys)
	w.acked(ofLive, ofRehearsal, named, nobodys)
	w.books.wait(t, live, payments.StatusSucceeded)
	w.rehearsal.wait(t, rehearsed, payments.StatusSucceeded)
	if got := w.books.parkedEvents(); !slices.Equal(got, []string{"evt_nobodys"}) {
		t.Errorf("parked in the live book: %q", got)
	}
	if got := w.rehearsal.parkedEvents(); !slices.Equal(got, []string{"evt_named"}) {
		t.Errorf("parked in the rehearsal's: %q", got)
	}
}

// Test events say nothing about real money, and the reverse.
func TestEvents_OfTheOtherModeAreIgnored(t *testing.T) {
	for mode, test := range map[charge.Mode]bool{charge.LiveMode: true, charge.TestMode: false} {
		w := newWorld(t)
		w.config.Mode = mode
		d := w.books.record(1, "3ds")
		w.run()
		w.books.wait(t, d, payments.StatusRequiresAction)
		other := w.event("evt_other", payments.Event{Donation: d, Test: test, Facts: captured(d)})
		w.webhooks.push(other)
		w.acked(other)
		if got := w.books.status(d); got != payments.StatusRequiresAction {
			t.Errorf("mode %d: it is %s", mode, got)
		}
		ours := w.event("evt_ours", payments.Event{Donation: d, Test: !test, Facts: captured(d)})
		w.webhooks.push(ours)
		w.acked(ours)
		w.books.wait(t, d, payments.StatusSucceeded)
	}
}
