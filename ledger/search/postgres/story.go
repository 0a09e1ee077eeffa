package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ingest"
	"spillway/ledger/money"
	"spillway/ledger/payments"
	"spillway/ledger/search"
)

// eventsTime bounds the look through the processor's events, for which there is no index.
const eventsTime = 2 * time.Second

const hiddenSQL = "SELECT coalesce((SELECT what FROM search_hidden WHERE seq = $1), 0)"

// storyStatements read the ledger of one book.
type storyStatements struct {
	payment, attempts, entries, refunds, disputes, conflicts, events string
}

func storyStatementsOf(in func(string) string) storyStatements {
	return storyStatements{
		payment: in(statement("story_payment")), attempts: in(statement("story_attempts")), entries: in(statement("story_entries")),
		refunds: in(statement("story_refunds")), disputes: in(statement("story_disputes")), conflicts: in(statement("story_conflicts")),
		events: in(statement("story_events")),
	}
}

// attemptStates are the words for states of an attempt.
var attemptStates = map[payments.AttemptState]string{
	payments.Due: "due", payments.Calling: "calling", payments.RequiresAction: "requires_action", payments.Processing: "processing",
	payments.Failed: "failed", payments.Canceled: "canceled", payments.Succeeded: "succeeded",
}

// Story tells everything about one donation, from the ledger itself, as of one moment;
// the journal's entries are those that were followed so far. Errors:
// search.ErrUnknown; ledger.ErrUnavailable.
func (s *Store) Story(ctx context.Context, id ingest.ID) (*search.Story, error) {
	story := &search.Story{}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.ask, options, func(tx pgx.Tx) error {
		t, err := s.truthOf(ctx, tx, id)
		if err != nil {
			return err
		}
		t.open(s.keys)
		story.Row, story.Fingerprint, story.RecordedAt = t.row(), t.fingerprint, t.recordedAt.UTC()
		var what int16
		if err := tx.QueryRow(ctx, hiddenSQL, t.seq).Scan(&what); err != nil {
			return err
		}
		story.Hidden = search.Hide(what)
		return s.read(ctx, tx, story)
	})
	if err != nil {
		return nil, sorted("tell a donation's story", err)
	}
	if err := s.events(ctx, story); err != nil {
		return nil, sorted("read the processor's events", err)
	}
	return story, nil
}

// read fills in what indexes find, in one round trip.
func (s *Store) read(ctx context.Context, tx pgx.Tx, story *search.Story) error {
	id := pgtype.UUID{Bytes: story.ID, Valid: true}
	batch := &pgx.Batch{}
	batch.Queue(s.ledger.story.payment, id).QueryRow(func(row pgx.Row) error {
		var captured pgtype.Timestamptz
		var fee pgtype.Int8
		var feeCurrency, dispute pgtype.Text
		err := row.Scan(&captured, &fee, &feeCurrency, &dispute)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // nobody has tried to charge it yet
		}
		story.CapturedAt, story.Dispute = moment(captured), dispute.String
		story.FeeMinor, story.FeeCurrency, story.FeeKnown = fee.Int64, money.Currency(feeCurrency.String), fee.Valid
		return err
	})
	batch.Queue(s.ledger.story.attempts, id).Query(func(rows pgx.Rows) (err error) {
		story.Attempts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a search.StoryAttempt, err error) {
			var state int16
			var called pgtype.Timestamptz
			err = row.Scan(&a.No, &state, &a.Reason, &a.Decline, &a.Charge, &a.Calls, &a.TokenExpiresAt, &called, &a.ChangedAt)
			a.State, a.FirstCalledAt = attemptStates[payments.AttemptState(state)], moment(called)
			a.TokenExpiresAt, a.ChangedAt = a.TokenExpiresAt.UTC(), a.ChangedAt.UTC()
			return a, err
		})
		return err
	})
	batch.Queue(s.ledger.story.entries, id).Query(func(rows pgx.Rows) (err error) {
		story.Entries, err = pgx.CollectRows(rows, scanEntry)
		return err
	})
	batch.Queue(s.ledger.story.refunds, id).Query(func(rows pgx.Rows) (err error) {
		story.Refunds, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r search.StoryRefund, err error) {
			var ours pgtype.UUID
			var created pgtype.Timestamptz
			err = row.Scan(&ours, &r.ProcessorID, &r.AmountMinor, &r.Status, &r.Actor, &r.Reason, &r.Detail, &r.AskedAt, &created)
			r.ID, r.AskedAt, r.CreatedAt = ours.Bytes, r.AskedAt.UTC(), moment(created)
			return r, err
		})
		return err
	})
	batch.Queue(s.ledger.story.disputes, id).Query(func(rows pgx.Rows) (err error) {
		story.Disputes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d search.StoryDispute, err error) {
			var created pgtype.Timestamptz
			err = row.Scan(&d.ID, &d.AmountMinor, &d.Status, &created)
			d.CreatedAt = moment(created)
			return d, err
		})
		return err
	})
	batch.Queue(s.ledger.story.conflicts, id).Query(func(rows pgx.Rows) (err error) {
		story.Conflicts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c search.StoryConflict, err error) {
			var fingerprint pgtype.UUID
			err = row.Scan(&fingerprint, &c.ReceivedAt, &c.RecordedAt)
			c.Fingerprint, c.ReceivedAt, c.RecordedAt = fingerprint.Bytes, c.ReceivedAt.UTC(), c.RecordedAt.UTC()
			return c, err
		})
		return err
	})
	return tx.SendBatch(ctx, batch).Close()
}

func scanEntry(row pgx.CollectableRow) (e search.StoryEntry, err error) {
	var accounts, currencies []string
	var amounts []int64
	err = row.Scan(&e.Slot, &e.N, &e.Kind, &e.Ref, &e.Actor, &e.Reason, &e.OccurredAt, &e.BookedAt, &accounts, &currencies, &amounts)
	e.OccurredAt, e.BookedAt = e.OccurredAt.UTC(), e.BookedAt.UTC()
	for i := range accounts {
		e.Postings = append(e.Postings, search.StoryPosting{Account: accounts[i], Currency: money.Currency(currencies[i]), AmountMinor: amounts[i]})
	}
	return e, err
}

// queryCanceled is the server's word for a statement that took too long.
const queryCanceled = "57014"

// events looks through what the processor told us, for as long as a page may wait.
func (s *Store) events(ctx context.Context, story *search.Story) error {
	err := pgx.BeginFunc(ctx, s.ask, func(tx pgx.Tx) error {
		limits := fmt.Sprintf("SET LOCAL statement_timeout = %d; SET LOCAL enable_seqscan = on", eventsTime.Milliseconds())
		if _, err := tx.Exec(ctx, limits); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, s.ledger.story.events, pgtype.UUID{Bytes: story.ID, Valid: true})
		if err != nil {
			return err
		}
		story.Events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e search.StoryEvent, err error) {
			err = row.Scan(&e.ID, &e.Type, &e.CreatedAt, &e.RecordedAt, &e.Parked)
			e.CreatedAt, e.RecordedAt = e.CreatedAt.UTC(), e.RecordedAt.UTC()
			return e, err
		})
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == queryCanceled && ctx.Err() == nil {
		story.EventsMissing = true
		return nil
	}
	return err
}

// moment is a stored time in UTC, the zero time for NULL.
func moment(t pgtype.Timestamptz) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}
