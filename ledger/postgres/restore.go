package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"spillway/campaigns"
	"spillway/ledger"
)

var (
	restoreSlotsSQL    = statement("restore_slots")
	restoreAttemptsSQL = statement("restore_attempts")
)

// clocksDiffer is by how much a front-end's clock may be ahead of the database's: what it
// accepted just before a restore is looked for at the processor all the same. Whoever
// gives in that time after it is looked for too, by calls that are rationed, and until
// that is done totals are as old as the backup: so it is short. A gift whose front-end is
// further ahead still meets the processor's memory of its key.
const clocksDiffer = 2 * time.Second

const (
	restoreEpochSQL = "SELECT epoch FROM installation FOR UPDATE"
	// restoreLockSQL keeps everybody from tenures, in the order that all take: see lease.go.
	restoreLockSQL  = "LOCK TABLE slot_leases, slot_terms IN EXCLUSIVE MODE"
	restoreRaiseSQL = "UPDATE installation SET epoch = $1"
	restoreNoteSQL  = "INSERT INTO restores (epoch, lost_since, replay_to, look_before) VALUES ($1, $2, $3, clock_timestamp() + $4::interval)"
	// restoreForgetSQL removes notes of processes that ran on the database before the
	// restore was told: the streams go back behind them.
	restoreForgetSQL = "DELETE FROM stream_positions WHERE noted_at >= $1"
)

// Restore is what a database is told that lacks what was written to it once: it is of a
// backup, or of a standby that did not have the last commits.
type Restore struct {
	// LostSince is the moment that the database is of, as far as is known.
	LostSince time.Time
	// ReplayTo is the broker's time now.
	ReplayTo time.Time
	// Forget, unless zero, is since when notes of positions are wrong.
	Forget time.Time
	// Told is what the slots of all books have told the world.
	Told []*campaigns.Snapshot
}

// Restored is what Restore made of the database.
type Restored struct {
	Epoch int64
	// Looked counts attempts that are looked for at the processor before they are called,
	// beside those that the replay brings.
	Looked int64
}

// Restore begins a new epoch in every book, in one transaction: all slots are to be
// adopted under it, those that the world knows and the database does not are made again,
// and every attempt that was due or under way is looked for before it is called. It works
// as the owner of the tables. No process should work on the database; one that does is
// fenced. Doing it twice is harmless.
//
// The caller rewinds the streams before: what was acknowledged comes again, and is
// recorded once. Errors: a database that cannot be reached, or is not migrated.
func (db *DB) Restore(ctx context.Context, r Restore) (done Restored, err error) {
	conn, err := pgx.ConnectConfig(ctx, db.config)
	if err != nil {
		return done, fmt.Errorf("restore: connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }() // whatever was not committed is rolled back
	tx, err := conn.Begin(ctx)
	if err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	if _, err := tx.Exec(ctx, grantPatientSQL); err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	for _, s := range r.Told {
		done.Epoch = max(done.Epoch, s.Epoch)
	}
	in := func(book ledger.Book, do func() error) error {
		if _, err := tx.Exec(ctx, grantIntoSQL, book.Schema()); err != nil {
			return fmt.Errorf("restore the %s book: %w", book, err)
		}
		if err := do(); err != nil {
			return fmt.Errorf("restore the %s book: %w", book, err)
		}
		return nil
	}
	for _, book := range ledger.Books {
		if err := in(book, func() error {
			var epoch int64
			err := tx.QueryRow(ctx, restoreEpochSQL).Scan(&epoch)
			done.Epoch = max(done.Epoch, epoch)
			return err
		}); err != nil {
			return done, err
		}
	}
	done.Epoch++
	for _, book := range ledger.Books {
		if err := in(book, func() error {
			looked, err := restoreBook(ctx, tx, book, done.Epoch, &r)
			done.Looked += looked
			return err
		}); err != nil {
			return done, err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	return done, nil
}

// restoreBook restores the book whose schema is in front, and counts what is to be
// looked for.
func restoreBook(ctx context.Context, tx pgx.Tx, book ledger.Book, epoch int64, r *Restore) (looked int64, err error) {
	var slots []int32
	var terms []int64
	for _, s := range r.Told {
		if s.Book == book {
			slots, terms = append(slots, s.Slot), append(terms, s.Term)
		}
	}
	work := &pgx.Batch{}
	work.Queue(restoreLockSQL)
	work.Queue(restoreRaiseSQL, epoch)
	work.Queue(restoreSlotsSQL, epoch, slots, terms)
	work.Queue(restoreAttemptsSQL).Exec(func(tag pgconn.CommandTag) error {
		looked = tag.RowsAffected()
		return nil
	})
	work.Queue(restoreNoteSQL, epoch, r.LostSince, r.ReplayTo, clocksDiffer)
	if !r.Forget.IsZero() {
		work.Queue(restoreForgetSQL, r.Forget)
	}
	return looked, tx.SendBatch(ctx, work).Close()
}

// ErrBehind says that the database is older than what its slots have told the world: it
// is of a backup, or of a standby that did not have the last commits.
var ErrBehind = errors.New("the database is older than what the broker was told of it")

// Behind returns ErrBehind when the book's slots have told more than the database holds,
// with the first such slot. told must have been read before the call: what is told was
// committed before. Errors: ErrBehind; ledger.ErrUnavailable.
func (b *Book) Behind(ctx context.Context, told []*campaigns.Snapshot) error {
	for _, s := range told {
		if s.Book != b.book {
			continue
		}
		if err := b.behind(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

const (
	slotTermSQL  = "SELECT i.epoch, coalesce(t.term, 0) FROM installation i LEFT JOIN slot_terms t ON t.slot = $1"
	slotChainSQL = "SELECT coalesce((SELECT n FROM chain_heads WHERE slot = $1), 0)"
)

func (b *Book) behind(ctx context.Context, s *campaigns.Snapshot) error {
	say := func(what string, told, held int64) error {
		return fmt.Errorf("slot %d: %s %d was told, the database is at %d: %w", s.Slot, what, told, held, ErrBehind)
	}
	var epoch, term, chain int64
	versions := map[slotKey]int64{}
	work := &pgx.Batch{}
	work.Queue(slotTermSQL, s.Slot).QueryRow(func(row pgx.Row) error { return row.Scan(&epoch, &term) })
	work.Queue(slotChainSQL, s.Slot).QueryRow(func(row pgx.Row) error { return row.Scan(&chain) })
	work.Queue(slotRowsSQL, s.Slot).Query(func(found pgx.Rows) error {
		rows, err := pgx.CollectRows(found, slotRow)
		for i := range rows {
			versions[keyOf(&rows[i])] = rows[i].Version
		}
		return err
	})
	if err := b.control.SendBatch(ctx, work).Close(); err != nil {
		return sorted("compare a slot with what it told", err)
	}
	switch {
	case s.Epoch > epoch:
		return say("epoch", s.Epoch, epoch)
	case s.Epoch < epoch:
		return nil // told before a restore: the slot is to be adopted
	case s.Term > term:
		return say("term", s.Term, term)
	case s.Chain.N > chain:
		return say("journal entry", s.Chain.N, chain)
	}
	for i := range s.Rows {
		if held := versions[keyOf(&s.Rows[i])]; s.Rows[i].Version > held {
			return say("version of "+s.Rows[i].Campaign, s.Rows[i].Version, held)
		}
	}
	return nil
}

// slotKey names a row of a slot.
type slotKey struct{ campaign, currency string }

func keyOf(r *campaigns.SlotRow) slotKey { return slotKey{r.Campaign, string(r.Currency)} }
