// Package migration brings schemas to a build's version. Every adapter that owns
// tables embeds its numbered migrations and leaves applying them to this package.
//
// The one invariant: of all processes that migrate under one lock one works at a
// time, and a migration is applied whole or not at all, once, and never undone.
//
// No goroutines of its own besides the connection pools'.
package migration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Lock is an advisory lock that no other program takes in the database.
type Lock int64

// unlimited are the settings that bound ordinary work: a migration may take its
// time, and the process that waits for another's turn as well.
var unlimited = []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}

// Up creates the schemas that are not there and applies to each, in order, what it
// lacks of the migrations in files/migrations. Several processes may call it at
// once; they take turns. Everything about the sessions but their limits and search
// path is as config says, which is not changed.
//
// A process that dies here leaves whole migrations behind, and a lock that ends
// with its session; the next one goes on.
//
// Errors: a database that cannot be reached, a migration that fails.
func Up(ctx context.Context, config *pgx.ConnConfig, lock Lock, files fs.FS, schemas ...string) (err error) {
	config = config.Copy()
	for _, limit := range unlimited {
		config.RuntimeParams[limit] = "0"
	}
	numbered, err := fs.Sub(files, "migrations")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	turn := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, turn.Close()) }()
	session, err := turn.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate: connect: %w", err)
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	// The lock belongs to the session and ends with it, whatever happens to us.
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
		return fmt.Errorf("migrate: wait for our turn: %w", err)
	}
	for _, schema := range schemas {
		name := pgx.Identifier{schema}.Sanitize()
		if _, err := session.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+name); err != nil {
			return fmt.Errorf("migrate: create schema %s: %w", schema, err)
		}
		c := config.Copy()
		c.RuntimeParams["search_path"] = name
		if err := apply(ctx, c, numbered); err != nil {
			return fmt.Errorf("migrate schema %s: %w", schema, err)
		}
	}
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(lock)); err != nil {
		return fmt.Errorf("migrate: end our turn: %w", err)
	}
	return nil
}

// apply migrates the schema that config's search_path names.
func apply(ctx context.Context, config *pgx.ConnConfig, files fs.FS) (err error) {
	conns := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, conns.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, conns, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Latest is the number of the newest of the migrations in files/migrations. Errors: files
// that goose would not read.
func Latest(files fs.FS) (int64, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	var latest int64
	for _, name := range names {
		number, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("list migrations: %w", err)
		}
		latest = max(latest, number)
	}
	return latest, nil
}
