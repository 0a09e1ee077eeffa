package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"
)

// Serve answers as a bare handler until ctx ends: the ceiling that a figure is held against.
//
// kind "echo" answers every POST with 202 and the body of an acknowledgement's
// size; kind "bytes" answers every GET with 200 and size bytes of JSON.
func Serve(ctx context.Context, kind, listen string, size int) error {
	body := make([]byte, size)
	for i := range body {
		body[i] = 'x'
	}
	var handler fasthttp.RequestHandler
	switch kind {
	case "echo":
		answer := []byte(`{"id":"0191f1f2-1111-8000-8000-000000000000","status":"accepted"}`)
		handler = func(c *fasthttp.RequestCtx) {
			_ = c.PostBody()
			c.SetStatusCode(fasthttp.StatusAccepted)
			c.SetContentType("application/json")
			c.SetBody(answer)
		}
	case "bytes":
		handler = func(c *fasthttp.RequestCtx) {
			c.SetContentType("application/json")
			c.SetBody(body)
		}
	default:
		return fmt.Errorf("unknown ceiling %q: echo or bytes", kind)
	}
	ready := handler
	handler = func(c *fasthttp.RequestCtx) {
		if string(c.Path()) == "/readyz" {
			return
		}
		ready(c)
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	srv := &fasthttp.Server{Handler: handler, NoDefaultServerHeader: true}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		_ = ln.Close()
		return nil
	}
}

// fsyncP99 appends blocks of an envelope's size to a file in dir and syncs each.
func fsyncP99(dir string, n int) (p50, p99 time.Duration, err error) {
	f, err := os.CreateTemp(dir, "fsync")
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 8<<10)
	took := make([]time.Duration, n)
	for i := range took {
		t := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(t)
	}
	slices.Sort(took)
	return took[n/2], took[n*99/100], nil
}

// copyTables are the tables that the ledger fills for a donation today.
var copyTables = []string{"donations", "lines"}

// copyCeiling is a prepared COPY of rows that the ledger recorded.
type copyCeiling struct {
	columns map[string][]string
	// batches[i][table] are the rows of one transaction.
	batches []map[string][][]any
	rows    int   // donations
	oldest  int64 // the least donation number among them
}

// prepareCopy reads the last donations back from schema, at most rows of them, with
// their lines, in transactions of batchRows.
func prepareCopy(ctx context.Context, c *pgx.Conn, schema string, rows, batchRows int) (*copyCeiling, error) {
	cc := &copyCeiling{columns: map[string][]string{}}
	for _, table := range copyTables {
		q, err := c.Query(ctx, `select column_name::text from information_schema.columns
			where table_schema = $1 and table_name = $2 order by ordinal_position`, schema, table)
		if err != nil {
			return nil, err
		}
		if cc.columns[table], err = pgx.CollectRows(q, pgx.RowTo[string]); err != nil {
			return nil, err
		}
	}
	name := func(table string) string { return pgx.Identifier{schema, table}.Sanitize() }
	// One pass over each table: nothing but the lines is indexed by number.
	rowsOf := func(table, where, order string, args ...any) ([][]any, error) {
		q, err := c.Query(ctx, "select "+quoted(cc.columns[table])+" from "+name(table)+where+order, args...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(q, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
	}
	donations, err := rowsOf("donations", "", " order by seq desc limit $1", rows)
	if err != nil {
		return nil, err
	}
	seq, id := slices.Index(cc.columns["donations"], "seq"), slices.Index(cc.columns["donations"], "id")
	for batch := range slices.Chunk(donations, batchRows) {
		numbers := make([]int64, len(batch))
		for i, d := range batch {
			numbers[i] = d[seq].(int64)
		}
		cc.oldest = slices.Min(append(numbers, cmp.Or(cc.oldest, math.MaxInt64)))
		lines, err := rowsOf("lines", " where donation_seq = any ($1)", " order by donation_seq, line_no", numbers)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(batch, func(a, b []any) int { // as the ledger inserts them
			x, y := a[id].([16]byte), b[id].([16]byte)
			return bytes.Compare(x[:], y[:])
		})
		cc.batches = append(cc.batches, map[string][][]any{"donations": batch, "lines": lines})
		cc.rows += len(batch)
	}
	if cc.rows == 0 {
		return nil, errors.New("no recorded donations to copy")
	}
	return cc, nil
}

func quoted(names []string) string {
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += pgx.Identifier{n}.Sanitize()
	}
	return s
}

// run copies the rows into tables with the same columns, constraints, indexes and
// storage settings, and returns donations per second. The tables hold already what
// the ledger's held before these rows: a key's index is dearer the larger it is.
func (cc *copyCeiling) run(ctx context.Context, c *pgx.Conn, schema string) (float64, error) {
	if _, err := c.Exec(ctx, "drop schema if exists bench_copy cascade; create schema bench_copy"); err != nil {
		return 0, err
	}
	for _, table := range copyTables {
		if _, err := c.Exec(ctx, "create table bench_copy."+table+" (like "+pgx.Identifier{schema, table}.Sanitize()+" including all)"); err != nil {
			return 0, err
		}
	}
	if err := cc.fill(ctx, c, schema); err != nil {
		return 0, err
	}
	if _, err := c.Exec(ctx, "checkpoint"); err != nil {
		return 0, err
	}
	began := time.Now()
	for _, batch := range cc.batches {
		tx, err := c.Begin(ctx)
		if err != nil {
			return 0, err
		}
		for _, table := range copyTables {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{"bench_copy", table}, cc.columns[table], pgx.CopyFromRows(batch[table])); err != nil {
				return 0, fmt.Errorf("copy %s: %w", table, err)
			}
		}
		if err := tx.Commit(ctx); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	_, err := c.Exec(ctx, "drop schema bench_copy cascade")
	return float64(cc.rows) / took.Seconds(), err
}

// fill puts every row into the ceiling's tables that is older than the prepared ones.
func (cc *copyCeiling) fill(ctx context.Context, c *pgx.Conn, schema string) error {
	for table, key := range map[string]string{"donations": "seq", "lines": "donation_seq"} {
		name := pgx.Identifier{schema, table}.Sanitize()
		if _, err := c.Exec(ctx, "insert into bench_copy."+table+" select * from "+name+" where "+key+" < $1", cc.oldest); err != nil {
			return fmt.Errorf("fill %s: %w", table, err)
		}
	}
	return nil
}
