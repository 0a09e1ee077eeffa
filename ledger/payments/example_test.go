package payments_test

import (
	"fmt"
	"time"

	"spillway/ledger/payments"
)

// A call is made, and the processor's answer captures the gift.
func ExampleNext() {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	p := payments.Payment{
		Currency: "USD", AmountMinor: 5100, FeeCoverMinor: 100,
		Lines:    []payments.Line{{Campaign: "river-school", AmountMinor: 5000}},
		Attempts: []payments.Attempt{{No: 1, State: payments.Calling, FirstCalledAt: noon, ChangedAt: noon}},
	}
	p, effects := payments.Next(p, payments.Fact{Source: payments.FromCall, At: noon, Intent: &payments.IntentSeen{
		AttemptNo: 1, ID: "pi_1", Status: payments.IntentSucceeded, AmountMinor: 5100, Currency: "USD", Charge: "ch_1",
	}})
	status, _ := payments.Status(p)
	fmt.Println(status, "raised", payments.Raised(p, 0))
	for _, posting := range effects.Entries[0].Postings {
		fmt.Println(effects.Entries[0].Ref, posting.Account, posting.AmountMinor)
	}
	// Output:
	// succeeded raised 5000
	// capture:ch_1 processor:stripe 5100
	// capture:ch_1 gifts:river-school -5000
	// capture:ch_1 fees:covered -100
}
