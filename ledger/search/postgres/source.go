package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"spillway/ledger/money"
	"spillway/ledger/search"
)

// fewMost is how many donations a filter may leave to be fetched and sorted at once.
// One that leaves more finds a page soon enough by walking through all in order: of
// two million, every four hundredth fits.
const fewMost = 5000

// source gives places in the order of the list.
type source interface {
	// next returns at most n places behind at, the first n for the zero key; fewer mean
	// that there are no more.
	next(ctx context.Context, conn *pgx.Conn, q *search.Query, at key, n int) ([]key, error)
	// covers tells whether every place fits the filter.
	covers(q *search.Query, f *filter) bool
}

// newSource chooses what to go through: the first filter that leaves few, otherwise
// the narrowest index that has the order of lists. The choice is ours and not the
// planner's, which guesses how far it has to walk and may guess wrong by all of it.
func newSource(ctx context.Context, conn *pgx.Conn, q *search.Query, f *filter) (source, error) {
	if f.none {
		return &set{}, nil
	}
	if f.only != nil {
		return few(ctx, conn, q, "FROM search_donations d WHERE d.seq = ANY ($1::bigint[])", []any{f.only})
	}
	for i := range f.conditions {
		c := &f.conditions[i]
		if c.probe == "" {
			continue
		}
		var args []any
		from := c.sql(c.probe, &args)
		s, err := few(ctx, conn, q, from, args)
		if err != nil || s != nil {
			return s, err
		}
	}
	switch {
	case q.Campaign != "":
		return &walk{table: "search_lines", column: "campaign", values: []string{q.Campaign}}, nil
	case q.Refunded:
		return &walk{table: "search_states", where: "refunded_minor > 0"}, nil
	case len(q.Status) > 0:
		return &walk{table: "search_states", column: "status", values: unique(q.Status)}, nil
	case q.Campaigns != nil && len(q.Campaigns) <= mergedMost:
		return &walk{table: "search_lines", column: "campaign", values: unique(q.Campaigns)}, nil
	}
	return &walk{table: "search_donations"}, nil
}

// mergedMost bounds the campaigns whose lines are merged; of somebody who may see more
// of them, every donation is looked at.
const mergedMost = 100

func unique(words []string) []string { return slices.Compact(slices.Sorted(slices.Values(words))) }

// set is places that are all known.
type set struct{ keys []key }

// few returns the set that a query finds, nil when it is too large.
func few(ctx context.Context, conn *pgx.Conn, q *search.Query, from string, args []any) (source, error) {
	table := "d"
	if strings.HasPrefix(from, "FROM search_states") {
		table = "s"
	}
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT %[1]s.received_at, %[1]s.seq %[2]s LIMIT %[3]d", table, from, fewMost+1), args...)
	if err != nil {
		return nil, err
	}
	keys, err := collectKeys(rows)
	if err != nil || len(keys) > fewMost {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b key) int {
		if q.Newest {
			return b.compare(a)
		}
		return a.compare(b)
	})
	// Two words of a donor may begin alike.
	return &set{slices.CompactFunc(keys, func(a, b key) bool { return a.compare(b) == 0 })}, nil
}

func collectKeys(rows pgx.Rows) ([]key, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k key, err error) { return k, row.Scan(&k.receivedAt, &k.seq) })
}

func (s *set) next(_ context.Context, _ *pgx.Conn, q *search.Query, at key, n int) ([]key, error) {
	start := 0
	if !at.receivedAt.IsZero() {
		start, _ = slices.BinarySearchFunc(s.keys, at, func(k, at key) int {
			c := k.compare(at)
			if q.Newest {
				c = -c
			}
			if c == 0 {
				return -1 // behind it
			}
			return c
		})
	}
	return s.keys[start:min(len(s.keys), start+n)], nil
}

func (s *set) covers(_ *search.Query, f *filter) bool { return len(f.conditions) <= 1 }

// walk goes along an index whose order is that of lists, in each value of its first
// column side by side.
type walk struct {
	table, column string
	values        []string
	where         string
}

func (w *walk) next(ctx context.Context, conn *pgx.Conn, q *search.Query, at key, n int) ([]key, error) {
	order, beyond := "ORDER BY t.received_at, t.seq", ">"
	if q.Newest {
		order, beyond = "ORDER BY t.received_at DESC, t.seq DESC", "<"
	}
	var args []any
	place := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	var conditions []string
	if w.column != "" {
		conditions = append(conditions, "t."+w.column+" = v.value")
	}
	if w.where != "" {
		conditions = append(conditions, "t."+w.where)
	}
	if !at.receivedAt.IsZero() {
		conditions = append(conditions, fmt.Sprintf("(t.received_at, t.seq) %s (%s::timestamptz, %s::bigint)", beyond, place(at.receivedAt), place(at.seq)))
	}
	if !q.From.IsZero() {
		conditions = append(conditions, "t.received_at >= "+place(q.From))
	}
	if !q.To.IsZero() {
		conditions = append(conditions, "t.received_at < "+place(q.To))
	}
	where := ""
	if len(conditions) > 0 {
		where = "WHERE " + strings.Join(conditions, " AND ")
	}
	limit := place(n)
	sql := fmt.Sprintf("SELECT t.received_at, t.seq FROM %s t %s %s LIMIT %s", w.table, where, order, limit)
	if w.column != "" {
		distinct := ""
		if w.table == "search_lines" && len(w.values) > 1 {
			distinct = "DISTINCT" // a donation may have lines of several
		}
		sql = fmt.Sprintf("SELECT %s t.received_at, t.seq FROM unnest(%s::text[]) AS v (value), LATERAL (%s) AS t %s LIMIT %s",
			distinct, place(w.values), sql, order, limit)
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return collectKeys(rows)
}

func (w *walk) covers(q *search.Query, f *filter) bool {
	covered := 0
	if w.column != "" || w.where != "" {
		covered = 1
	}
	for _, t := range []bool{!q.From.IsZero(), !q.To.IsZero()} {
		if t {
			covered++
		}
	}
	return len(f.conditions) <= covered
}

// currencyCodes are all currencies that a donation may be in.
func currencyCodes() []string {
	var codes []string
	for _, c := range money.Currencies() {
		codes = append(codes, string(c))
	}
	return codes
}
