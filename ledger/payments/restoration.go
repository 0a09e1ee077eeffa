package payments

import "time"

// Restoration is the last restore of a book's database from a backup, and what is left
// of it to do. The zero value: it was never restored. Times are the database's clock
// unless they say otherwise.
type Restoration struct {
	Epoch int64 // that it began
	// LostSince is the moment of the backup: what was written since is being replayed.
	LostSince time.Time
	// ReplayTo is the broker's time of the restore: what its streams had stored by then is
	// to be replayed.
	ReplayTo   time.Time
	RestoredAt time.Time
	Now        time.Time
	// Replayed says that everything that was stored before ReplayTo was applied, and
	// that what may have been charged is being looked for.
	Replayed bool
	// WaitingSince is since when recorded donations wait for their attempts; zero for none.
	WaitingSince time.Time
	// Looking says that attempts are still to be looked for.
	Looking bool
	// Charged says that the book has payments: somebody charges it.
	Charged bool
}
