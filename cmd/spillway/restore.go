package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"spillway/campaigns"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/ingest/broker"
	"spillway/ledger"
	"spillway/ledger/backoff"
	ledgerdb "spillway/ledger/postgres"
)

// restoreCommand tells an installation that its database lacks what was written to it.
type restoreCommand struct {
	Data string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Data folder of a stopped 'spillway up' (${default}): its database, unless --database-url names one, and its broker, unless --nats-url does."`
	config.Broker
	config.Database
	Replicas  int           `default:"1" enum:"1,3,5" help:"Copies that the broker must keep of every stream."`
	LostSince time.Time     `placeholder:"TIME" help:"Replay from here (RFC 3339) in place of what the database says itself: for a loss that was noticed after ledgers had worked on it."`
	Whole     bool          `help:"Replay everything that the streams hold, whatever the database says."`
	AcceptGap bool          `help:"Go on although streams no longer hold some of what is missing: that is lost."`
	DryRun    bool          `help:"Say what would be replayed and change nothing."`
	Timeout   time.Duration `default:"10m" help:"Longest time that all of it may take; the replay itself is the ledgers'."`
}

// Help is shown by --help.
func (restoreCommand) Help() string {
	return `After a database was restored from a backup, or a standby was promoted that may not have had the last commits: has the broker deliver again what the database lacks (donations, events of the processor, commands of people), begins a new epoch of totals, and has every attempt that may have been charged since looked for at the processor before it is called. Nobody is charged again.

Stop every ledger, payments and admin process first; front-ends go on taking donations. Afterwards start them in any order. Doing it twice, or without need, is harmless. It brings the schema up to date and needs the login that owns the tables.

Exit status: 0 when done; 1 when not, and then nothing was changed in the database.

Examples:
    spillway restore --dry-run --nats-url nats://spillway:password@broker:4222 \
        --database-url 'postgres://spillway:password@db1,db2/spillway?target_session_attrs=read-write'
    spillway restore --nats-url ... --database-url ... --lost-since 2026-11-23T18:30:00Z
    spillway restore --data /srv/giving-day`
}

const (
	// restoreQuiet is how long a reader of a process that has just ended may still be
	// waited for by the broker.
	restoreQuiet = 5 * time.Second
	restorePoll  = 200 * time.Millisecond
)

// errStillRunning says that somebody reads the streams.
var errStillRunning = errors.New("a ledger or payments process is still running: stop all of them first")

// errGap says that a replay cannot bring everything back.
var errGap = errors.New("streams no longer hold everything that is missing; with --accept-gap the rest is replayed, and what is gone is lost")

// replay is what one stream has to bring again.
type replay struct {
	source *broker.Source
	at     broker.Place
	next   uint64 // where it begins
	why    string // it does not begin where the database says
	lost   uint64 // messages that are gone
	since  time.Time
}

// Run restores; see Help for the exit status.
func (c *restoreCommand) Run(p *process) error {
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	group := lifecycle.New(p.log)
	err := c.restore(ctx, p, group)
	return errors.Join(err, group.Stop())
}

func (c *restoreCommand) restore(ctx context.Context, p *process, group *lifecycle.Group) error {
	url, at, err := c.find(p, group)
	if err != nil {
		return err
	}
	if !c.DryRun {
		if err := migrate(ctx, url); err != nil {
			return err
		}
	}
	b, shards, err := verifyBroker(p, group, *at)
	if err != nil {
		return err
	}
	db, err := ledgerdb.Open(ledgerdb.Config{URL: url, Application: "spillway restore"})
	if err != nil {
		return err
	}
	group.Add("restore's database", quickStop, db.Close)

	plan, err := c.plan(ctx, db, b, shards)
	if err != nil {
		return err
	}
	defer func() {
		for i := range plan {
			plan[i].source.Close()
		}
	}()
	if err := tellReplay(p.stdout, plan); err != nil {
		return err
	}
	for i := range plan {
		if plan[i].lost > 0 && !c.AcceptGap {
			return errGap
		}
	}
	if c.DryRun {
		_, err := fmt.Fprintln(p.stdout, "Nothing was changed.")
		return err
	}
	if err := quiet(ctx, plan); err != nil {
		return err
	}
	told, err := b.Snapshots(ctx)
	if err != nil {
		return err
	}
	done, err := carryOut(ctx, db, plan, told, c.LostSince)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Epoch %d begins; %d attempts are looked for before they are charged, and those that the replay brings.\n"+
		"Now start the ledgers, payments and consoles. Open pages show what they showed until the replay is past it.\n"+
		"It is complete when ledger_lag_messages is 0 and 'spillway verify --deep --drained' holds.\n", done.Epoch, done.Looked)
	return err
}

// find says where the database and the broker are. Of a stopped `up` it starts what lies
// in its data folder, as verify does: both, or the broker alone when the database is
// elsewhere.
func (c *restoreCommand) find(p *process, group *lifecycle.Group) (url string, at *broker.Config, err error) {
	look := &verifyCommand{Data: c.Data, Broker: c.Broker, Database: c.Database, Replicas: c.Replicas}
	url, at, err = look.find(p, group)
	if err != nil || at != nil {
		return url, at, err
	}
	if c.NATSURL != "" {
		return "", nil, errNoBroker
	}
	if _, err := os.Stat(filepath.Join(c.Data, "nats")); err != nil {
		return "", nil, errNoBroker
	}
	folder, err := onebox.OpenFolder(c.Data)
	if err != nil {
		return "", nil, err
	}
	group.Add("data folder", quickStop, folder.Close)
	u := &up{p: p, out: io.Discard, group: group, folder: folder, progress: newProgress(p.stderr)}
	u.BrokerListen = "127.0.0.1:0"
	if err := u.startBroker(p.ctx); err != nil {
		return "", nil, err
	}
	cfg := brokerAt(c.Broker, config.Topology{Replicas: c.Replicas}, u.embedded, "spillway restore")
	return url, &cfg, nil
}

// carryOut rewinds the streams and then tells the database. In this order: a death in
// between leaves streams that bring again what is known, and a database that no ledger
// takes for whole.
func carryOut(ctx context.Context, db *ledgerdb.DB, plan []replay, told []*campaigns.Snapshot, forget time.Time) (ledgerdb.Restored, error) {
	r := ledgerdb.Restore{Told: told, Forget: forget}
	for i := range plan {
		e := &plan[i]
		if err := e.source.Rewind(ctx, e.next); err != nil {
			return ledgerdb.Restored{}, err
		}
		if e.at.Now.After(r.ReplayTo) {
			r.ReplayTo = e.at.Now
		}
		if !e.since.IsZero() && (r.LostSince.IsZero() || e.since.Before(r.LostSince)) {
			r.LostSince = e.since
		}
	}
	if r.LostSince.IsZero() { // nothing is known, and nothing is stored
		r.LostSince = r.ReplayTo
	}
	return db.Restore(ctx, r)
}

// plan finds out for every stream where its replay has to begin.
func (c *restoreCommand) plan(ctx context.Context, db *ledgerdb.DB, b *broker.Broker, shards int) ([]replay, error) {
	var plan []replay
	for _, book := range ledger.Books {
		noted := map[string]ledger.Position{}
		if !c.Whole {
			var err error
			noted, err = db.Book(book).Positions(ctx, c.LostSince)
			if err != nil && !c.DryRun {
				return nil, err
			} else if err != nil {
				return nil, fmt.Errorf("%w; a database of an earlier version knows no positions: run 'spillway migrate' before a dry run", err)
			}
		}
		var sources []*broker.Source
		for shard := range shards {
			sources = append(sources, b.Source(book, shard))
		}
		sources = append(sources, b.Commands(book))
		if book == ledger.Live {
			sources = append(sources, b.Webhooks())
		}
		for _, s := range sources {
			at, err := s.Place(ctx)
			if err != nil {
				return nil, err
			}
			position, known := noted[s.Stream()]
			e := begin(s, at, position, known)
			if !known && !c.Whole && book == ledger.Live && at.First > 1 { // only rehearsals lose their beginning unrecorded
				e.lost = at.First - 1
				e.why += fmt.Sprintf(", and %d messages before %d are gone", e.lost, at.First)
			}
			plan = append(plan, e)
		}
	}
	return plan, nil
}

// begin decides where the replay of one stream begins.
func begin(s *broker.Source, at broker.Place, noted ledger.Position, known bool) replay {
	r := replay{source: s, at: at, next: at.First, since: at.FirstAt}
	switch {
	case !known:
		r.why = "the database has no note of it"
	case !noted.MadeAt.Equal(at.MadeAt.Truncate(time.Microsecond)):
		r.why = "it was made anew since the note"
	case noted.Sequence > at.Last:
		r.why = fmt.Sprintf("it ends before %d, which was noted: it lost messages", noted.Sequence)
	case noted.Sequence+1 < at.First:
		r.lost, r.since = at.First-noted.Sequence-1, noted.NotedAt
		r.why = fmt.Sprintf("%d messages from %d on are gone", r.lost, noted.Sequence+1)
	default:
		r.next, r.since = noted.Sequence+1, noted.NotedAt
	}
	return r
}

// quiet waits a moment until nobody reads the streams. Errors: errStillRunning.
func quiet(ctx context.Context, plan []replay) error {
	for deadline := time.Now().Add(restoreQuiet); ; {
		busy := ""
		for i := range plan {
			at, err := plan[i].source.Place(ctx)
			if err != nil {
				return err
			}
			plan[i].at = at
			if at.Waiting > 0 {
				busy = at.Stream
			}
		}
		if busy == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is being read: %w", busy, errStillRunning)
		}
		if !backoff.Pause(ctx, restorePoll) {
			return ctx.Err()
		}
	}
}

// tellReplay writes what is replayed, a line for each stream.
func tellReplay(w io.Writer, plan []replay) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "STREAM\tFROM\tTO\tMESSAGES\tSINCE\t")
	for i := range plan {
		r := &plan[i]
		since, messages := "", uint64(0)
		if r.at.Last >= r.next {
			messages = r.at.Last - r.next + 1
		}
		if !r.since.IsZero() {
			since = r.since.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\n", r.at.Stream, r.next, r.at.Last, messages, since, r.why)
	}
	return table.Flush()
}
