// Package postgres stores campaigns, with the giving days, organisations and pictures
// that they name, in the schema "campaigns". It is where they are made and changed; front-ends
// read them from the broker and never come here.
//
// The one invariant: revisions become visible in their order, so that whoever has
// read the changes since revision n has missed none below.
//
// No goroutines of its own besides the connection pool's.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/postgres/session"
)

// limits are far above what the publisher needs.
var limits = session.Limits{Statement: 15 * time.Second, Lock: 10 * time.Second, Idle: 10 * time.Second, Connect: 5 * time.Second}

// connections is enough for the publisher and a command beside it.
const connections = 2

// schema holds all tables of this package.
const schema = "campaigns"

// revisionLock is the advisory lock under which revisions are taken: any constant
// that no other program takes in this database ("campaign" in ASCII).
const revisionLock = 0x63616d706169676e

// SinceMost is how many campaigns Since returns at once, some megabytes with their
// stories; so many mean that there may be more.
const SinceMost = 1000

// Config says where the database is.
type Config struct {
	// URL is a connection string or URL as libpq reads it.
	URL string
	// Application is shown in pg_stat_activity; "spillway campaigns" when empty.
	Application string
}

// Store is the schema of campaigns. All methods may be called at the same time.
type Store struct {
	config *pgx.ConnConfig
	pool   *pgxpool.Pool
}

// Open prepares the pool. It does not connect. Errors: a URL that cannot be read.
func Open(config Config) (*Store, error) {
	if config.Application == "" {
		config.Application = "spillway campaigns"
	}
	c, err := session.ParseWith(config.URL, config.Application, limits)
	if err != nil {
		return nil, err
	}
	c.MaxConns = connections
	c.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("open pool of campaigns: %w", err)
	}
	return &Store{config: c.ConnConfig, pool: pool}, nil
}

// Close ends all connections; it waits for those in use.
func (s *Store) Close() { s.pool.Close() }

//go:embed sql/*.sql
var sqlFiles embed.FS

var (
	putSQL      = statement("put")
	getSQL      = statement("get")
	listSQL     = statement("list")
	searchSQL   = statement("search")
	sinceSQL    = statement("since")
	oldestSQL   = statement("oldest_open")
	raiseSQL    = statement("raise")
	addStubsSQL = statement("add_stubs")
	stubsSQL    = statement("stubs")
)

// statement reads an embedded file; a missing one is found at start-up.
func statement(name string) string {
	b, err := sqlFiles.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// locked runs do in a transaction that holds the revision lock until it commits.
func (s *Store) locked(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(revisionLock)); err != nil {
			return fmt.Errorf("wait for the revision lock: %w", err)
		}
		return do(tx)
	})
}

// Put makes or changes campaigns, all or none, and returns how many of them it
// made or changed; one that is the same already is left alone. A campaign's Revision
// is assigned here, its LegalName and TaxNumber are its organisation's (PutOrganisation);
// those given are not read. An event or organisation that nobody made is made of its name.
//
// Errors: campaigns.ErrInvalid, also for a picture that is not stored; campaigns.ErrCurrencyKept, campaigns.ErrBookKept,
// ledger.ErrUnavailable; campaigns.ErrUnknown for a parent that does not exist.
func (s *Store) Put(ctx context.Context, all ...*campaigns.Campaign) (changed int, err error) {
	rows, err := columnsOf(all)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, nil
	}
	err = s.locked(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, putSQL, rows...)
		changed = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, sorted(fmt.Sprintf("put %d campaigns", len(all)), err)
	}
	return changed, nil
}

// Edit changes one campaign and returns it as it is then. change is called with what
// is stored, while nobody else can change any campaign; it must not wait for anything,
// nor change the slug. Its error ends the edit and is returned as it is. A change of
// nothing keeps the revision. Errors: those of Put, of which ErrUnknown also for the
// campaign itself.
func (s *Store) Edit(ctx context.Context, slug string, change func(*campaigns.Campaign) error) (*campaigns.Campaign, error) {
	var edited *campaigns.Campaign
	err := s.locked(ctx, func(tx pgx.Tx) error {
		c, err := one(ctx, tx, slug)
		if err != nil {
			return err
		}
		if err := change(c); err != nil {
			return refusal{err}
		}
		if c.Slug != slug {
			return refusal{fmt.Errorf("%w: the slug of %q cannot be changed", campaigns.ErrInvalid, slug)}
		}
		rows, err := columnsOf([]*campaigns.Campaign{c})
		if err != nil {
			return refusal{err}
		}
		if _, err := tx.Exec(ctx, putSQL, rows...); err != nil {
			return err
		}
		edited, err = one(ctx, tx, slug)
		return err
	})
	if refused, ok := errors.AsType[refusal](err); ok {
		return nil, refused.error
	}
	if err != nil {
		return nil, sorted(fmt.Sprintf("edit campaign %q", slug), err)
	}
	return edited, nil
}

// refusal is an error that is the caller's, not the database's.
type refusal struct{ error }

// one reads a campaign within a transaction. Errors: a refusal of ErrUnknown.
func one(ctx context.Context, tx pgx.Tx, slug string) (*campaigns.Campaign, error) {
	all, err := collect(ctx, tx, scan, getSQL, slug)
	if err == nil && len(all) == 0 {
		err = refusal{fmt.Errorf("campaign %q: %w", slug, campaigns.ErrUnknown)}
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Get returns a campaign. Errors: campaigns.ErrUnknown, also for a stub;
// ledger.ErrUnavailable.
func (s *Store) Get(ctx context.Context, slug string) (*campaigns.Campaign, error) {
	all, err := s.query(ctx, "get campaign", getSQL, slug)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("get campaign %q: %w", slug, campaigns.ErrUnknown)
	}
	return all[0], nil
}

// List returns at most limit campaigns whose slugs follow after, "" for the first,
// in order of slug; stubs are left out. Errors: ledger.ErrUnavailable.
func (s *Store) List(ctx context.Context, after string, limit int) ([]*campaigns.Campaign, error) {
	return s.query(ctx, "list campaigns", listSQL, after, limit)
}

// Search is List for the campaigns whose slug, name, organisation or event holds
// text, in upper or lower case; "" is in all. Errors: ledger.ErrUnavailable.
func (s *Store) Search(ctx context.Context, text, after string, limit int) ([]*campaigns.Campaign, error) {
	return s.query(ctx, "search campaigns", searchSQL, searchable(text), after, limit)
}

// searchable is text as the database takes it: what cannot be stored is found nowhere.
func searchable(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}

// Since returns the campaigns that changed after revision, in order of change, at
// most SinceMost of them; stubs are left out. Errors: ledger.ErrUnavailable.
func (s *Store) Since(ctx context.Context, revision int64) ([]*campaigns.Campaign, error) {
	return s.query(ctx, "list changed campaigns", sinceSQL, revision, SinceMost)
}

// OldestOpen returns, of the donors' campaigns that were open at t or open later, the one
// that opened first; nil for none. Errors: ledger.ErrUnavailable.
func (s *Store) OldestOpen(ctx context.Context, t time.Time) (*campaigns.Campaign, error) {
	all, err := s.query(ctx, "oldest open campaign", oldestSQL, t)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], nil
}

// RaiseRevision has every later change numbered above least. After the database
// was restored from a backup, front-ends may hold higher revisions than it knows,
// and would take its changes for old ones. Errors: ledger.ErrUnavailable.
func (s *Store) RaiseRevision(ctx context.Context, least int64) error {
	err := s.locked(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, raiseSQL, least)
		return err
	})
	return sorted("raise the revision", err)
}

// AddStubs makes a stub of every campaign that the book's slots name and nobody
// made, and returns their slugs. The book's schema must exist. Errors:
// ledger.ErrUnavailable.
func (s *Store) AddStubs(ctx context.Context, book ledger.Book) (slugs []string, err error) {
	err = s.locked(ctx, func(tx pgx.Tx) error {
		name := pgx.Identifier{book.Schema()}.Sanitize()
		rows, err := tx.Query(ctx, fmt.Sprintf(addStubsSQL, name), book == ledger.Rehearsal)
		if err != nil {
			return err
		}
		slugs, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return slugs, sorted("add stubs of unknown campaigns", err)
}

// Stubs returns the slugs of all stubs. Errors: ledger.ErrUnavailable.
func (s *Store) Stubs(ctx context.Context) ([]string, error) {
	rows, err := s.pool.Query(ctx, stubsSQL)
	if err != nil {
		return nil, sorted("list stubs", err)
	}
	slugs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return slugs, sorted("list stubs", err)
}

// constraints says what a caller decides on when the database refuses.
var constraints = map[string]error{
	"campaigns_currency_kept": campaigns.ErrCurrencyKept,
	"campaigns_book_kept":     campaigns.ErrBookKept,
	"campaigns_parent_fkey":   campaigns.ErrUnknown,
	"campaigns_image_fkey":    campaigns.ErrInvalid,
}

// sorted gives err, of doing what, the meaning that a caller decides on: what the
// database refused by name, else ledger.ErrUnavailable when time heals it, else err.
func sorted(what string, err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("%s: %w: %w", what, ledger.ErrUnavailable, err)
	}
	if meaning, ok := constraints[pg.ConstraintName]; ok {
		return fmt.Errorf("%s: %w (%s)", what, meaning, pg.Detail)
	}
	switch pg.Code[:2] {
	case "08", "25", "40", "53", "55", "57": // connection, a standby, rollback, resources, lock, operator (manual, appendix A)
		return fmt.Errorf("%s: %w: %w", what, ledger.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
