package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// Journal is a book's journal.
type Journal interface {
	// Entries calls each with every entry that occurred in [since, until), in any
	// order, each once. each must not keep the entry. Errors: each's own, as they are.
	Entries(ctx context.Context, since, until time.Time, each func(*journal.Entry) error) error
}

// Processor lists what moved at the processor.
type Processor interface {
	// BalanceTransactions returns one page of those created in [since, until); the
	// first with cursor "", the last has no Next.
	BalanceTransactions(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Movement], error)
}

// ErrList says that the processor's list does not come to an end.
var ErrList = errors.New("the processor's list repeats itself")

// Run reads both sides and reports. All books that are charged at the processor are
// to be given, or what is in the others is missing. The processor is read first:
// what moves meanwhile is then known to the journal alone, and young. Errors: those
// of reading, ErrTooMany, ErrList, and Config's.
func Run(ctx context.Context, config Config, books []Journal, processor Processor) (*Report, error) {
	c, err := New(config)
	if err != nil {
		return nil, err
	}
	since, until := c.config.Since.Add(-c.config.Slack), c.config.Until.Add(c.config.Slack)
	if err := c.readMovements(ctx, processor, since, until); err != nil {
		return nil, err
	}
	for _, book := range books {
		if err := book.Entries(ctx, since, until, c.Entry); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
	}
	return c.Report(), nil
}

// readMovements adds the processor's list of [since, until), page by page.
func (c *Comparison) readMovements(ctx context.Context, processor Processor, since, until time.Time) error {
	for cursor := ""; ; {
		page, err := processor.BalanceTransactions(ctx, since, until, cursor)
		if err != nil {
			return fmt.Errorf("read the processor's balance transactions: %w", err)
		}
		for i := range page.Rows {
			if err := c.Movement(&page.Rows[i]); err != nil {
				return err
			}
		}
		switch page.Next {
		case "":
			return nil
		case cursor:
			return ErrList
		}
		cursor = page.Next
	}
}

// FeeOf is the fact that follows from a charge's balance transaction: what the
// processor took for it. A capture that came by an event alone is told without its
// fee. The caller finds the donation by Fee.Charge.
func FeeOf(m *payments.Movement) (payments.Fact, bool) {
	if classOf(m) != Charge || m.AmountMinor <= 0 {
		return payments.Fact{}, false
	}
	return payments.Fact{
		Source: payments.FromSweep, At: m.CreatedAt,
		Fee: &payments.FeeSeen{Charge: m.Source, BalanceTransaction: m.ID, FeeMinor: m.FeeMinor, Currency: m.Currency},
	}, true
}

// OtherOf is the entry of what a balance transaction moved that names no gift, to be
// posted once: the processor's own fees, adjustments.
func OtherOf(m *payments.Movement) (journal.Entry, bool) {
	moves, n := movesOf(m)
	for _, move := range moves[:n] {
		if move.class == Other {
			return journal.NewProcessorOther(m.ID, move.minor, m.Currency, m.CreatedAt), true
		}
	}
	return journal.Entry{}, false
}
