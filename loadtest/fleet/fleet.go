// Package fleet has several generators send one run together: a leader, which makes the
// campaigns, probes, watches and judges, and members, which send their shares of the rows
// and hand over what they kept.
//
// The one invariant: a run counts only when every generator has handed over the whole record of
// exactly this run, and what it says it sent is what the record holds. Anything else fails
// the run and names the generator.
//
// The leader asks and members answer; a member speaks by itself only to say that it is
// there. So a member needs no right but these two, and whoever asks again after a lost
// answer does no harm.
//
// Goroutines: the leader has one for each member, which asks it every second how it is,
// started by Gather and ended by Close; those of Prepare, Start, Follow and Collect end before
// these return. A member has one that answers and one that says hello and listens for the leader's
// silence, both ended before Join returns.
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/machine"
	"spillway/loadtest/visit"
)

// Link carries messages between generators; nothing is kept for who is away.
type Link interface {
	// Hello tells whoever hears the fleet that a member is there.
	Hello(ctx context.Context, fleet string, message []byte) error
	// Hear calls handle with what Hello sends, from one goroutine, until ctx ends.
	Hear(ctx context.Context, fleet string, handle func(message []byte)) error
	// Ask asks a member and returns its answer. Errors: ErrAbsent when nobody has that
	// name now; others when no answer came until ctx ended.
	Ask(ctx context.Context, fleet, member string, question []byte) ([]byte, error)
	// Answer answers what Ask asks, one question after the other, until ctx ends; reply
	// returns nil for no answer. ready is called once questions arrive.
	Answer(ctx context.Context, fleet, member string, ready func(), reply func(question []byte) []byte) error
}

var (
	// ErrAbsent says that a link knows nobody of that name at the moment.
	ErrAbsent = errors.New("nobody of that name is connected")
	// ErrName says that a fleet or a member cannot be called that.
	ErrName = errors.New("a name of a fleet or a generator is 1 to 40 of A-Z a-z 0-9 _ -")
	// ErrMissing says that not enough generators came.
	ErrMissing = errors.New("not enough generators came")
	// ErrVersion says that generators are of builds that do not work together.
	ErrVersion = errors.New("generators need the same build")
	// ErrLost says that a generator ended or fell silent before it had handed over
	// everything.
	ErrLost = errors.New("lost before it handed over its record: nothing is proven")
	// ErrRecord says that what a generator handed over is not the record of its share of this run.
	ErrRecord = errors.New("its record is not that of its share of this run: nothing is proven")
	// ErrRefused says that a generator did not do what it was asked to.
	ErrRefused = errors.New("the generator refused")
	// ErrAbandoned says that the leader gave the run up, or fell silent.
	ErrAbandoned = errors.New("the leader gave the run up")
)

// DefaultFleet is the fleet of whoever names none.
const DefaultFleet = "default"

// Bounds of the conversation.
const (
	// nameCharsMax keeps subjects short.
	nameCharsMax = 40
	// helloEvery is how often a member says that it is there, and pollEvery how often a
	// leader asks how it is.
	helloEvery = 500 * time.Millisecond
	pollEvery  = time.Second
	// askMost bounds one question; it is asked askTries times.
	askMost  = 5 * time.Second
	askTries = 3
	askPause = 50 * time.Millisecond
	// absentMost is how long a member may be without a connection: a broker that lost it
	// has it again within two seconds, or it is gone.
	absentMost = 4 * time.Second
	// silentMost is how long a connected one may say nothing: a machine that swaps.
	silentMost = 15 * time.Second
	// leaderSilentMost is when a member gives a leader up: well after the leader gave up
	// the member.
	leaderSilentMost = 30 * time.Second
	// startLead is how far ahead the common beginning lies: many round trips. A member that
	// learns of it too late begins late, and its lateness shows it.
	startLead = time.Second
	// chunkBytes is what a message carries of a file: far below any broker's limit, also
	// when it is written as text.
	chunkBytes = 256 << 10
	// clockTrips are the round trips of which the shortest tells the clocks apart.
	clockTrips = 16
	// fileBytesMax bounds a replayed file, which a member keeps on disk.
	fileBytesMax = 4 << 30
	// tallyBytesMax bounds a member's figures, which the leader reads into memory: 480
	// seconds with a histogram each take less than a tenth of it.
	tallyBytesMax = 64 << 20
)

// protocol is the version of the messages, and of everything that generators derive
// alike: sources, keys, gifts, shares. Raise it when one of these changes.
const protocol = 1

// CheckName says whether a fleet or a member may be called that. Errors: ErrName.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > nameCharsMax {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	for i := range len(name) {
		if !plain(name[i]) {
			return fmt.Errorf("%q: %w", name, ErrName)
		}
	}
	return nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// NameOf makes a name of any text, such as a host's.
func NameOf(text string) string {
	b := []byte(text[:min(len(text), nameCharsMax)])
	for i := range b {
		if !plain(b[i]) {
			b[i] = '-'
		}
	}
	if len(b) == 0 {
		return "generator"
	}
	return string(b)
}

// Orders are the run as a member has to know it.
type Orders struct {
	Run    string `json:"run"`
	Target string `json:"target"`
	// Credential exempts from per-client limits. It travels with the messages: across
	// networks of others the broker wants TLS.
	Credential string `json:"credential"`
	Speed      string `json:"speed,omitempty"`
	// Source says how to open the source; whoever leads and whoever follows agree on the
	// words. Hash is the source's, in hex: a member with another one refuses.
	Source json.RawMessage `json:"source"`
	Hash   string          `json:"hash"`
	// File is the replayed one, nil when nothing is replayed. It is sent along.
	File        *File          `json:"file,omitempty"`
	Copies      int            `json:"copies"`
	Share       loadtest.Share `json:"share"`
	Connections int            `json:"connections"`
	Timeout     time.Duration  `json:"timeout_ns"`
	Patience    time.Duration  `json:"patience_ns"`
	Visits      *visit.Habits  `json:"visits,omitempty"`
}

// File is a file that goes from one generator to another.
type File struct {
	Name   string `json:"name,omitempty"` // without a folder
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // in hex
}

// hello is what a member says again and again until somebody leads it.
type hello struct {
	Protocol int             `json:"protocol"`
	Name     string          `json:"name"`
	ID       string          `json:"id"` // of this process: tells two of one name apart
	Machine  machine.Machine `json:"machine"`
}

// verb is what a leader asks for.
type verb string

const (
	enlist  verb = "enlist"  // be led by me
	clock   verb = "clock"   // what time is it?
	order   verb = "order"   // these are your orders
	put     verb = "put"     // a part of the file
	prepare verb = "prepare" // get ready, in your own time
	report  verb = "report"  // how are you?
	start   verb = "start"   // begin at this moment of your clock
	stop    verb = "stop"    // send no more rows
	read    verb = "read"    // a part of your record or of your tally
	release verb = "release" // you are free; Why says what went wrong
)

// question is what a leader sends. The same question twice does what it does once.
type question struct {
	Leader string  `json:"leader"`
	To     string  `json:"to"` // the member's ID
	Do     verb    `json:"do"`
	Orders *Orders `json:"orders,omitempty"`
	What   string  `json:"what,omitempty"` // whatRecord or whatTally
	Offset int64   `json:"offset,omitempty"`
	Data   []byte  `json:"data,omitempty"`
	At     int64   `json:"at,omitempty"` // nanoseconds of Unix time
	Why    string  `json:"why,omitempty"`
}

const (
	whatRecord = "record"
	whatTally  = "tally"
)

// answer is what comes back. Refused says why nothing was done.
type answer struct {
	Refused string `json:"refused,omitempty"`
	Now     int64  `json:"now,omitempty"` // nanoseconds of Unix time
	State   *state `json:"state,omitempty"`
	Data    []byte `json:"data,omitempty"`
}

// phase is how far a member is.
type phase string

const (
	waiting   phase = "waiting" // nobody leads it, or it has no orders
	preparing phase = "preparing"
	ready     phase = "ready"
	sending   phase = "sending"
	ended     phase = "ended" // everything is on disk and may be read
	failed    phase = "failed"
)

// state is how a member is.
type state struct {
	Phase phase `json:"phase"`
	// Why is what went wrong, in the phase failed.
	Why    string          `json:"why,omitempty"`
	Counts loadtest.Counts `json:"counts"`
	// Record and Tally may be read, in the phase ended.
	Record *File `json:"record,omitempty"`
	Tally  *File `json:"tally,omitempty"`
}
