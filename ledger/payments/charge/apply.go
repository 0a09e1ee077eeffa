package charge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/backoff"
	"spillway/ledger/payments"
)

// unknownTries is how often a failure that nobody can name is tried again before
// its cause is looked for in the facts.
const unknownTries = 8

// changesTimeout bounds the word to waiting donors: it must not hold the next batch.
const changesTimeout = time.Second

// factsMax bounds the facts of one transaction whatever comes together, and with it
// how long the slot is locked: a tenth of a second.
const factsMax = 1000

// submission is facts that somebody waits for, applied in one transaction unless
// one of them is refused.
type submission struct {
	facts   []payments.Fact
	results []result // one for each fact, valid once done is closed
	done    chan struct{}
}

// result is what became of one fact. err is a *ledger.PoisonError when it can never
// be applied.
type result struct {
	payments.Outcome
	err error
}

// applier applies one book's facts, one transaction at a time, so that facts about
// one donation are applied in the order in which they were submitted.
type applier struct {
	desk *desk
	in   chan *submission
	// since is when the transaction under way was first tried, in Unix nanoseconds of
	// this process's clock; 0 for none.
	since atomic.Int64
}

func newApplier(d *desk) *applier { return &applier{desk: d, in: make(chan *submission)} }

// standsStill is how long the transaction under way has been tried.
func (a *applier) standsStill() time.Duration {
	since := a.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

// apply returns after the facts were committed, or refused one by one. It takes as
// long as the database is away. Errors: the context's, and then nothing is known.
func (a *applier) apply(ctx context.Context, facts []payments.Fact) ([]result, error) {
	for i := range facts {
		if seen := facts[i].Intent; seen != nil && seen.ActWithin == 0 {
			seen.ActWithin = a.desk.s.config.ActWithin
		}
	}
	var results []result
	for len(facts) > 0 {
		cut := len(facts)
		if cut > factsMax {
			cut = factsMax
			for cut > 1 && sameEvent(facts, cut) {
				cut--
			}
		}
		s := &submission{facts: facts[:cut], results: make([]result, cut), done: make(chan struct{})}
		select {
		case a.in <- s:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		results, facts = append(results, s.results...), facts[cut:]
	}
	return results, nil
}

// sameEvent tells whether a cut would part the facts of one event: its mark is
// committed with the first of them, and the rest would be taken for repeats.
func sameEvent(facts []payments.Fact, cut int) bool {
	return facts[cut].EventID != "" && facts[cut].EventID == facts[cut-1].EventID
}

// run applies what is submitted until in is closed, or ctx ends.
func (a *applier) run(ctx context.Context) {
	var next *submission
	for {
		batch, more := a.gather(ctx, next)
		if !more {
			return
		}
		next = batch.left
		results := make([]result, len(batch.facts))
		a.since.Store(time.Now().UnixNano())
		err := a.settle(ctx, batch.facts, results)
		a.since.Store(0)
		if err != nil {
			return // ctx has ended, and with it everybody's patience
		}
		for _, s := range batch.submissions {
			copy(s.results, results)
			results = results[len(s.facts):]
			close(s.done)
		}
	}
}

// facts gathered for one transaction.
type gathered struct {
	submissions []*submission
	facts       []payments.Fact // of all of them, in order
	left        *submission     // must wait for the next transaction; nil for none
}

// gather waits for a first submission and takes those that come within ApplyWait,
// applyAmple while the queue is long.
func (a *applier) gather(ctx context.Context, first *submission) (g gathered, more bool) {
	if first == nil {
		select {
		case s, open := <-a.in:
			if !open {
				return g, false
			}
			first = s
		case <-ctx.Done():
			return g, false
		}
	}
	g.submissions, g.facts = []*submission{first}, slices.Clone(first.facts)
	wait := a.desk.s.config.ApplyWait
	if a.desk.ample() {
		wait = max(wait, applyAmple)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for len(g.facts) < a.desk.s.config.ApplyMax {
		select {
		case s, open := <-a.in:
			if !open {
				return g, true
			}
			if len(g.facts)+len(s.facts) > factsMax {
				g.left = s
				return g, true
			}
			g.submissions, g.facts = append(g.submissions, s), append(g.facts, s.facts...)
		case <-timer.C:
			return g, true
		case <-ctx.Done():
			return g, true
		}
	}
	return g, true
}

// settle applies facts in one transaction, or, when some are refused, in as many as
// it takes to leave those out. Errors: the context's.
func (a *applier) settle(ctx context.Context, facts []payments.Fact, results []result) error {
	if len(facts) == 0 {
		return nil
	}
	poison, err := a.try(ctx, facts, results)
	if err != nil || poison == nil {
		return err
	}
	from, to := 0, len(facts) // the culprits, between those that are still tried
	var named *payments.FactError
	if errors.As(poison, &named) && named.Index >= 0 && named.Index < len(facts) {
		from, to = named.Index, named.Index+1
	} else if cut := middle(facts); cut > 0 {
		from, to = cut, cut
	}
	for i := from; i < to; i++ {
		results[i].err = poison
	}
	if err := a.settle(ctx, facts[:from], results[:from]); err != nil {
		return err
	}
	return a.settle(ctx, facts[to:], results[to:])
}

// middle is where facts are halved, between two events; 0 when they are all of one.
func middle(facts []payments.Fact) int {
	half := len(facts) / 2
	for off := 0; off < len(facts); off++ {
		for _, cut := range []int{half - off, half + off} {
			if cut > 0 && cut < len(facts) && !sameEvent(facts, cut) {
				return cut
			}
		}
	}
	return 0
}

// try applies once, in the sense of the ledger: what time heals is tried until it is
// healed. Errors: the context's.
func (a *applier) try(ctx context.Context, facts []payments.Fact, results []result) (poison error, err error) {
	d := a.desk
	var retry backoff.Tries
	var since time.Time // of the first failure
	for {
		began := time.Now()
		var outcomes []payments.Outcome
		err := d.book.Slot.Move(ctx, func(ctx context.Context, lease ledger.Lease) (rows []campaigns.SlotRow, err error) {
			rows, outcomes, err = d.book.Store.Apply(ctx, lease, facts)
			return rows, err
		})
		if err == nil && len(outcomes) != len(facts) {
			panic(fmt.Sprintf("charge: %d outcomes of %d facts", len(outcomes), len(facts)))
		}
		if err == nil {
			if !since.IsZero() {
				d.log.Info("booking goes on", "tries", retry.Count(), "after", time.Since(since).Round(time.Millisecond))
			}
			for i := range outcomes {
				results[i].Outcome = outcomes[i]
			}
			a.committed(ctx, facts, outcomes, time.Since(began))
			return nil, nil
		}
		var refused *ledger.PoisonError
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &refused):
			return err, nil
		}
		d.metrics.applyFailures.Inc()
		if since.IsZero() {
			since = time.Now()
			d.log.Warn("booking stands still", "facts", len(facts), "error", err)
		}
		if !errors.Is(err, ledger.ErrUnavailable) && retry.Count()+1 >= unknownTries {
			d.log.Error("a failure without a name: looking for its cause in the facts", "facts", len(facts), "error", err)
			return &ledger.PoisonError{Err: errUnknown}, nil
		}
		if !retry.Wait(ctx) {
			return nil, ctx.Err()
		}
	}
}

// committed counts what was committed, raises alarms, and tells waiting donors.
func (a *applier) committed(ctx context.Context, facts []payments.Fact, outcomes []payments.Outcome, took time.Duration) {
	d := a.desk
	d.s.observe(d.metrics.applySeconds, took, d.s.example(facts))
	d.metrics.applyFacts.Observe(float64(len(facts)))
	var changed []payments.Outcome
	for i, o := range outcomes {
		d.metrics.fact(facts[i].Source, o.Verdict)
		if o.Alarm != "" {
			d.metrics.alarms.WithLabelValues(o.Alarm).Inc()
			d.log.Error("a person must look", "alarm", o.Alarm, "donation", uuid(o.Donation), "status", o.Status, "event", facts[i].EventID)
		}
		if o.Changed {
			changed = append(changed, o)
		}
	}
	if len(changed) == 0 || d.book.Changes == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, changesTimeout)
	defer cancel()
	if err := d.book.Changes.PublishChanges(ctx, changed); err != nil {
		d.metrics.changesLost.Add(float64(len(changed)))
		d.log.Debug("changes not told: pages ask again by themselves", "donations", len(changed), "error", err)
	}
}
