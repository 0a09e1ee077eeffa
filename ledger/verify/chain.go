package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
)

// chain recomputes every link of a book's journal from its entries, and looks for the
// last links that the slots told the world before the database's snapshot was taken:
// an entry that was edited, taken out, put in or cut off breaks one or the other.
// Memory is bounded by the number of slots.
func (r *run) chain(ctx context.Context, book ledger.Book, before func() ([]*campaigns.Snapshot, error)) {
	told, errTold := toldLinks(book, before)
	missing := maps.Clone(told)
	r.check(Result{
		Check: "chain", Invariant: "I4", Scope: book.String(),
		Holds: "each journal entry is the link after the one before it, and the last one is the slot's head",
	}, Broken, func(res *Result, t *tally) error {
		last := map[int32]campaigns.ChainHead{}
		err := r.db.Entries(ctx, book, func(link journal.Link, e *journal.Entry) {
			if res.Examined++; res.Examined%progressEvery == 0 {
				r.Progress("chain "+book.String()+", entries", res.Examined, 0)
			}
			before := last[link.Slot]
			// Told of it or not, the next entry is judged by what this one claims to be:
			// one edited entry is one offender, not all that follow it.
			last[link.Slot] = campaigns.ChainHead{N: link.N, Hash: link.Hash}
			if missing[link.Slot] == last[link.Slot] {
				delete(missing, link.Slot)
			}
			id := linkID(link.Slot, link.N)
			switch {
			case link.N != before.N+1:
				t.add(id, fmt.Sprintf("%s comes after entry %d", e.Ref, before.N))
			case link.Prev != before.Hash:
				t.add(id, fmt.Sprintf("%s does not continue entry %d", e.Ref, before.N))
			case link.Hash != journal.Hash(link.Prev, link.Slot, link.N, e):
				t.add(id, fmt.Sprintf("%s is not what was hashed", e.Ref))
			}
		})
		if err != nil {
			return err
		}
		heads := map[int32]campaigns.ChainHead{}
		if err := r.db.ChainHeads(ctx, book, func(slot int32, head campaigns.ChainHead) { heads[slot] = head }); err != nil {
			return err
		}
		all := maps.Clone(last)
		maps.Copy(all, heads)
		for _, slot := range slices.Sorted(maps.Keys(all)) {
			if heads[slot] != last[slot] {
				t.add(linkID(slot, last[slot].N), fmt.Sprintf("is the last entry, the slot's head is entry %d", heads[slot].N))
			}
		}
		return nil
	})

	res := Result{
		Check: "chain-told", Invariant: "I4", Scope: book.String(),
		Holds: "the last journal entry that a slot told the world is still there as it was",
	}
	if before == nil {
		r.unchecked(res)
		return
	}
	r.check(res, Broken, func(res *Result, t *tally) error {
		if errTold != nil {
			return fmt.Errorf("read the slots' snapshots: %w", errTold)
		}
		res.Examined = int64(len(told))
		for _, slot := range slices.Sorted(maps.Keys(missing)) {
			t.add(linkID(slot, missing[slot].N), "was published, and the journal has no such entry")
		}
		return nil
	})
}

// toldLinks are the last links that the slots of a book have published.
func toldLinks(book ledger.Book, before func() ([]*campaigns.Snapshot, error)) (map[int32]campaigns.ChainHead, error) {
	told := map[int32]campaigns.ChainHead{}
	if before == nil {
		return told, nil
	}
	published, err := before()
	for _, s := range published {
		if s.Book == book && s.Chain.N > 0 {
			told[s.Slot] = s.Chain
		}
	}
	return told, err
}

func linkID(slot int32, n int64) string { return fmt.Sprintf("slot %d entry %d", slot, n) }
