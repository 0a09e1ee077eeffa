package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger/search"
)

var (
	followedSQL = statement("followed")
	overdueSQL  = statement("overdue")
)

const (
	epochHereSQL = "SELECT epoch FROM search_progress"
	setEpochSQL  = "UPDATE search_progress SET epoch = $1"
	emptySQL     = "TRUNCATE search_donations, search_states, search_words, search_lines, search_feed, search_donors, search_entries, search_slots"
	startAnewSQL = "UPDATE search_progress SET rows = 0, as_of = 'epoch', walked = '00000000-0000-0000-0000-000000000000'"
	emptyWallSQL = "UPDATE search_campaigns SET donors = 0, version = greatest(version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
	walkedSQL    = "SELECT walked FROM search_progress"
	walkOnSQL    = "UPDATE search_progress SET walked = $1 WHERE walked = $2"
	progressSQL  = "UPDATE search_progress SET as_of = CASE WHEN walked IS NULL THEN $1::timestamptz ELSE 'epoch' END, behind = $2"
	figuresSQL   = "SELECT coalesce((SELECT donors FROM search_campaigns WHERE campaign = '" + campaigns.DayWall + "'), 0), rows, as_of, behind FROM search_progress"
)

// Begin makes the projection one of the ledger as it is now. restored says that the
// ledger is another one than before, after a restore: everything was thrown away, and
// the streams are to be read from their start again.
// Errors: ledger.ErrUnavailable.
func (s *Store) Begin(ctx context.Context) (restored bool, err error) {
	err = pgx.BeginFunc(ctx, s.follow, func(tx pgx.Tx) error {
		var now, here int64
		if _, err := tx.Exec(ctx, turnSQL, s.turnLock()); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, s.ledger.epoch).Scan(&now); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, epochHereSQL).Scan(&here); err != nil {
			return err
		}
		if now == here {
			return nil
		}
		if here != 0 {
			restored = true
			if err := empty(ctx, tx); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, setEpochSQL, now)
		return err
	})
	return restored, sorted("begin to follow the ledger", err)
}

// Rebuild throws the projection away, save for what organisers have hidden. Whoever
// leads makes it anew by walking the ledger. Errors: ledger.ErrUnavailable.
func (s *Store) Rebuild(ctx context.Context) error {
	return sorted("throw the projection away", pgx.BeginFunc(ctx, s.follow, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, turnSQL, s.turnLock()); err != nil {
			return err
		}
		return empty(ctx, tx)
	}))
}

func empty(ctx context.Context, tx pgx.Tx) error {
	for _, sql := range []string{emptySQL, startAnewSQL, emptyWallSQL} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// Walk refreshes the next donations of the ledger in the order of their IDs, for those
// that no stream holds any more. done says that there is nothing left to walk; what is
// recorded later comes by the streams. Errors: as Refresh's.
func (s *Store) Walk(ctx context.Context, most int) (refreshed search.Refreshed, done bool, err error) {
	var walked pgtype.UUID
	if err := s.follow.QueryRow(ctx, walkedSQL).Scan(&walked); err != nil {
		return search.Refreshed{}, false, sorted("walk the ledger", err)
	}
	if !walked.Valid {
		return search.Refreshed{}, true, nil
	}
	ids, err := s.ids(ctx, s.ledger.walk, walked, most)
	if err != nil {
		return search.Refreshed{}, false, sorted("walk the ledger", err)
	}
	next := pgtype.UUID{} // the end
	if len(ids) == most {
		next = pgtype.UUID{Bytes: ids[most-1], Valid: true}
	}
	// From where we began: a rebuild in between begins anew.
	refreshed, err = s.refresh(ctx, "walk the ledger", ids, false, func(batch *pgx.Batch) { batch.Queue(walkOnSQL, next, walked) })
	return refreshed, err == nil && !next.Valid, err
}

// FollowJournal refreshes the donations of the next entries of each slot's chain.
// more says that there are further entries. Errors: as Refresh's.
func (s *Store) FollowJournal(ctx context.Context, most int) (refreshed search.Refreshed, more bool, err error) {
	type chain struct {
		slot           int32
		head, followed int64
	}
	rows, err := s.follow.Query(ctx, s.ledger.heads)
	if err != nil {
		return search.Refreshed{}, false, sorted("look at the journal", err)
	}
	chains, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c chain, err error) {
		return c, row.Scan(&c.slot, &c.head, &c.followed)
	})
	if err != nil {
		return search.Refreshed{}, false, sorted("look at the journal", err)
	}
	for _, c := range chains {
		if c.head <= c.followed {
			continue
		}
		if most <= 0 {
			return refreshed, true, nil
		}
		last, ids, ns, read, err := s.entriesSince(ctx, c.slot, c.followed, most)
		if err != nil {
			return refreshed, false, sorted("read the journal", err)
		}
		one, err := s.refresh(ctx, "follow the journal", ids, false, func(batch *pgx.Batch) {
			batch.Queue(followedSQL, c.slot, last, column(ids, func(id ingest.ID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }), ns, c.followed)
		})
		if err != nil {
			return refreshed, false, err
		}
		refreshed.Add(one)
		most -= read
		more = more || last < c.head
	}
	return refreshed, more, nil
}

// entriesSince reads a slot's next entries: the number of the last, and which are
// about a donation.
func (s *Store) entriesSince(ctx context.Context, slot int32, after int64, most int) (last int64, ids []ingest.ID, ns []int64, read int, err error) {
	rows, err := s.follow.Query(ctx, s.ledger.entriesSince, slot, after, most)
	if err != nil {
		return 0, nil, nil, 0, err
	}
	last = after
	var n int64
	var donation pgtype.UUID
	_, err = pgx.ForEachRow(rows, []any{&n, &donation}, func() error {
		last = n
		read++
		if donation.Valid {
			ids, ns = append(ids, donation.Bytes), append(ns, n)
		}
		return nil
	})
	return last, ids, ns, read, err
}

// Sweep looks again at donations that no fact has settled, those that wait longest
// first, and returns how many. Errors: as Refresh's.
func (s *Store) Sweep(ctx context.Context, most int) (refreshed search.Refreshed, looked int, err error) {
	ids, err := s.ids(ctx, overdueSQL, most)
	if err != nil {
		return search.Refreshed{}, 0, sorted("look for what may have changed", err)
	}
	if len(ids) == 0 {
		return search.Refreshed{}, 0, nil
	}
	refreshed, err = s.refresh(ctx, "look again", ids, true, nil)
	return refreshed, len(ids), err
}

func (s *Store) ids(ctx context.Context, sql string, args ...any) ([]ingest.ID, error) {
	rows, err := s.follow.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (ingest.ID, error) {
		var id pgtype.UUID
		err := row.Scan(&id)
		return id.Bytes, err
	})
}

// Progress notes how far the projection has come: every donation acknowledged before
// asOf is in it, and so many messages wait. While the ledger is still walked, asOf is
// not believed. Errors: ledger.ErrUnavailable.
func (s *Store) Progress(ctx context.Context, asOf time.Time, behind int64) error {
	err := pgx.BeginFunc(ctx, s.follow, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = off"); err != nil { // it is noted again in a second
			return err
		}
		_, err := tx.Exec(ctx, progressSQL, asOf, behind)
		return err
	})
	return sorted("note the progress", err)
}

// Figures say how much the projection holds and how old it is. Errors:
// ledger.ErrUnavailable.
func (s *Store) Figures(ctx context.Context) (f search.Figures, err error) {
	err = s.ask.QueryRow(ctx, figuresSQL).Scan(&f.Donors, &f.Rows, &f.AsOf, &f.Behind)
	f.AsOf = f.AsOf.UTC()
	return f, sorted("read the projection's figures", err)
}

// How soon a leader's end is noticed.
const (
	leadPoll    = time.Second
	pingEvery   = 2 * time.Second
	pingTimeout = 5 * time.Second
)

// errLeadLost says that the session that held the lead is gone.
var errLeadLost = errors.New("the lead was lost")

// Lead waits until no other process leads the projection of this book, and then runs
// lead, whose context ends when the lead may have been lost. Two that lead for a
// moment do no harm: they only do the work twice.
//
// Errors: lead's; ctx's; ledger.ErrUnavailable when the database could not be asked or
// the lead was lost.
func (s *Store) Lead(ctx context.Context, lead func(context.Context) error) error {
	pooled, err := s.follow.Acquire(ctx)
	if err != nil {
		return sorted("lead: connect", err)
	}
	conn := pooled.Hijack() // the lock is the session's: it never goes back to the pool
	defer func() { _ = closeWithin(conn) }()
	for held := false; !held; {
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", s.leadLock()).Scan(&held); err != nil {
			return sorted("wait for the lead", err)
		}
		if held {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(leadPoll):
		}
	}
	led, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-led.Done():
				return
			case <-time.After(pingEvery):
			}
			ping, done := context.WithTimeout(led, pingTimeout)
			err := conn.Ping(ping)
			done()
			if err != nil {
				cancel(fmt.Errorf("%w: %w", errLeadLost, err))
				return
			}
		}
	}()
	err = lead(led)
	lost := context.Cause(led)
	cancel(nil)
	<-ended
	if errors.Is(lost, errLeadLost) {
		return sorted("lead", lost)
	}
	return err
}

func closeWithin(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	return conn.Close(ctx)
}
