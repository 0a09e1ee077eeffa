package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"spillway/ledger"
)

var (
	leaseReopenSQL = statement("lease_reopen")
	leaseCreateSQL = statement("lease_create")
	leaseRenewSQL  = statement("lease_renew")
	leaseCloseSQL  = statement("lease_close")
	leaseLapsedSQL = statement("lease_lapsed")
	leaseAdoptSQL  = statement("lease_adopt")
)

// createTries bounds the race for a new slot's number: one more than the processes
// that may start in the same millisecond.
const createTries = 100

// Acquire leases a slot to holder for ttl: the lowest closed one, else a new one.
// Its term is new, so whatever anybody else holds of this slot is fenced.
//
// Errors: ledger.ErrUnavailable.
func (b *Book) Acquire(ctx context.Context, holder string, ttl time.Duration) (ledger.Lease, error) {
	for range createTries {
		for _, sql := range []string{leaseReopenSQL, leaseCreateSQL} {
			lease, err := b.lease(ctx, sql, holder, ttl)
			switch {
			case err == nil:
				return lease, nil
			case errors.Is(err, pgx.ErrNoRows):
			case isUniqueViolation(err): // another process made this number: look again
			default:
				return ledger.Lease{}, sorted("acquire a slot", err)
			}
		}
	}
	return ledger.Lease{}, fmt.Errorf("acquire a slot: lost %d races: %w", createTries, ledger.ErrUnavailable)
}

func isUniqueViolation(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == uniqueViolation
}

// Renew extends the lease to ttl from now. A lease that has lapsed and that nobody
// adopted yet is renewed all the same.
//
// Errors: ledger.ErrFenced when it was adopted or closed; ledger.ErrUnavailable.
func (b *Book) Renew(ctx context.Context, lease ledger.Lease, ttl time.Duration) error {
	tag, err := b.control.Exec(ctx, leaseRenewSQL, lease.Slot, lease.Term, ttl)
	if err == nil && tag.RowsAffected() == 0 {
		err = ledger.ErrFenced
	}
	return sorted("renew a lease", err)
}

// Release gives the slot back in order: its rows are final and published. The next
// process that acquires a slot may get it, under the next term.
//
// Errors: ledger.ErrFenced, ledger.ErrUnavailable.
func (b *Book) Release(ctx context.Context, lease ledger.Lease) error {
	tag, err := b.control.Exec(ctx, leaseCloseSQL, lease.Slot, lease.Term)
	if err == nil && tag.RowsAffected() == 0 {
		err = ledger.ErrFenced
	}
	return sorted("release a lease", err)
}

// AdoptLapsed takes over every slot whose lease has lapsed: the term rises and the
// slot is leased to holder for ttl, so that a death of the adopter makes it
// adoptable again. It returns once no transaction of the old terms is in flight.
// The slots that it returns may come with an error about others.
//
// Errors: ledger.ErrUnavailable.
func (b *Book) AdoptLapsed(ctx context.Context, holder string, ttl time.Duration) ([]ledger.Lease, error) {
	rows, err := b.control.Query(ctx, leaseLapsedSQL)
	if err != nil {
		return nil, sorted("look for lapsed leases", err)
	}
	slots, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, sorted("look for lapsed leases", err)
	}
	var adopted []ledger.Lease
	var errs []error
	for _, slot := range slots {
		lease, err := b.lease(ctx, leaseAdoptSQL, holder, ttl, slot)
		switch {
		case err == nil:
			adopted = append(adopted, lease)
		case errors.Is(err, pgx.ErrNoRows): // renewed, or adopted by another
		default:
			errs = append(errs, sorted(fmt.Sprintf("adopt slot %d", slot), err))
		}
	}
	return adopted, errors.Join(errs...)
}

func (b *Book) lease(ctx context.Context, sql string, args ...any) (ledger.Lease, error) {
	lease := ledger.Lease{Book: b.book}
	err := b.control.QueryRow(ctx, sql, args...).Scan(&lease.Slot, &lease.Term, &lease.Epoch)
	return lease, err
}
