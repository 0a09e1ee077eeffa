package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

var (
	expandPickSQL    = statement("expand_pick")
	expandMakeSQL    = statement("expand_make")
	expandAdvanceSQL = statement("expand_advance")
)

// sourceTurn is the time between two turns of one source while others wait: two a
// second. A household gives once; whoever sends a thousand waits for the thousand and
// nobody else does.
const sourceTurn = 500 * time.Millisecond

// turnsLock is the advisory lock, of a transaction, under which turns are given, so
// that two processes never give a source the same: with the book's number, a pair
// that no other program takes in this database ("turn" in ASCII).
const turnsLock = 0x7475726e

const lockTurnsSQL = "SELECT pg_advisory_xact_lock($1, $2)"

// Expand makes the payments and first attempts of recorded donations, of one
// recorded batch and for at most so many of its donations, in one transaction. It
// returns how many donations it went through, 0 when no batch is left: those that
// had their attempt already are counted too. Expanding twice is harmless.
//
// Errors: ledger.ErrUnavailable.
func (b *Book) Expand(ctx context.Context, most int) (made int, err error) {
	err = within(ctx, b.queue, "expand", func(conn *pgx.Conn) error {
		var (
			batch           int64
			count, expanded int
			ids             []pgtype.UUID
		)
		err := conn.QueryRow(ctx, expandPickSQL, most).Scan(&batch, &count, &expanded, &ids)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		// The batch is locked; everything else goes in one round trip.
		work := &pgx.Batch{}
		work.Queue(lockTurnsSQL, turnsLock, int(b.book))
		work.Queue(expandMakeSQL, ids, b.offset(), sourceTurn)
		work.Queue(expandAdvanceSQL, batch, len(ids))
		made = len(ids)
		return conn.SendBatch(ctx, work).Close()
	})
	if err != nil {
		return 0, err
	}
	return made, nil
}

// ExpandOne makes the payment and first attempt of one recorded donation out of its
// turn, for whoever knows something about it already. It does nothing when it has
// them, or when it is not recorded. Errors: ledger.ErrUnavailable.
func (b *Book) ExpandOne(ctx context.Context, donation [16]byte) error {
	return within(ctx, b.queue, fmt.Sprintf("expand donation %x", donation), func(conn *pgx.Conn) error {
		work := &pgx.Batch{}
		work.Queue(lockTurnsSQL, turnsLock, int(b.book))
		work.Queue(expandMakeSQL, uuids([][16]byte{donation}), b.offset(), sourceTurn)
		return conn.SendBatch(ctx, work).Close()
	})
}
