package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/postgres/session"
)

var (
	slotRowsSQL = statement("slot_rows")
	settleSQL   = statement("settle")

	chainHeadSQL = statement("chain_head")
)

// Slots reads the lease's slot whole, in the order of the campaigns, with the last
// link of its journal. It first waits
// until no transaction of this term is in flight, also one whose connection was lost
// in the middle of its commit: the rows hold everything that was recorded under the
// lease by whoever called Record before. Errors: ledger.ErrFenced, ledger.ErrUnavailable.
func (b *Book) Slots(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, campaigns.ChainHead, error) {
	var rows []campaigns.SlotRow
	var chain campaigns.ChainHead
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	batch.Queue(settleSQL, lease.Slot, lease.Term, lease.Epoch).QueryRow(func(row pgx.Row) error {
		var held int
		err := row.Scan(&held)
		if errors.Is(err, pgx.ErrNoRows) {
			return ledger.ErrFenced
		}
		return err
	})
	batch.Queue(slotRowsSQL, lease.Slot).Query(func(found pgx.Rows) (err error) {
		rows, err = pgx.CollectRows(found, slotRow)
		return err
	})
	batch.Queue(chainHeadSQL, lease.Slot).QueryRow(func(row pgx.Row) error {
		var hash []byte
		err := row.Scan(&chain.N, &hash)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // the slot has booked nothing yet
		}
		copy(chain.Hash[:], hash)
		return err
	})
	batch.Queue("COMMIT")
	conn, err := b.control.Acquire(ctx)
	if err != nil {
		return nil, campaigns.ChainHead{}, sorted("read a slot: connect", err)
	}
	defer conn.Release()
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		session.Rollback(ctx, conn.Conn())
		return nil, campaigns.ChainHead{}, sorted("read a slot", err)
	}
	return rows, chain, nil
}
