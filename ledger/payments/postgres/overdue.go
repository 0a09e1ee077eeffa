package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/payments"
)

var (
	overdueSQL = statement("overdue")
	stuckSQL   = statement("stuck")
)

// keyMemory is how long the processor surely remembers an idempotency key: it
// says 24 hours, and four of them are left for whoever is slow
// (docs.stripe.com/api/idempotent_requests).
const keyMemory = 20 * time.Hour

// Overdue returns facts about attempts that a time has passed for as of now: tokens
// that expired before their first call, donors who did not come back to act, and
// calls that the processor may have forgotten. At most so many of each kind, the
// longest overdue first. They are returned again until they are applied. A now that is
// ahead of the database's clock counts as that.
// Errors: ledger.ErrUnavailable.
func (b *Book) Overdue(ctx context.Context, now time.Time, most int) ([]payments.Fact, error) {
	rows, err := b.asks.Query(ctx, overdueSQL, now, keyMemory, most, b.offset())
	if err != nil {
		return nil, sorted("look for what is overdue", err)
	}
	facts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (payments.Fact, error) {
		var kind, no int
		var donation pgtype.UUID
		var at time.Time
		err := row.Scan(&kind, &donation, &no, &at)
		return payments.Fact{
			Donation: donation.Bytes, Source: payments.FromClock, At: now,
			Overtime: &payments.Overtime{AttemptNo: no, Kind: payments.OvertimeKind(kind)},
		}, err
	})
	return facts, sorted("look for what is overdue", err)
}

// Stuck counts the payments whose call was made by then and has no answer, and those
// captured by then whose fee is not known, and returns when the first of those calls was
// made, zero for none.
// Errors: ledger.ErrUnavailable.
func (b *Book) Stuck(ctx context.Context, then time.Time) (count int64, since time.Time, err error) {
	var first *time.Time
	if err := b.asks.QueryRow(ctx, stuckSQL, then).Scan(&count, &first); err != nil {
		return 0, time.Time{}, sorted("look for what is stuck", err)
	}
	if first != nil {
		since = *first
	}
	return count, since, nil
}
