package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/money"
)

// Entries visits the whole journal, each slot's entries in the order of their numbers.
func (s *Snapshot) Entries(ctx context.Context, book ledger.Book, visit func(link journal.Link, e *journal.Entry)) error {
	const sql = `SELECT slot, n, occurred_at, donation_id, kind, ref, actor, reason, accounts, currencies, amounts, prev, hash
		FROM entries ORDER BY slot, n`
	var (
		link                 journal.Link
		occurredAt           time.Time
		donation             pgtype.UUID
		kind                 string
		entry                journal.Entry
		accounts, currencies []string
		amounts              []int64
		prev, hash           []byte
	)
	scan := []any{&link.Slot, &link.N, &occurredAt, &donation, &kind, &entry.Ref, &entry.Actor, &entry.Reason,
		&accounts, &currencies, &amounts, &prev, &hash}
	return s.each(ctx, book, sql, nil, scan, func() error {
		if len(accounts) != len(currencies) || len(accounts) != len(amounts) || len(prev) != len(link.Prev) || len(hash) != len(link.Hash) {
			return fmt.Errorf("slot %d entry %d: its columns do not fit together", link.Slot, link.N)
		}
		e := entry
		e.Kind, e.OccurredAt, e.Donation = journal.Kind(kind), occurredAt.UTC(), donation.Bytes
		e.Postings = make([]journal.Posting, len(accounts))
		for i := range accounts {
			e.Postings[i] = journal.Posting{Account: accounts[i], Currency: money.Currency(currencies[i]), AmountMinor: amounts[i]}
		}
		link.Prev, link.Hash = [32]byte(prev), [32]byte(hash)
		visit(link, &e)
		return nil
	})
}

// ChainHeads visits the last link of each slot's chain, as the writers keep it.
func (s *Snapshot) ChainHeads(ctx context.Context, book ledger.Book, visit func(slot int32, head campaigns.ChainHead)) error {
	var slot int32
	var head campaigns.ChainHead
	var hash []byte
	return s.each(ctx, book, "SELECT slot, n, hash FROM chain_heads", nil, []any{&slot, &head.N, &hash}, func() error {
		if len(hash) != len(head.Hash) {
			return fmt.Errorf("slot %d: a head of %d bytes", slot, len(hash))
		}
		head.Hash = [32]byte(hash)
		visit(slot, head)
		return nil
	})
}
