package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns/console/manage/plan"
	"spillway/ledger/postgres/session"
)

// planLife is how long a plan can be applied: after a week it stands on sand.
const planLife = 7 * 24 * time.Hour

// Add keeps an import that was planned, with what applying it does.
func (s *Store) Add(ctx context.Context, i *plan.Import, doing []byte) error {
	summary, err := json.Marshal(i.Summary)
	if err != nil {
		return fmt.Errorf("add import: %w", err)
	}
	notices := append([]string{}, i.Notices...) // never null
	batch := &pgx.Batch{}
	batch.Queue(pruneSQL, i.CreatedAt.Add(-planLife))
	batch.Queue(addSQL, i.ID, i.Kind, i.CreatedAt, i.ActorID, i.Actor, i.Network, i.FileName, i.SHA256[:], i.Bytes, i.Format, notices, summary, doing)
	return session.Sorted("add import", s.pool.SendBatch(ctx, batch).Close())
}

// Import returns one. Errors: plan.ErrNoImport.
func (s *Store) Import(ctx context.Context, id string) (*plan.Import, error) {
	all, err := s.imports(ctx, importSQL, id)
	if err == nil && len(all) == 0 {
		return nil, fmt.Errorf("import %q: %w", id, plan.ErrNoImport)
	}
	if err != nil {
		return nil, session.Sorted("get import", err)
	}
	return all[0], nil
}

// Imports returns the newest of a kind, the newest first; those of one actor when its ID
// is given.
func (s *Store) Imports(ctx context.Context, kind, actorID string, limit int) ([]*plan.Import, error) {
	all, err := s.imports(ctx, importsSQL, kind, actorID, limit)
	return all, session.Sorted("list imports", err)
}

// Plan returns what applying an import does. Errors: plan.ErrNoImport, also when it is
// too old or was applied.
func (s *Store) Plan(ctx context.Context, id string) ([]byte, error) {
	rows, err := s.pool.Query(ctx, planSQL, id)
	if err != nil {
		return nil, session.Sorted("get plan", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, session.Sorted("get plan", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("plan of %q: %w", id, plan.ErrNoImport)
	}
	return all[0], nil
}

// Applied tells when a file of these bytes was applied last by another import than this
// one; nil when it never was.
func (s *Store) Applied(ctx context.Context, kind string, sum [32]byte, besides string) (*plan.Applied, error) {
	rows, err := s.pool.Query(ctx, appliedSQL, kind, sum[:], besides)
	if err != nil {
		return nil, session.Sorted("look for applied file", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[plan.Applied])
	if err != nil || len(all) == 0 {
		return nil, session.Sorted("look for applied file", err)
	}
	all[0].At = all[0].At.UTC()
	return all[0], nil
}

// Start has an import applied by somebody, from then on whatever happens to this process.
// Errors: plan.ErrNotPlanned.
func (s *Store) Start(ctx context.Context, id string, leaveOut bool, total int, at time.Time, by string) error {
	return s.one(ctx, "start import", plan.ErrNotPlanned, startSQL, id, leaveOut, total, at, by)
}

// Discard throws a plan away. Errors: plan.ErrNotPlanned.
func (s *Store) Discard(ctx context.Context, id string) error {
	return s.one(ctx, "discard import", plan.ErrNotPlanned, discardSQL, id)
}

// Claim takes up an import of a kind that is to be applied and that nobody holds; nil
// when there is none. It is the holder's for so long, and longer with each Progress.
func (s *Store) Claim(ctx context.Context, kind, holder string, hold time.Duration) (*plan.Import, error) {
	all, err := s.imports(ctx, claimSQL, holder, hold, kind)
	if err != nil || len(all) == 0 {
		return nil, session.Sorted("claim import", err)
	}
	return all[0], nil
}

// Progress says how many steps are taken. Errors: plan.ErrLost.
func (s *Store) Progress(ctx context.Context, id, holder string, done int, hold time.Duration) error {
	return s.one(ctx, "import's progress", plan.ErrLost, progressSQL, id, holder, done, hold)
}

// End says how it ended. Errors: plan.ErrLost.
func (s *Store) End(ctx context.Context, id, holder string, state plan.State, done int, outcome string) error {
	return s.one(ctx, "end import", plan.ErrLost, endSQL, id, holder, string(state), outcome, done)
}

// one changes one row, or is the error given.
func (s *Store) one(ctx context.Context, what string, none error, sql string, args ...any) error {
	tag, err := s.pool.Exec(ctx, sql, args...)
	if err != nil {
		return session.Sorted(what, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("%s: %w", what, none)
	}
	return nil
}

func (s *Store) imports(ctx context.Context, sql string, args ...any) ([]*plan.Import, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*plan.Import, error) {
		var i plan.Import
		var sum, summary []byte
		var ended *time.Time
		err := row.Scan(&i.ID, &i.Kind, &i.CreatedAt, &i.ActorID, &i.Actor, &i.Network, &i.FileName, &sum, &i.Bytes, &i.Format, &i.Notices,
			(*string)(&i.State), &summary, &i.LeaveOut, &i.Total, &i.Done, &ended, &i.Outcome)
		if err != nil {
			return nil, err
		}
		copy(i.SHA256[:], sum)
		if ended != nil {
			i.EndedAt = ended.UTC()
		}
		i.CreatedAt = i.CreatedAt.UTC()
		return &i, json.Unmarshal(summary, &i.Summary)
	})
}
