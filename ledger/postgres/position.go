package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger"
)

var (
	notePositionsSQL = statement("note_positions")
	positionsSQL     = statement("positions")
)

// NotePositions keeps beside the data how far streams are in it, so that a backup knows
// where a replay has to begin. The caller has asked the broker for them before this call:
// then everything up to them was committed before the note is, and whichever moment of
// the database holds the note holds all of it. Errors: ledger.ErrUnavailable.
func (b *Book) NotePositions(ctx context.Context, at []ledger.Position) error {
	streams, made, sequences := make([]string, len(at)), make([]time.Time, len(at)), make([]int64, len(at))
	for i, p := range at {
		streams[i], made[i], sequences[i] = p.Stream, p.MadeAt.Truncate(time.Microsecond), int64(p.Sequence) // a count of messages
	}
	_, err := b.control.Exec(ctx, notePositionsSQL, streams, made, sequences)
	return sorted("note the streams' positions", err)
}

// Positions returns the newest note of each stream, by its name; of those made before
// the given moment unless that is zero. Errors: ledger.ErrUnavailable.
func (b *Book) Positions(ctx context.Context, before time.Time) (map[string]ledger.Position, error) {
	rows, err := b.control.Query(ctx, positionsSQL, pgtype.Timestamptz{Time: before, Valid: !before.IsZero()})
	if err != nil {
		return nil, sorted("read the streams' positions", err)
	}
	all := map[string]ledger.Position{}
	var p ledger.Position
	var sequence int64
	_, err = pgx.ForEachRow(rows, []any{&p.Stream, &p.MadeAt, &sequence, &p.NotedAt}, func() error {
		p.Sequence, p.MadeAt, p.NotedAt = uint64(sequence), p.MadeAt.UTC(), p.NotedAt.UTC()
		all[p.Stream] = p
		return nil
	})
	return all, sorted("read the streams' positions", err)
}
