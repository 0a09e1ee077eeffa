package charge

import (
	"context"
	"testing"

	"spillway/ledger/payments"
)

// A donor who offers another card is claimed when the offer was applied, and does not
// wait until the claim loop looks by itself.
func TestWishes_AnotherCardWakesTheClaims(t *testing.T) {
	for _, test := range []struct {
		outcome payments.Outcome
		wakes   bool
	}{
		{payments.Outcome{Verdict: payments.Applied, Status: payments.StatusAccepted, Changed: true}, true},
		{payments.Outcome{Verdict: payments.NoChange, Status: payments.StatusAccepted}, false},
		{payments.Outcome{Verdict: payments.Applied, Status: payments.StatusCanceled, Changed: true}, false},
	} {
		d := &desk{made: make(chan struct{}, 1)}
		d.applier = newApplier(d)
		go func() { // the applier: it takes this one submission, which is waited for
			s := <-d.applier.in
			s.results[0].Outcome = test.outcome
			close(s.done)
		}()
		if _, err := d.applyFound(context.Background(), []payments.Fact{{Card: &payments.CardOffered{}}}, wishesMax); err != nil {
			t.Fatal(err)
		}
		if woken := len(d.made) == 1; woken != test.wakes {
			t.Errorf("after %+v the claims are woken: %v", test.outcome, woken)
		}
	}
}
