package remove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"spillway/ledger"
	"spillway/ledger/postgres/session"
)

var (
	// ErrOldSchema says that the database does not know how rehearsals are removed.
	ErrOldSchema = errors.New("the database is of an older version: run 'spillway migrate' (or start 'spillway up' once), then run this again")
	// ErrOwner says that the login does not own the tables.
	ErrOwner = errors.New("this login does not own the rehearsals' tables: name the one that runs 'spillway migrate'")
	// ErrURL says that a connection string cannot be read. It does not quote it, for it
	// holds a password.
	ErrURL = errors.New("database url cannot be read")
)

const (
	connectTimeout = 5 * time.Second
	// lockTimeout bounds the wait for rehearsal transactions under way, each of which
	// takes less than a second.
	lockTimeout = "15s"
	// tries bounds how often the transaction is begun again after one of somebody else
	// was in its way.
	tries = 5
)

// searchSchema is where the rehearsals' projection is kept.
const searchSchema = "search_rehearsal"

// kept are tables of the rehearsals' schemas that say nothing of a rehearsal: versions,
// the epoch, restores of the database.
var kept = []string{
	"rehearsal.goose_db_version", "rehearsal.installation", "rehearsal.restores", "rehearsal.replays",
	searchSchema + ".goose_db_version", searchSchema + ".search_progress",
}

// running are emptied tables into which processes write without any rehearsal: who holds
// a slot, how long the queue is.
var running = []string{"rehearsal.slot_terms", "rehearsal.slot_leases", "rehearsal.queue_figures", "rehearsal.stream_positions"}

// Database is where the books are.
type Database struct{ config *pgx.ConnConfig }

// Open reads the address; it does not connect. Errors: ErrURL.
func Open(url string) (*Database, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, ErrURL
	}
	session.Primary(config)
	config.ConnectTimeout = connectTimeout
	for name, value := range map[string]string{
		"application_name": "spillway rehearse remove", "timezone": "UTC", "search_path": "pg_catalog",
		// Digests of large tables take minutes, and are waited for.
		"statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
		"lock_timeout": lockTimeout, "jit": "off", "synchronous_commit": "on",
	} {
		config.RuntimeParams[name] = value
	}
	return &Database{config}, nil
}

// connected runs work on a connection of its own.
func (d *Database) connected(ctx context.Context, work func(*pgx.Conn) error) (err error) {
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		if closing := conn.Close(ending); err == nil && closing != nil { // what was not committed is rolled back
			err = fmt.Errorf("database: %w", closing)
		}
	}()
	return work(conn)
}

// tables are the tables of the rehearsals' schemas that are emptied, as SQL names them,
// the fence first.
func tables(ctx context.Context, q querier) ([]string, error) {
	const sql = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname = ANY ($1) ORDER BY n.nspname <> $2, c.relname NOT LIKE 'slot\_%', n.nspname, c.relname`
	rows, err := q.Query(ctx, sql, []string{ledger.Rehearsal.Schema(), searchSchema}, ledger.Rehearsal.Schema())
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return slices.DeleteFunc(all, func(name string) bool { return slices.Contains(kept, name) }), err
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const (
	readySQL = `SELECT EXISTS (SELECT FROM information_schema.columns WHERE table_schema = 'rehearsal' AND table_name = 'installation' AND column_name = 'emptied_at')`
	ownsSQL  = `SELECT coalesce(bool_and(pg_has_role(c.relowner, 'USAGE')), false) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname = ANY ($1)`

	slotSQL      = `SELECT greatest(ended_slot, (SELECT max(slot) FROM rehearsal.slot_terms)) FROM rehearsal.installation`
	campaignsSQL = `SELECT slug FROM campaigns.campaigns WHERE rehearsal ORDER BY slug`
	runsSQL      = `SELECT DISTINCT coalesce(substring(name FROM '^Rehearsal ([A-Za-z0-9._-]+): '), 'one without a name') FROM campaigns.campaigns WHERE rehearsal ORDER BY 1`
	// Organisations that rehearsals alone name, with nothing that receipts would say.
	organisationsSQL = `SELECT o.name FROM campaigns.organisations o
		WHERE o.legal_name IS NULL AND o.tax_number IS NULL
		AND EXISTS (SELECT FROM campaigns.campaigns c WHERE c.organisation = o.name AND c.rehearsal)
		AND NOT EXISTS (SELECT FROM campaigns.campaigns c WHERE c.organisation = o.name AND NOT c.rehearsal) ORDER BY 1`
	givenSQL    = `SELECT min(received_at), max(received_at), coalesce(sum(amount_minor), 0)::bigint FROM rehearsal.donations`
	childrenSQL = `SELECT c.slug FROM campaigns.campaigns c JOIN campaigns.campaigns p ON p.slug = c.parent WHERE p.rehearsal AND NOT c.rehearsal ORDER BY 1 LIMIT 1`
	knownSQL    = `SELECT slug FROM campaigns.campaigns WHERE slug = ANY ($1)`
	holdersSQL  = `SELECT DISTINCT holder FROM rehearsal.slot_leases WHERE NOT closed AND until > clock_timestamp() ORDER BY 1`
	// One transaction. Requests come first: they make attempts.
	unqueueSQL = `DELETE FROM rehearsal.requests WHERE done_at IS NULL; DELETE FROM rehearsal.due_batches; DELETE FROM rehearsal.attempts WHERE state = 1`
	// Calls that the processor may be answering at the moment.
	callsSQL = `SELECT (SELECT count(*) FROM rehearsal.attempts WHERE state = 2 AND not_before > clock_timestamp())
		+ (SELECT count(*) FROM rehearsal.refunds WHERE status = 'calling' AND not_before > clock_timestamp())`
)

// Look finds what there is of rehearsals, at one moment. Errors: ErrOldSchema,
// ErrOwner.
func (d *Database) Look(ctx context.Context) (*Plan, error) {
	var p *Plan
	err := d.connected(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
			p, err = lookIn(ctx, tx)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("look for rehearsals: %w", err)
	}
	return p, nil
}

func lookIn(ctx context.Context, tx pgx.Tx) (*Plan, error) {
	var ready bool
	if err := tx.QueryRow(ctx, readySQL).Scan(&ready); err != nil {
		return nil, err
	}
	if !ready {
		return nil, ErrOldSchema
	}
	var owns bool
	if err := tx.QueryRow(ctx, ownsSQL, []string{ledger.Rehearsal.Schema(), searchSchema}).Scan(&owns); err != nil {
		return nil, err
	}
	if !owns {
		return nil, ErrOwner
	}
	p := &Plan{}
	names, err := tables(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if slices.Contains(running, name) {
			continue
		}
		t := Table{Name: name}
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM ONLY "+name).Scan(&t.Rows); err != nil {
			return nil, err
		}
		p.Tables = append(p.Tables, t)
	}
	for sql, into := range map[string]*[]string{campaignsSQL: &p.Campaigns, runsSQL: &p.Runs, organisationsSQL: &p.Organisations} {
		rows, err := tx.Query(ctx, sql)
		if err != nil {
			return nil, err
		}
		if *into, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return nil, err
		}
	}
	var first, last *time.Time
	if err := tx.QueryRow(ctx, givenSQL).Scan(&first, &last, &p.AmountMinor); err != nil {
		return nil, err
	}
	if first != nil && last != nil {
		p.FirstAt, p.LastAt = first.UTC(), last.UTC()
	}
	return p, tx.QueryRow(ctx, slotSQL).Scan(&p.lastSlot)
}

// Holders names the processes that hold a slot of rehearsals.
func (d *Database) Holders(ctx context.Context) (held []string, err error) {
	err = d.connected(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, holdersSQL)
		if err != nil {
			return err
		}
		held, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return held, err
}

// calls counts those that the processor may be answering at the moment.
func (d *Database) calls(ctx context.Context) (n int64, err error) {
	err = d.connected(ctx, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, callsSQL).Scan(&n) })
	return n, err
}

// unqueue takes out of the queue of charges what was not called yet, or is to be called
// again: the payments processes would go on for hours otherwise.
func (d *Database) unqueue(ctx context.Context) error {
	for try := 1; ; try++ {
		err := d.connected(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, unqueueSQL)
			return err
		})
		if err == nil {
			return nil
		}
		if !inTheWay(err) || try == tries {
			return fmt.Errorf("end the charging of rehearsals: %w", err)
		}
	}
}

// known returns those of the slugs that the database has a campaign of.
func (d *Database) known(ctx context.Context, slugs []string) (found []string, err error) {
	err = d.connected(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, knownSQL, slugs)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return found, err
}

// vacuum gives the room of the removed rows back to the system where it can, of tables
// that lost at least so many; the others are left to the server's own vacuum.
func (d *Database) vacuum(ctx context.Context, removed []Table, least int64) error {
	return d.connected(ctx, func(conn *pgx.Conn) error {
		for _, t := range removed {
			if t.Rows < least {
				continue
			}
			if _, err := conn.Exec(ctx, "VACUUM "+t.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// inTheWay tells whether somebody else's transaction was in the way of ours.
func inTheWay(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && slices.Contains([]string{"40001", "40P01", "55P03"}, pg.Code)
}
