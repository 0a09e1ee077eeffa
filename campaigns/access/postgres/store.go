// Package postgres stores users, sessions, API keys, one-time links and the audit
// log of the organiser's console in the schema "access".
//
// The one invariant: a change and its entry in the audit log are one transaction, and
// the log only grows, which a trigger sees to.
//
// No goroutines of its own besides the connection pool's.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/campaigns/access"
	"spillway/ledger/postgres/session"
)

// limits are far above what an organiser's click needs.
var limits = session.Limits{Statement: 10 * time.Second, Lock: 5 * time.Second, Idle: 10 * time.Second, Connect: 3 * time.Second}

// connections is enough for organisers, of whom there are tens: a request makes one
// short statement, and remembered sessions none.
const connections = 4

// schema holds all tables of this package.
const schema = "access"

// ownersLock is the advisory lock under which users change, so that the last owner
// is counted and the first one made by one transaction at a time ("owners" in ASCII).
const ownersLock = 0x6f776e657273

// Config says where the database is.
type Config struct {
	// URL is a connection string or URL as libpq reads it.
	URL string
	// Application is shown in pg_stat_activity; "spillway console" when empty.
	Application string
}

// Store is the schema of access. All methods may be called at the same time. Every
// one of them may return access.ErrUnavailable.
type Store struct {
	config *pgx.ConnConfig
	pool   *pgxpool.Pool
}

// Open prepares the pool. It does not connect. Errors: a URL that cannot be read.
func Open(config Config) (*Store, error) {
	if config.Application == "" {
		config.Application = "spillway console"
	}
	c, err := session.ParseWith(config.URL, config.Application, limits)
	if err != nil {
		return nil, err
	}
	c.MaxConns = connections
	c.ConnConfig.RuntimeParams["search_path"] = schema
	migrates := c.ConnConfig.Copy()
	c.AfterConnect = session.TakeRole
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("open pool of users: %w", err)
	}
	return &Store{config: migrates, pool: pool}, nil
}

// Close ends all connections; it waits for those in use.
func (s *Store) Close() { s.pool.Close() }

// Ping tells whether the database answers. Errors: access.ErrUnavailable.
func (s *Store) Ping(ctx context.Context) error { return sorted("ping", s.pool.Ping(ctx)) }

// Sweep removes what has expired by now: sessions, links, and browsers that were not
// seen for longer than devices are kept.
func (s *Store) Sweep(ctx context.Context, now time.Time, devicesKept time.Duration) error {
	for _, statement := range []string{
		// Few rows, seldom: no index on expiry would pay.
		"DELETE FROM sessions WHERE expires_at < $1",
		"DELETE FROM links WHERE expires_at < $1",
	} {
		if _, err := s.pool.Exec(ctx, statement, now); err != nil {
			return sorted("sweep", err)
		}
	}
	_, err := s.pool.Exec(ctx, "DELETE FROM devices WHERE seen_at < $1", now.Add(-devicesKept))
	return sorted("sweep", err)
}

// change runs do in a transaction and writes by into the audit log before it commits,
// unless by has no action: then its caller has written one.
func (s *Store) change(ctx context.Context, what string, by access.Entry, do func(pgx.Tx) error) error {
	return sorted(what, pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		if by.Action == "" {
			return nil
		}
		return write(ctx, tx, by)
	}))
}

// changeUsers is change under the lock that all changes of who may sign in take.
func (s *Store) changeUsers(ctx context.Context, what string, by access.Entry, do func(pgx.Tx) error) error {
	return s.change(ctx, what, by, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(ownersLock)); err != nil {
			return err
		}
		return do(tx)
	})
}

// constraints says what a caller decides on when the database refuses.
var constraints = map[string]error{
	"users_email_once":         access.ErrTaken,
	"users_role_known":         access.ErrInvalid,
	"users_owner_has_all":      access.ErrInvalid,
	"sessions_user_fkey":       access.ErrUnknown,
	"devices_user_fkey":        access.ErrUnknown,
	"links_user_fkey":          access.ErrUnknown,
	"recovery_codes_user_fkey": access.ErrUnknown,
	"users_email_given":        access.ErrInvalid,
	"keys_name_given":          access.ErrInvalid,
	"users_id_valid":           access.ErrInvalid,
	"recovery_codes_pkey":      access.ErrInvalid,
	"audit_only_grows":         access.ErrInvalid,
	"users_pkey":               access.ErrTaken,
	"keys_pkey":                access.ErrTaken,
	"sessions_pkey":            access.ErrTaken,
	"links_pkey":               access.ErrTaken,
	"sessions_id_once":         access.ErrTaken,
}

// sorted gives err, of doing what, the meaning that a caller decides on: our own
// sentinels, what the database refused by name, else access.ErrUnavailable when time
// heals it, else err.
func sorted(what string, err error) error {
	if err == nil {
		return nil
	}
	for _, own := range []error{access.ErrUnknown, access.ErrTaken, access.ErrLastOwner, access.ErrInvalid} {
		if errors.Is(err, own) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, access.ErrUnknown)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("%s: %w: %w", what, access.ErrUnavailable, err)
	}
	if meaning, ok := constraints[pg.ConstraintName]; ok {
		return fmt.Errorf("%s: %w (%s)", what, meaning, pg.ConstraintName)
	}
	switch pg.Code[:2] {
	// Connection, standby, authorisation, database or schema not there (yet), rollback,
	// table not there (yet), resources, lock, operator, system (manual, appendix A).
	case "08", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58":
		return fmt.Errorf("%s: %w: %w", what, access.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
