package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
	"spillway/ledger/reconcile"
	reconciledb "spillway/ledger/reconcile/postgres"
)

const (
	// watchEvery is the pace at which journal and processor are compared. Each pass
	// costs at least one of the processor's reads, which are rationed over the month;
	// and it is well below the grace, so that a fee that no event told is learnt
	// before it counts as a difference.
	watchEvery = 3 * time.Minute
	// watchSlack is how far our clock and the processor's may be apart, as for the
	// signatures of its events: a start reads so much more on both sides.
	watchSlack = 5 * time.Minute
	// watchStop is for the query or the list call under way.
	watchStop = 20 * time.Second
	// learnTime bounds what one pass learns, a transaction or two, so that a slot that
	// is not to be had holds up no comparison.
	learnTime = 30 * time.Second
	// endpointReads is the pace of calls that only ask: the sweeper's too.
	endpointReads = "reads"
)

// watch compares journal and processor while the till runs, once it is prepared.
func (t *till) watch(ctx context.Context, movements reconcile.Processor, books []charge.Book, db *reconciledb.DB) error {
	select {
	case <-ctx.Done():
		return nil
	case <-t.begun:
	}
	news := make([]reconcile.News, len(books))
	for i, b := range books {
		news[i] = db.Book(b.Book)
	}
	l := learner{books: books, log: t.log}
	w, err := reconcile.NewWatch(reconcile.WatchConfig{Every: watchEvery, Slack: watchSlack}, reconcile.WatchDeps{
		Books: news, Processor: movements, Learn: l.learn, Registerer: t.registry, Log: t.log,
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// learner takes what the processor's list tells and no event told to where all money
// moves: facts to the payment's book, what names no gift to the account's first book.
type learner struct {
	books []charge.Book
	log   *slog.Logger
}

// learn applies fees whose charge is booked here, and posts entries. Both do nothing
// that was done already, so what was interrupted is learnt again by the next pass.
// What the database refuses for ever is logged and left out: it stays a difference.
func (l *learner) learn(ctx context.Context, facts []payments.Fact, entries []journal.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	for i := range l.books {
		b := &l.books[i]
		mine, err := belonging(ctx, b.Store, facts)
		if err != nil {
			return err
		}
		if err := l.apply(ctx, b, mine); err != nil {
			return err
		}
	}
	first := &l.books[0]
	for i := range entries { // one by one: they are few, and one that is refused is known by name
		err := first.Slot.Move(ctx, func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
			return first.Store.Post(ctx, lease, entries[i:i+1])
		})
		var poison *ledger.PoisonError
		if errors.As(err, &poison) {
			l.log.Error("a movement at the processor cannot be booked", "ref", entries[i].Ref, "error", poison.Err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// belonging are the facts about charges that are booked in a store, with their donation.
func belonging(ctx context.Context, store charge.Store, facts []payments.Fact) ([]payments.Fact, error) {
	if len(facts) == 0 {
		return nil, nil
	}
	charges := make([]string, len(facts))
	for i := range facts {
		charges[i] = facts[i].Fee.Charge
	}
	found, err := store.FindDonation(ctx, charges)
	if err != nil {
		return nil, err
	}
	var mine []payments.Fact
	for _, f := range facts {
		if id, ok := found[f.Fee.Charge]; ok {
			f.Donation = id
			mine = append(mine, f)
		}
	}
	return mine, nil
}

// apply applies facts, without those that are refused for ever.
func (l *learner) apply(ctx context.Context, b *charge.Book, facts []payments.Fact) error {
	for len(facts) > 0 {
		err := b.Slot.Move(ctx, func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
			rows, _, err := b.Store.Apply(ctx, lease, facts)
			return rows, err
		})
		var poison *ledger.PoisonError
		var named *payments.FactError
		if err == nil || !errors.As(err, &poison) {
			return err
		}
		if !errors.As(err, &named) {
			return err // nobody knows which one
		}
		l.log.Error("a fee cannot be booked", "charge", facts[named.Index].Fee.Charge, "error", poison.Err)
		facts = append(facts[:named.Index:named.Index], facts[named.Index+1:]...)
	}
	return nil
}

// listTries is how often a list is asked for before its caller hears of a failure,
// and listPause the wait before the second time; it doubles. Reading is repeatable.
const (
	listTries = 5
	listPause = 500 * time.Millisecond
	// paceIdle is the longest wait before the pace is asked for again: it may have
	// been changed meanwhile.
	paceIdle = 2 * time.Second
)

// pacer is where the right to call the processor is taken.
type pacer interface {
	TakePace(ctx context.Context, account, endpoint string, n int) (granted int, wait time.Duration, err error)
	Slow(ctx context.Context, account, endpoint, reason string) error
}

// lister are the processor's lists that reconciling reads.
type lister interface {
	BalanceTransactions(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Movement], error)
	PayoutTransactions(ctx context.Context, payout, cursor string) (payments.Page[payments.Movement], error)
	Payouts(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.PayoutSeen], error)
}

// pacedLists are the processor's lists within the pace that all processes share,
// each page asked for again when it fails for a reason that time heals.
type pacedLists struct {
	lists   lister
	pace    pacer
	account string
}

func (p pacedLists) BalanceTransactions(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.Movement], error) {
	return paced(ctx, p, func(ctx context.Context) (payments.Page[payments.Movement], error) {
		return p.lists.BalanceTransactions(ctx, since, until, cursor)
	})
}

func (p pacedLists) PayoutTransactions(ctx context.Context, payout, cursor string) (payments.Page[payments.Movement], error) {
	return paced(ctx, p, func(ctx context.Context) (payments.Page[payments.Movement], error) {
		return p.lists.PayoutTransactions(ctx, payout, cursor)
	})
}

func (p pacedLists) Payouts(ctx context.Context, since, until time.Time, cursor string) (payments.Page[payments.PayoutSeen], error) {
	return paced(ctx, p, func(ctx context.Context) (payments.Page[payments.PayoutSeen], error) {
		return p.lists.Payouts(ctx, since, until, cursor)
	})
}

// paced makes one list call.
func paced[R any](ctx context.Context, p pacedLists, list func(context.Context) (payments.Page[R], error)) (payments.Page[R], error) {
	pause := listPause
	for try := 1; ; try++ {
		if err := p.take(ctx); err != nil {
			return payments.Page[R]{}, err
		}
		page, err := list(ctx)
		if err == nil || ctx.Err() != nil {
			return page, err
		}
		var call *payments.CallError
		if !errors.As(err, &call) || call.Answer.Kind == payments.Definite || try == listTries {
			return page, err
		}
		if call.Answer.RateLimited != "" {
			if err := p.pace.Slow(ctx, p.account, endpointReads, call.Answer.RateLimited); err != nil {
				return page, err
			}
		}
		if !idle(ctx, max(call.Answer.RetryAfter, pause/2+rand.N(pause))) {
			return page, ctx.Err()
		}
		pause *= 2
	}
}

// take waits for the right to make one call. Errors: the context's, the store's.
func (p pacedLists) take(ctx context.Context) error {
	for {
		granted, wait, err := p.pace.TakePace(ctx, p.account, endpointReads, 1)
		if err != nil || granted > 0 {
			return err
		}
		if !idle(ctx, min(max(wait, time.Millisecond), paceIdle)) {
			return ctx.Err()
		}
	}
}

// idle waits for d; false when ctx ended first.
func idle(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
