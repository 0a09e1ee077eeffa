package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger"
	"spillway/ledger/search"
)

var (
	saveStatesSQL    = statement("save_states")
	lookLaterSQL     = statement("look_later")
	leaveFeedSQL     = statement("leave_feed")
	countDonorsSQL   = statement("count_donors")
	uncountDonorsSQL = statement("uncount_donors")
	forgetDonorsSQL  = statement("forget_donors")
	addCampaignsSQL  = statement("add_campaigns")
	moveCampaignsSQL = statement("move_campaigns")
)

const (
	// turnSQL lets one transaction at a time change a book's projection. Each reads the
	// ledger after its turn has come, so that whoever writes last has also read last.
	turnSQL     = "SELECT pg_advisory_xact_lock($1)"
	moreRowsSQL = "UPDATE search_progress SET rows = rows + $1"
)

// The advisory locks of a book: no other program takes them in this database
// ("searc" in ASCII, and a number).
const lockBase = 0x7365617263_00_00_00

// TurnLock is the advisory lock that is held by whoever changes a book's projection, from
// before it reads the ledger until it has committed.
func TurnLock(book ledger.Book) int64 { return lockBase + int64(book)<<8 }

func (s *Store) turnLock() int64 { return TurnLock(s.book) }
func (s *Store) leadLock() int64 { return lockBase + int64(s.book)<<8 + 1 }

// When a donation that no fact settles is looked at again: after a quarter of the time
// that it stands so already.
const (
	lookShare = 4
	lookLeast = 5 * time.Second
	lookMost  = time.Hour
	// lookFailed is how long a failed one is looked at: its donor may offer another card
	// at any time, and then a change or an entry of the journal tells.
	lookFailed = 7 * 24 * time.Hour
)

// Refresh brings the projection of some donations up to date with the ledger, in one
// transaction. It does the same however often it is called, by whomever. It keeps no
// reference to ids; one may be there twice.
//
// Errors: ledger.ErrUnavailable, and any other; it is not known then whether it was
// done, and doing it again is harmless.
func (s *Store) Refresh(ctx context.Context, ids []ingest.ID) (search.Refreshed, error) {
	return s.refresh(ctx, "refresh", ids, false, nil)
}

// refresh is Refresh with more to write in the same transaction. swept donations are
// given their next look also when nothing changed. When the tables refuse one, the
// others are done in halves, and what also writes comes last.
func (s *Store) refresh(ctx context.Context, what string, ids []ingest.ID, swept bool, also func(*pgx.Batch)) (search.Refreshed, error) {
	done, err := s.refreshOnce(ctx, what, ids, swept, also)
	var poison *ledger.PoisonError
	if !errors.As(err, &poison) || len(ids) == 0 {
		return done, err
	}
	done = search.Refreshed{}
	if len(ids) == 1 {
		done.Refused = slices.Clone(ids)
	} else {
		for _, half := range [][]ingest.ID{ids[:len(ids)/2], ids[len(ids)/2:]} {
			one, err := s.refresh(ctx, what, half, swept, nil)
			if err != nil {
				return search.Refreshed{}, err
			}
			done.Add(one)
		}
	}
	if also != nil {
		_, err := s.refreshOnce(ctx, what, nil, swept, also)
		return done, err
	}
	return done, nil
}

func (s *Store) refreshOnce(ctx context.Context, what string, ids []ingest.ID, swept bool, also func(*pgx.Batch)) (search.Refreshed, error) {
	r := refreshing{store: s, swept: swept}
	err := pgx.BeginFunc(ctx, s.follow, func(tx pgx.Tx) error {
		if err := r.read(ctx, tx, ids); err != nil {
			return err
		}
		if err := r.add(ctx, tx); err != nil {
			return err
		}
		return r.write(ctx, tx, also)
	})
	return r.done, sorted(what, err)
}

// refreshing is the work of one transaction.
type refreshing struct {
	store *Store
	swept bool
	done  search.Refreshed

	fresh   []*truth // not here yet
	changed []*truth // here, and different
	looks   []*truth // here and the same, to be looked at again
	donors  map[donorAt]int32
	walls   map[string]int64 // by campaign: what its donors change by; there when anything of it changes
	joins   []place
	leaves  []place
}

type donorAt struct {
	donor    [16]byte
	campaign string
}

// place is a donation's in the order of lists, among those of a campaign or word.
type place struct {
	of         string
	receivedAt time.Time
	seq        int64
}

// read takes the turn, reads the ledger and works out what changes.
func (r *refreshing) read(ctx context.Context, tx pgx.Tx, ids []ingest.ID) error {
	*r = refreshing{store: r.store, swept: r.swept, donors: map[donorAt]int32{}, walls: map[string]int64{}}
	batch := &pgx.Batch{}
	batch.Queue(turnSQL, r.store.turnLock())
	found := make(map[ingest.ID]bool, len(ids))
	batch.Queue(r.store.ledger.truth, uuids(ids)).Query(func(rows pgx.Rows) error {
		return eachTruth(rows, func(t *truth) {
			found[t.id] = true
			r.judge(t)
		})
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	for _, id := range ids {
		if !found[id] {
			found[id] = true // once
			r.done.Missing = append(r.done.Missing, id)
		}
	}
	return nil
}

// judge compares what the ledger says with what is here. Everything that is counted
// moves by the difference.
func (r *refreshing) judge(t *truth) {
	if !t.open(r.store.keys) {
		r.done.Unread++
	}
	if !t.here {
		r.fresh = append(r.fresh, t)
		r.count(t, false, search.Counted(t.status))
		r.show(t, false, search.Shown(t.status))
		return
	}
	if t.status == t.was.status && t.reason == t.was.reason && t.intent == t.was.intent && t.charge == t.was.charge && t.refunded == t.was.refunded {
		if r.swept {
			r.looks = append(r.looks, t)
		}
		return
	}
	r.changed = append(r.changed, t)
	r.count(t, search.Counted(t.was.status), search.Counted(t.status))
	r.show(t, search.Shown(t.was.status), search.Shown(t.status))
}

func (r *refreshing) count(t *truth, was, is bool) {
	if was == is {
		return
	}
	by := int32(1)
	if was {
		by = -1
	}
	for _, campaign := range t.walls() {
		if t.donor == ([16]byte{}) {
			r.walls[campaign] += int64(by)
		} else {
			r.donors[donorAt{t.donor, campaign}] += by
		}
	}
}

func (r *refreshing) show(t *truth, was, is bool) {
	if was == is {
		return
	}
	for _, campaign := range t.walls() {
		r.walls[campaign] += 0
		row := place{campaign, t.receivedAt, t.seq}
		if is {
			r.joins = append(r.joins, row)
		} else {
			r.leaves = append(r.leaves, row)
		}
	}
}

// add copies donations that are new, and gifts that everybody may see now.
func (r *refreshing) add(ctx context.Context, tx pgx.Tx) error {
	if len(r.fresh) > 0 {
		slices.SortFunc(r.fresh, func(a, b *truth) int { return cmp.Compare(a.seq, b.seq) })
		if err := copyRows(ctx, tx, "search_donations", donationColumns, len(r.fresh), func(i int) []any { return r.fresh[i].donationRow() }); err != nil {
			return err
		}
		if err := copyRows(ctx, tx, "search_states", stateColumns, len(r.fresh), func(i int) []any { return r.fresh[i].stateRow() }); err != nil {
			return err
		}
		var lines, words []place
		for _, t := range r.fresh {
			for _, w := range t.words {
				words = append(words, place{w, t.receivedAt, t.seq})
			}
			for _, c := range t.lineCampaigns() {
				lines = append(lines, place{c, t.receivedAt, t.seq})
			}
		}
		if err := copyPlaces(ctx, tx, "search_lines", "campaign", lines); err != nil {
			return err
		}
		if err := copyPlaces(ctx, tx, "search_words", "word", words); err != nil {
			return err
		}
	}
	return copyPlaces(ctx, tx, "search_feed", "campaign", r.joins)
}

// write changes what is here, and counts.
func (r *refreshing) write(ctx context.Context, tx pgx.Tx, also func(*pgx.Batch)) error {
	batch := &pgx.Batch{}
	if len(r.changed) > 0 {
		batch.Queue(saveStatesSQL, column(r.changed, func(t *truth) int64 { return t.seq }),
			column(r.changed, func(t *truth) string { return t.status }), column(r.changed, func(t *truth) string { return t.reason }),
			column(r.changed, func(t *truth) string { return t.intent }), column(r.changed, func(t *truth) string { return t.charge }),
			column(r.changed, func(t *truth) int64 { return t.refunded }), column(r.changed, (*truth).lookAt))
	}
	if len(r.looks) > 0 {
		batch.Queue(lookLaterSQL, column(r.looks, func(t *truth) int64 { return t.seq }), column(r.looks, (*truth).lookAt))
	}
	if len(r.leaves) > 0 {
		batch.Queue(leaveFeedSQL, column(r.leaves, func(f place) string { return f.of }),
			column(r.leaves, func(f place) time.Time { return f.receivedAt }), column(r.leaves, func(f place) int64 { return f.seq }))
	}
	r.countDonors(batch)
	if also != nil {
		also(batch)
	}
	if len(r.fresh) > 0 {
		batch.Queue(moreRowsSQL, len(r.fresh))
	}
	if batch.Len() > 0 {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
	}
	r.done.New, r.done.Changed = len(r.fresh), len(r.changed)
	return r.moveWalls(ctx, tx)
}

// countDonors moves what donors gave, and notes what that does to the walls.
func (r *refreshing) countDonors(batch *pgx.Batch) {
	var more, less []donorAt
	for at, by := range r.donors {
		switch {
		case by > 0:
			more = append(more, at)
		case by < 0:
			less = append(less, at)
		}
	}
	note := func(rows pgx.Rows) error {
		var donor pgtype.UUID
		var campaign string
		var after int32
		_, err := pgx.ForEachRow(rows, []any{&donor, &campaign, &after}, func() error {
			before := after - r.donors[donorAt{donor.Bytes, campaign}]
			switch {
			case before <= 0 && after > 0:
				r.walls[campaign]++
			case before > 0 && after <= 0:
				r.walls[campaign]--
			}
			return nil
		})
		return err
	}
	for sql, some := range map[string][]donorAt{countDonorsSQL: more, uncountDonorsSQL: less} {
		if len(some) > 0 {
			batch.Queue(sql, column(some, func(d donorAt) pgtype.UUID { return pgtype.UUID{Bytes: d.donor, Valid: true} }),
				column(some, func(d donorAt) string { return d.campaign }), column(some, func(d donorAt) int32 { return r.donors[d] })).Query(note)
		}
	}
	if len(less) > 0 {
		batch.Queue(forgetDonorsSQL, column(less, func(d donorAt) pgtype.UUID { return pgtype.UUID{Bytes: d.donor, Valid: true} }),
			column(less, func(d donorAt) string { return d.campaign }))
	}
}

func (r *refreshing) moveWalls(ctx context.Context, tx pgx.Tx) error {
	if len(r.walls) == 0 {
		return nil
	}
	return moveWalls(ctx, tx, r.walls)
}

// moveWalls moves the donors of campaigns' walls, and the walls' versions.
func moveWalls(ctx context.Context, tx pgx.Tx, by map[string]int64) error {
	slugs := make([]string, 0, len(by))
	for slug := range by {
		slugs = append(slugs, slug)
	}
	slices.Sort(slugs)
	batch := &pgx.Batch{}
	batch.Queue(addCampaignsSQL, slugs)
	batch.Queue(moveCampaignsSQL, slugs, column(slugs, func(slug string) int64 { return by[slug] }))
	return tx.SendBatch(ctx, batch).Close()
}

// column makes one array of one field of many things.
func column[T, F any](all []T, field func(T) F) []F {
	values := make([]F, len(all))
	for i, t := range all {
		values[i] = field(t)
	}
	return values
}

func copyRows(ctx context.Context, tx pgx.Tx, table string, columns []string, n int, row func(i int) []any) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
	return err
}

func copyPlaces(ctx context.Context, tx pgx.Tx, table, column string, rows []place) error {
	if len(rows) == 0 {
		return nil
	}
	return copyRows(ctx, tx, table, []string{column, "received_at", "seq"}, len(rows), func(i int) []any {
		return []any{rows[i].of, rows[i].receivedAt, rows[i].seq}
	})
}

// uuids are IDs for the database, in order and each once.
func uuids(ids []ingest.ID) []pgtype.UUID {
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, func(a, b ingest.ID) int { return bytes.Compare(a[:], b[:]) })
	sorted = slices.Compact(sorted)
	return column(sorted, func(id ingest.ID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} })
}

// day is the wall of all campaigns together.
const day = campaigns.DayWall
