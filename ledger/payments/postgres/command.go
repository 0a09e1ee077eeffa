package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

var (
	knownCommandSQL = statement("known_command")
	noteCommandSQL  = statement("note_command")
	askRefundSQL    = statement("ask_refund")
	commandEarlySQL = statement("command_early")
)

// commandSettle is how long after a restore a refund that was asked for before it waits
// for its gift's capture: finding what was charged takes minutes, and for a day's
// charges up to an hour.
const commandSettle = time.Hour

// Command carries out what a person asked of the money, once, in one transaction
// under a lease, and notes what became of it: a command that is asked again is told
// what became of it the first time. A refund that is done here is a row that
// OpenRefunds returns. It returns the slot's rows that it changed.
//
// A command about a donation that is not recorded yet changes nothing and is to be
// asked again later (CommandNotYet).
//
// Errors: as Apply's; payments.ErrCommand inside a *ledger.PoisonError when c is no
// command.
func (b *Book) Command(ctx context.Context, lease ledger.Lease, c *payments.Command) ([]campaigns.SlotRow, payments.CommandResult, error) {
	what := fmt.Sprintf("command %x", c.ID)
	if err := c.Validate(); err != nil {
		return nil, payments.CommandResult{}, fmt.Errorf("%s: %w", what, &ledger.PoisonError{Err: err})
	}
	var changed []campaigns.SlotRow
	var result payments.CommandResult
	var expand bool
	run := func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		changed, expand = nil, false
		if result, err = b.commanded(ctx, conn, c.ID); err != nil || result.Word != "" {
			return err
		}
		if c.Refund == nil {
			changed, result, err = commandEntry(ctx, conn, lease, c)
			return err
		}
		result, expand, err = commandRefund(ctx, conn, lease, c)
		return err
	}
	err := b.move(ctx, what, run)
	if err == nil && expand {
		if err = b.ExpandOne(ctx, c.Refund.Donation); err == nil {
			err = b.move(ctx, what, run)
		}
	}
	if err != nil {
		return nil, payments.CommandResult{}, err
	}
	return changed, result, nil
}

// Commanded tells what became of a command; Word is "" when it was never carried
// out. Errors: ledger.ErrUnavailable.
func (b *Book) Commanded(ctx context.Context, id [16]byte) (payments.CommandResult, error) {
	conn, err := b.asks.Acquire(ctx)
	if err != nil {
		return payments.CommandResult{}, sorted("ask for a command: connect", err)
	}
	defer conn.Release()
	result, err := b.commanded(ctx, conn, id)
	return result, sorted("ask for a command", err)
}

func (b *Book) commanded(ctx context.Context, conn *pgxpool.Conn, id [16]byte) (r payments.CommandResult, err error) {
	var word string
	err = conn.QueryRow(ctx, knownCommandSQL, pgtype.UUID{Bytes: id, Valid: true}).Scan(&word, &r.Detail)
	if errors.Is(err, pgx.ErrNoRows) {
		return payments.CommandResult{}, nil
	}
	r.Word = payments.CommandWord(word)
	return r, err
}

// note adds to the batch what became of a command.
func note(batch *pgx.Batch, c *payments.Command, result payments.CommandResult) {
	kind, donation := "", [16]byte{}
	switch {
	case c.Refund != nil:
		kind, donation = "refund", c.Refund.Donation
	case c.Offline != nil:
		kind = "offline_gift"
	case c.Correction != nil:
		kind, donation = "correction", c.Correction.Donation
	}
	batch.Queue(noteCommandSQL, pgtype.UUID{Bytes: c.ID, Valid: true}, kind, stamp(c.At), c.Actor, c.Reason, optionalUUID(donation),
		string(result.Word), result.Detail)
}

// commandEntry books an offline gift or a correction.
func commandEntry(ctx context.Context, conn *pgxpool.Conn, lease ledger.Lease, c *payments.Command) ([]campaigns.SlotRow, payments.CommandResult, error) {
	result := payments.CommandResult{Word: payments.CommandDone}
	var e journal.Entry
	if g := c.Offline; g != nil {
		e = journal.NewOfflineGift(c.ID, g.Campaign, g.AmountMinor, g.Currency, c.At, c.Actor, c.Reason)
	} else {
		k := c.Correction
		e = journal.NewCorrection(c.ID, k.Donation, k.Debit, k.Credit, k.AmountMinor, k.Currency, c.At, c.Actor, c.Reason)
		if !journal.KnownAccount(k.Debit) || !journal.KnownAccount(k.Credit) {
			result = payments.CommandResult{Word: payments.CommandRefused, Detail: payments.RefusedAccount}
		}
	}
	var entries []journal.Entry
	if result.Word == payments.CommandDone {
		entries = []journal.Entry{e}
	}
	changed, err := post(ctx, conn, lease, entries, func(batch *pgx.Batch) { note(batch, c, result) })
	return changed, result, err
}

// commandRefund judges a refund and, when it can be made, asks for it. expand says
// that the donation is recorded and its payment is not made yet.
func commandRefund(ctx context.Context, conn *pgxpool.Conn, lease ledger.Lease, c *payments.Command) (result payments.CommandResult, expand bool, err error) {
	l := loading{held: map[[16]byte]*held{}, ids: []pgtype.UUID{{Bytes: c.Refund.Donation, Valid: true}}}
	h := &held{id: c.Refund.Donation}
	l.held[h.id] = h
	batch := &pgx.Batch{}
	begin(batch, lease)
	l.queue(batch)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return result, false, err
	}
	last := &pgx.Batch{}
	early := false // asked before the last restore, of a gift whose capture may be one that is still to be found again
	if h.recorded && h.made && !payments.Captured(h.was) {
		if err := conn.QueryRow(ctx, commandEarlySQL, c.At, commandSettle).Scan(&early); err != nil {
			return result, false, err
		}
	}
	if !h.recorded || !h.made || early {
		result.Word, expand = payments.CommandNotYet, h.recorded && !h.made
	} else {
		refund := RefundID(c.ID)
		amount, lines, refused := h.refundable(c.Refund)
		switch {
		case h.names(refund): // made before a restore, and told of by the processor since
			result.Word = payments.CommandDone
		case refused == "":
			result.Word = payments.CommandDone
			last.Queue(askRefundSQL, pgtype.UUID{Bytes: refund, Valid: true}, pgtype.UUID{Bytes: h.id, Valid: true}, amount, lines, c.Actor, c.Reason, stamp(c.At))
		default:
			result = payments.CommandResult{Word: payments.CommandRefused, Detail: refused}
		}
		note(last, c, result)
	}
	last.Queue(string(commit))
	return result, expand, conn.SendBatch(ctx, last).Close()
}

// RefundID is our ID of the refund that a command asks for: derived, so that a
// replay of the command asks for the same refund.
func RefundID(command [16]byte) [16]byte { return derivedID("refund", hex.EncodeToString(command[:])) }

// refundable says how much is given back and of which lines, or why not. Refunds that
// were asked for and that the processor has not named yet are as good as made.
func (h *held) refundable(asked *payments.RefundAsked) (amountMinor int64, lines []int64, refused string) {
	p := h.was
	if !payments.Captured(p) {
		return 0, nil, payments.RefusedNotCaptured
	}
	if d := payments.Disputed(p); d == payments.DisputeOpen || d == payments.DisputeLost {
		return 0, nil, payments.RefusedDisputed
	}
	p.Refunds = append([]payments.Refund(nil), p.Refunds...)
	for _, a := range h.asked {
		if a.status != payments.RefundRefused {
			p.Refunds = append(p.Refunds, payments.Refund{ID: hex.EncodeToString(a.id[:]), AmountMinor: a.amountMinor, Status: payments.RefundPending, Lines: a.lines})
		}
	}
	left := payments.Refundable(p)
	amountMinor = asked.AmountMinor
	if amountMinor == 0 {
		amountMinor = left
	}
	if amountMinor == 0 || amountMinor > left {
		return 0, nil, payments.RefusedExceeds
	}
	if asked.Lines == nil {
		return amountMinor, payments.Split(p, amountMinor), ""
	}
	if len(asked.Lines) != len(p.Lines) {
		return 0, nil, payments.RefusedLines
	}
	// What a whole refund would take of each line is what the line has left.
	whole, cover := payments.Split(p, left), amountMinor
	for i, minor := range asked.Lines {
		if minor > whole[i] {
			return 0, nil, payments.RefusedLines
		}
		cover -= minor
		left -= whole[i]
	}
	if cover > left { // beyond what is left of the covered fee
		return 0, nil, payments.RefusedLines
	}
	return amountMinor, asked.Lines, ""
}
