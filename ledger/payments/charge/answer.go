package charge

import (
	"context"
	"sync"
	"time"

	"spillway/ledger/payments"
)

// When a call is made again. A repeat is the very same call, so early ones are only
// a waste of the pace.
const (
	// retryAfter is after a refusal that surely did nothing, when the processor did
	// not say: a storm of 429s is over, or not, in seconds.
	retryAfter = 2 * time.Second
	// unknownLeast is after the first answer that never came, and unknownMost after
	// many: in between a call waits for as long as it has been unknown already, so
	// that an outage of an hour costs each one a dozen repeats.
	unknownLeast = 5 * time.Second
	unknownMost  = 2 * time.Minute
	// retryMost bounds what the processor may ask for.
	retryMost = 10 * time.Minute
)

// factOf is the fact that an attempt's call, or the look for it, had this answer.
// clean says that no call of the attempt before this one can have been carried out.
// began and now are by the business's clock.
//
// The fact dates from the second in which the call began, so that what happened
// after the call is not earlier by the processor's clock, which counts whole seconds.
func factOf(c *payments.Charge, a payments.Answer, clean bool, began, now time.Time) payments.Fact {
	f := payments.Fact{Donation: c.Donation, Source: payments.FromCall, At: began.Truncate(time.Second)}
	if a.Intent != nil {
		seen := *a.Intent
		seen.AttemptNo = c.AttemptNo
		f.Intent = &seen
		return f
	}
	f.Outcome = &payments.CallOutcome{AttemptNo: c.AttemptNo, Kind: a.Kind, Reason: a.Reason, Detail: a.Detail}
	switch {
	case a.Kind == payments.Definite && a.Reason != "":
	case a.Kind == payments.Retry:
		f.Outcome.NothingDone = clean
		f.Outcome.NotBefore = now.Add(later(max(a.RetryAfter, retryAfter)))
	default: // what cannot be read says nothing
		f.Outcome.Kind = payments.Unknown
		wait := unknownLeast
		if a.Detail == noPace {
			wait = retryAfter // nobody was asked: what is rationed is waited for, and not the processor
		} else if !c.FirstCalledAt.IsZero() {
			wait = min(max(wait, now.Sub(c.FirstCalledAt)), unknownMost)
		}
		f.Outcome.NotBefore = now.Add(later(max(a.RetryAfter, wait)))
	}
	return f
}

// later bounds and scatters a wait.
func later(d time.Duration) time.Duration { return jittered(min(d, retryMost)) }

// lookedNothing tells whether a look proved that a call was never carried out.
func lookedNothing(a payments.Answer) bool {
	return a.Intent == nil && a.Refund == nil && a.Kind == payments.Retry && a.Detail == LookedNothing
}

// slowEvery is how often one process tells the shared pace of a 429: a storm refuses
// everything that is under way at once, and is one reason to slow down.
const slowEvery = time.Second

// slowdown remembers when the pace was last told, by endpoint.
type slowdown struct {
	mu   sync.Mutex
	told map[string]time.Time
}

func newSlowdown() *slowdown { return &slowdown{told: map[string]time.Time{}} }

func (s *slowdown) due(endpoint string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.told[endpoint]; ok && now.Sub(last) < slowEvery {
		return false
	}
	s.told[endpoint] = now
	return true
}

// heed slows the pace that all processes share when the processor said 429.
func (d *desk) heed(ctx context.Context, endpoint string, a payments.Answer) {
	if a.RateLimited == "" {
		return
	}
	d.metrics.rateLimited(a.RateLimited)
	if !d.slowed.due(endpoint, time.Now()) {
		return
	}
	ctx, cancel := ask(ctx)
	defer cancel()
	if err := d.book.Store.Slow(ctx, d.s.config.Account, endpoint, a.RateLimited); err != nil {
		d.log.Warn("pace not slowed", "endpoint", endpoint, "reason", limitReason(a.RateLimited), "error", err)
	}
}
