package charge_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
)

// TestPoints_ADeathAtAnyOfThemChargesOnce ends whoever makes the call at each point in
// turn: what the next one finds is what a killed process leaves behind. Each card is
// tried, because each ends at another state.
func TestPoints_ADeathAtAnyOfThemChargesOnce(t *testing.T) {
	cards := map[string]struct {
		status  string
		charges int
	}{
		"visa":    {payments.StatusSucceeded, 1},
		"decline": {payments.StatusFailed, 0},
		"3ds":     {payments.StatusRequiresAction, 0},
	}
	for _, point := range charge.Points {
		for card, want := range cards {
			for deaths := 1; deaths <= 2; deaths++ { // the second one may be the repeat's
				t.Run(fmt.Sprintf("%s, %s, %d deaths", point, card, deaths), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					w.config.CallTimeout, w.config.ClaimFor = 20*time.Millisecond, 30*time.Millisecond
					var mu sync.Mutex
					died, passed := 0, map[charge.Point]int{}
					w.hook = func(p charge.Point, _ [16]byte) {
						mu.Lock()
						passed[p]++
						dies := p == point && died < deaths
						if dies {
							died++
						}
						mu.Unlock()
						if dies {
							runtime.Goexit() // nothing of this call is done any more
						}
					}
					d := w.books.record(1, card)
					w.run()
					w.books.wait(t, d, want.status)
					eventually(t, "the deaths happened, and somebody else finished", func() bool {
						mu.Lock()
						defer mu.Unlock()
						// Whoever dies after the commit leaves nothing to do.
						return died == deaths && passed[charge.ResultCommitted] > 0 || point == charge.ResultCommitted && died == 1
					})
					if n := w.stripe.charged(d); n != want.charges {
						t.Errorf("charged %d times", n)
					}
					if n, twice := w.books.captures(); n != want.charges || len(twice) > 0 {
						t.Errorf("%d captures in the journal, twice: %v", n, twice)
					}
					mu.Lock()
					defer mu.Unlock()
					for _, p := range charge.Points {
						if passed[p] == 0 {
							t.Errorf("nobody came by %q", p)
						}
					}
				})
			}
		}
	}
}

// The list is complete, in order: what a charge passes is exactly what is listed.
func TestPoints_AreWhatAChargePasses(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var passed []charge.Point
	w.hook = func(p charge.Point, _ [16]byte) {
		mu.Lock()
		defer mu.Unlock()
		passed = append(passed, p)
	}
	d := w.books.record(1, "visa")
	stop := w.run()
	w.books.wait(t, d, payments.StatusSucceeded)
	stop()
	if !slices.Equal(passed, charge.Points) {
		t.Errorf("%q, not %q", passed, charge.Points)
	}
}

// A process that sleeps between its claim and its call until the claim has lapsed leaves
// the call to whoever has the claim then: it believes that no call was made before its
// own, and would take the other one's traces for nobody's.
func TestCall_ASleeperLeavesItsCallToOthers(t *testing.T) {
	w := newWorld(t)
	w.config.CallTimeout, w.config.ClaimFor = 100*time.Millisecond, 300*time.Millisecond
	slept, wake := make(chan struct{}), make(chan struct{})
	first := true
	var mu sync.Mutex
	w.hook = func(p charge.Point, _ [16]byte) {
		mu.Lock()
		sleeps := first && p == charge.ParametersStored
		first = first && !sleeps
		mu.Unlock()
		if sleeps {
			close(slept)
			<-wake
		}
	}
	believed := 0
	w.stripe.answer = func(c *payments.Charge) (a payments.Answer, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if c.FirstCalledAt.IsZero() {
			believed++
		}
		return a, false
	}
	d := w.books.record(1, "visa")
	stop := w.run()
	<-slept
	stopOther := w.another()
	w.books.wait(t, d, payments.StatusSucceeded)
	close(wake)
	stop()
	stopOther()
	if believed != 0 {
		t.Error("the sleeper made its call after its claim had lapsed")
	}
}
