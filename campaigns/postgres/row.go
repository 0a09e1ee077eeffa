package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
)

// columnsOf turns campaigns into the arrays that put.sql takes, in its order.
// Errors: campaigns.ErrInvalid, also for a slug given twice.
func columnsOf(all []*campaigns.Campaign) ([]any, error) {
	n := len(all)
	slugs, names, currencies := make([]string, n), make([]string, n), make([]string, n)
	events, organisations, parents := make([]*string, n), make([]*string, n), make([]*string, n)
	goals, mins, maxes := make([]int64, n), make([]int64, n), make([]int64, n)
	starts, ends := make([]*time.Time, n), make([]*time.Time, n)
	rehearsals := make([]bool, n)
	stories, images := make([]string, n), make([]*string, n)
	seen := make(map[string]bool, n)
	for i, c := range all {
		if err := c.Validate(); err != nil {
			return nil, err
		}
		if seen[c.Slug] {
			return nil, fmt.Errorf("%w: %q is given twice", campaigns.ErrInvalid, c.Slug)
		}
		seen[c.Slug] = true
		slugs[i], names[i], currencies[i] = c.Slug, c.Name, string(c.Currency)
		events[i], organisations[i], parents[i] = optional(c.Event), optional(c.Organisation), optional(c.Parent)
		goals[i], mins[i], maxes[i] = c.GoalMinor, c.MinMinor, c.MaxMinor
		starts[i], ends[i] = moment(c.StartsAt), moment(c.EndsAt)
		rehearsals[i] = c.Rehearsal
		stories[i], images[i] = c.Story, optional(c.Image)
	}
	return []any{slugs, names, events, organisations, parents, currencies, goals, mins, maxes, starts, ends, rehearsals, stories, images}, nil
}

// optional is nil, SQL's null, for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// moment is nil, SQL's null, for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (s *Store) query(ctx context.Context, what, sql string, args ...any) ([]*campaigns.Campaign, error) {
	all, err := collect(ctx, s.pool, scan, sql, args...)
	return all, sorted(what, err)
}

// collect reads all rows of a question.
func collect[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func scan(row pgx.CollectableRow) (*campaigns.Campaign, error) {
	var c campaigns.Campaign
	var event, organisation, legalName, taxNumber, image, parent *string
	var starts, ends *time.Time
	err := row.Scan(&c.Slug, &c.Name, &event, &organisation, &legalName, &taxNumber, &c.Story, &image, &parent, (*string)(&c.Currency),
		&c.GoalMinor, &c.MinMinor, &c.MaxMinor, &starts, &ends, &c.Rehearsal, &c.Revision)
	if err != nil {
		return nil, err
	}
	c.Event, c.Organisation, c.Parent = given(event), given(organisation), given(parent)
	c.LegalName, c.TaxNumber, c.Image = given(legalName), given(taxNumber), given(image)
	c.StartsAt, c.EndsAt = at(starts), at(ends)
	return &c, nil
}

// at is the zero time for SQL's null.
func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// given is "" for SQL's null.
func given(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
