// Package status is what every process tells the organiser's console about itself,
// once a second: who it is, which roles it runs, whether they are ready and why not,
// and how they do.
//
// The one invariant: a report is news and never a fact to build on. It may be lost,
// late or from a process that has died since; no donation and no money depends on it,
// and it holds nothing about donors.
package status

import "time"

// Every is how often a process reports. A console takes one that has been silent for
// SilentAfter as in trouble, and for GoneAfter as gone: three reports lost, and a
// restart that takes its time.
const (
	Every       = time.Second
	SilentAfter = 3 * time.Second
	GoneAfter   = 30 * time.Second
)

// Names of roles.
const (
	FrontEndRole = "front-end"
	LedgerRole   = "ledger"
	PaymentsRole = "payments"
	AdminRole    = "admin"
	// RehearsalRole is the generator of a rehearsal: no part of an installation.
	RehearsalRole = "rehearsal"
)

// Bounds of a report, so that it stays one small message whatever goes wrong.
const (
	// BytesMax is far above what a process with every role has to say, about 2 KiB.
	BytesMax = 16 << 10
	// ReasonBytesMax cuts why a role is not ready: a screen shows a line of it.
	ReasonBytesMax = 300
	// NameBytesMax bounds names of nodes, builds and roles.
	NameBytesMax = 200
	// RolesMax bounds the roles of one process; there are four.
	RolesMax = 8
	// RefusalsMax bounds the kinds of refusals, which are a closed set of the contract.
	RefusalsMax = 40
)

// Report is one process, as of SentAt by its own clock. The figures of roles that it
// does not run are nil.
type Report struct {
	Node      string    `json:"node"`  // host and process, one of its kind at a time
	Build     string    `json:"build"` // of the binary, for people
	StartedAt time.Time `json:"started_at"`
	SentAt    time.Time `json:"sent_at"`
	// Number counts the reports of this run from 1.
	Number int64 `json:"number"`
	// Leaving marks the last report of a process that stops in order.
	Leaving bool   `json:"leaving,omitempty"`
	Roles   []Role `json:"roles"`

	FrontEnd *FrontEnd `json:"front_end,omitempty"`
	Ledger   *Ledger   `json:"ledger,omitempty"`
	Payments *Payments `json:"payments,omitempty"`
	Admin    *Admin    `json:"admin,omitempty"`
	// Rehearsal is what a rehearsal tells of itself, in its own process.
	Rehearsal *Rehearsal `json:"rehearsal,omitempty"`
}

// Role is one thing that a process does.
type Role struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	// Reason says why it is not ready, "" when it is.
	Reason string `json:"reason,omitempty"`
}

// FrontEnd is how a front-end does. Rates are per second over the last few seconds.
type FrontEnd struct {
	AcceptedPerSecond float64 `json:"accepted_per_second"`
	// RehearsedPerSecond of them are rehearsals'.
	RehearsedPerSecond float64 `json:"rehearsed_per_second,omitempty"`
	// AckP50Millis and AckP99Millis are of the acknowledgements of the last ten
	// seconds, Acks their number; with none all are 0.
	AckP50Millis float64 `json:"ack_p50_ms"`
	AckP99Millis float64 `json:"ack_p99_ms"`
	Acks         int64   `json:"acks"`
	// RefusedPerSecond has the kinds of refusals of donations that occurred, by their
	// code in the public contract.
	RefusedPerSecond map[string]float64 `json:"refused_per_second,omitempty"`
	InFlight         int64              `json:"in_flight"` // donations that wait for their acknowledgement
	Viewers          int64              `json:"viewers"`   // who watch totals live
	StaleMillis      int64              `json:"stale_ms"`  // age of the public totals
}

// Ledger is how a recording process does.
type Ledger struct {
	RecordedPerSecond float64 `json:"recorded_per_second"`
	// RehearsedPerSecond are recorded in the rehearsals' book, beside the others.
	RehearsedPerSecond float64 `json:"rehearsed_per_second,omitempty"`
	// LagMessages wait on the broker and were given to nobody, HeldMessages are with
	// some ledger; every ledger tells the same of all together. LagMillis is the age of
	// the oldest of them.
	LagMessages  int64 `json:"lag_messages"`
	HeldMessages int64 `json:"held_messages"`
	LagMillis    int64 `json:"lag_ms"`
	// CountedMillis is how long ago this process's last frame of totals was complete.
	CountedMillis int64 `json:"counted_ms"`
	// Quarantined records are set aside in the database: each needs a person.
	Quarantined int64 `json:"quarantined,omitempty"`
}

// Payments is how a charging process does, for the live book. Figures of the queue are
// the same in all of them.
type Payments struct {
	ChargesPerSecond  float64 `json:"charges_per_second"`  // answered, whatever came
	CapturesPerSecond float64 `json:"captures_per_second"` // and succeeded
	DeclinesPerSecond float64 `json:"declines_per_second"`
	// RehearsedPerSecond are charges of rehearsals.
	RehearsedPerSecond float64 `json:"rehearsed_per_second,omitempty"`
	// Due attempts wait for their turn, Unexpanded donations for their attempt to be
	// made, Late ones will not have their turn before their token expires.
	Due            int64 `json:"due"`
	Unexpanded     int64 `json:"unexpanded"`
	Late           int64 `json:"late"`
	Unknown        int64 `json:"unknown_outcomes"`
	RequiresAction int64 `json:"requires_action"`
	RehearsedDue   int64 `json:"rehearsed_due,omitempty"`
	OldestMillis   int64 `json:"oldest_due_ms"`
	// PacePerSecond is the pace as it is now, 0 while charging is paused; nil while it
	// has not been asked yet.
	PacePerSecond *float64 `json:"pace_per_second,omitempty"`
	// Away says that the processor does not answer and is only probed.
	Away bool `json:"processor_away,omitempty"`
	// LimitedPerSecond are answers 429.
	LimitedPerSecond float64 `json:"limited_per_second,omitempty"`
	// Stuck payments wait for an answer for more than an hour. SetAside counts what
	// cannot be applied, SecondCharges the alarm that must stay 0, since the start.
	Stuck         int64 `json:"stuck,omitempty"`
	SetAside      int64 `json:"set_aside,omitempty"`
	SecondCharges int64 `json:"second_charges,omitempty"`
	// Differences are objects that differ between journal and processor, OffMinor the
	// minor units without their sign.
	Differences int64 `json:"differences,omitempty"`
	OffMinor    int64 `json:"off_minor,omitempty"`
}

// Admin is how an organisers' console does.
type Admin struct {
	// SearchMillis is the age of the projection that lists and searches read, nil while
	// it is being made; SearchBehind is how many messages of donations it has still to
	// follow. Both are nil in a process that does not lead it.
	SearchMillis *int64 `json:"search_age_ms,omitempty"`
	SearchBehind *int64 `json:"search_behind,omitempty"`
}

// Rehearsal is how a rehearsal goes. Counts are since its start, rates per second
// since the report before.
type Rehearsal struct {
	Run      string `json:"run"`
	Scenario string `json:"scenario,omitempty"` // "" without one
	Phase    string `json:"phase"`              // in words
	// Sending tells that gifts are being sent, and that the rates are of now.
	Sending           bool    `json:"sending,omitempty"`
	Planned           int64   `json:"planned"`
	Sent              int64   `json:"sent"`
	Accepted          int64   `json:"accepted"`
	Refused           int64   `json:"refused,omitempty"` // for good
	Unknown           int64   `json:"unknown,omitempty"` // attempts without a definite answer, sent again
	SentPerSecond     float64 `json:"sent_per_second"`
	AcceptedPerSecond float64 `json:"accepted_per_second"`
	AckP99Millis      float64 `json:"ack_p99_ms"` // 0 while nothing was acknowledged
	// LeftMillis is about how long the sending, then the charging, will still take; nil
	// when nobody knows.
	LeftMillis *int64 `json:"left_ms,omitempty"`
	// Holds tells whether the proof does; nil until it was made.
	Holds *bool `json:"holds,omitempty"`
}

// ReadyRole is a role that is ready when err is nil.
func ReadyRole(name string, err error) Role {
	r := Role{Name: name, Ready: err == nil}
	if err != nil {
		r.Reason = err.Error()
	}
	return r
}
