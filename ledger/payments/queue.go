package payments

import "time"

// ClaimRequest says what may be claimed of the queue of charges.
type ClaimRequest struct {
	// Account and Endpoint name the buckets that the pace is taken from.
	Account  string
	Endpoint string
	Max      int    // charges, at least 1
	Holder   string // which process, for people
	// For is after how long a claim lapses that nothing was heard of: well above the
	// time a call may take.
	For time.Duration
}

// QueueState describes a book's queue of charges.
type QueueState struct {
	Unexpanded     int64 // donations recorded whose attempts are not made yet
	Due            int64 // attempts that wait for their turn
	Calling        int64 // attempts whose outcome is not known
	RequiresAction int64 // attempts that wait for their donor
	OldestDue      time.Time
	// EarliestExpiry is when the first token of a due attempt expires; zero for none.
	EarliestExpiry time.Time
	// Late is how many due attempts will not have their turn before their token
	// expires, at PerSecond.
	Late int64
	// PerSecond is the pace as it is now. A rate, not money.
	PerSecond float64
}

// EndpointAll is the endpoint of an account's bucket for all of its requests.
const EndpointAll = "*"

// Pace is how fast one endpoint of an account may be called, by all processes together.
type Pace struct {
	Account, Endpoint string
	PerSecond         float64 // what is allowed: a rate, not money
	Current           float64 // PerSecond, or less for a while after the processor said 429
	Paused            bool    // nothing at all until somebody resumes it
	SlowedAt          time.Time
	ChangedBy         string // who set or paused it last, for people
}
