package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"spillway/ledger/postgres/migration"
	"spillway/ledger/postgres/session"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is held by one migrating process ("migrate" in ASCII and an a).
const migrationLock migration.Lock = 0x6d69677261746561

const (
	roleSQL = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '" + session.AppRole + "')"
	// grantsSQL gives the console all rights but those to change what only grows.
	grantsSQL = "SELECT pg_advisory_xact_lock(%d); GRANT USAGE ON SCHEMA " + schema + " TO " + session.AppRole +
		"; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + schema + " TO " + session.AppRole +
		"; REVOKE UPDATE, DELETE ON " + schema + ".audit FROM " + session.AppRole +
		"; REVOKE INSERT, UPDATE, DELETE ON " + schema + ".goose_db_version FROM " + session.AppRole
)

// Migrate brings the schema to this build's version, and gives the application's role
// its rights where there is one: the ledger's migrations make it. Several processes
// may call it at once; they take turns. Errors: a database that cannot be reached, a
// migration that fails.
func (s *Store) Migrate(ctx context.Context) (err error) {
	if err := migration.Up(ctx, s.config, migrationLock, migrationFiles, schema); err != nil {
		return fmt.Errorf("access: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return fmt.Errorf("access: grant rights: connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var there bool
	if err := conn.QueryRow(ctx, roleSQL).Scan(&there); err != nil || !there {
		return err
	}
	// Several statements at once are one transaction, which the lock ends with.
	if _, err := conn.PgConn().Exec(ctx, fmt.Sprintf(grantsSQL, int64(migrationLock))).ReadAll(); err != nil {
		return fmt.Errorf("access: grant rights: %w", err)
	}
	return nil
}
