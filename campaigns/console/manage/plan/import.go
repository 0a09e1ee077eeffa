package plan

import (
	"errors"
	"time"
)

// What of a file is imported.
const (
	OfCampaigns = "campaigns"
	OfGifts     = "gifts"
)

// State is where an import stands.
type State string

// The states. An import goes from planned to applying when a person says so, and from
// there to done or failed by whichever process holds it; each step is on disk before the
// next is taken.
const (
	Planned   State = "planned"
	Applying  State = "applying"
	Done      State = "done"
	Failed    State = "failed" // nothing was changed
	Discarded State = "discarded"
)

// What asking for an import may end in.
var (
	// ErrNoImport says that there is none of this ID, or that its plan is gone.
	ErrNoImport = errors.New("no such import")
	// ErrNotPlanned says that it is being applied, was applied, or was discarded.
	ErrNotPlanned = errors.New("the import is not waiting to be applied any more")
	// ErrLost says that another process holds the import.
	ErrLost = errors.New("another process holds the import")
)

// Import is one file that was read: what it was, what was planned, what became of it.
type Import struct {
	ID        string // 32 hex digits
	Kind      string // OfCampaigns or OfGifts
	CreatedAt time.Time
	// ActorID, Actor and Network are whose it is, as the audit log has them.
	ActorID, Actor, Network string

	FileName string
	SHA256   [32]byte
	Bytes    int
	Format   string // see sheet.Table
	Notices  []string

	State   State
	Summary Summary
	// LeaveOut has the rows with a warning left out when it is applied.
	LeaveOut bool
	// Total is how many steps applying takes, Done how many are taken.
	Total, Done int
	// EndedAt and Outcome say when and how it ended: a sentence, which holds the counts
	// and totals that were found afterwards.
	EndedAt time.Time
	Outcome string
}

// Applied says that a file of the same bytes was applied before.
type Applied struct {
	At    time.Time
	By    string // as the audit log has them
	Steps int    // how many were taken, or are being taken
}

// Summary is a plan in figures.
type Summary struct {
	Counts Counts `json:"counts"`
	// Before and After are, of campaigns, all that are there and their goals; of gifts,
	// Before is nothing and After what will be booked.
	Before Sums `json:"before"`
	After  Sums `json:"after"`
}

// Booked is an offline gift in the journal.
type Booked struct {
	Offline
	Actor    string    // who entered it
	AskedAt  time.Time // when
	BookedAt time.Time
	Refused  string // why it was not booked; "" when it was

	ReversedAt     time.Time // zero while it counts
	ReversedBy     string
	ReversedReason string
}
