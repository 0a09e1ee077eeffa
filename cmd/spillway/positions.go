package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"spillway/ingest/broker"
	"spillway/ledger"
	"spillway/ledger/backoff"
	ledgerdb "spillway/ledger/postgres"
)

const (
	// noteEvery is how often the streams' positions are noted beside the data: what a
	// replay reads twice after a restore, at most.
	noteEvery = 5 * time.Second
	// noteTimeout bounds asking the broker and noting.
	noteTimeout = 10 * time.Second
)

// notePositions notes how far the sources' streams are in the book until ctx ends: the
// broker is asked first, the database is told afterwards.
func notePositions(ctx context.Context, book *ledgerdb.Book, log *slog.Logger, from ...*broker.Source) error {
	note := func() error {
		ctx, cancel := context.WithTimeout(ctx, noteTimeout)
		defer cancel()
		positions := make([]ledger.Position, 0, len(from))
		for _, s := range from {
			at, err := s.Place(ctx)
			if err != nil {
				return err
			}
			if at.Sequence > at.Last {
				return fmt.Errorf("%s was acknowledged up to %d and ends at %d: the stream lost messages", at.Stream, at.Sequence, at.Last)
			}
			positions = append(positions, at.Position)
		}
		return book.NotePositions(ctx, positions)
	}
	for failing := false; ; {
		err := note()
		if err != nil && !failing && ctx.Err() == nil {
			log.Warn("the streams' positions are not noted; a restore would replay more", "error", err)
		}
		failing = err != nil
		if !backoff.Pause(ctx, noteEvery) {
			return nil
		}
	}
}

// awaitSound returns nil once the database has been seen to have this build's tables, and
// to hold everything that its slots have told the world: nothing is recorded, called or
// counted before. While it cannot be asked it waits. Errors: the database is
// older (ledgerdb.ErrBehind), with what to do about it; nil when ctx ends.
func awaitSound(ctx context.Context, db *ledgerdb.DB, b *broker.Broker, log *slog.Logger) error {
	for said := false; ; {
		err := sound(ctx, db, b)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case errors.Is(err, ledgerdb.ErrBehind):
			return fmt.Errorf("%w. Was it restored from a backup, or is it a standby that lagged behind? Stop every ledger and every payments process and run 'spillway restore', which replays what is missing", err)
		case !said:
			said = true
			log.Warn("it is not known yet whether the database is whole; trying again", "error", err)
		}
		if !backoff.Pause(ctx, prepareRetry) {
			return nil
		}
	}
}

// sound looks at the schema, and compares the donors' book with what its slots have told the world, which is read
// first: what was told by then was committed by then. A rehearsal's book may be removed,
// and is not looked at.
func sound(ctx context.Context, db *ledgerdb.DB, b *broker.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	if err := db.Migrated(ctx); err != nil {
		return err
	}
	told, err := b.Snapshots(ctx)
	if err != nil {
		return err
	}
	return db.Book(ledger.Live).Behind(ctx, told)
}
