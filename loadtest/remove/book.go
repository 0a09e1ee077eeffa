package remove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"spillway/ledger"
	searchdb "spillway/ledger/search/postgres"
)

const (
	// turnSQL waits for whoever writes the rehearsals' projection, and holds up those that
	// come: they read the ledger before they write, and would write what they read of gifts
	// that are removed meanwhile. It is the connection's, not the transaction's: a
	// transaction that waits in its first statement does not see what it waited for.
	turnSQL = "SELECT pg_advisory_lock($1)"

	saySQL = `SELECT set_config('spillway.removes', 'rehearsal', true)`
	// A new epoch: front-ends forget the totals, and whoever holds a slot is fenced.
	raiseSQL    = `UPDATE rehearsal.installation SET epoch = epoch + 1, ended_slot = $1, emptied_at = clock_timestamp() RETURNING epoch`
	progressSQL = `UPDATE search_rehearsal.search_progress SET epoch = $1, rows = 0, behind = 0, walked = NULL`

	dropCampaignsSQL     = `DELETE FROM campaigns.campaigns WHERE rehearsal RETURNING slug`
	dropOrganisationsSQL = `DELETE FROM campaigns.organisations WHERE name = ANY ($1)`
)

// remove empties the rehearsals' book in one transaction, which is committed only when
// every row of every other table is what it was. It fences whoever writes in the book;
// those who write in the donors' are not held up: all that is locked is the rehearsals'.
//
// Under repeatable read the transaction sees the database as it was when it began, and
// its own changes: the digests before and after differ by those alone, whatever else
// happens meanwhile.
func (d *Database) remove(ctx context.Context, report *Report, progress func(string)) error {
	for try := 1; ; try++ {
		err := d.removeOnce(ctx, report, progress)
		if err == nil {
			return nil
		}
		if !inTheWay(err) || try == tries {
			return fmt.Errorf("remove the rehearsals' book: %w", err)
		}
	}
}

func (d *Database) removeOnce(ctx context.Context, report *Report, progress func(string)) error {
	return d.connected(ctx, func(conn *pgx.Conn) error {
		names, err := tables(ctx, conn)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, turnSQL, searchdb.TurnLock(ledger.Rehearsal)); err != nil { // given back with the connection
			return err
		}
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err != nil {
			return err
		}
		b := &book{tx: tx, report: report, progress: progress, tables: names}
		if err := b.empty(ctx); err != nil {
			return errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
		}
		return tx.Commit(ctx)
	})
}

// book is the emptying of the book, in one transaction.
type book struct {
	tx       pgx.Tx
	report   *Report
	progress func(string)
	tables   []string
}

func (b *book) empty(ctx context.Context) error {
	// Locks come before the first look, so that the look sees what those who held them
	// have committed. Readers go on.
	locked := strings.Join(slices.Concat(b.tables, exempt), ", ")
	if _, err := b.tx.Exec(ctx, "LOCK TABLE "+locked+" IN EXCLUSIVE MODE"); err != nil {
		return err
	}
	if err := b.allowed(ctx); err != nil {
		return err
	}
	plan, err := lookIn(ctx, b.tx)
	if err != nil {
		return err
	}
	before, err := digest(ctx, b.tx, b.tables, plan.Organisations, b.tell("before"))
	if err != nil {
		return err
	}
	if err := b.drop(ctx, plan); err != nil {
		return err
	}
	after, err := digest(ctx, b.tx, b.tables, plan.Organisations, b.tell("after"))
	if err != nil {
		return err
	}
	b.report.Compared = before.tables()
	if differ := before.differences(after); len(differ) > 0 {
		return fmt.Errorf("%w, and nothing was removed: %s", ErrDiffers, strings.Join(differ, "; "))
	}
	return nil
}

func (b *book) tell(when string) func(string, int, int) {
	return func(table string, i, n int) {
		if b.progress != nil {
			b.progress(fmt.Sprintf("compare all other rows, %s: %s, %d of %d", when, table, i, n))
		}
	}
}

// allowed refuses while the processor has calls in its hands: what becomes of them would
// be booked afterwards.
func (b *book) allowed(ctx context.Context) error {
	var calls int64
	if err := b.tx.QueryRow(ctx, callsSQL).Scan(&calls); err != nil {
		return err
	}
	if calls > 0 {
		return errCalls(calls)
	}
	var child string
	err := b.tx.QueryRow(ctx, childrenSQL).Scan(&child)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("campaign %s has a rehearsal's campaign as its parent: give it another one first", child)
	}
	return err
}

func (b *book) drop(ctx context.Context, plan *Plan) error {
	if _, err := b.tx.Exec(ctx, saySQL); err != nil {
		return err
	}
	b.report.Removed = nil
	for _, name := range b.tables {
		tag, err := b.tx.Exec(ctx, "DELETE FROM ONLY "+name)
		if err != nil {
			return err
		}
		if !slices.Contains(running, name) {
			b.report.Removed = append(b.report.Removed, Table{name, tag.RowsAffected()})
		}
	}
	if err := b.tx.QueryRow(ctx, raiseSQL, plan.lastSlot).Scan(&b.report.Epoch); err != nil {
		return err
	}
	if _, err := b.tx.Exec(ctx, progressSQL, b.report.Epoch); err != nil {
		return err
	}
	rows, err := b.tx.Query(ctx, dropCampaignsSQL)
	if err != nil {
		return err
	}
	if b.report.removed, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	if _, err := b.tx.Exec(ctx, dropOrganisationsSQL, plan.Organisations); err != nil {
		return err
	}
	b.report.LastSlot, b.report.Organisations = plan.lastSlot, plan.Organisations
	b.report.Campaigns = len(b.report.removed)
	return nil
}
