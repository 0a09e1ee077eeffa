package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is the advisory lock that one migrating process holds ("migrate" in
// ASCII and a c).
const migrationLock = 0x6d69677261746563

// Migrate brings the schema to this build's version. Several processes may call it
// at once; they take turns. Errors: a database that cannot be reached, a migration
// that fails.
func (s *Store) Migrate(ctx context.Context) (err error) {
	// A migration may take its time.
	config := s.config.Copy()
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		config.RuntimeParams[limit] = "0"
	}
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	session, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate campaigns: connect: %w", err)
	}
	// The lock belongs to the session and ends with it, whatever happens to us.
	defer func() { err = errors.Join(err, session.Close()) }()
	for _, step := range []string{
		fmt.Sprintf("SELECT pg_advisory_lock(%d)", int64(migrationLock)),
		"CREATE SCHEMA IF NOT EXISTS " + schema,
	} {
		if _, err := session.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("migrate campaigns: %s: %w", step, err)
		}
	}
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate campaigns: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate campaigns: %w", err)
	}
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("migrate campaigns: end our turn: %w", err)
	}
	return nil
}
