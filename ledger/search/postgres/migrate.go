package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"spillway/ledger"
	"spillway/ledger/postgres/migration"
	"spillway/ledger/postgres/session"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is held by one migrating process ("searchmi" in ASCII).
const migrationLock migration.Lock = 0x7365617263686d69

const (
	roleSQL   = "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '" + session.AppRole + "')"
	grantsSQL = "GRANT USAGE ON SCHEMA %[1]s TO " + session.AppRole +
		"; GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA %[1]s TO " + session.AppRole +
		"; REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %[1]s.goose_db_version FROM " + session.AppRole
)

// Migrate brings the schemas of all books to this build's version; the ledger's must
// be there. Several processes may call it at once; they take turns. Errors: a database
// that cannot be reached, a migration that fails.
func (db *DB) Migrate(ctx context.Context) error {
	schemas := make([]string, len(ledger.Books))
	for i, book := range ledger.Books {
		schemas[i] = Schema(book)
	}
	if err := migration.Up(ctx, db.config, migrationLock, migrationFiles, schemas...); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return db.grant(ctx, schemas)
}

// grant lets the application's role work on the projection, where there is one.
func (db *DB) grant(ctx context.Context, schemas []string) (err error) {
	conn, err := pgx.ConnectConfig(ctx, db.config)
	if err != nil {
		return fmt.Errorf("search: grant rights: connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var there bool
	if err := conn.QueryRow(ctx, roleSQL).Scan(&there); err != nil || !there {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("search: grant rights: %w", err)
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("search: grant rights: wait for our turn: %w", err)
	}
	for _, schema := range schemas {
		if _, err := tx.Exec(ctx, fmt.Sprintf(grantsSQL, pgx.Identifier{schema}.Sanitize())); err != nil {
			return fmt.Errorf("search: grant rights in %s: %w", schema, err)
		}
	}
	return tx.Commit(ctx)
}
