package remove

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// digests are of every table of the database that is not emptied.
type digests struct {
	rows map[string]digestRow
	// unread are tables that this login may not read: those of other programs.
	unread []string
}

// digestRow is a table's content: the same rows in any order have the same.
type digestRow struct {
	Rows int64
	// Two sums of 64-bit hashes of the rows' texts, each with a seed of its own: one row
	// that differs changes both, and two that make up for each other do not exist in
	// practice.
	First, Second string
}

// tablesSQL lists every ordinary table of the database that is not the system's, and
// whether we may read it.
const tablesSQL = `SELECT format('%I.%I', n.nspname, c.relname), has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' ORDER BY 1`

// exempt are tables of the rehearsals' schemas that the removal writes a word into.
var exempt = []string{"rehearsal.installation", searchSchema + ".search_progress"}

// digest reads every table but those that are emptied. Of campaigns and organisations it
// leaves out those that go. tell is told each table.
func digest(ctx context.Context, tx pgx.Tx, emptied, organisations []string, tell func(table string, i, n int)) (*digests, error) {
	rows, err := tx.Query(ctx, tablesSQL)
	if err != nil {
		return nil, err
	}
	d := &digests{rows: map[string]digestRow{}}
	var names []string
	var name string
	var readable bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &readable}, func() error {
		switch {
		case slices.Contains(emptied, name), slices.Contains(exempt, name):
		case readable:
			names = append(names, name)
		default:
			d.unread = append(d.unread, name)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for i, name := range names {
		tell(name, i+1, len(names))
		var args []any
		where := ""
		switch name {
		case "campaigns.campaigns":
			where = " WHERE NOT t.rehearsal"
		case "campaigns.organisations":
			where, args = " WHERE t.name <> ALL ($1)", []any{organisations}
		}
		var row digestRow
		sql := `SELECT count(*), coalesce(sum(hashtextextended(r, 0)::numeric), 0)::text, coalesce(sum(hashtextextended(r, 1)::numeric), 0)::text
			FROM (SELECT t::text COLLATE "C" AS r FROM ONLY ` + name + ` t` + where + `) AS rows`
		if err := tx.QueryRow(ctx, sql, args...).Scan(&row.Rows, &row.First, &row.Second); err != nil {
			return nil, fmt.Errorf("digest of %s: %w", name, err)
		}
		d.rows[name] = row
	}
	return d, nil
}

// tables says how much was compared.
func (d *digests) tables() Compared {
	c := Compared{Tables: len(d.rows), Unread: d.unread}
	for _, row := range d.rows {
		c.Rows += row.Rows
	}
	return c
}

// differences names the tables that are not in after as they are in d.
func (d *digests) differences(after *digests) (differ []string) {
	for name, was := range d.rows {
		is, there := after.rows[name]
		switch {
		case !there:
			differ = append(differ, "table "+name+" is gone")
		case is.Rows != was.Rows:
			differ = append(differ, fmt.Sprintf("table %s had %d rows and has %d", name, was.Rows, is.Rows))
		case is != was:
			differ = append(differ, "table "+name+" has rows that changed")
		}
	}
	for name := range after.rows {
		if _, there := d.rows[name]; !there {
			differ = append(differ, "table "+name+" is new")
		}
	}
	slices.SortFunc(differ, strings.Compare)
	return differ
}
