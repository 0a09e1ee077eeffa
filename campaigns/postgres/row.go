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
	}
	return []any{slugs, names, events, organisations, parents, currencies, goals, mins, maxes, starts, ends, rehearsals}, nil
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

func (s *Store) query(ctx context.Context, what, sql string, args ...any) ([]*campaigns.Campaign, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, sorted(what, err)
	}
	all, err := pgx.CollectRows(rows, scan)
	return all, sorted(what, err)
}

func scan(row pgx.CollectableRow) (*campaigns.Campaign, error) {
	var c campaigns.Campaign
	var event, organisation, parent *string
	var starts, ends *time.Time
	err := row.Scan(&c.Slug, &c.Name, &event, &organisation, &parent, (*string)(&c.Currency),
		&c.GoalMinor, &c.MinMinor, &c.MaxMinor, &starts, &ends, &c.Rehearsal, &c.Revision)
	if err != nil {
		return nil, err
	}
	c.Event, c.Organisation, c.Parent = given(event), given(organisation), given(parent)
	if starts != nil {
		c.StartsAt = starts.UTC()
	}
	if ends != nil {
		c.EndsAt = ends.UTC()
	}
	return &c, nil
}

// given is "" for SQL's null.
func given(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
