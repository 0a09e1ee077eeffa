// Package audit judges a run: the generator's record of every attempt and answer
// against the ledger's rows, the slots, the public totals, the processor's own books
// and the logs.
//
// The one invariant: a check holds only if it looked at every single thing that it
// speaks of, and says how many those were; what it could not look at it never calls good.
//
// The record and the ledger are streamed. Memory is bounded by PartitionKeys
// keys, the run's campaigns and ObservationsMax observations, whatever the run's length;
// where the money is judged, the processor's charges come on top.
package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// Bounds of one audit.
const (
	// PartitionKeys is how many keys are judged in one pass over record and ledger:
	// about 250 bytes each.
	PartitionKeys = 1 << 18
	// ObservationsMax bounds the observations that are held against the answers; a
	// longer run is thinned evenly, and the result says so.
	ObservationsMax = 1 << 20
	// ViolationsListed bounds the violations that one check names; the rest are counted.
	ViolationsListed = 20
)

// Donation is a row of the ledger with its lines.
type Donation struct {
	ID                ingest.ID
	Fingerprint       ingest.Fingerprint
	ReceivedAt        time.Time
	TokenExpiresAt    time.Time
	AmountMinor       int64
	LinesMinor        int64
	FeeCoverMinor     int64
	Currency          string
	Anonymous         bool
	HideAmount        bool
	ConfirmationToken string
	Sealed            []byte
	SealKey           uint32
	Lines             []ingest.Line // in their stored order
	Payment           Payment
}

// Conflict is other content that came under a donation's key.
type Conflict struct {
	ID          ingest.ID
	Fingerprint ingest.Fingerprint
}

// Ledger is a consistent view of the rehearsal book, as of one moment.
type Ledger interface {
	// Donations visits every donation with from <= ID <= to that has a line in a
	// campaign whose slug begins with prefix. d is valid during the call only.
	Donations(ctx context.Context, prefix string, from, to ingest.ID, visit func(d *Donation) error) error
	// Find visits those of the donations that are in the book, whatever their lines.
	Find(ctx context.Context, ids []ingest.ID, visit func(d *Donation) error) error
	// Conflicts visits every conflict with from <= ID <= to.
	Conflicts(ctx context.Context, from, to ingest.ID, visit func(Conflict) error) error
	// Slots visits the slots of campaigns whose slug begins with prefix.
	Slots(ctx context.Context, prefix string, visit func(campaigns.SlotRow) error) error
}

// Totals reads public totals as any client does.
type Totals interface {
	Total(ctx context.Context, slug string) (Total, error)
}

// Total is a campaign's public total.
type Total struct {
	PledgedMinor int64
	RaisedMinor  int64
	Donations    int64
	Currency     string
	Epoch        int64
	Version      int64
	AsOf         time.Time
}

// Opener opens sealed personal fields.
type Opener interface {
	Open(id ingest.ID, sealed []byte, keyID uint32) (ingest.Personal, error)
}

// Config is what to judge.
type Config struct {
	// Record is the record's path.
	Record string
	// Others are the records of the run's other generators, when several sent it
	// together; all attempts are judged as one run's.
	Others []record.Part
	// Open starts a consistent view of the ledger and returns what ends it. It is
	// called again when totals moved while they were read.
	Open func(ctx context.Context) (Ledger, func(), error)
	// Totals reads public totals; nil leaves I5 and I6 without them, and says so.
	Totals Totals
	// Keys opens personal fields; nil leaves them unopened, and says so.
	Keys Opener
	// Charged says that nothing of the run is being charged any more: only then do
	// public totals stand still, and raised ones are compared.
	Charged bool
	// Processor is where the run was charged; nil leaves the money unjudged. With it,
	// the Ledger has to be a Journal too.
	Processor Processor
	// Alone says that nothing but the run was ever charged there.
	Alone bool
	// Logs are the files that the installation's processes wrote, searched for what no
	// log may hold; nil leaves I10 unjudged, and says so.
	Logs []string
	// Secrets are texts of SecretBytesMin bytes or more that no log may hold, such as a
	// password. They are never told.
	Secrets []string
	// Progress is told how far the audit is, in words; nil for nobody.
	Progress func(text string)

	// partitionKeys replaces PartitionKeys in tests; 0 for the constant.
	partitionKeys int
	// settlePause replaces settlePause in tests; 0 for the constant.
	settlePause time.Duration
}

// ErrRecord says that the record contradicts itself, so that nothing can be
// judged by it.
var ErrRecord = errors.New("record contradicts itself")

// Run judges a run whose sending has ended and whose backlog has drained.
// Errors: the record's, the ledger's, ErrRecord; a broken invariant is no error.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	if cfg.partitionKeys == 0 {
		cfg.partitionKeys = PartitionKeys
	}
	if cfg.settlePause == 0 {
		cfg.settlePause = settlePause
	}
	a := &auditor{cfg: cfg, result: newResult()}
	if err := a.survey(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if err := a.judge(ctx); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return a.result, nil
}

// auditor is one audit under way.
type auditor struct {
	cfg    Config
	result *Result

	header    record.Header
	run       *gift.Run
	campaigns []campaign
	bySlug    map[string]int32
	clock     clock
	watch     watch
	till      *till // nil when the money is not judged
	leaks     *leaks
	attempts  int64 // entries, which bounds the keys
	sessions  int
	// orphans tells that the run was in the ledger before its record began: whose
	// keys those are, nothing says.
	orphans bool
	// lastAnswer is when the last 202 was read.
	lastAnswer time.Time
}

// campaign is one campaign of the run with what the audit found for it.
type campaign struct {
	record.Campaign
	rows, minor int64 // lines in the ledger, whatever became of them
	counted     sums  // what the rows say that the total is
	before      sums  // what they said when they were read first
	slots       sums  // what the slots say
	agreed      bool  // slots, rows and the public total were found equal
	public      Total // as it was then, or as it was read last
	// falls counts how often a donation stopped being pledged, fallsMinor what its
	// lines here were.
	falls, fallsMinor int64
	journalMinor      int64 // what the journal owes to it
	slotCurrency      string
	attemptedRows     int64 // distinct rows of the source that were sent
	settledRows       int64 // of these, acknowledged or in the ledger
}

// sums is what a campaign's total says.
type sums struct{ donations, pledged, raised int64 }

// judge runs the passes over record and ledger.
func (a *auditor) judge(ctx context.Context) error {
	if err := a.readLogs(); err != nil {
		return err
	}
	// Before the ledger is read, so that what it knows of is there as well.
	if err := a.openTill(ctx); err != nil {
		return err
	}
	ledger, end, err := a.cfg.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { end() }()
	parts := partitions(a.attempts, a.cfg.partitionKeys)
	for i := range parts {
		a.cfg.Progress(fmt.Sprintf("auditing part %d of %d", i+1, parts))
		if err := a.judgePart(ctx, ledger, i, parts); err != nil {
			return err
		}
	}
	if err := a.readSlots(ctx, ledger); err != nil {
		return err
	}
	end()
	end = func() {}
	a.leaks.close()
	a.watch.judge(a)
	if a.till != nil {
		a.till.judgeRaised()
	}
	a.cfg.Progress("comparing totals")
	return a.judgeTotals(ctx)
}

// partitions is a power of two, so that a part is a range of leading bits.
func partitions(attempts int64, keys int) int {
	parts := 1
	for int64(parts)*int64(keys) < attempts && parts < 1<<16 {
		parts *= 2
	}
	return parts
}

// partRange is the range of IDs of a part, both ends inside.
func partRange(part, parts int) (from, to ingest.ID) {
	step := 1 << 16 / parts
	lo, hi := part*step, (part+1)*step-1
	from[0], from[1] = byte(lo>>8), byte(lo)
	for i := range to {
		to[i] = 0xff
	}
	to[0], to[1] = byte(hi>>8), byte(hi)
	return from, to
}

// partOf is the part that an ID falls into.
func partOf(id ingest.ID, parts int) int {
	return (int(id[0])<<8 | int(id[1])) / (1 << 16 / parts)
}
