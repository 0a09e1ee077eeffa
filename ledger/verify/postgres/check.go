package postgres

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"spillway/ledger"
)

//go:embed sql/*.sql
var files embed.FS

// donationsSQL reads donations whole by their IDs.
var donationsSQL = text("donations")

func text(name string) string {
	b, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // embedded by this file's own directive
	}
	return string(b)
}

// A check's file holds two queries, each under one of these lines: the first
// counts what is examined, the second lists the offenders as (id, detail).
const (
	examinedMark  = "-- examined\n"
	offendersMark = "-- offenders\n"
)

// wholeTables makes a check read the tables themselves, each once: not by their
// indexes, which may be what is damaged, and not by a nested loop, which without
// indexes is quadratic. A planner without statistics would choose one: a crash of
// the server loses what autovacuum goes by, and verify is what one runs then.
const wholeTables = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_nestloop = off"

// asEver undoes it.
const asEver = "SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_nestloop = on"

// Check runs the named check over a book; see verify.Database.
func (s *Snapshot) Check(ctx context.Context, book ledger.Book, name string, max int, finding func(id, detail string)) (examined, offenders int64, err error) {
	file, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		return 0, 0, fmt.Errorf("check %q is not known here", name)
	}
	_, queries, found := strings.Cut(string(file), examinedMark)
	count, offending, both := strings.Cut(queries, offendersMark)
	if !found || !both {
		return 0, 0, fmt.Errorf("check %q is not written as two queries", name)
	}
	err = s.in(ctx, book, func() error {
		if _, err := s.conn.Exec(ctx, wholeTables); err != nil {
			return err
		}
		if err := s.conn.QueryRow(ctx, count).Scan(&examined); err != nil {
			return err
		}
		rows, err := s.conn.Query(ctx, listing(offending), max)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, detail string
			if err := rows.Scan(&id, &detail, &offenders); err != nil {
				return err
			}
			finding(id, detail)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		_, err = s.conn.Exec(ctx, asEver)
		return err
	})
	return examined, offenders, err
}

// listing is the query for the first $1 offenders and the count of all.
func listing(offending string) string {
	return "SELECT o.id, o.detail, count(*) OVER () FROM (\n" + offending + "\n) AS o (id, detail) ORDER BY o.id, o.detail LIMIT $1"
}
