// Package postgres reads a book's journal for reconciling and for statements.
//
// The one invariant: it changes nothing; the server refuses it to.
//
// No goroutines of its own besides the connection pools'.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/postgres/session"
)

const (
	// connections of one book, at most: a watch, and a person's report beside it.
	connections = 2
	// reportTimeout bounds one query: a report reads the whole table, for minutes when
	// a year of gifts is in it.
	reportTimeout = "15min"
	// refsMax bounds the refs that are asked for in one query.
	refsMax = 10_000
)

//go:embed sql/*.sql
var sqlFiles embed.FS

var (
	entriesSQL  = session.Statement(sqlFiles, "entries")
	campaignSQL = session.Statement(sqlFiles, "campaign")
	byRefSQL    = session.Statement(sqlFiles, "by_ref")
	headsSQL    = session.Statement(sqlFiles, "heads")
	startSQL    = session.Statement(sqlFiles, "start")
	newsSQL     = session.Statement(sqlFiles, "news")
)

// DB is the ledger's database as reports read it.
type DB struct{ books map[ledger.Book]*Journal }

// Journal is one book's journal. All methods may be called at the same time. Their
// errors: ledger.ErrUnavailable for what time heals, and each's own, as they are.
type Journal struct{ pool *pgxpool.Pool }

// readOnly has the server refuse every change on the connection.
func readOnly(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SET default_transaction_read_only = on")
	return err
}

// Open prepares the pools. It does not connect. Errors: a URL that cannot be read.
func Open(url string) (*DB, error) {
	base, err := session.Parse(url, "spillway reconcile")
	if err != nil {
		return nil, err
	}
	base.MaxConns = connections
	// Not a parameter of the connection: a URL may ask for a server that takes writes,
	// and this session would not look like one.
	base.AfterConnect = readOnly
	base.ConnConfig.RuntimeParams["statement_timeout"] = reportTimeout
	db := &DB{books: map[ledger.Book]*Journal{}}
	for _, book := range ledger.Books {
		config := base.Copy()
		config.ConnConfig.RuntimeParams["search_path"] = book.Schema()
		pool, err := pgxpool.NewWithConfig(context.Background(), config)
		if err != nil {
			db.Close()
			return nil, fmt.Errorf("open pool of the %s book: %w", book, err)
		}
		db.books[book] = &Journal{pool}
	}
	return db, nil
}

// Book returns a book's journal, nil for a number that is none.
func (db *DB) Book(book ledger.Book) *Journal { return db.books[book] }

// Close ends all connections; it waits for those in use.
func (db *DB) Close() {
	for _, j := range db.books {
		j.pool.Close()
	}
}

// Entries calls each with every entry that occurred in [since, until), in any order.
// The entry is each's until it returns.
func (j *Journal) Entries(ctx context.Context, since, until time.Time, each func(*journal.Entry) error) error {
	return j.visit(ctx, "read the journal", entriesSQL, []any{since, until}, each)
}

// Campaign calls each with every entry that occurred in [since, until) and moved
// what a campaign has raised, the oldest first; campaign "" is all of them.
func (j *Journal) Campaign(ctx context.Context, campaign string, since, until time.Time, each func(*journal.Entry) error) error {
	return j.visit(ctx, "read a campaign's entries", campaignSQL, []any{since, until, campaign}, each)
}

// Find returns the entries with these refs, by ref.
func (j *Journal) Find(ctx context.Context, refs []string) (map[string]*journal.Entry, error) {
	found := make(map[string]*journal.Entry, len(refs))
	for len(refs) > 0 {
		some := refs[:min(len(refs), refsMax)]
		refs = refs[len(some):]
		err := j.visit(ctx, "find entries", byRefSQL, []any{some}, func(e *journal.Entry) error {
			kept := *e
			kept.Postings = append([]journal.Posting(nil), e.Postings...)
			found[e.Ref] = &kept
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// News calls each with every entry beyond place, each once and in its slot's order,
// and moves place along as each returns nil. Slots that place does not have begin
// with what was booked at or after since.
func (j *Journal) News(ctx context.Context, since time.Time, place map[int32]int64, each func(*journal.Entry) error) error {
	const what = "read what is new in the journal"
	heads := map[int32]int64{}
	rows, err := j.pool.Query(ctx, headsSQL)
	if err == nil {
		var slot int32
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&slot, &n}, func() error {
			heads[slot] = n
			return nil
		})
	}
	if err != nil {
		return session.Sorted(what, err)
	}
	for slot, head := range heads {
		if _, known := place[slot]; !known {
			start := int64(0)
			if err := j.pool.QueryRow(ctx, startSQL, slot, since).Scan(&start); err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return session.Sorted(what, err)
			}
			place[slot] = start
		}
		if place[slot] >= head {
			continue
		}
		var n int64
		r := &row{}
		err := j.each(ctx, newsSQL, []any{slot, place[slot], head}, append([]any{&n}, r.columns()...), func() error {
			if err := r.tell(each); err != nil {
				return err
			}
			place[slot] = n
			return nil
		})
		if err != nil {
			return own(what, err)
		}
	}
	return nil
}

// visit runs a query of entries.
func (j *Journal) visit(ctx context.Context, what, sql string, args []any, each func(*journal.Entry) error) error {
	r := &row{}
	return own(what, j.each(ctx, sql, args, r.columns(), func() error { return r.tell(each) }))
}

func (j *Journal) each(ctx context.Context, sql string, args, columns []any, do func() error) error {
	rows, err := j.pool.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, columns, do)
	return err
}

// told is an error of the caller's function, which keeps its own meaning.
type told struct{ error }

func own(what string, err error) error {
	var t told
	if errors.As(err, &t) {
		return t.error
	}
	return session.Sorted(what, err)
}

// row is one row of entries, its memory used again.
type row struct {
	entry                journal.Entry
	kind                 string
	donation             pgtype.UUID
	accounts, currencies []string
	amounts              []int64
}

func (r *row) columns() []any {
	return []any{&r.kind, &r.entry.Ref, &r.donation, &r.entry.OccurredAt, &r.entry.Actor, &r.entry.Reason, &r.accounts, &r.currencies, &r.amounts}
}

// tell hands the row to the caller.
func (r *row) tell(each func(*journal.Entry) error) error {
	e := &r.entry
	e.Kind, e.Donation, e.OccurredAt = journal.Kind(r.kind), r.donation.Bytes, e.OccurredAt.UTC()
	if len(r.currencies) != len(r.accounts) || len(r.amounts) != len(r.accounts) {
		return told{fmt.Errorf("entry %s: %w", e.Ref, journal.ErrMalformed)} // behind the database's back
	}
	e.Postings = e.Postings[:0]
	for i := range r.accounts {
		e.Postings = append(e.Postings, journal.Posting{Account: r.accounts[i], Currency: money.Currency(r.currencies[i]), AmountMinor: r.amounts[i]})
	}
	if err := each(e); err != nil {
		return told{err}
	}
	return nil
}
