package postgres

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/money"
	"spillway/ledger/payments"
)

var (
	lockPaymentsSQL  = statement("lock_payments")
	lockAttemptsSQL  = statement("lock_attempts")
	loadDonationsSQL = statement("load_donations")
	loadRefundsSQL   = statement("load_refunds")
	loadDisputesSQL  = statement("load_disputes")
)

// held is one donation whose payment the transaction has locked.
type held struct {
	id       [16]byte
	source   int64 // of the donation: fairness between sources
	recorded bool
	made     bool // its payment and first attempt are rows
	was      payments.Payment
	now      payments.Payment // was, and what the facts have made of it
	// turns are, by index into the attempts, the stored times before which an attempt
	// is not to be called. They are the queue's; a fact may ask for another.
	turns []time.Time
	// calls are, by index into the attempts, the claims since it was last as if never called.
	calls []int
	// asked are refunds of ours that the processor has not named yet; refunds names
	// ours by the processor's IDs.
	asked   []askedRefund
	refunds map[string][16]byte
	touched bool
}

// askedRefund is a refund that a person asked for and that has no ID of the
// processor's yet.
type askedRefund struct {
	id          [16]byte
	amountMinor int64
	lines       []int64
	status      string
}

// loading is the work list of one transaction: its donations, in the order of IDs.
type loading struct {
	held map[[16]byte]*held
	ids  []pgtype.UUID // sorted
}

// queue adds to the batch what locks and reads the donations: payments first, in the
// order of their IDs; every later statement then sees what was committed under the
// locks that this one waited for.
func (l *loading) queue(batch *pgx.Batch) {
	batch.Queue(lockPaymentsSQL, l.ids).Query(l.payments)
	batch.Queue(lockAttemptsSQL, l.ids).Query(l.attempts)
	batch.Queue(loadDonationsSQL, l.ids).Query(l.donations)
	batch.Queue(loadRefundsSQL, l.ids).Query(l.refunds)
	batch.Queue(loadDisputesSQL, l.ids).Query(l.disputes)
}

func (l *loading) payments(rows pgx.Rows) error {
	var (
		id             pgtype.UUID
		intent, charge string
		capturedMinor  int64
		capturedAt     pgtype.Timestamptz
		fee            pgtype.Int8
		feeCurrency    pgtype.Text
		cancel         int16
		others         []byte
		refunded, lost []int64
	)
	_, err := pgx.ForEachRow(rows, []any{&id, &intent, &charge, &capturedMinor, &capturedAt, &fee, &feeCurrency, &cancel, &refunded, &lost, &others}, func() error {
		h := l.held[id.Bytes]
		h.made = true
		p := &h.was
		p.Intent, p.Charge, p.CapturedMinor, p.CapturedAt = intent, charge, capturedMinor, moment(capturedAt)
		p.FeeMinor, p.FeeCurrency, p.FeeKnown = fee.Int64, money.Currency(feeCurrency.String), fee.Valid
		p.Cancel = payments.CancelReason(cancel)
		for i := range max(len(refunded), len(lost)) {
			var line payments.Line
			if i < len(refunded) {
				line.RefundedMinor = refunded[i]
			}
			if i < len(lost) {
				line.LostMinor = lost[i]
			}
			p.Lines = append(p.Lines, line) // the donation's own columns come next
		}
		if others != nil {
			return json.Unmarshal(others, &p.Others)
		}
		return nil
	})
	return err
}

func (l *loading) attempts(rows pgx.Rows) error {
	var (
		id, request                                   pgtype.UUID
		no, calls                                     int
		state                                         int16
		a                                             payments.Attempt
		expires, notBefore, called, changed, actionBy pgtype.Timestamptz
		token, charge, clientSecret, reason, decline  string
		lookFirst                                     bool
	)
	_, err := pgx.ForEachRow(rows, []any{&id, &no, &state, &token, &expires, &request, &notBefore, &called, &lookFirst, &changed,
		&charge, &clientSecret, &actionBy, &reason, &decline, &calls}, func() error {
		h := l.held[id.Bytes]
		a = payments.Attempt{
			No: no, State: payments.AttemptState(state), Token: token, TokenExpiresAt: moment(expires), Request: request.Bytes,
			FirstCalledAt: moment(called), LookFirst: lookFirst, ChangedAt: moment(changed), Charge: charge, ClientSecret: clientSecret,
			ActionBy: moment(actionBy), Reason: payments.FailReason(reason), Decline: payments.Decline(decline),
		}
		h.was.Attempts = append(h.was.Attempts, a)
		h.turns, h.calls = append(h.turns, moment(notBefore)), append(h.calls, calls)
		return nil
	})
	return err
}

func (l *loading) donations(rows pgx.Rows) error {
	var (
		id                  pgtype.UUID
		currency            string
		amount, fee, source int64
		received            time.Time
		slugs               []string
		amounts             []int64
	)
	_, err := pgx.ForEachRow(rows, []any{&id, &currency, &amount, &fee, &received, &source, &slugs, &amounts}, func() error {
		h := l.held[id.Bytes]
		h.recorded, h.source = true, source
		p := &h.was
		p.Donation, p.Currency, p.AmountMinor, p.FeeCoverMinor, p.ReceivedAt = h.id, money.Currency(currency), amount, fee, received.UTC()
		lines := make([]payments.Line, len(slugs))
		copy(lines, p.Lines) // what was given back of each
		for i := range lines {
			lines[i].Campaign, lines[i].AmountMinor = slugs[i], amounts[i]
		}
		p.Lines = lines
		return nil
	})
	return err
}

func (l *loading) refunds(rows pgx.Rows) error {
	var (
		refund, id                  pgtype.UUID
		processorID, charge, status string
		amount                      int64
		lines                       []int64
		created, seen               pgtype.Timestamptz
	)
	_, err := pgx.ForEachRow(rows, []any{&refund, &id, &processorID, &charge, &amount, &lines, &status, &created, &seen}, func() error {
		h := l.held[id.Bytes]
		if len(lines) == 0 {
			lines = nil
		}
		if processorID == "" {
			h.asked = append(h.asked, askedRefund{id: refund.Bytes, amountMinor: amount, lines: lines, status: status})
			return nil
		}
		if h.refunds == nil {
			h.refunds = map[string][16]byte{}
		}
		h.refunds[processorID] = refund.Bytes
		h.was.Refunds = append(h.was.Refunds, payments.Refund{
			ID: processorID, Charge: charge, AmountMinor: amount, Status: payments.RefundStatus(status), Lines: lines,
			CreatedAt: moment(created), ChangedAt: moment(seen),
		})
		return nil
	})
	return err
}

func (l *loading) disputes(rows pgx.Rows) error {
	var (
		id               pgtype.UUID
		d                payments.Dispute
		status, currency string
		created, seen    pgtype.Timestamptz
	)
	_, err := pgx.ForEachRow(rows, []any{&d.ID, &id, &d.Charge, &d.AmountMinor, &status, &d.Turned, &d.FeeMinor, &d.FeeReturnedMinor, &currency, &created, &seen}, func() error {
		h := l.held[id.Bytes]
		d.Status, d.FeeCurrency, d.CreatedAt, d.ChangedAt = payments.DisputeStatus(status), money.Currency(currency), moment(created), moment(seen)
		h.was.Disputes = append(h.was.Disputes, d)
		return nil
	})
	return err
}

// moment is a stored time in UTC, the zero time for NULL.
func moment(t pgtype.Timestamptz) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// stamp is the inverse of moment, in the database's microseconds.
func stamp(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t.Truncate(time.Microsecond), Valid: !t.IsZero()}
}

// optionalUUID is NULL for the zero ID.
func optionalUUID(id [16]byte) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != [16]byte{}} }
