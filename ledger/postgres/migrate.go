package postgres

import (
	"context"
	"embed"

	"spillway/ledger"
	"spillway/ledger/postgres/migration"
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
