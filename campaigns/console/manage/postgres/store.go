// Package postgres keeps what organisers import, in the schema "manage", and reads
// offline gifts from the journal, which is where they are: there is no second list of
// them that could say something else.
//
// The one invariant: an import is applied by one process at a time, and only after it was
// written down that it is to be.
//
// No goroutines of its own besides the connection pool's.
package postgres

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/ledger"
	"spillway/ledger/postgres/migration"
	"spillway/ledger/postgres/session"
)

// schema holds all tables of this package.
const schema = "manage"

// migrationLock is held by one migrating process ("manage" in ASCII).
const migrationLock migration.Lock = 0x6d616e616765

// limits are far above what an import or a page needs.
var limits = session.Limits{Statement: 15 * time.Second, Lock: 10 * time.Second, Idle: 10 * time.Second, Connect: 5 * time.Second}

// connections is enough for the worker and some pages beside it.
const connections = 4

//go:embed migrations/*.sql
var migrationFiles embed.FS

//go:embed sql/*.sql
var sqlFiles embed.FS

var (
	addSQL         = session.Statement(sqlFiles, "add")
	pruneSQL       = session.Statement(sqlFiles, "prune")
	importSQL      = session.Statement(sqlFiles, "import")
	importsSQL     = session.Statement(sqlFiles, "imports")
	planSQL        = session.Statement(sqlFiles, "plan")
	appliedSQL     = session.Statement(sqlFiles, "applied")
	startSQL       = session.Statement(sqlFiles, "start")
	discardSQL     = session.Statement(sqlFiles, "discard")
	claimSQL       = session.Statement(sqlFiles, "claim")
	progressSQL    = session.Statement(sqlFiles, "progress")
	endSQL         = session.Statement(sqlFiles, "end")
	giftsSQL       = session.Statement(sqlFiles, "gifts")
	outcomesSQL    = session.Statement(sqlFiles, "outcomes")
	correctionsSQL = session.Statement(sqlFiles, "corrections")
	standingSQL    = session.Statement(sqlFiles, "standing")
	bookedSQL      = session.Statement(sqlFiles, "booked")
)

// Store is the schema of imports, and the live book's journal to read. All methods may
// be called at the same time. Their errors: ledger.ErrUnavailable for what time heals,
// and each's own.
type Store struct {
	config *pgx.ConnConfig
	pool   *pgxpool.Pool
}

// Open prepares the pool. It does not connect. Errors: a URL that cannot be read.
func Open(url string) (*Store, error) {
	c, err := session.ParseWith(url, "spillway console imports", limits)
	if err != nil {
		return nil, err
	}
	c.MaxConns = connections
	c.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("open pool of imports: %w", err)
	}
	return &Store{config: c.ConnConfig, pool: pool}, nil
}

// Close ends all connections; it waits for those in use.
func (s *Store) Close() { s.pool.Close() }

// Migrate brings the schema to this build's version. Several processes may call it at
// once; they take turns.
func (s *Store) Migrate(ctx context.Context) error {
	if err := migration.Up(ctx, s.config, migrationLock, migrationFiles, schema); err != nil {
		return fmt.Errorf("imports: %w", err)
	}
	return nil
}

// live fills the live book's schema into a statement.
func live(sql string) string {
	return fmt.Sprintf(sql, pgx.Identifier{ledger.Live.Schema()}.Sanitize())
}
