package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"spillway/ledger/journal"
)

var (
	lockChainSQL  = statement("lock_chain")
	startChainSQL = statement("start_chain")
	moveChainSQL  = statement("move_chain")
)

// chain is the last link of a slot's chain while this transaction has it locked.
type chain struct {
	slot   int32
	n      int64
	hash   [32]byte
	exists bool
}

// lock adds to the batch what locks and reads the last link: after every other lock.
func (c *chain) lock(batch *pgx.Batch) {
	batch.Queue(lockChainSQL, c.slot).QueryRow(func(row pgx.Row) error {
		var hash []byte
		err := row.Scan(&c.n, &hash)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // the slot books for the first time
		}
		copy(c.hash[:], hash)
		c.exists = true
		return err
	})
}

// link gives every entry its place.
func (c *chain) link(entries []journal.Entry) []journal.Link {
	links := make([]journal.Link, len(entries))
	for i := range entries {
		c.n++
		links[i] = journal.Link{Slot: c.slot, N: c.n, Prev: c.hash}
		c.hash = journal.Hash(c.hash, c.slot, c.n, &entries[i])
		links[i].Hash = c.hash
	}
	return links
}

// append copies the entries behind the last link, and adds to the batch what writes
// the new one.
func (c *chain) append(ctx context.Context, conn *pgx.Conn, entries []journal.Entry, batch *pgx.Batch) error {
	if len(entries) == 0 {
		return nil
	}
	if err := copyEntries(ctx, conn.PgConn(), entries, c.link(entries)); err != nil {
		return err
	}
	sql := moveChainSQL
	if !c.exists {
		sql = startChainSQL
	}
	batch.Queue(sql, c.slot, c.n, c.hash[:])
	return nil
}

const uniqueViolation = "23505"

// violates tells whether err is the breach of a unique key of that name.
func violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == uniqueViolation && pg.ConstraintName == constraint
}

// lostRace tells whether another transaction began the slot's chain at the same
// moment: the next try finds it.
func lostRace(err error) bool {
	return violates(err, "chain_heads_pkey") || violates(err, "entries_pkey")
}
