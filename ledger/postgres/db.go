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
	"context"
	"embed"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/ledger"
)

// Limits that the server enforces on our connections, in its own words. They turn
// a stuck transaction into an error that is retried: nothing waits for ever.
const (
	// statementTimeout is many times the slowest batch seen (0.4 s).
	statementTimeout = 30 * time.Second
	// lockTimeout bounds waiting for another writer of the same donations.
	lockTimeout = 15 * time.Second
	// idleInTransactionTimeout ends a transaction whose process froze between two
	// statements, so that a slot's adopter does not wait for a corpse.
	idleInTransactionTimeout = 10 * time.Second
	// connectTimeout bounds one try to connect.
	connectTimeout = 5 * time.Second
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
}

// Open prepares the pools. It does not connect: a ledger starts, and waits, while
// its database is away. Errors: a URL that cannot be read.
func Open(config Config) (*DB, error) {
	base, err := pgxpool.ParseConfig(config.URL)
	if err != nil {
		return nil, errors.New("database url cannot be read") // the cause may quote a password
	}
	if config.Application == "" {
		config.Application = "spillway ledger"
	}
	if config.RecordConnections == 0 {
		config.RecordConnections = recordConnections
	}
	base.MinConns = 0
	base.ConnConfig.ConnectTimeout = connectTimeout
	set := func(name, value string) { base.ConnConfig.RuntimeParams[name] = value }
	set("application_name", config.Application)
	set("timezone", "UTC")
	set("statement_timeout", milliseconds(statementTimeout))
	set("lock_timeout", milliseconds(lockTimeout))
	set("idle_in_transaction_session_timeout", milliseconds(idleInTransactionTimeout))
	// A server whose client's machine vanished learns it in this time and not in
	// the two hours of a default kernel. Ignored on a socket of the same machine.
	set("tcp_user_timeout", milliseconds(idleInTransactionTimeout))
	// Accepted must mean on disk, whatever the server's default is.
	set("synchronous_commit", "on")

	db := &DB{config: base.ConnConfig.Copy(), books: map[ledger.Book]*Book{}}
	// Every query here finds its rows by a key. A plan made while a table was empty
	// would scan it and be kept while it grows; a plan per execution would weigh
	// thousands of IDs each time.
	set("enable_seqscan", "off")
	set("plan_cache_mode", "force_generic_plan")
	set("jit", "off")
	for _, book := range ledger.Books {
		set("search_path", book.Schema())
		b := &Book{book: book}
		db.books[book] = b
		for pool, connections := range map[**pgxpool.Pool]int{
			&b.record: config.RecordConnections, &b.control: controlConnections, &b.asks: askConnections,
		} {
			c := base.Copy()
			c.MaxConns = int32(connections)
			if *pool, err = pgxpool.NewWithConfig(context.Background(), c); err != nil {
				db.Close()
				return nil, fmt.Errorf("open pool of the %s book: %w", book, err)
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

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

//go:embed sql/*.sql
var sqlFiles embed.FS

// statement reads an embedded file; a missing one is found at start-up.
func statement(name string) string {
	b, err := sqlFiles.ReadFile("sql/" + name + ".sql")
	if err != nil {
		_, file, line, _ := runtime.Caller(1)
		panic(fmt.Sprintf("%s:%d: %v", file, line, err))
	}
	return string(b)
}
