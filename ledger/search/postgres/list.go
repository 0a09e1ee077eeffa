package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/money"
	"spillway/ledger/search"
)

var rowsSQL = statement("rows")

const (
	// pageTime is how long one page may look for rows that are few and far between; what
	// was not reached follows on the next page. A page is promised in 200 ms.
	pageTime = 120 * time.Millisecond
	// stepMost bounds the donations that one step looks at: about 25 ms.
	stepMost = 4000
	// stepGrowth is how much further each step looks when the one before found too little.
	stepGrowth = 4
	// exportStep is how many donations of an export are in memory at a time.
	exportStep = 2000
)

// List finds donations, a page at a time. It takes no longer than a person likes to
// wait: see search.Page.Rows. Errors: search.ErrQuery; ledger.ErrUnavailable.
func (s *Store) List(ctx context.Context, q search.Query) (search.Page, error) {
	if err := q.Validate(); err != nil {
		return search.Page{}, err
	}
	if q.Limit == 0 {
		q.Limit = search.LimitDefault
	}
	page, err := s.list(ctx, &q)
	if err != nil {
		return search.Page{}, sorted("list donations", err)
	}
	f, err := s.Figures(ctx)
	page.AsOf = f.AsOf
	return page, err
}

func (s *Store) list(ctx context.Context, q *search.Query) (search.Page, error) {
	var page search.Page
	began := time.Now()
	err := s.conn(ctx, func(conn *pgx.Conn) error {
		l, err := newLooking(ctx, s, conn, q)
		if err != nil {
			return err
		}
		step := q.Limit + 1
		if !l.covers() {
			step *= stepGrowth
		}
		for {
			found, err := l.step(ctx, min(step, stepMost))
			if err != nil {
				return err
			}
			page.Rows = append(page.Rows, found...)
			switch {
			case len(page.Rows) > q.Limit:
				page.Rows = page.Rows[:q.Limit]
				page.Next = l.cursorOf(q.Limit - 1)
				return nil
			case l.over:
				return nil
			case time.Since(began) > pageTime:
				page.Next = l.at.cursor()
				return nil
			}
			step *= stepGrowth
		}
	})
	return page, err
}

// Each calls visit for every donation that the query finds, in its order, however many
// there are; some thousand are in memory at a time, and no transaction stays open. A
// donation that is there all the while is visited exactly once. Limit is not read; an
// error of visit ends it and is returned as it is. The row belongs to visit.
// Errors: search.ErrQuery; ledger.ErrUnavailable; ctx's; visit's.
func (s *Store) Each(ctx context.Context, q search.Query, visit func(*search.Row) error) error {
	q.Limit = 0
	if err := q.Validate(); err != nil {
		return err
	}
	var l *looking
	for l == nil || !l.over {
		var found []search.Row
		err := s.conn(ctx, func(conn *pgx.Conn) (err error) {
			if l == nil {
				l, err = newLooking(ctx, s, conn, &q)
			}
			if err == nil {
				l.conn = conn
				found, err = l.step(ctx, exportStep)
				l.found = nil // for pages
			}
			return err
		})
		if err != nil {
			return sorted("export donations", err)
		}
		for i := range found {
			if err := visit(&found[i]); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// conn lends a connection.
func (s *Store) conn(ctx context.Context, use func(*pgx.Conn) error) error {
	conn, err := s.ask.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return use(conn.Conn())
}

// key is a donation's place in every list.
type key struct {
	receivedAt time.Time
	seq        int64
}

func (k key) compare(other key) int {
	return cmp.Or(k.receivedAt.Compare(other.receivedAt), cmp.Compare(k.seq, other.seq))
}

func (k key) cursor() search.Cursor { return search.NewCursor(k.receivedAt, k.seq) }

// looking is one look through the projection: an index gives places in the order of
// the list, and whoever stands there is held against all filters.
type looking struct {
	store  *Store
	conn   *pgx.Conn
	q      *search.Query
	filter filter
	from   source

	at    key // behind which the next step looks; the zero key for the start
	over  bool
	found []key // of the rows that step returned, in all
}

func newLooking(ctx context.Context, s *Store, conn *pgx.Conn, q *search.Query) (*looking, error) {
	l := &looking{store: s, conn: conn, q: q}
	var err error
	if l.at.receivedAt, l.at.seq, err = q.After.Key(); err != nil {
		return nil, err
	}
	if q.Campaigns != nil && len(q.Campaigns) == 0 {
		l.from = &set{} // whoever may see nothing
		return l, nil
	}
	if l.filter, err = newFilter(ctx, s, conn, q); err != nil {
		return nil, err
	}
	l.from, err = newSource(ctx, conn, q, &l.filter)
	return l, err
}

// covers tells whether every place that the index gives is a row.
func (l *looking) covers() bool { return l.from.covers(l.q, &l.filter) }

// step looks at the next n places.
func (l *looking) step(ctx context.Context, n int) ([]search.Row, error) {
	places, err := l.from.next(ctx, l.conn, l.q, l.at, n)
	if err != nil {
		return nil, err
	}
	l.over = len(places) < n
	if len(places) == 0 {
		return nil, nil
	}
	l.at = places[len(places)-1]
	args := []any{column(places, func(k key) int64 { return k.seq })}
	sql := rowsSQL + l.filter.sql(&args)
	rows, err := l.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	type placed struct {
		key
		row search.Row
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p placed, err error) {
		p.seq, p.receivedAt, p.row, err = scanRow(row, l.q.Campaigns)
		return p, err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b placed) int {
		if l.q.Newest {
			return b.compare(a.key)
		}
		return a.compare(b.key)
	})
	found := make([]search.Row, len(all))
	for i := range all {
		found[i] = all[i].row
		l.found = append(l.found, all[i].key)
	}
	return found, nil
}

// cursorOf is the place of the i-th row that was found.
func (l *looking) cursorOf(i int) search.Cursor { return l.found[i].cursor() }

func scanRow(row pgx.CollectableRow, seen []string) (seq int64, at time.Time, r search.Row, err error) {
	var id pgtype.UUID
	var code string
	var slugs []string
	var amounts []int64
	var what int16
	err = row.Scan(&seq, &at, &id, &r.Name, &r.Email, &r.Anonymous, &r.HideAmount, &r.AmountMinor, &r.FeeCoverMinor, &code,
		&r.Status, &r.Reason, &slugs, &amounts, &r.Message, &r.Dedication, &r.RefundedMinor, &what, &r.Intent, &r.Charge)
	r.ID, r.AcceptedAt, r.Currency, r.Hidden = id.Bytes, at.UTC(), currency(code), search.Hide(what)
	r.Lines = lines(slugs, amounts, seen)
	return seq, at, r, err
}

// lines are a donation's lines that somebody may see; nil for all.
func lines(slugs []string, amounts []int64, seen []string) []search.Line {
	all := make([]search.Line, 0, len(slugs))
	for i := range slugs {
		if seen == nil || slices.Contains(seen, slugs[i]) {
			all = append(all, search.Line{Campaign: slugs[i], AmountMinor: amounts[i]})
		}
	}
	return all
}

func currency(code string) money.Currency { return money.Currency(code) }
