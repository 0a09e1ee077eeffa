package charge

import (
	"sync"
	"time"

	"spillway/ledger/payments"
)

const (
	// breakAfter is how many calls in a row have to fail before the processor is taken
	// to be away: more than chance brings with one timeout in a hundred.
	breakAfter = 20
	// probeEvery is the pace of calls while it is away: one that comes through ends it.
	probeEvery = time.Second
)

// breaker keeps attempts in the queue while the processor is away, where they are
// honestly waiting, instead of making each of them an unknown outcome.
type breaker struct {
	desk *desk

	mu     sync.Mutex
	failed int // in a row
	open   bool
	probed time.Time
}

func newBreaker(d *desk) *breaker { return &breaker{desk: d} }

// allow says how many of room may be claimed now; when none, after which wait.
func (b *breaker) allow(room int) (most int, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return room, 0
	}
	if wait := probeEvery - time.Since(b.probed); wait > 0 {
		return 0, wait
	}
	b.probed = time.Now()
	return min(room, 1), 0
}

// note takes an answer in. A 429 is an answer: the processor is there.
func (b *breaker) note(a payments.Answer) {
	if a.Detail == noPace {
		return // it was not asked
	}
	away := a.Intent == nil && a.RateLimited == "" && a.Kind != payments.Definite && !lookedNothing(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !away:
		if b.open {
			b.desk.log.Info("the processor answers again")
		}
		b.failed, b.open = 0, false
		b.desk.metrics.away.Set(0)
	case !b.open:
		if b.failed++; b.failed >= breakAfter {
			b.open = true
			b.desk.metrics.away.Set(1)
			b.desk.log.Warn("the processor is away: charges wait", "detail", a.Detail)
		}
	}
}
