package main

import (
	"context"
	"log/slog"
	"time"

	ledgerdb "spillway/ledger/postgres"
)

// sayRights says, once the database answers, whether this process could change what
// only grows, and then waits for ctx to end. A login that may not take the role works
// all the same; who runs it should know.
func sayRights(ctx context.Context, db *ledgerdb.DB, log *slog.Logger) error {
	for ctx.Err() == nil {
		guarded, err := db.Guarded(ctx)
		switch {
		case err == nil && guarded:
			log.Info("the database refuses us to change what only grows", "role", ledgerdb.AppRole)
		case err == nil:
			log.Warn("this login may not take the restricted role: triggers alone protect what only grows; have it made, then run 'spillway migrate'", "role", ledgerdb.AppRole)
		default: // away, or not migrated yet: the roles themselves say so
			select {
			case <-time.After(prepareRetry):
			case <-ctx.Done():
			}
			continue
		}
		<-ctx.Done()
	}
	return nil
}
