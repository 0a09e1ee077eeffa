package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
)

var knownRefsSQL = statement("known_refs")

// PostMax bounds the entries of one Post.
const PostMax = 1000

// Post books entries that follow from no payment's facts, such as payouts, in one
// transaction under a lease. An entry whose Ref is booked already is left out, so
// repeating is harmless. What an entry credits to a campaign's account its total
// raises; an offline gift counts as one. It returns the slot's rows that it changed.
//
// len(entries) is at most PostMax, and no Ref is in it twice. Errors: as Apply's;
// journal.ErrUnbalanced or journal.ErrMalformed inside a *ledger.PoisonError, nothing
// written.
func (b *Book) Post(ctx context.Context, lease ledger.Lease, entries []journal.Entry) ([]campaigns.SlotRow, error) {
	what := fmt.Sprintf("post %d entries", len(entries))
	switch {
	case len(entries) == 0:
		return nil, nil
	case len(entries) > PostMax:
		return nil, fmt.Errorf("%s: at most %d at once", what, PostMax)
	}
	for i := range entries {
		if err := journal.Balanced(&entries[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", what, &ledger.PoisonError{Err: err})
		}
	}
	var changed []campaigns.SlotRow
	err := b.move(ctx, what, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		changed, err = post(ctx, conn, lease, entries, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// move runs work, one transaction that work begins and ends itself, again when
// another one was faster in what both wanted to do.
func (b *Book) move(ctx context.Context, what string, work func(ctx context.Context, conn *pgxpool.Conn) error) error {
	conn, err := b.apply.Acquire(ctx)
	if err != nil {
		return sorted(what+": connect", err)
	}
	defer conn.Release()
	for range applyTries {
		err := work(ctx, conn)
		if err == nil {
			return nil
		}
		rollback(ctx, conn)
		if !lostRace(err) && !violates(err, "entries_ref_once") && !violates(err, "commands_pkey") && !violates(err, "refunds_pkey") {
			return sorted(what, err)
		}
	}
	return fmt.Errorf("%s: lost %d races: %w", what, applyTries, ledger.ErrUnavailable)
}

// post is the transaction of Post: look, move the slot, append, commit; note, when
// set, adds what belongs into the same transaction. It leaves a failed one open.
func post(ctx context.Context, conn *pgxpool.Conn, lease ledger.Lease, entries []journal.Entry, note func(*pgx.Batch)) ([]campaigns.SlotRow, error) {
	refs := make([]string, len(entries))
	for i := range entries {
		refs[i] = entries[i].Ref
	}
	booked := map[string]bool{}
	look := &pgx.Batch{}
	begin(look, lease)
	look.Queue(knownRefsSQL, refs).Query(func(rows pgx.Rows) error {
		var ref string
		_, err := pgx.ForEachRow(rows, []any{&ref}, func() error { booked[ref] = true; return nil })
		return err
	})
	if err := conn.SendBatch(ctx, look).Close(); err != nil {
		return nil, err
	}
	var fresh []journal.Entry
	var moves deltas
	for i := range entries {
		if !booked[entries[i].Ref] {
			fresh = append(fresh, entries[i])
			moves.book(&entries[i])
		}
	}
	links := chain{slot: lease.Slot}
	var changed []campaigns.SlotRow
	last := &pgx.Batch{}
	if len(fresh) > 0 {
		write := &pgx.Batch{}
		moves.queue(write, lease.Slot, &changed)
		links.lock(write)
		if err := conn.SendBatch(ctx, write).Close(); err != nil {
			return nil, err
		}
		if err := links.append(ctx, conn.Conn(), fresh, last); err != nil {
			return nil, err
		}
	}
	if note != nil {
		note(last)
	}
	last.Queue(string(commit))
	return changed, conn.SendBatch(ctx, last).Close()
}

// book counts what an entry that follows from no payment owes to campaigns: it is
// raised, and pledged with it, because raised is a part of pledged.
func (d *deltas) book(e *journal.Entry) {
	for i := range e.Postings {
		p := &e.Postings[i]
		campaign, ok := journal.CampaignOf(p.Account)
		if !ok {
			continue
		}
		gifts := int64(0)
		if e.Kind == journal.OfflineGift {
			gifts = 1
		}
		d.move(campaign, p.Currency, -p.AmountMinor, -p.AmountMinor, gifts)
	}
}
