package stripesim

import (
	"sync"
	"time"
)

// bucket is a rate limit: a second's worth of calls may come at once, and then as
// many a second as the limit says. It goes by the real clock.
type bucket struct{ next time.Time }

// take tells whether a call may pass.
func (b *bucket) take(now time.Time, perSecond int) bool {
	if perSecond <= 0 {
		return true
	}
	if b.next.Before(now) {
		b.next = now
	}
	step := time.Second / time.Duration(perSecond)
	if b.next.Add(step).Sub(now) > time.Second {
		return false
	}
	b.next = b.next.Add(step)
	return true
}

// limiter counts an account's calls.
type limiter struct {
	mu        sync.Mutex
	account   bucket
	endpoints map[string]*bucket
	running   int
}

// admit lets a call to an endpoint pass, or says which limit it hit. Each call
// that passed is to be ended by leave.
func (l *limiter) admit(limits Limits, endpoint string, now time.Time) *apiError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limits.Concurrent > 0 && l.running >= limits.Concurrent {
		return rateLimited("global-concurrency")
	}
	if !l.account.take(now, limits.PerAccount) {
		return rateLimited("global-rate")
	}
	own := limits.PerEndpoint
	if endpoint == searchEndpoint && limits.Search > 0 {
		own = limits.Search
	}
	b := l.endpoints[endpoint]
	if b == nil {
		b = &bucket{}
		l.endpoints[endpoint] = b
	}
	if !b.take(now, own) {
		return rateLimited("endpoint-rate")
	}
	l.running++
	return nil
}

func (l *limiter) leave() {
	l.mu.Lock()
	l.running--
	l.mu.Unlock()
}
