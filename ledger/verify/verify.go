// Package verify checks from the outside what the ledger promises: it reads both
// books and the broker's streams and names whatever does not hold. It trusts no
// constraint, trigger or counter of the parts that it checks.
//
// The one invariant: verify changes nothing, and a check that could not run is
// never reported as one that holds.
//
// It may run while donations arrive. The streams' ack floors are read first, the
// database's snapshot is taken after them and the streams' ends are read last:
// what lies below a floor must be in the snapshot, and what is in the snapshot
// must lie below an end.
//
// Memory is bounded by the number of campaigns, one batch of donations, one bit
// for each recorded donation (--deep) and FindingsMax offenders for each check.
package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/money"
)

// Database is one consistent, read-only snapshot of both books and of the
// campaigns. Not for concurrent use.
type Database interface {
	// Check runs the named query over a book: finding is called for the first max
	// offenders in order of their IDs; offenders counts all of them.
	Check(ctx context.Context, book ledger.Book, name string, max int, finding func(id, detail string)) (examined, offenders int64, err error)
	// Donations visits the recorded donations among ids, each with the number of
	// its row. Lines are in order of their line numbers.
	Donations(ctx context.Context, book ledger.Book, ids []ingest.ID, visit func(row int64, d *envelope.Donation)) error
	// Conflicts visits the recorded conflicts of the donations among ids.
	Conflicts(ctx context.Context, book ledger.Book, ids []ingest.ID, visit func(id ingest.ID, fp ingest.Fingerprint)) error
	// Requests visits the stored requests among ids; kind is envelope.Kind's word.
	Requests(ctx context.Context, book ledger.Book, ids []ingest.RequestID, visit func(id ingest.RequestID, donation ingest.ID, kind string)) error
	// Quarantined visits those of the payload hashes (SHA-256) that are in quarantine.
	Quarantined(ctx context.Context, book ledger.Book, hashes [][32]byte, visit func(hash [32]byte)) error
	// Rows visits every recorded donation, in no order.
	Rows(ctx context.Context, book ledger.Book, visit func(row int64, id ingest.ID, receivedAt time.Time)) error
	// Lines visits every line of every recorded donation, in no order. standing says
	// that its payment neither failed nor was canceled.
	Lines(ctx context.Context, book ledger.Book, visit func(campaign string, currency money.Currency, amountMinor int64, standing bool)) error
	// Entries visits the whole journal, each slot's entries in the order of their
	// numbers. The entry and its postings are visit's.
	Entries(ctx context.Context, book ledger.Book, visit func(link journal.Link, e *journal.Entry)) error
	// ChainHeads visits the last link of each slot's chain, as the writers keep it.
	ChainHeads(ctx context.Context, book ledger.Book, visit func(slot int32, head campaigns.ChainHead)) error
	// Slots visits every row of every slot.
	Slots(ctx context.Context, book ledger.Book, visit func(slot int32, row *campaigns.SlotRow)) error
	// TakenAt is the database's time of the snapshot.
	TakenAt() time.Time
	Close()
}

// StreamState is where one shard's stream and its consumer stand.
type StreamState struct {
	First, Last uint64    // sequences; First = Last+1 when the stream is empty
	FirstAt     time.Time // broker time of the first stored message, zero when empty
	AckFloor    uint64    // every message up to it was acknowledged by the ledger
	Pending     uint64    // messages not delivered yet
	Unacked     uint64    // messages delivered and not acknowledged
	// Faults are the settings of stream and consumer that the books' safety needs
	// and that are not so, in words.
	Faults []string
}

// Streams reads the broker.
type Streams interface {
	// Shards is the number of shards of each book, as the broker holds streams.
	Shards() int
	State(ctx context.Context, book ledger.Book, shard int) (StreamState, error)
	// Read visits the stored messages with sequences first..last in order. A message
	// that is not stored is left out; that first itself is not is ErrNoMessage. data
	// belongs to visit. An error of visit ends the reading and is returned.
	Read(ctx context.Context, book ledger.Book, shard int, first, last uint64, visit func(sequence uint64, data []byte) error) error
	// Durable says what makes an acknowledgement less than disk, on any server that
	// holds donations; "" for nothing. An error means that it is not known.
	Durable(ctx context.Context) (fault string, err error)
	// Snapshots returns the latest snapshot of every slot.
	Snapshots(ctx context.Context) ([]*campaigns.Snapshot, error)
}

// ErrNoMessage is returned by Streams.Read when the first message is not stored.
var ErrNoMessage = errors.New("message is not in the stream")

// Config says how much to check.
type Config struct {
	// Deep reads every stored message and compares it with its row, field by
	// field, both ways. Without it a sample of the messages is compared.
	Deep bool
	// Rebuild recomputes every total from zero, line by line, and compares.
	Rebuild bool
	// Drained makes a message that waits for the ledger an offender: for a day that is over.
	Drained bool
	// FindingsMax is how many offenders each check lists; all are counted. 0 means 20.
	FindingsMax int
}

// findingsMax is a screenful: a person mends by kind, not by the thousand.
const findingsMax = 20

// Deps is what a run reads. A nil Streams leaves the broker's checks Unchecked.
type Deps struct {
	// Open takes the database's snapshot, at the moment of the call.
	Open    func(ctx context.Context) (Database, error)
	Streams Streams
	// NoStreams says why Streams is nil.
	NoStreams string
	// Progress is told of long steps, from Run's goroutine, at most a few times a
	// second; total is 0 when it is not known. Nil is allowed.
	Progress func(step string, done, total int64)
	// Now is the clock for durations. Nil means time.Now.
	Now func() time.Time
}

// Run makes the checks and returns the report. An error means that there is no
// report: the database could not be reached or ctx ended.
func Run(ctx context.Context, cfg Config, deps Deps) (*Report, error) {
	if cfg.FindingsMax == 0 {
		cfg.FindingsMax = findingsMax
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Progress == nil {
		deps.Progress = func(string, int64, int64) {}
	}
	if deps.Streams != nil && deps.Streams.Shards() == 0 {
		deps.Streams, deps.NoStreams = nil, "the broker holds no streams of donations"
	}
	r := &run{Config: cfg, Deps: deps, report: &Report{Deep: cfg.Deep, Rebuild: cfg.Rebuild, Verdict: Holds}}
	began := deps.Now()

	// The order of these three is the package's promise; see its comment.
	before := r.states(ctx)
	published := r.snapshots(ctx)
	db, err := deps.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	defer db.Close()
	r.db = db
	r.report.CheckedAt = db.TakenAt()

	for _, book := range ledger.Books {
		r.queries(ctx, book)
		r.chain(ctx, book, published)
		if cfg.Rebuild {
			r.rebuild(ctx, book)
		}
	}
	r.published(ctx, published)
	r.streams(ctx, before)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.report.Took = deps.Now().Sub(began)
	return r.report, nil
}

// run is one run's state.
type run struct {
	Config
	Deps
	db     Database
	report *Report
}

// check times one check and files its result. what fills in the examined number
// and the offenders; an error makes the result Unchecked.
func (r *run) check(res Result, bad Verdict, what func(res *Result, t *tally) error) {
	r.Progress(res.Check+" "+res.Scope, 0, 0)
	began := r.Now()
	t := tally{max: r.FindingsMax}
	err := what(&res, &t)
	res.Took = r.Now().Sub(began)
	if err != nil {
		res.Verdict, res.Reason = Unchecked, err.Error()
		if t.count > 0 { // what was found before the error is no less broken for it
			res.Verdict, res.Offenders, res.Findings = t.result(bad)
		}
	} else {
		res.Verdict, res.Offenders, res.Findings = t.result(bad)
	}
	r.file(res)
}

func (r *run) file(res Result) {
	r.report.Results = append(r.report.Results, res)
	r.report.Verdict = worse(r.report.Verdict, res.Verdict)
}
