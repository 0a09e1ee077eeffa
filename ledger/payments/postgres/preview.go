package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"spillway/ledger/payments"
)

// PreviewRefund says what a refund that is asked for would give back of which line, as
// Command would judge it at this moment; nothing is changed. A donation that is not
// recorded, or that nobody has tried to charge, is refused as not captured.
// Errors: ledger.ErrUnavailable.
func (b *Book) PreviewRefund(ctx context.Context, asked *payments.RefundAsked) (payments.RefundPreview, error) {
	h := &held{id: asked.Donation}
	l := loading{held: map[[16]byte]*held{h.id: h}, ids: []pgtype.UUID{{Bytes: h.id, Valid: true}}}
	conn, err := b.asks.Acquire(ctx)
	if err != nil {
		return payments.RefundPreview{}, sorted("preview a refund: connect", err)
	}
	defer conn.Release()
	// The same reading as Command's, locks included, so that the two cannot differ; they
	// are given back a moment later.
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	l.queue(batch)
	batch.Queue("ROLLBACK")
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		rollback(ctx, conn)
		return payments.RefundPreview{}, sorted("preview a refund", err)
	}
	p := payments.RefundPreview{Currency: h.was.Currency, Refused: payments.RefusedNotCaptured}
	if !h.recorded || !h.made {
		return p, nil
	}
	whole, left, _ := h.refundable(&payments.RefundAsked{Donation: asked.Donation})
	p.LeftMinor = whole
	var lines []int64
	p.AmountMinor, lines, p.Refused = h.refundable(asked)
	p.CoverMinor = p.AmountMinor
	for i, line := range h.was.Lines {
		part := payments.RefundPart{Campaign: line.Campaign, GivenMinor: line.AmountMinor}
		if i < len(left) {
			part.LeftMinor = left[i]
		}
		if i < len(lines) {
			part.AmountMinor = lines[i]
			p.CoverMinor -= lines[i]
		}
		p.Lines = append(p.Lines, part)
	}
	return p, nil
}
