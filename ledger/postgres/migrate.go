package postgres

import (
	"context"
	"embed"
	"fmt"

	"spillway/ledger"
	"spillway/ledger/postgres/migration"
	"spillway/ledger/postgres/session"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is held by one migrating process ("spillway" in ASCII).
const migrationLock migration.Lock = 0x7370696c6c776179

// Migrate brings the schemas of all books to this build's version: the same
// numbered, forward-only migrations in each. Several processes may call it at once;
// they take turns. Afterwards AppRole has its rights. Errors: a database that cannot be reached, a migration that fails.
func (db *DB) Migrate(ctx context.Context) error {
	schemas := make([]string, len(ledger.Books))
	for i, book := range ledger.Books {
		schemas[i] = book.Schema()
	}
	if err := migration.Up(ctx, db.config, migrationLock, migrationFiles, schemas...); err != nil {
		return err
	}
	return db.grant(ctx)
}

var schemaVersionSQL = statement("schema_version")

// Migrated returns nil when all books' schemas have every migration of this build; newer
// ones do no harm. Errors: ledger.ErrUnavailable, with what to do when one is missing.
func (db *DB) Migrated(ctx context.Context) error {
	wanted, err := migration.Latest(migrationFiles)
	if err != nil {
		return err
	}
	for _, book := range ledger.Books {
		var at int64
		if err := db.books[book].control.QueryRow(ctx, schemaVersionSQL).Scan(&at); err != nil {
			return sorted("ask for the schema's version", err)
		}
		if at < wanted {
			return fmt.Errorf("schema %s is at migration %d of %d: %w: %w", book.Schema(), at, wanted, ledger.ErrUnavailable, session.ErrSchema)
		}
	}
	return nil
}
