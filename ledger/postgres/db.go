// Package postgres holds all SQL of the ledger: migrations, recording, leases,
// quarantine and look-ups, one schema per book.
//
// The one invariant: a donation's ID is in its book at most once, and whatever a
// transaction does beyond inserting donations it does only for those that were new
// in that very transaction, under a lease whose term it holds.
//
// No goroutines of its own besides the connection pools'.
package postgres

import (
	"embed"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/ledger"
	"spillway/ledger/postgres/session"
)

// Connections of one book, at most. They are made when needed and kept apart so that
// none of the three kinds of work waits for another: a lease is renewed while every
// shard records, and donors' questions never delay a batch.
const (
	recordConnections  = 8 // a transaction per shard at a time; more shards take turns
	controlConnections = 3 // the lease, a snapshot, the adopter
	askConnections     = 2 // look-ups, each for many donations
)

// Config says where the database is.
type Config struct {
	// URL is a connection string or URL as libpq reads it. It needs a connection
	// that stays one session: a pooler in transaction mode does not do.
	URL string
	// Application is shown in pg_stat_activity; "spillway ledger" when empty.
	Application string
	// RecordConnections bounds the batches that one book records at the same time; 8
	// when zero. Another five connections of a book serve leases and look-ups.
	RecordConnections int
}

// DB is the ledger's database: a Book for each of the books.
type DB struct {
	config *pgx.ConnConfig
	books  map[ledger.Book]*Book
}

// Book is one book's schema. All methods may be called at the same time.
type Book struct {
	book                  ledger.Book
	record, control, asks *pgxpool.Pool
	seqs                  sequence
	figures               figuresCache
}

// Open prepares the pools. It does not connect: a ledger starts, and waits, while
// its database is away. Errors: a URL that cannot be read.
func Open(config Config) (*DB, error) {
	if config.Application == "" {
		config.Application = "spillway ledger"
	}
	if config.RecordConnections == 0 {
		config.RecordConnections = recordConnections
	}
	base, err := session.Parse(config.URL, config.Application)
	if err != nil {
		return nil, err
	}
	db := &DB{config: base.ConnConfig.Copy(), books: map[ledger.Book]*Book{}}
	for _, book := range ledger.Books {
		b := &Book{book: book}
		db.books[book] = b
		for pool, connections := range map[**pgxpool.Pool]int{
			&b.record: config.RecordConnections, &b.control: controlConnections, &b.asks: askConnections,
		} {
			if *pool, err = session.Pool(base, book, connections); err != nil {
				db.Close()
				return nil, err
			}
		}
	}
	return db, nil
}

// Book returns a book, nil for a number that is none.
func (db *DB) Book(book ledger.Book) *Book { return db.books[book] }

// Close ends all connections; it waits for those in use.
func (db *DB) Close() {
	for _, b := range db.books {
		for _, pool := range []*pgxpool.Pool{b.record, b.control, b.asks} {
			if pool != nil {
				pool.Close()
			}
		}
	}
}

//go:embed sql/*.sql
var sqlFiles embed.FS

// statement reads an embedded file; a missing one is found at start-up.
func statement(name string) string { return session.Statement(sqlFiles, name) }
