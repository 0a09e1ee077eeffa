package audit

import (
	"time"

	"spillway/ingest"
)

// Charging is how far a run's charging has come.
type Charging struct {
	// At is the database's clock.
	At time.Time
	// Waiting donations have not had their turn, Calling ones are being charged, Acting
	// ones wait for their donor, Feeless ones were captured and their fee is not known.
	Waiting, Calling, Acting, Feeless int64
	Captured, All                     int64
	// Calls counts the charge calls of the whole rehearsal book, repeats included.
	Calls int64
	// PerSecond is the pace, 0 where there is none; Current what the last 429, at
	// SlowedAt, left of it. Rates, not money.
	PerSecond, Current float64
	SlowedAt           time.Time
}

// Left is how many donations have not come to their end.
func (c *Charging) Left() int64 { return c.Waiting + c.Calling + c.Acting }

// Acting is a payment that waits for its donor.
type Acting struct {
	Donation ingest.ID
	Intent   string // the processor's
}
