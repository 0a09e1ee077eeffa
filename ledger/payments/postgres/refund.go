package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/money"
	"spillway/ledger/payments"
)

var (
	claimCancellationsSQL = statement("claim_cancellations")
	claimRefundsSQL       = statement("claim_refunds")
	refuseRefundSQL       = statement("refuse_refund")
	refundStateSQL        = statement("refund_state")
)

// claimFor is how long a cancellation or a refund is left to the process that asked
// for it: four times the longest call.
const claimFor = time.Minute

// ToCancel claims at most so many intents that are to be canceled at the processor.
// One whose answer is not applied within a minute is returned again; canceling twice
// is harmless. Errors: ledger.ErrUnavailable.
func (b *Book) ToCancel(ctx context.Context, most int) ([]payments.Cancellation, error) {
	rows, err := b.queue.Query(ctx, claimCancellationsSQL, most, claimFor, b.offset())
	if err != nil {
		return nil, sorted("look for intents to cancel", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c payments.Cancellation, err error) {
		var donation pgtype.UUID
		var reason int16
		err = row.Scan(&donation, &c.AttemptNo, &c.Intent, &reason)
		c.Donation, c.Reason = donation.Bytes, payments.CancelReason(reason)
		return c, err
	})
	return all, sorted("look for intents to cancel", err)
}

// OpenRefunds claims at most so many refunds that the processor has not answered
// yet. One whose answer is not applied within a minute is returned again, the same
// call as before. Errors: ledger.ErrUnavailable.
func (b *Book) OpenRefunds(ctx context.Context, most int) ([]payments.RefundDue, error) {
	rows, err := b.queue.Query(ctx, claimRefundsSQL, most, claimFor)
	if err != nil {
		return nil, sorted("look for refunds", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r payments.RefundDue, err error) {
		var refund, donation pgtype.UUID
		var currency string
		var called pgtype.Timestamptz
		err = row.Scan(&refund, &donation, &r.Intent, &r.Charge, &r.AmountMinor, &currency, &r.Lines, &called)
		r.Refund, r.Donation, r.Currency, r.FirstCalledAt = refund.Bytes, donation.Bytes, money.Currency(currency), moment(called)
		return r, err
	})
	return all, sorted("look for refunds", err)
}

// RefundRefused notes that the processor will never make a refund, with its error
// code. It does nothing to one that the processor has named.
// Errors: ledger.ErrUnavailable.
func (b *Book) RefundRefused(ctx context.Context, refund [16]byte, detail string) error {
	_, err := b.apply.Exec(ctx, refuseRefundSQL, pgtype.UUID{Bytes: refund, Valid: true}, detail)
	return sorted("refuse a refund", err)
}

// RefundState tells what became of a refund by our ID, see RefundID; its Status is ""
// when nobody asked for it. Errors: ledger.ErrUnavailable.
func (b *Book) RefundState(ctx context.Context, refund [16]byte) (r payments.RefundState, err error) {
	var donation pgtype.UUID
	err = b.asks.QueryRow(ctx, refundStateSQL, pgtype.UUID{Bytes: refund, Valid: true}).Scan(
		&donation, &r.AmountMinor, &r.Lines, &r.Status, &r.ProcessorID, &r.Detail, &r.Actor, &r.AskedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return payments.RefundState{}, nil
	}
	r.Donation, r.AskedAt = donation.Bytes, r.AskedAt.UTC()
	return r, sorted("ask for a refund", err)
}
