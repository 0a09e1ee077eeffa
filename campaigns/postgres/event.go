package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
)

var (
	putEventSQL = statement("put_event")
	eventSQL    = statement("event")
	eventsSQL   = statement("events")
)

// PutEvent makes or changes a giving day; one that is the same already keeps its
// revision. The Revision given is not read. Errors: campaigns.ErrInvalid,
// ledger.ErrUnavailable.
func (s *Store) PutEvent(ctx context.Context, e *campaigns.Event) error {
	if err := e.Validate(); err != nil {
		return err
	}
	err := s.locked(ctx, func(tx pgx.Tx) error { return putEvent(ctx, tx, e) })
	return sorted(fmt.Sprintf("put event %q", e.Slug), err)
}

func putEvent(ctx context.Context, tx pgx.Tx, e *campaigns.Event) error {
	_, err := tx.Exec(ctx, putEventSQL, e.Slug, e.Name, e.TimeZone, moment(e.StartsAt), moment(e.EndsAt), e.Banner)
	return err
}

// EditEvent is Edit for a giving day. Errors: those of PutEvent, change's own,
// campaigns.ErrUnknown.
func (s *Store) EditEvent(ctx context.Context, slug string, change func(*campaigns.Event) error) (*campaigns.Event, error) {
	var edited *campaigns.Event
	err := s.locked(ctx, func(tx pgx.Tx) error {
		e, err := oneEvent(ctx, tx, slug)
		if err != nil {
			return err
		}
		err = change(e)
		if err == nil && e.Slug != slug {
			err = fmt.Errorf("%w: the slug of event %q cannot be changed", campaigns.ErrInvalid, slug)
		}
		if err == nil {
			err = e.Validate()
		}
		if err != nil {
			return refusal{err}
		}
		if err := putEvent(ctx, tx, e); err != nil {
			return err
		}
		edited, err = oneEvent(ctx, tx, slug)
		return err
	})
	if refused, ok := errors.AsType[refusal](err); ok {
		return nil, refused.error
	}
	if err != nil {
		return nil, sorted(fmt.Sprintf("edit event %q", slug), err)
	}
	return edited, nil
}

// Event returns a giving day. Errors: campaigns.ErrUnknown, ledger.ErrUnavailable.
func (s *Store) Event(ctx context.Context, slug string) (*campaigns.Event, error) {
	e, err := oneEvent(ctx, s.pool, slug)
	if refused, ok := errors.AsType[refusal](err); ok {
		return nil, refused.error
	}
	if err != nil {
		return nil, sorted(fmt.Sprintf("get event %q", slug), err)
	}
	return e, nil
}

// oneEvent reads a giving day. Errors: a refusal of ErrUnknown.
func oneEvent(ctx context.Context, q querier, slug string) (*campaigns.Event, error) {
	all, err := collect(ctx, q, scanEvent, eventSQL, slug)
	if err == nil && len(all) == 0 {
		err = refusal{fmt.Errorf("event %q: %w", slug, campaigns.ErrUnknown)}
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Events returns every giving day, the one that was changed last at the end.
// Errors: ledger.ErrUnavailable.
func (s *Store) Events(ctx context.Context) ([]*campaigns.Event, error) { return s.EventsSince(ctx, 0) }

// EventsSince returns the giving days that changed after revision, in order of
// change. Errors: ledger.ErrUnavailable.
func (s *Store) EventsSince(ctx context.Context, revision int64) ([]*campaigns.Event, error) {
	all, err := collect(ctx, s.pool, scanEvent, eventsSQL, revision)
	return all, sorted("list events", err)
}

func scanEvent(row pgx.CollectableRow) (*campaigns.Event, error) {
	var e campaigns.Event
	var starts, ends *time.Time
	if err := row.Scan(&e.Slug, &e.Name, &e.TimeZone, &starts, &ends, &e.Banner, &e.Revision); err != nil {
		return nil, err
	}
	e.StartsAt, e.EndsAt = at(starts), at(ends)
	return &e, nil
}
