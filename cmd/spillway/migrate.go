package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	accessdb "spillway/campaigns/access/postgres"
	managedb "spillway/campaigns/console/manage/postgres"
	campaignsdb "spillway/campaigns/postgres"
	"spillway/cmd/spillway/internal/config"
	ledgerdb "spillway/ledger/postgres"
	searchdb "spillway/ledger/search/postgres"
)

type migrateCommand struct{ config.Migrate }

// Help is shown by --help.
func (migrateCommand) Help() string {
	return `Migrations only go forward, may run while older processes work, and take turns when several start them at once. 'spillway up' runs them itself.

Example:
    spillway migrate --database-url postgres://spillway:password@db.example.org/spillway`
}

// errNoDatabase says that a role was not told where the database is.
var errNoDatabase = errors.New("needs the database: --database-url postgres://user:password@host/database (SPILLWAY_DATABASE_URL)")

// Run migrates.
func (c *migrateCommand) Run(p *process) error {
	if c.DatabaseURL == "" {
		return errNoDatabase
	}
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	began := time.Now()
	if err := migrate(ctx, c.DatabaseURL.Reveal()); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "schema is up to date (%s)\n", rounded(time.Since(began)))
	return nil
}

// migrate brings every schema of the database up to date.
func migrate(ctx context.Context, url string) error {
	db, err := ledgerdb.Open(ledgerdb.Config{URL: url, Application: "spillway migrate"})
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := campaignsdb.Open(campaignsdb.Config{URL: url, Application: "spillway migrate"})
	if err != nil {
		return err
	}
	defer all.Close()
	lists, err := searchdb.Open(searchdb.Config{URL: url, Application: "spillway migrate"})
	if err != nil {
		return err
	}
	defer lists.Close()
	users, err := accessdb.Open(accessdb.Config{URL: url, Application: "spillway migrate"})
	if err != nil {
		return err
	}
	defer users.Close()
	imports, err := managedb.Open(url)
	if err != nil {
		return err
	}
	defer imports.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	if err := all.Migrate(ctx); err != nil {
		return err
	}
	if err := users.Migrate(ctx); err != nil {
		return err
	}
	if err := imports.Migrate(ctx); err != nil {
		return err
	}
	return lists.Migrate(ctx)
}
