package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger"
	"spillway/ledger/payments"
)

var statesSQL = statement("states")

// States looks donations up in all books, one query per book for however many IDs.
// The live book is asked first: what is found there is not looked for elsewhere. An
// ID that is in none is not in the answer. Errors: ledger.ErrUnavailable.
func (db *DB) States(ctx context.Context, ids [][16]byte) (map[[16]byte]ledger.State, error) {
	states := make(map[[16]byte]ledger.State, len(ids))
	missing := ids
	for _, book := range ledger.Books {
		if err := db.books[book].states(ctx, missing, states); err != nil {
			return nil, sorted("look donations up", err)
		}
		missing = slices.DeleteFunc(slices.Clone(missing), func(id [16]byte) bool { return states[id].Found })
		if len(missing) == 0 {
			break
		}
	}
	return states, nil
}

func (b *Book) states(ctx context.Context, ids [][16]byte, into map[[16]byte]ledger.State) error {
	keys := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		keys[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	rows, err := b.asks.Query(ctx, statesSQL, keys)
	if err != nil {
		return err
	}
	var (
		id, fingerprint pgtype.UUID
		campaigns       []string
		amounts         []int64
		conflicts       []pgtype.UUID
		s               ledger.State
		p               paidState
		waiting         []waitingState
	)
	fields := []any{
		&id, &fingerprint, &s.AmountMinor, &s.FeeCoverMinor, &s.Currency, &s.ReceivedAt, &s.RecordedAt, &campaigns, &amounts, &conflicts,
		&p.status, &p.reason, &p.decline, &p.secret, &p.attemptNo, &p.state, &p.changedAt, &p.called, &p.refunded, &p.dispute,
	}
	_, err = pgx.ForEachRow(rows, fields, func() error {
		state := s
		state.Found, state.Book, state.Fingerprint = true, b.book, fingerprint.Bytes
		state.Lines = make([]ledger.StateLine, len(campaigns))
		for i := range campaigns {
			state.Lines[i] = ledger.StateLine{Campaign: campaigns[i], AmountMinor: amounts[i]}
		}
		for _, c := range conflicts {
			state.Conflicts = append(state.Conflicts, c.Bytes)
		}
		if since, waits := p.into(&state); waits {
			waiting = append(waiting, waitingState{id.Bytes, since})
		}
		into[id.Bytes] = state
		return nil
	})
	if err != nil || len(waiting) == 0 {
		return err
	}
	figures, err := b.figures.read(ctx, b.asks)
	if err != nil {
		return err
	}
	for _, w := range waiting {
		state := into[w.id]
		state.ExpectedWait = figures.expectedWait(w.since)
		into[w.id] = state
	}
	return nil
}

// paidState are the columns of a state that are the payment's, all NULL before its
// first attempt was made.
type paidState struct {
	status, reason, decline, secret, dispute pgtype.Text
	attemptNo                                pgtype.Int4
	state                                    pgtype.Int2
	changedAt                                pgtype.Timestamptz
	called                                   bool
	refunded                                 pgtype.Int8
}

// into writes what a donor may know, and tells whether the donation waits for its
// charge, and since when.
func (p *paidState) into(s *ledger.State) (since time.Time, waits bool) {
	if !p.status.Valid {
		s.Status, s.AttemptNo = ledger.StatusAccepted, 1
		return s.RecordedAt, true
	}
	s.Status, s.Reason, s.Decline, s.AttemptNo = p.status.String, p.reason.String, p.decline.String, int(p.attemptNo.Int32)
	s.RefundedMinor, s.Dispute = p.refunded.Int64, p.dispute.String
	switch s.Status {
	case payments.StatusAccepted:
		// A claim writes the attempt alone: the payment learns of it with the answer.
		if p.called {
			s.Status = payments.StatusCharging
		}
		since = s.RecordedAt
		if s.AttemptNo > 1 {
			since = p.changedAt.Time // another card waits from its own offer on
		}
		return since, payments.AttemptState(p.state.Int16) == payments.Due
	case payments.StatusRequiresAction:
		s.ClientSecret = p.secret.String
	}
	return time.Time{}, false
}

// waitingState is a donation that waits for its charge.
type waitingState struct {
	id    [16]byte
	since time.Time
}
