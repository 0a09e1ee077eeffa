package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"spillway/campaigns"
	"spillway/ledger"
)

// snapshots reads what the slots have told the world, before the database's
// snapshot is taken: whatever was published by then was committed by then.
func (r *run) snapshots(ctx context.Context) func() ([]*campaigns.Snapshot, error) {
	if r.Streams == nil {
		return nil
	}
	all, err := r.Streams.Snapshots(ctx)
	return func() ([]*campaigns.Snapshot, error) { return all, err }
}

// published compares what the slots have published with what they hold: news
// may be older than the database, never ahead of it and never other than it.
func (r *run) published(ctx context.Context, before func() ([]*campaigns.Snapshot, error)) {
	for _, book := range ledger.Books {
		res := Result{
			Check: "published", Invariant: "I6", Scope: book.String(),
			Holds: "what a slot published is what the database holds, or older",
		}
		if before == nil {
			r.unchecked(res)
			continue
		}
		r.check(res, Broken, func(res *Result, t *tally) error {
			published, err := before()
			if err != nil {
				return fmt.Errorf("read the slots' snapshots: %w", err)
			}
			type rowKey struct {
				slot int32
				totalKey
			}
			stored := map[rowKey]campaigns.SlotRow{}
			err = r.db.Slots(ctx, book, func(slot int32, row *campaigns.SlotRow) {
				stored[rowKey{slot, totalKey{row.Campaign, row.Currency}}] = *row
			})
			if err != nil {
				return err
			}
			slices.SortFunc(published, func(a, b *campaigns.Snapshot) int { return cmp.Compare(a.Slot, b.Slot) })
			for _, s := range published {
				if s.Book != book {
					continue
				}
				for _, news := range s.Rows {
					res.Examined++
					id := fmt.Sprintf("slot %d %s %s", s.Slot, news.Campaign, news.Currency)
					row, ok := stored[rowKey{s.Slot, totalKey{news.Campaign, news.Currency}}]
					switch {
					case !ok:
						t.add(id, fmt.Sprintf("published at version %d, not in the database", news.Version))
					case news.Version > row.Version:
						t.add(id, fmt.Sprintf("published at version %d, the database is at %d", news.Version, row.Version))
					case news.Version == row.Version && news != row:
						t.add(id, fmt.Sprintf("version %d published as %s, stored as %s", row.Version, sumOf(news), sumOf(row)))
					}
				}
			}
			return nil
		})
	}
}

// unchecked files a check of the broker that has no broker to ask.
func (r *run) unchecked(res Result) {
	res.Verdict, res.Reason = Unchecked, r.NoStreams
	r.file(res)
}
