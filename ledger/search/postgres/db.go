// Package postgres holds the projection that donations are searched by: its tables,
// what brings them up to date from the ledger, and what is asked of them. All of its
// SQL is here, one schema per book beside the ledger's.
//
// The one invariant: the projection of a donation is a function of what the ledger
// says of it, whoever looks, how often and in which order; so it can be thrown away
// and made anew. Only what organisers hide is kept here alone.
//
// No goroutines of its own besides the connection pools', and one while Lead runs.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/postgres/session"
	"spillway/ledger/search"
)

// The projection is a second-class citizen of the database: few connections, and
// nothing of it may take long.
const (
	// followConnections: one for a batch, one for what is read beside it, one that holds
	// the lead.
	followConnections = 3
	// askConnections bound the searches of one process that run at the same time.
	askConnections = 4
	// followTimeout bounds a statement of the projector; a batch takes 0.1 s.
	followTimeout = 15 * time.Second
	// askTimeout bounds a statement of a search, which is meant to take 0.2 s.
	askTimeout = 5 * time.Second
)

// Keys open what donors said of themselves, and tell donors and gifts apart.
type Keys interface {
	Open(id ingest.ID, sealed []byte, keyID uint32) (ingest.Personal, error)
	// Donor is a keyed hash of a folded e-mail address.
	Donor(email string) [16]byte
	// GiftRef names a gift where everybody sees it.
	GiftRef(id ingest.ID) string
}

// Config says where the database is.
type Config struct {
	// URL is a connection string or URL as libpq reads it. It needs connections that
	// stay one session.
	URL string
	// Application is shown in pg_stat_activity; "spillway search" when empty.
	Application string
	// Keys are needed by whoever brings the projection up to date or tells stories; nil
	// for whoever migrates.
	Keys Keys
}

// DB is the projection's tables: a Store for each of the books.
type DB struct {
	config *pgx.ConnConfig
	stores map[ledger.Book]*Store
}

// Store is the projection of one book. All methods may be called at the same time.
type Store struct {
	book   ledger.Book
	keys   Keys
	follow *pgxpool.Pool
	ask    *pgxpool.Pool
	ledger statements
}

// Schema names the schema that holds a book's projection.
func Schema(book ledger.Book) string {
	if book == ledger.Rehearsal {
		return "search_rehearsal"
	}
	return "search"
}

// Open prepares the pools. It does not connect. Errors: a URL that cannot be read.
func Open(config Config) (*DB, error) {
	if config.Application == "" {
		config.Application = "spillway search"
	}
	base, err := session.Parse(config.URL, config.Application)
	if err != nil {
		return nil, err
	}
	db := &DB{config: base.ConnConfig.Copy(), stores: map[ledger.Book]*Store{}}
	for _, book := range ledger.Books {
		s := &Store{book: book, keys: config.Keys, ledger: statementsOf(book)}
		db.stores[book] = s
		if s.follow, err = pool(base, book, followConnections, followTimeout); err == nil {
			s.ask, err = pool(base, book, askConnections, askTimeout)
		}
		if err != nil {
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

func pool(base *pgxpool.Config, book ledger.Book, connections int32, timeout time.Duration) (*pgxpool.Pool, error) {
	config := base.Copy()
	config.MaxConns = connections
	set := func(name, value string) { config.ConnConfig.RuntimeParams[name] = value }
	set("search_path", Schema(book))
	set("statement_timeout", strconv.FormatInt(timeout.Milliseconds(), 10))
	// Every query finds its rows by a key; a scan is never meant.
	set("enable_seqscan", "off")
	set("jit", "off")
	config.AfterConnect = session.TakeRole
	p, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("open pool of the %s projection: %w", book, err)
	}
	return p, nil
}

// Store returns the projection of a book, nil for a number that is none.
func (db *DB) Store(book ledger.Book) *Store { return db.stores[book] }

// Close ends all connections; it waits for those in use.
func (db *DB) Close() {
	for _, s := range db.stores {
		for _, p := range []*pgxpool.Pool{s.follow, s.ask} {
			if p != nil {
				p.Close()
			}
		}
	}
}

//go:embed sql/*.sql
var sqlFiles embed.FS

// statement reads an embedded file; a missing one is found at start-up.
func statement(name string) string { return session.Statement(sqlFiles, name) }

// statements are those that read a book's ledger, whose schema they name.
type statements struct {
	truth, walk, entriesSince, heads, epoch string
	story                                   storyStatements
}

func statementsOf(book ledger.Book) statements {
	in := func(text string) string { return fmt.Sprintf(text, pgx.Identifier{book.Schema()}.Sanitize()) }
	return statements{
		truth: in(statement("truth")), walk: in(statement("walk")), entriesSince: in(statement("entries_since")), heads: in(statement("heads")),
		epoch: in("SELECT epoch FROM %[1]s.installation"),
		story: storyStatementsOf(in),
	}
}

// sorted gives an error the meaning that a caller decides on.
func sorted(what string, err error) error {
	if errors.Is(err, search.ErrUnknown) || errors.Is(err, search.ErrQuery) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return session.Sorted(what, err)
}
