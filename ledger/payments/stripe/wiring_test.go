package stripe

import (
	"testing"

	charging "spillway/ledger/payments/charge"
)

// The client is what charging asks for, and says what it decides on in its word.
var _ charging.Processor = (*Client)(nil)

func TestLook_SpeaksTheWordThatChargingDecidesOn(t *testing.T) {
	if lookedNothing != charging.LookedNothing {
		t.Errorf("%q here, %q there", lookedNothing, charging.LookedNothing)
	}
}
