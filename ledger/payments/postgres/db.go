// Package postgres holds the queue and the books of being paid: attempts made from
// recorded donations, claims, pace, and every fact applied with its journal
// entries, one schema per book.
//
// The one invariant: an attempt's call is sent only under a claim, with parameters
// that were committed before; and a payment changes only in the transaction that
// commits the cause, its journal entries and its duplicate mark.
//
// Lock order everywhere: due batches, donations by ID, payments by ID, attempts,
// pace, slots by campaign, chain head.
//
// No goroutines of its own besides the connection pools'.
package postgres

import (
	"context"
	"embed"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/ledger"
	"spillway/ledger/postgres/session"
)

// Connections of one book, at most. They are made when needed and kept apart, so
// that an answer of the processor never waits until the queue has been claimed, nor
// either of them for figures.
const (
	applyConnections = 4 // batches of facts and commands; they serialise on the slot
	queueConnections = 4 // expanding, claiming, pace
	askConnections   = 2 // figures, overdue, what is to be called
)

// Config says where the database is and which time it is.
type Config struct {
	// URL is a connection string or URL as libpq reads it. It needs a connection
	// that stays one session: a pooler in transaction mode does not do.
	URL string
	// Application is shown in pg_stat_activity; "spillway payments" when empty.
	Application string
	// ClockOffset is added to the database's clock wherever a time means something
	// to donors or the processor: expiries, turns, the processor's memory of keys.
	// The pace goes by the database's own clock. Nil is no offset.
	ClockOffset func() time.Duration
}

// DB is the ledger's database as payments use it: a Book for each of the books.
type DB struct {
	books map[ledger.Book]*Book
}

// Book is one book's schema. All methods may be called at the same time.
type Book struct {
	book               ledger.Book
	apply, queue, asks *pgxpool.Pool
	offset             func() time.Duration
	figures            figures
}

// Open prepares the pools. It does not connect: the payments role starts, and
// waits, while its database is away. Errors: a URL that cannot be read.
func Open(config Config) (*DB, error) {
	if config.Application == "" {
		config.Application = "spillway payments"
	}
	if config.ClockOffset == nil {
		config.ClockOffset = func() time.Duration { return 0 }
	}
	base, err := session.Parse(config.URL, config.Application)
	if err != nil {
		return nil, err
	}
	// A queue is walked in the order of an index, from its head. Whatever the planner
	// guesses about a table that was empty a moment ago, it is never collected and
	// sorted whole.
	ordered := base.Copy()
	ordered.ConnConfig.RuntimeParams["enable_bitmapscan"] = "off"
	ordered.ConnConfig.RuntimeParams["enable_sort"] = "off"

	db := &DB{books: map[ledger.Book]*Book{}}
	for _, book := range ledger.Books {
		b := &Book{book: book, offset: config.ClockOffset}
		db.books[book] = b
		for pool, connections := range map[**pgxpool.Pool]int{
			&b.apply: applyConnections, &b.queue: queueConnections, &b.asks: askConnections,
		} {
			if *pool, err = session.Pool(ordered, book, connections); err != nil {
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
		for _, pool := range []*pgxpool.Pool{b.apply, b.queue, b.asks} {
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

// sorted gives an error the meaning that a caller decides on.
func sorted(what string, err error) error { return session.Sorted(what, err) }

// rollback ends the connection's transaction, or the connection.
func rollback(ctx context.Context, conn *pgxpool.Conn) { session.Rollback(ctx, conn.Conn()) }

// within runs work in a transaction of a pool's connection, and ends it whatever
// happens. Errors are sorted; after one, the outcome of a commit is not known.
func within(ctx context.Context, pool *pgxpool.Pool, what string, work func(conn *pgx.Conn) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return sorted(what+": connect", err)
	}
	defer conn.Release()
	if _, err = conn.Exec(ctx, "BEGIN"); err == nil {
		if err = work(conn.Conn()); err == nil {
			_, err = conn.Exec(ctx, "COMMIT")
		}
	}
	if err != nil {
		rollback(ctx, conn)
		return sorted(what, err)
	}
	return nil
}

// uuids makes a parameter of identifiers.
func uuids(ids [][16]byte) []pgtype.UUID {
	out := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		out[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return out
}
