package faults

import "time"

// Everything is the name of the plan that breaks everything once at least.
const Everything = "everything"

// ready are plans for a run of a given length.
var ready = map[string]func(length time.Duration) []Step{Everything: everything}

// The product's own times, which a pause has to outlast: how long the broker waits for
// a ledger's acknowledgement, and the lease of its slot.
const (
	ackWait = 10 * time.Second
	lease   = 3 * time.Second
)

// everything kills each role, the broker and Postgres once and more of them at random,
// pauses a ledger for longer than the broker waits for its acknowledgement, and takes
// the processor away. All of it begins while gifts are sent or charged.
func everything(length time.Duration) []Step {
	part := func(hundredths int64) time.Duration {
		return (time.Duration(int64(length) / 100 * hundredths)).Round(grain)
	}
	steps := []Step{
		{At: Span{part(5), part(20)}, Fault: Fault{Do: Pause, What: "ledger", For: Exactly(ackWait + lease + 2*time.Second)}},
		{At: Span{part(25), part(40)}, Fault: Fault{Do: Outage, What: "processor", For: Exactly(20 * time.Second)}},
		{At: Span{part(2), part(60)}, Fault: Fault{Do: Kill, What: Each, For: Span{0, 3 * time.Second}}},
	}
	if until := part(80); until > 10*time.Second {
		steps = append(steps, Step{Every: Span{8 * time.Second, 20 * time.Second}, From: Exactly(part(2)), Until: Exactly(until),
			OneOf: []Fault{{Do: Kill, What: Any, For: Span{0, 3 * time.Second}}}})
	}
	return steps
}
