package charge

import (
	"context"
	"sync"
	"time"

	"spillway/ledger/payments"
)

// cancelsMax and refundsMax bound one step: its calls run at the same time.
const (
	cancelsMax = 16
	refundsMax = 16
)

// keyMemory is for how long the processor surely remembers an idempotency key: it
// promises a day (docs.stripe.com/api/idempotent_requests).
const keyMemory = 20 * time.Hour

// cancels cancels intents at the processor. Only its answer makes a donation canceled
// or abandoned, so that a capture on its way is never overlooked. The store claims
// them for a while, so one whose answer was lost comes again.
func (d *desk) cancels(ctx, work context.Context) (more bool, err error) {
	bounded, cancel := ask(work) // not ctx: what is claimed is called
	defer cancel()
	due, err := d.book.Store.ToCancel(bounded, cancelsMax)
	if err != nil {
		return false, err
	}
	var calls sync.WaitGroup
	for _, c := range due {
		if d.takePace(ctx, endpointIntents) != nil {
			break // ctx has ended
		}
		calls.Go(func() { d.cancel(work, c) })
	}
	calls.Wait()
	return len(due) == cancelsMax, ctx.Err()
}

// cancel cancels one intent and books what the processor showed.
func (d *desk) cancel(ctx context.Context, c payments.Cancellation) {
	bounded, stop := context.WithTimeout(ctx, d.s.config.CallTimeout)
	defer stop()
	began, asOf := time.Now(), d.s.deps.Now()
	answer := d.s.deps.Processor.CancelIntent(bounded, c.Intent, c.Donation)
	d.metrics.call("cancel", answer, time.Since(began))
	d.heed(ctx, endpointIntents, answer)
	if answer.Intent == nil {
		return // it comes again when its claim lapses
	}
	// Not the answer to an attempt's call: what is final is final for whichever attempt.
	d.enter(ctx, payments.Fact{Donation: c.Donation, Source: payments.FromCall, At: asOf.Truncate(time.Second), Intent: answer.Intent})
}

// refunds makes refunds that people asked for, claimed in the same way.
func (d *desk) refunds(ctx, work context.Context) (more bool, err error) {
	bounded, cancel := ask(work)
	defer cancel()
	due, err := d.book.Store.OpenRefunds(bounded, refundsMax)
	if err != nil {
		return false, err
	}
	var calls sync.WaitGroup
	for _, r := range due {
		if d.takePace(ctx, endpointRefunds) != nil {
			break // ctx has ended
		}
		calls.Go(func() { d.refund(work, &r) })
	}
	calls.Wait()
	return len(due) == refundsMax, ctx.Err()
}

// refund makes one refund and books what the processor showed.
func (d *desk) refund(ctx context.Context, r *payments.RefundDue) {
	bounded, stop := context.WithTimeout(ctx, d.s.config.CallTimeout)
	defer stop()
	began, asOf := time.Now(), d.s.deps.Now()
	answer := payments.Answer{Kind: payments.Retry, Detail: LookedNothing}
	if !r.FirstCalledAt.IsZero() && asOf.Sub(r.FirstCalledAt) > keyMemory {
		if d.takePace(bounded, endpointReads) != nil {
			return
		}
		answer = d.s.deps.Processor.LookRefund(bounded, r)
	}
	if lookedNothing(answer) {
		answer = d.s.deps.Processor.Refund(bounded, r)
	}
	d.metrics.call("refund", answer, time.Since(began))
	d.heed(ctx, endpointRefunds, answer)
	switch {
	case answer.Refund != nil:
		seen := *answer.Refund
		seen.Ours, seen.Lines = r.Refund, r.Lines
		d.enter(ctx, payments.Fact{Donation: r.Donation, Source: payments.FromCall, At: asOf.Truncate(time.Second), Refund: &seen})
	case answer.Kind == payments.Definite:
		d.log.Error("the processor refuses a refund", "donation", uuid(r.Donation), "refund", uuid(r.Refund), "detail", answer.Detail)
		noting, cancel := ask(ctx)
		defer cancel()
		if err := d.book.Store.RefundRefused(noting, r.Refund, answer.Detail); err != nil {
			d.log.Warn("refusal of a refund not noted: it is asked again", "refund", uuid(r.Refund), "error", err)
		}
	}
}

// enter books one answer; one that is refused is repeated with its call until
// somebody has looked.
func (d *desk) enter(ctx context.Context, f payments.Fact) {
	results, err := d.apply(ctx, []payments.Fact{f})
	if err == nil && results[0].err != nil {
		d.metrics.setAside.Inc()
		d.log.Error("an answer that cannot be booked", "donation", uuid(f.Donation), "error", results[0].err)
	}
}
