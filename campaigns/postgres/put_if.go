package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"spillway/campaigns"
)

var revisionsSQL = statement("revisions")

// movedNamedMost is how many campaigns an error names.
const movedNamedMost = 10

// PutIf is Put on condition that nobody was there in between: every campaign's Revision
// is the one that is stored, or 0 when it is not there (a stub counts as not there). It
// stores all or none. Errors: those of Put; campaigns.ErrOvertaken, which names some that
// were changed or made meanwhile.
func (s *Store) PutIf(ctx context.Context, all ...*campaigns.Campaign) (changed int, err error) {
	rows, err := columnsOf(all)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, nil
	}
	slugs := make([]string, len(all))
	for i, c := range all {
		slugs[i] = c.Slug
	}
	err = s.locked(ctx, func(tx pgx.Tx) error {
		type standing struct {
			Slug     string
			Revision int64
		}
		found, err := collect(ctx, tx, pgx.RowToStructByPos[standing], revisionsSQL, slugs)
		if err != nil {
			return err
		}
		stored := make(map[string]int64, len(found))
		for _, f := range found {
			stored[f.Slug] = f.Revision
		}
		var moved []string
		for _, c := range all {
			if stored[c.Slug] != c.Revision && len(moved) < movedNamedMost {
				moved = append(moved, c.Slug)
			}
		}
		if len(moved) > 0 {
			slices.Sort(moved)
			return refusal{fmt.Errorf("%w: %s", campaigns.ErrOvertaken, strings.Join(moved, ", "))}
		}
		tag, err := tx.Exec(ctx, putSQL, rows...)
		changed = int(tag.RowsAffected())
		return err
	})
	if refused, ok := errors.AsType[refusal](err); ok {
		return 0, refused.error
	}
	if err != nil {
		return 0, sorted(fmt.Sprintf("put %d campaigns", len(all)), err)
	}
	return changed, nil
}
