package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	campaignsdb "spillway/campaigns/postgres"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/broker"
	"spillway/ledger"
	ledgerdb "spillway/ledger/postgres"
)

// brokerTrimCommand lets go of what the streams need not keep any more. What it is to do
// is said on the command line alone: a role's environment must not remove anything.
type brokerTrimCommand struct {
	config.Place
	BackedUpAt time.Time     `env:"-" placeholder:"TIME" help:"When the newest backup of the database that was verified had begun (RFC 3339): what the database held an hour before is surely in it."`
	NoBackups  bool          `env:"-" help:"There are no backups: whatever the database holds may go."`
	Keep       time.Duration `env:"-" default:"168h" placeholder:"TIME" help:"Keep what is younger than this (${default}), and everything since the opening of a campaign that was open since."`
	ByAge      bool          `env:"-" help:"By age alone: also what was given while a campaign opened that is open still."`
	DryRun     bool          `env:"-" help:"Say what would be removed and change nothing."`
	Timeout    time.Duration `env:"-" default:"10m" placeholder:"TIME" help:"Longest time that all of it may take (${default})."`
}

// Help is shown by --help.
func (brokerTrimCommand) Help() string {
	return `Removes from the streams of donations, of the processor's events and of people's commands what is recorded in the database, is in a backup of it that was verified, and is old enough: seven days after the end of the event. It may run while donations arrive. What the streams hold beyond the backup is what brings a lost database back ('spillway restore'), so it stays. The last message of a stream always does.

Donations themselves are in the database and stay there. Rehearsals are removed with 'spillway rehearse remove'.

Exit status: 0 when all that could go is gone, or nothing could; 1 when something failed.

Examples:
    spillway broker trim --no-backups --dry-run
    spillway broker trim --backed-up-at 2026-11-23T02:00:00Z \
        --nats-url nats://operator:password@broker:4222 --database-url postgres://spillway:password@db/spillway`
}

var (
	errBackups   = errors.New("say when the newest verified backup had begun, --backed-up-at TIME, or --no-backups: what is in no backup is kept")
	errTooSoon   = errors.New("has not been yet")
	errTailLost  = errors.New("the stream lost messages that the database has: run 'spillway verify' first")
	errNegative  = errors.New("must not be negative")
	errNotWholly = errors.New("not every stream was trimmed")
)

// trim is what one stream loses.
type trim struct {
	source  *broker.Source
	at      broker.Place
	through uint64 // 0 for nothing
	why     string // it does not go further
}

// Run trims; see Help for the exit status.
func (c *brokerTrimCommand) Run(p *process) error {
	switch {
	case c.BackedUpAt.IsZero() != c.NoBackups:
		return errBackups
	case c.BackedUpAt.After(time.Now()):
		return fmt.Errorf("--backed-up-at %s %w", c.BackedUpAt.Format(time.RFC3339), errTooSoon)
	case c.Keep < 0:
		return fmt.Errorf("--keep %v %w", c.Keep, errNegative)
	}
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	group := lifecycle.New(p.log)
	err := c.trim(ctx, p, group)
	return errors.Join(err, group.Stop())
}

func (c *brokerTrimCommand) trim(ctx context.Context, p *process, group *lifecycle.Group) error {
	const name = "spillway broker trim"
	natsURL, databaseURL, _, err := find(c.Place)
	if err != nil {
		return err
	}
	c.Broker.NATSURL = config.Secret(natsURL)
	b, shards, err := verifyBroker(p, group, as(broker.RoleOperator, brokerAt(c.Broker, config.Topology{Replicas: c.Replicas}, nil, name)))
	if err != nil {
		return err
	}
	db, err := ledgerdb.Open(ledgerdb.Config{URL: databaseURL, Application: name})
	if err != nil {
		return err
	}
	group.Add(name+" ledger", quickStop, db.Close)
	if err := sound(ctx, db, b); err != nil { // one that was just restored needs what it lacks
		return err
	}
	before, err := c.before(ctx, p.stdout, databaseURL)
	if err != nil {
		return err
	}
	plan, err := c.plan(ctx, db, b, shards, before)
	if err != nil {
		return err
	}
	defer func() {
		for i := range plan {
			plan[i].source.Close()
		}
	}()
	failed := carryOutTrim(ctx, plan, c.DryRun)
	if err := tellTrim(p.stdout, plan, c.DryRun); err != nil {
		return err
	}
	return failed
}

// before is the moment before which messages are old enough, and says so.
func (c *brokerTrimCommand) before(ctx context.Context, out io.Writer, databaseURL string) (time.Time, error) {
	before := time.Now().Add(-c.Keep)
	if c.ByAge {
		_, err := fmt.Fprintf(out, "Old enough is what was stored before %s.\n", utc(before))
		return before, err
	}
	store, err := campaignsdb.Open(campaignsdb.Config{URL: databaseURL, Application: "spillway broker trim"})
	if err != nil {
		return time.Time{}, err
	}
	defer store.Close()
	open, err := store.OldestOpen(ctx, before)
	if err != nil {
		return time.Time{}, err
	}
	if open == nil || !open.StartsAt.Before(before) {
		_, err := fmt.Fprintf(out, "Old enough is what was stored before %s.\n", utc(before))
		return before, err
	}
	opened := "ever"
	if !open.StartsAt.IsZero() {
		opened = utc(open.StartsAt)
	}
	ends := "is open without an end"
	if !open.EndsAt.IsZero() {
		ends = "ends at " + utc(open.EndsAt)
		if open.EndsAt.Before(time.Now()) {
			ends = "ended at " + utc(open.EndsAt)
		}
	}
	_, err = fmt.Fprintf(out, "Everything since %s stays: campaign %s %s. With --by-age what was stored before %s is old enough.\n", opened, open.Slug, ends, utc(before))
	return open.StartsAt, err
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// plan finds out of every stream of donors' what may go.
func (c *brokerTrimCommand) plan(ctx context.Context, db *ledgerdb.DB, b *broker.Broker, shards int, before time.Time) ([]trim, error) {
	noted, err := db.Book(ledger.Live).Positions(ctx, c.BackedUpAt)
	if err != nil {
		return nil, err
	}
	var sources []*broker.Source
	for shard := range shards {
		sources = append(sources, b.Source(ledger.Live, shard))
	}
	sources = append(sources, b.Commands(ledger.Live), b.Webhooks())
	plan := make([]trim, len(sources))
	for i, s := range sources {
		at, err := s.Place(ctx)
		if err != nil {
			return nil, err
		}
		old, err := s.LastBefore(ctx, before, at.First, at.Last)
		if err != nil {
			return nil, err
		}
		position, known := noted[s.Stream()]
		if known && position.MadeAt.Equal(at.MadeAt.Truncate(time.Microsecond)) && position.Sequence > at.Last {
			return nil, fmt.Errorf("%s ends at %d, and %d was noted: %w", s.Stream(), at.Last, position.Sequence, errTailLost)
		}
		plan[i] = trim{source: s, at: at}
		plan[i].through, plan[i].why = trimThrough(at, position, known, old)
	}
	return plan, nil
}

// trimThrough is the number of the last message that may go, 0 for none, and why no
// later one may: where the stream stands, what was noted of it before the backup, and
// the number of the last message that is old enough.
func trimThrough(at broker.Place, noted ledger.Position, known bool, old uint64) (through uint64, why string) {
	switch {
	case at.First > at.Last:
		return 0, "nothing is stored"
	case !known:
		return 0, "the database had no note of it then"
	case !noted.MadeAt.Equal(at.MadeAt.Truncate(time.Microsecond)):
		return 0, "it was made anew since the note"
	}
	through, why = old, "the rest is not old enough"
	for _, bound := range []struct {
		at  uint64
		why string
	}{
		{noted.Sequence, "the rest is not surely in the backup"},
		{at.Sequence, "the rest waits for its reader"},
		{at.Last - 1, "the last message always stays"},
	} {
		if bound.at < through {
			through, why = bound.at, bound.why
		}
	}
	if through < at.First {
		through = 0
	}
	return through, why
}

// carryOutTrim removes what the plan says, and notes in it where streams stand then.
// A stream that could not be trimmed does not keep the others from it.
func carryOutTrim(ctx context.Context, plan []trim, dryRun bool) error {
	var failed []error
	for i := range plan {
		t := &plan[i]
		if t.through == 0 || dryRun {
			continue
		}
		after, err := t.source.Trim(ctx, t.through)
		if err != nil {
			failed = append(failed, err)
			t.through, t.why = 0, "failed"
			continue
		}
		t.why = fmt.Sprintf("%d bytes are free; %s", t.at.Bytes-min(t.at.Bytes, after.Bytes), t.why)
	}
	if failed != nil {
		return errors.Join(append([]error{errNotWholly}, failed...)...)
	}
	return nil
}

// tellTrim writes what went, or would go, a line for each stream.
func tellTrim(w io.Writer, plan []trim, dryRun bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STREAM\tHELD\tBYTES\tREMOVED\tSTAYS FROM\t")
	for i := range plan {
		t := &plan[i]
		removed, from := uint64(0), t.at.First
		if t.through > 0 {
			removed, from = t.through-t.at.First+1, t.through+1
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%s\n", t.at.Stream, t.at.Last-t.at.First+1, t.at.Bytes, removed, from, t.why)
	}
	if err := table.Flush(); err != nil || !dryRun {
		return err
	}
	_, err := fmt.Fprintln(w, "Nothing was changed.")
	return err
}
