package postgres

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/campaigns/console/manage/plan"
	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
	"spillway/ledger/postgres/session"
)

// idsMost is how many commands are asked for in one query.
const idsMost = 5000

// ErrCursor says that a text leads to no page.
var ErrCursor = errors.New("not the end of a page")

// Gifts returns at most limit offline gifts, the newest first, after the page that ended
// with the cursor, "" for the first; those of some campaigns when slugs is not nil. next
// is "" when there is no more. Errors: ErrCursor.
func (s *Store) Gifts(ctx context.Context, slugs []string, after string, limit int) (all []*plan.Booked, next string, err error) {
	var before *time.Time
	var id *pgtype.UUID
	if after != "" {
		at, last, err := readCursor(after)
		if err != nil {
			return nil, "", err
		}
		before, id = &at, &pgtype.UUID{Bytes: last, Valid: true}
	}
	all, err = s.gifts(ctx, slugs, before, id, nil, limit+1)
	if err == nil && len(all) > limit {
		all = all[:limit]
		next = cursor(all[limit-1])
	}
	return all, next, session.Sorted("list offline gifts", err)
}

// Gift returns one offline gift, nil when nothing is known of it.
func (s *Store) Gift(ctx context.Context, id [16]byte) (*plan.Booked, error) {
	all, err := s.gifts(ctx, nil, nil, nil, &pgtype.UUID{Bytes: id, Valid: true}, 1)
	if err != nil || len(all) == 0 {
		return nil, session.Sorted("get offline gift", err)
	}
	return all[0], nil
}

func (s *Store) gifts(ctx context.Context, slugs []string, before *time.Time, beforeID, id *pgtype.UUID, limit int) ([]*plan.Booked, error) {
	rows, err := s.pool.Query(ctx, live(giftsSQL), slugs, before, beforeID, id, limit)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*plan.Booked, error) {
		var b plan.Booked
		var command pgtype.UUID
		var reason, outcome, detail string
		err := row.Scan(&command, &b.AskedAt, &b.BookedAt, &b.Actor, &reason, &outcome, &detail, &b.Campaign, (*string)(&b.Currency), &b.AmountMinor)
		b.ID, b.AskedAt, b.BookedAt = command.Bytes, b.AskedAt.UTC(), b.BookedAt.UTC()
		b.Kind, b.Reference, b.Received, b.Note = plan.ParseReason(reason)
		if payments.CommandWord(outcome) != payments.CommandDone {
			b.Refused = outcome + " " + detail
		}
		return &b, err
	})
	if err != nil || len(all) == 0 {
		return all, err
	}
	return all, s.reversals(ctx, all)
}

// reversals adds who reversed each gift.
func (s *Store) reversals(ctx context.Context, all []*plan.Booked) error {
	byRef := make(map[string]*plan.Booked, len(all))
	refs := make([]string, len(all))
	for i, b := range all {
		id := plan.ReversalID(b.ID)
		refs[i] = "correction:" + hex.EncodeToString(id[:])
		byRef[refs[i]] = b
	}
	rows, err := s.pool.Query(ctx, live(correctionsSQL), refs)
	if err != nil {
		return err
	}
	var ref, actor, reason string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&ref, &at, &actor, &reason}, func() error {
		b := byRef[ref]
		b.ReversedAt, b.ReversedBy, b.ReversedReason = at.UTC(), actor, reason
		return nil
	})
	return err
}

// Outcomes tells what became of commands; those never carried out are left out.
func (s *Store) Outcomes(ctx context.Context, ids [][16]byte) (map[[16]byte]payments.CommandResult, error) {
	found := make(map[[16]byte]payments.CommandResult, len(ids))
	for len(ids) > 0 {
		some := make([]pgtype.UUID, min(len(ids), idsMost))
		for i := range some {
			some[i] = pgtype.UUID{Bytes: ids[i], Valid: true}
		}
		ids = ids[len(some):]
		rows, err := s.pool.Query(ctx, live(outcomesSQL), some)
		if err != nil {
			return nil, session.Sorted("ask for commands", err)
		}
		var id pgtype.UUID
		var word, detail string
		if _, err := pgx.ForEachRow(rows, []any{&id, &word, &detail}, func() error {
			found[id.Bytes] = payments.CommandResult{Word: payments.CommandWord(word), Detail: detail}
			return nil
		}); err != nil {
			return nil, session.Sorted("ask for commands", err)
		}
	}
	return found, nil
}

// Total sums what the journal holds of these gifts.
func (s *Store) Total(ctx context.Context, ids [][16]byte) (sums plan.Sums, err error) {
	byCurrency := map[money.Currency]*plan.Sum{}
	for len(ids) > 0 {
		refs := make([]string, min(len(ids), idsMost))
		for i := range refs {
			refs[i] = "offline:" + hex.EncodeToString(ids[i][:])
		}
		ids = ids[len(refs):]
		rows, err := s.pool.Query(ctx, live(bookedSQL), refs)
		if err != nil {
			return nil, session.Sorted("sum offline gifts", err)
		}
		var one plan.Sum
		if _, err := pgx.ForEachRow(rows, []any{(*string)(&one.Currency), &one.Count, &one.Minor}, func() error {
			if byCurrency[one.Currency] == nil {
				byCurrency[one.Currency] = &plan.Sum{Currency: one.Currency}
			}
			byCurrency[one.Currency].Count += one.Count
			byCurrency[one.Currency].Minor += one.Minor
			return nil
		}); err != nil {
			return nil, session.Sorted("sum offline gifts", err)
		}
	}
	for _, sum := range byCurrency {
		sums = append(sums, *sum)
	}
	sums.Sort()
	return sums, nil
}

// Standing sums what offline gifts have brought, less what was reversed; Count is how
// many were entered. slugs narrows to some campaigns when it is not nil.
func (s *Store) Standing(ctx context.Context, slugs []string) (sums plan.Sums, err error) {
	var accounts []string
	if slugs != nil {
		accounts = make([]string, len(slugs))
		for i, slug := range slugs {
			accounts[i] = journal.Gifts(slug)
		}
	}
	rows, err := s.pool.Query(ctx, live(standingSQL), accounts, journal.OfflineReceived)
	if err != nil {
		return nil, session.Sorted("sum offline gifts", err)
	}
	sums, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (sum plan.Sum, err error) {
		return sum, row.Scan((*string)(&sum.Currency), &sum.Count, &sum.Minor)
	})
	return sums, session.Sorted("sum offline gifts", err)
}

// cursor is where a page ends.
func cursor(b *plan.Booked) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(b.BookedAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(raw, b.ID[:]...))
}

func readCursor(text string) (at time.Time, id [16]byte, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 8+len(id) {
		return at, id, ErrCursor
	}
	micro := int64(binary.BigEndian.Uint64(raw))
	const most = 1 << 53 // microseconds: the year 2255, far within what Postgres holds
	if micro < 0 || micro > most {
		return at, id, ErrCursor
	}
	copy(id[:], raw[8:])
	return time.UnixMicro(micro).UTC(), id, nil
}
