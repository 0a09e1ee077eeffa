package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"spillway/ledger"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is the advisory lock that one migrating process holds: any
// constant that no other program takes in this database ("spillway" in ASCII).
const migrationLock = 0x7370696c6c776179

// Migrate brings the schemas of all books to this build's version: the same
// numbered, forward-only migrations in each. Several processes may call it at once;
// they take turns. Errors: a database that cannot be reached, a migration that fails.
func (db *DB) Migrate(ctx context.Context) (err error) {
	// A migration may take its time; everything else about the session is the same.
	config := db.config.Copy()
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		config.RuntimeParams[limit] = "0"
	}
	turn := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, turn.Close()) }()
	session, err := turn.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: connect: %w", err)
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	// The lock belongs to the session and ends with it, whatever happens to us.
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("migrate: wait for our turn: %w", err)
	}
	for _, book := range ledger.Books {
		if _, err := session.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+book.Schema()); err != nil {
			return fmt.Errorf("migrate: create schema %s: %w", book.Schema(), err)
		}
		c := config.Copy()
		c.RuntimeParams["search_path"] = book.Schema()
		if err := migrateSchema(ctx, stdlib.OpenDB(*c)); err != nil {
			return fmt.Errorf("migrate the %s book: %w", book, err)
		}
	}
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("migrate: end our turn: %w", err)
	}
	return nil
}

// migrateSchema migrates the schema that the connections' search_path names, and
// closes them.
func migrateSchema(ctx context.Context, conns *sql.DB) (err error) {
	defer func() { err = errors.Join(err, conns.Close()) }()
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conns, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}
