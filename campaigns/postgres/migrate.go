package postgres

import (
	"context"
	"embed"
	"fmt"

	"spillway/ledger/postgres/migration"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is held by one migrating process ("migrate" in ASCII and a c).
const migrationLock migration.Lock = 0x6d69677261746563

// Migrate brings the schema to this build's version. Several processes may call it
// at once; they take turns. Errors: a database that cannot be reached, a migration
// that fails.
func (s *Store) Migrate(ctx context.Context) error {
	if err := migration.Up(ctx, s.config, migrationLock, migrationFiles, schema); err != nil {
		return fmt.Errorf("campaigns: %w", err)
	}
	return nil
}
