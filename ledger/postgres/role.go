package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"spillway/ledger"
	"spillway/ledger/postgres/session"
)

// AppRole is the group role that the binary's roles work under: it may add donations
// and journal entries, and change or remove none.
const AppRole = session.AppRole

// What grant does, as the login that owns the tables: migration 00006's function in
// each book's schema, while nobody else migrates.
const (
	grantPatientSQL = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0" // as a migration
	grantTurnSQL    = "SELECT pg_advisory_xact_lock($1)"
	grantIntoSQL    = "SELECT set_config('search_path', $1, true)"
	grantRightSQL   = "SELECT grant_app()"
)

// grant gives AppRole its rights in every book, on tables of later migrations too, and
// when somebody made the role since. Nothing changes where all is as it should be.
func (db *DB) grant(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, db.config)
	if err != nil {
		return fmt.Errorf("grant rights: connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // whatever was not committed is rolled back
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("grant rights: %w", err)
	}
	if _, err := tx.Exec(ctx, grantPatientSQL); err != nil {
		return fmt.Errorf("grant rights: %w", err)
	}
	if _, err := tx.Exec(ctx, grantTurnSQL, int64(migrationLock)); err != nil {
		return fmt.Errorf("grant rights: wait for our turn: %w", err)
	}
	for _, book := range ledger.Books {
		if _, err := tx.Exec(ctx, grantIntoSQL, book.Schema()); err != nil {
			return fmt.Errorf("grant rights in the %s book: %w", book, err)
		}
		if _, err := tx.Exec(ctx, grantRightSQL); err != nil {
			return fmt.Errorf("grant rights in the %s book: %w", book, err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("grant rights: %w", err)
	}
	return nil
}

// guardedSQL tells whether this session works under AppRole, and whether it could
// change a donation all the same.
const guardedSQL = "SELECT current_user = '" + AppRole + "' AND NOT has_table_privilege('donations', 'UPDATE') AND NOT has_table_privilege('donations', 'DELETE')"

// Guarded tells whether this process works under a role that cannot change what only
// grows, in every book. When it does not, the login may not take AppRole or nobody has
// made it, and the tables' triggers alone say no. Errors: ledger.ErrUnavailable.
func (db *DB) Guarded(ctx context.Context) (bool, error) {
	for _, book := range ledger.Books {
		var guarded bool
		if err := db.books[book].asks.QueryRow(ctx, guardedSQL).Scan(&guarded); err != nil {
			return false, sorted("ask for our role", err)
		}
		if !guarded {
			return false, nil
		}
	}
	return true, nil
}
