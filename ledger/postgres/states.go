package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger"
)

var statesSQL = statement("states")

// States looks donations up in all books, one query per book for however many IDs.
// An ID that is in none is not in the answer. Errors: ledger.ErrUnavailable.
func (db *DB) States(ctx context.Context, ids [][16]byte) (map[[16]byte]ledger.State, error) {
	states := make(map[[16]byte]ledger.State, len(ids))
	for _, book := range ledger.Books {
		if err := db.books[book].states(ctx, ids, states); err != nil {
			return nil, sorted("look donations up", err)
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
	)
	fields := []any{&id, &fingerprint, &s.AmountMinor, &s.FeeCoverMinor, &s.Currency, &s.ReceivedAt, &s.RecordedAt, &campaigns, &amounts, &conflicts}
	_, err = pgx.ForEachRow(rows, fields, func() error {
		state := s
		state.Found, state.Book, state.Status, state.Fingerprint = true, b.book, ledger.StatusAccepted, fingerprint.Bytes
		state.Lines = make([]ledger.StateLine, len(campaigns))
		for i := range campaigns {
			state.Lines[i] = ledger.StateLine{Campaign: campaigns[i], AmountMinor: amounts[i]}
		}
		for _, c := range conflicts {
			state.Conflicts = append(state.Conflicts, c.Bytes)
		}
		into[id.Bytes] = state
		return nil
	})
	return err
}
