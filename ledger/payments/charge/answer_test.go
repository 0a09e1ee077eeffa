package charge

import (
	"testing"
	"time"

	"spillway/ledger/payments"
)

// A look that nobody was asked for comes again at once, however long the call has been
// unknown: after a restore totals wait for the last of them.
func TestFactOf_ALookWithoutAReadToSpareComesAgainSoon(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	c := &payments.Charge{AttemptNo: 1, FirstCalledAt: now.Add(-time.Hour)}
	wait := func(detail string) time.Duration {
		f := factOf(c, payments.Answer{Kind: payments.Unknown, Detail: detail}, false, now, now)
		if f.Outcome == nil || f.Outcome.Kind != payments.Unknown {
			t.Fatalf("%s: %+v", detail, f)
		}
		return f.Outcome.NotBefore.Sub(now)
	}
	if got := wait(noPace); got <= 0 || got > 2*retryAfter {
		t.Errorf("no read to spare: again after %v", got)
	}
	if got := wait("timeout"); got < unknownMost/2 {
		t.Errorf("no answer: again after %v", got)
	}
}
