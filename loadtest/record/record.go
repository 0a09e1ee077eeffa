// Package record is a run's own memory: what was sent, when, and what came back,
// in one append-only file that the audit judges the ledger by.
//
// The one invariant: an attempt is in the file before its first byte leaves, and
// whatever a kill cuts off is an answer that counts as never seen, never an attempt.
//
// The file holds blocks: a head of lengths and checksums, then entries. A block is one write(2), so a killed process leaves whole blocks and at most one cut
// one, at the end. The file is not synced: it survives the generator, not the machine.
package record

import (
	"errors"
	"time"

	"spillway/ingest"
	"spillway/ledger/money"
	"spillway/loadtest/gift"
)

var (
	// ErrCorrupt says that the file holds bytes that no writer wrote.
	ErrCorrupt = errors.New("record is corrupt")
	// ErrOther says that the file is the record of another run or of other rows.
	ErrOther = errors.New("record belongs to another run")
	// ErrBusy says that another process writes the file.
	ErrBusy = errors.New("record is being written by another process")
	// ErrVersion says that a newer build wrote the file.
	ErrVersion = errors.New("record is of an unknown version")
)

// Version is the version of the format that this build writes and reads.
const Version = 1

// Header opens the file. Two sessions of one run have equal headers.
type Header struct {
	Version int    `json:"version"`
	Run     string `json:"run"`
	Source  string `json:"source"` // trace.Source.Name
	Hash    string `json:"hash"`   // trace.Source.Hash, hex
	Copies  int    `json:"copies"`
	Probes  bool   `json:"probes"`
}

// Session is one start of the generator.
type Session struct {
	StartedAt time.Time `json:"started_at"`
	Resumed   bool      `json:"resumed"`
	Target    string    `json:"target"`
	Speed     string    `json:"speed"` // for people
	// Before counts the lines that the run's campaigns held when the session began.
	// In a first session anything but 0 means that an earlier record is gone.
	Before int64 `json:"before"`
}

// Campaign is one campaign of the run. Its place in the order of all campaigns,
// from 0, is its index in attempts and observations.
type Campaign struct {
	Slug     string         `json:"slug"`
	Name     string         `json:"name"` // in the source, "" for a probe's
	Currency money.Currency `json:"currency"`
	// Rows and SumMinor are what the whole source gives to it; 0 for a probe's.
	Rows     int64     `json:"rows,omitempty"`
	SumMinor int64     `json:"sum_minor,omitempty"`
	StartsAt time.Time `json:"starts_at,omitzero"`
	EndsAt   time.Time `json:"ends_at,omitzero"`
	// Absent marks a slug that was never created, so that nothing may be there.
	Absent bool `json:"absent,omitempty"`
}

// Line is a campaign's part of an attempt.
type Line struct {
	Campaign    int32 // index
	AmountMinor int64
}

// Attempt is one request, written before it is sent.
type Attempt struct {
	Ref gift.Ref
	// Try counts the attempts of the ref in one session, from 1.
	Try  int
	Sent time.Time
	// Lines is empty when the request holds no donation that could be stored.
	// In an entry that is read it is valid until the next one.
	Lines []Line
}

// Outcome sorts answers by what they say about the donation.
type Outcome uint8

// The outcomes. Their numbers are written into records: never reuse one.
const (
	// Unknown: no answer, a 5xx, or something that is not of the contract. The
	// donation may be stored.
	Unknown Outcome = 1
	// Accepted: 202. The donation is stored.
	Accepted Outcome = 2
	// Refused: a 4xx. This request did not store the donation.
	Refused Outcome = 3
	// Deferred: 429, a refusal that invites another try.
	Deferred Outcome = 4
)

// Valid tells whether o is one of the outcomes.
func (o Outcome) Valid() bool { return o >= Unknown && o <= Deferred }

// Definite tells whether the answer says for certain what this request did.
func (o Outcome) Definite() bool { return o == Accepted || o == Refused || o == Deferred }

// Answer is what came back for one attempt.
type Answer struct {
	Ref     gift.Ref
	Try     int
	Outcome Outcome
	// Code is the HTTP status, 0 when there was none.
	Code int
	// At is when the last byte was read, or the attempt given up.
	At time.Time
	// AcceptedAt is the 202's own word, zero otherwise.
	AcceptedAt time.Time
}

// Observation is a total as a watcher read it.
type Observation struct {
	// Connection counts all connections of all watchers of one session from 1;
	// totals never go back on one of them.
	Connection int64
	Campaign   int32 // index
	At         time.Time
	AsOf       time.Time
	Lag        time.Duration // lag_ms as the target says it
	Epoch      int64
	Version    int64
	Donations  int64
	// PledgedMinor is in the campaign's currency.
	PledgedMinor int64
	// AgesOnly marks news without numbers: a heartbeat or a 304.
	AgesOnly bool
}

// Finding is something that the generator itself checked while it ran, such as
// the answers to one key compared with each other.
type Finding struct {
	Invariant string    `json:"invariant"` // "I8"
	Holds     bool      `json:"holds"`
	Ref       string    `json:"ref"`
	ID        string    `json:"id,omitempty"`
	Detail    string    `json:"detail"`
	At        time.Time `json:"at"`
}

// End closes a session in order: every row was sent, or Stopped says that
// somebody wished otherwise.
type End struct {
	At      time.Time `json:"at"`
	Stopped bool      `json:"stopped"`
}

// Visitor receives entries in the order of writing. Fields that are nil are skipped.
type Visitor struct {
	Session     func(Session) error
	Campaign    func(index int32, c Campaign) error
	Attempt     func(*Attempt) error
	Answer      func(*Answer) error
	Observation func(*Observation) error
	Finding     func(Finding) error
	End         func(End) error
}

// entry kinds on disk: never reuse one.
const (
	kindHeader      = 1
	kindSession     = 2
	kindCampaign    = 3
	kindAttempt     = 4
	kindAnswer      = 5
	kindObservation = 6
	kindFinding     = 7
	kindEnd         = 8
)

// linesMax bounds an attempt's lines as the contract does.
const linesMax = ingest.LinesMax
