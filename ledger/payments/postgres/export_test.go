package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/payments"
)

// Load reads a payment as Apply does; ok is false when it is not made.
func (b *Book) Load(ctx context.Context, id [16]byte) (p payments.Payment, ok bool, err error) {
	l := loading{held: map[[16]byte]*held{id: {id: id}}, ids: []pgtype.UUID{{Bytes: id, Valid: true}}}
	err = within(ctx, b.apply, "load", func(conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		l.queue(batch)
		return conn.SendBatch(ctx, batch).Close()
	})
	return l.held[id].was, l.held[id].made, err
}
