package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
	"spillway/ledger/reconcile"
)

const (
	// payoutRowsMax bounds the movements of one payout, which are held in memory, some
	// 300 bytes each beside their entries: a day of a million gifts.
	payoutRowsMax = 1 << 20
	// payoutsMax bounds the payouts of one statement: ten years of daily ones.
	payoutsMax = 4096
)

// sums tells what a statement comes to, by currency.
func (r *reports) sums(w io.Writer, minor map[money.Currency]int64) error {
	for _, currency := range slices.Sorted(maps.Keys(minor)) {
		if _, err := fmt.Fprintf(w, "raised %s\n", money.Amount{Minor: minor[currency], Currency: currency}); err != nil {
			return err
		}
	}
	return nil
}

// payouts writes from each payout to its gifts. Its status is exitFailed when one is
// not explained.
func (r *reports) payouts(p *process, lists pacedLists) error {
	made, err := all(payoutsMax, func(cursor string) (payments.Page[payments.PayoutSeen], error) {
		return lists.Payouts(p.ctx, r.since, r.until, cursor)
	})
	if err != nil {
		return fmt.Errorf("payouts: %w", err)
	}
	slices.Reverse(made) // the oldest first
	s := reconcile.NewPayoutStatement(p.stdout, r.zone)
	unexplained := 0
	for i := range made {
		payout := &made[i]
		movements, err := all(payoutRowsMax, func(cursor string) (payments.Page[payments.Movement], error) {
			return lists.PayoutTransactions(p.ctx, payout.ID, cursor)
		})
		if err != nil {
			return fmt.Errorf("payout %s: %w", payout.ID, err)
		}
		found, err := r.entries(p.ctx, reconcile.Refs(movements))
		if err != nil {
			return err
		}
		left, err := s.Payout(payout, movements, func(ref string) *journal.Entry { return found[ref] })
		if err != nil {
			return fmt.Errorf("payout %s: %w", payout.ID, err)
		}
		if left != 0 {
			unexplained++
			fmt.Fprintf(p.stderr, "payout %s of %s: %s of it is not explained by what the processor says is in it\n",
				payout.ID, money.Amount{Minor: payout.AmountMinor, Currency: payout.Currency}, money.Amount{Minor: left, Currency: payout.Currency})
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "%d payouts, %d of them not explained\n", len(made), unexplained)
	if unexplained > 0 {
		return exitStatus(exitFailed)
	}
	return nil
}

// entries finds entries by their refs in all books.
func (r *reports) entries(ctx context.Context, refs []string) (map[string]*journal.Entry, error) {
	found := map[string]*journal.Entry{}
	for _, book := range r.books {
		some, err := r.db.Book(book).Find(ctx, refs)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, some)
	}
	return found, nil
}

// all reads a list to its end, at most so many rows.
func all[R any](most int, list func(cursor string) (payments.Page[R], error)) ([]R, error) {
	var rows []R
	for cursor := ""; ; {
		page, err := list(cursor)
		if err != nil {
			return nil, err
		}
		if rows = append(rows, page.Rows...); len(rows) > most {
			return nil, reconcile.ErrTooMany
		}
		switch page.Next {
		case "":
			return rows, nil
		case cursor:
			return nil, reconcile.ErrList
		}
		cursor = page.Next
	}
}
