package charge

import (
	"bytes"
	"context"
	"net/http/httptrace"
	"sync"
	"time"

	"spillway/ledger/backoff"
	"spillway/ledger/payments"
)

// The processor's endpoints, as their buckets are named.
const (
	endpointIntents = "payment_intents"
	endpointRefunds = "refunds"
	endpointReads   = "reads" // whatever only asks
)

const (
	// claimIdle bounds the wait for the time at which the store said to ask again: a
	// pace that was raised meanwhile is seen that soon.
	claimIdle = time.Second
	// bookingMax is how long a transaction of answers may stand still before nothing
	// more is claimed: donors wait better in the queue than with an outcome that
	// nobody can write down.
	bookingMax = 5 * time.Second
	// lookShare is how much of a claim a look may take: it reads lists, page by page.
	lookShare = 0.9
	// noPace is the detail of a look that never came to be.
	noPace = "no_pace"
)

// claimLoop claims until ctx ends, and returns when the calls under way are settled.
func (d *desk) claimLoop(ctx, work context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, d.s.config.CallsMax) // one taken for each call under way
	expiring := make(chan struct{}, 1)                // taken while expired tokens are noted
	var retry backoff.Tries
	for ctx.Err() == nil {
		select { // until there is room for one
		case slots <- struct{}{}:
			<-slots
		case <-ctx.Done():
			return
		}
		if d.applier.standsStill() > bookingMax {
			backoff.Pause(ctx, d.s.config.Poll)
			continue
		}
		most, wait := d.breaker.allow(cap(slots) - len(slots))
		if most == 0 {
			backoff.Pause(ctx, wait)
			continue
		}
		began := time.Now() // no claim lapses sooner than ClaimFor from here
		// Not ctx: a claim that was committed while ctx ended is still called.
		bounded, cancel := ask(work)
		claimed, expired, wait, err := d.book.Store.Claim(bounded, payments.ClaimRequest{
			Account: d.s.config.Account, Endpoint: endpointIntents, Max: most, Holder: d.s.config.Holder, For: d.s.config.ClaimFor,
		}, d.params)
		cancel()
		if err != nil {
			if retry.Count() == 0 && ctx.Err() == nil {
				d.log.Warn("nothing claimed", "error", err)
			}
			retry.Wait(ctx)
			continue
		}
		retry = backoff.Tries{}
		// Evenly until the next claim: fifty calls that begin in the same instant hold the
		// processor's cores for ten milliseconds, and every donor who gives in that time.
		gap := d.claimEvery() / time.Duration(max(1, len(claimed)))
		for i := range claimed {
			slots <- struct{}{} // there is room: only this loop takes
			c, turn := &claimed[i], time.Duration(i)*gap
			calls.Go(func() {
				defer func() { <-slots }()
				backoff.Pause(work, turn)
				d.call(work, c, began.Add(d.s.config.ClaimFor))
			})
		}
		d.metrics.inFlight.Set(float64(len(slots)))
		if len(expired) > 0 {
			select {
			case expiring <- struct{}{}:
				calls.Go(func() {
					defer func() { <-expiring }()
					_, _ = d.apply(work, expired) // its errors: work's; they are found again
				})
			default: // found again by the next claim
			}
		}
		d.restUntil(ctx, len(claimed)+len(expired), wait)
	}
}

// claimEvery is the time between two claims: claimAmple while the queue is long.
func (d *desk) claimEvery() time.Duration {
	if d.ample() {
		return max(d.s.config.ClaimEvery, claimAmple)
	}
	return d.s.config.ClaimEvery
}

// restUntil waits before the next claim: for claimEvery at least, and then until the
// store's time has come or, when nothing could be claimed, attempts were made.
func (d *desk) restUntil(ctx context.Context, found int, wait time.Duration) {
	every := d.claimEvery()
	if !backoff.Pause(ctx, every) || found > 0 && wait <= every {
		return
	}
	if wait <= 0 {
		wait = d.s.config.Poll
	}
	timer := time.NewTimer(min(wait, claimIdle) - every)
	defer timer.Stop()
	made := d.made
	if found > 0 {
		made = nil // what was made waits like the rest
	}
	select {
	case <-made:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// uncallable is stored as the parameters of a charge that the processor has no words
// for, such as an amount of a thousandth where it counts in hundredths: it is refused
// in its turn like any other, instead of keeping everybody's claims from being made.
var uncallable = []byte("uncallable")

// params are the parameters of a charge's call, never empty.
func (d *desk) params(c *payments.Charge) []byte {
	if body := d.s.deps.Processor.Params(c); len(body) > 0 {
		return body
	}
	return uncallable
}

// call makes one claimed call and books what came of it. When ctx ends before that
// is committed, the claim lapses and somebody makes the same call again. When this
// process sleeps until the claim lapses, whoever has it now makes the call: what c
// says of the calls before it is no longer true, and its key may be forgotten.
func (d *desk) call(ctx context.Context, c *payments.Charge, lapses time.Time) {
	d.hook(ParametersStored, c.Donation)
	began, asOf := time.Now(), d.s.deps.Now()
	kind, endpoint := "charge", endpointIntents
	var answer payments.Answer
	clean := c.FirstCalledAt.IsZero() // no call before this one can have been carried out
	if c.LookFirst {
		kind, endpoint, answer = "look", endpointReads, d.look(ctx, c)
		clean = lookedNothing(answer)
	}
	if time.Now().After(lapses) && (!c.LookFirst || clean) {
		d.log.Warn("a claim lapsed before its call was made: somebody else makes it", "donation", uuid(c.Donation), "attempt", c.AttemptNo)
		return
	}
	if !c.LookFirst || clean && !c.Canceled { // canceled, and surely never called: the look was all
		kind, endpoint, answer = "charge", endpointIntents, d.charge(ctx, c)
	}
	d.hook(AnswerReceived, c.Donation)
	tracing := called{charge: c, kind: kind, outcome: outcome(answer), began: began, ended: time.Now()}
	d.metrics.calls.WithLabelValues(kind, tracing.outcome).Inc()
	d.s.observe(d.metrics.callSeconds, tracing.ended.Sub(began), c.Donation)
	defer func() { d.traceCall(tracing) }()
	if kind == "charge" && !clean && answer.Intent != nil && answer.Intent.Status == payments.IntentRequiresAction {
		// The answer to a repeat is the first one, from the processor's memory of the key.
		// The donor may have failed since, and the event that told so has gone by: it
		// never ends an attempt whose call has no answer yet. So see how it stands now.
		asked := d.s.deps.Now()
		if now := d.look(ctx, c); now.Intent != nil {
			answer, asOf = now, asked
		}
	}
	d.breaker.note(answer)
	d.heed(ctx, endpoint, answer)
	fact := factOf(c, answer, clean, asOf, d.s.deps.Now())
	results, err := d.apply(ctx, []payments.Fact{fact})
	switch {
	case err != nil:
		d.log.Warn("answer not booked in time: its claim lapses and the same call is repeated", "donation", uuid(c.Donation), "attempt", c.AttemptNo)
		return
	case results[0].err != nil:
		d.metrics.setAside.Inc()
		d.log.Error("an answer that cannot be booked: the call is repeated until somebody looks",
			"donation", uuid(c.Donation), "attempt", c.AttemptNo, "error", results[0].err)
		return
	case results[0].Verdict == payments.NotYet || results[0].Verdict == payments.NotOurs:
		d.log.Error("an answer to a call whose donation is gone", "donation", uuid(c.Donation), "attempt", c.AttemptNo)
	}
	tracing.booked = time.Now()
	d.hook(ResultCommitted, c.Donation)
}

// charge makes the call.
func (d *desk) charge(ctx context.Context, c *payments.Charge) payments.Answer {
	if bytes.Equal(c.Params, uncallable) {
		return payments.Answer{Kind: payments.Definite, Reason: payments.Refused, Detail: "uncallable"}
	}
	ctx, cancel := context.WithTimeout(ctx, d.s.config.CallTimeout)
	defer cancel()
	if d.s.deps.Hook != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { d.hook(CallSent, c.Donation) },
		})
	}
	return d.s.deps.Processor.Charge(ctx, c)
}

// look asks what became of a call whose key the processor may have forgotten.
func (d *desk) look(ctx context.Context, c *payments.Charge) payments.Answer {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(lookShare*float64(d.s.config.ClaimFor)))
	defer cancel()
	if err := d.takePace(ctx, endpointReads); err != nil {
		return payments.Answer{Kind: payments.Unknown, Detail: noPace}
	}
	return d.s.deps.Processor.Look(ctx, c)
}

// takePace waits for the right to make one call at an endpoint. Errors: the context's.
func (d *desk) takePace(ctx context.Context, endpoint string) error {
	for retry := (backoff.Tries{}); ; {
		bounded, cancel := ask(ctx)
		granted, wait, err := d.book.Store.TakePace(bounded, d.s.config.Account, endpoint, 1)
		cancel()
		switch {
		case err == nil && granted > 0:
			return nil
		case err == nil:
			backoff.Pause(ctx, min(max(wait, d.s.config.ClaimEvery), claimIdle))
		default:
			retry.Wait(ctx)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// apply books facts: see applier.apply.
func (d *desk) apply(ctx context.Context, facts []payments.Fact) ([]result, error) {
	return d.applier.apply(ctx, facts)
}

func (d *desk) hook(p Point, donation [16]byte) {
	if d.s.deps.Hook != nil {
		d.s.deps.Hook(p, donation)
	}
}
