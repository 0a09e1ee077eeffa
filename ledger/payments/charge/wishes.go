package charge

import (
	"context"
	"time"

	"spillway/ledger/payments"
)

const (
	// wishesMax and overdueMax bound what one step reads, and so its transaction.
	wishesMax  = 200
	overdueMax = 500
	// overdueEvery is the pace of looking for what a time has passed for: those times
	// are minutes and hours.
	overdueEvery = time.Second
)

// wishes applies what donors asked for: another card, a cancellation. What is done is
// marked in the transaction that did it; the rest is found again.
func (d *desk) wishes(ctx context.Context) (more bool, err error) {
	bounded, cancel := ask(ctx)
	defer cancel()
	facts, err := d.book.Store.Requests(bounded, wishesMax)
	if err != nil {
		return false, err
	}
	return d.applyFound(ctx, facts, wishesMax)
}

// overdue applies that times have passed.
func (d *desk) overdue(ctx context.Context) (more bool, err error) {
	bounded, cancel := ask(ctx)
	defer cancel()
	facts, err := d.book.Store.Overdue(bounded, d.s.deps.Now(), overdueMax)
	if err != nil {
		return false, err
	}
	return d.applyFound(ctx, facts, overdueMax)
}

// applyFound applies facts that the store found, and that it finds again while they
// are not done. There is more when the store gave all it may and some of it was done.
func (d *desk) applyFound(ctx context.Context, facts []payments.Fact, most int) (more bool, err error) {
	results, err := d.apply(ctx, facts)
	done, due := 0, false
	for i, r := range results {
		due = due || r.Changed && r.Status == payments.StatusAccepted // another card
		switch {
		case r.err != nil:
			d.metrics.setAside.Inc()
			d.log.Error("a wish or a time that cannot be booked", "donation", uuid(facts[i].Donation), "source", sourceWord(facts[i].Source), "error", r.err)
		case r.Verdict != payments.NotYet:
			done++
		}
	}
	if due {
		d.wake()
	}
	return len(facts) >= most && done > 0, err
}
