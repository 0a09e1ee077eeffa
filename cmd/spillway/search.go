package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
	"spillway/ledger"
	searchdb "spillway/ledger/search/postgres"
)

// searchCommand looks after the projection that the console searches.
type searchCommand struct {
	Status  searchStatusCommand  `cmd:"" help:"Show how much the projection holds and how old it is."`
	Rebuild searchRebuildCommand `cmd:"" help:"Throw the projection away; the running console makes it anew from the ledger."`
}

// Help is shown by --help.
func (searchCommand) Help() string {
	return `Lists, searches, exports and the walls of donors' pages read a projection that follows the ledger. It is kept by 'spillway admin' and 'spillway up'. Nothing but what organisers have hidden is in it alone, and a rebuild keeps that.

Examples:
    spillway search status
    spillway search rebuild --yes --database-url postgres://spillway:password@db/spillway`
}

// searchTimeout bounds one command: a few statements, behind a batch under way.
const searchTimeout = 30 * time.Second

// withSearch finds the database and works on the projection of each book.
func withSearch(p *process, at config.Search, work func(context.Context, ledger.Book, *searchdb.Store) error) error {
	database := at.DatabaseURL.Reveal()
	if database == "" {
		run, err := onebox.ReadRun(at.Data)
		if err != nil {
			return fmt.Errorf("%w; name its database with --database-url", err)
		}
		database = run.DatabaseURL
	}
	db, err := searchdb.Open(searchdb.Config{URL: database, Application: "spillway search command"})
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(p.ctx, searchTimeout)
	defer cancel()
	for _, book := range ledger.Books {
		if err := work(ctx, book, db.Store(book)); err != nil {
			return err
		}
	}
	return nil
}

type searchStatusCommand struct{ config.Search }

// Run shows the figures of both books.
func (c *searchStatusCommand) Run(p *process) error {
	return withSearch(p, c.Search, func(ctx context.Context, book ledger.Book, s *searchdb.Store) error {
		f, err := s.Figures(ctx)
		if err != nil {
			return err
		}
		age := "being made; nothing is promised yet"
		if f.AsOf.Unix() > 0 {
			age = fmt.Sprintf("complete up to %s, %s ago", f.AsOf.Format(time.RFC3339), rounded(time.Since(f.AsOf)))
		}
		fmt.Fprintf(p.stdout, "%-9s  %d donations, %d donors; %s; %d messages wait\n", book, f.Rows, f.Donors, age, f.Behind)
		return nil
	})
}

type searchRebuildCommand struct {
	config.Search
	Yes bool `env:"-" help:"Do it: lists are empty and walls without gifts until the ledger was walked, some thousand donations a second."`
}

// errNotYes says that a rebuild was not confirmed.
var errNotYes = errors.New("lists will be empty and walls without gifts for a while: add --yes")

// Run throws the projections of both books away.
func (c *searchRebuildCommand) Run(p *process) error {
	if !c.Yes {
		return errNotYes
	}
	return withSearch(p, c.Search, func(ctx context.Context, book ledger.Book, s *searchdb.Store) error {
		if err := s.Rebuild(ctx); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%-9s  thrown away; 'spillway search status' shows how far it is\n", book)
		return nil
	})
}
