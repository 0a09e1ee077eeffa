package console

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// rate lets burst tries through at once and one more every so often.
type rate struct {
	burst int
	every time.Duration
}

var (
	// perAddress bounds what one address tries, whomever it tries to be.
	perAddress = rate{burst: 20, every: 6 * time.Second}
	// perAccount bounds what is tried on one account from browsers in which its user
	// never signed in, all together; and from each of those in which they did. Guesses
	// made elsewhere so never lock a user out of a browser of theirs.
	perAccount = rate{burst: 10, every: time.Minute}
	// perFactor bounds codes of a second factor, after the right password: a million
	// codes of which three hold at a time stay out of reach.
	perFactor = rate{burst: 10, every: 5 * time.Minute}
)

// bucketsMax bounds a throttle's memory. When it is full, those that would let
// everything through are forgotten first.
const bucketsMax = 50_000

// throttle is a set of token buckets.
type throttle struct {
	mu      sync.Mutex
	buckets map[string]bucket
}

// bucket is full at full: a token is taken by moving that moment later.
type bucket struct{ full time.Time }

func newThrottle() *throttle { return &throttle{buckets: map[string]bucket{}} }

// take takes a token and tells how long to wait when there was none.
func (t *throttle) take(key string, r rate, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	full := t.buckets[key].full
	if full.Before(now) {
		full = now
	}
	full = full.Add(r.every)
	if over := full.Sub(now) - time.Duration(r.burst)*r.every; over > 0 {
		return over
	}
	if len(t.buckets) >= bucketsMax {
		t.forget(now)
	}
	t.buckets[key] = bucket{full}
	return 0
}

// giveBack undoes a take that turned out to be no guess.
func (t *throttle) giveBack(key string, r rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.buckets[key]; ok {
		t.buckets[key] = bucket{b.full.Add(-r.every)}
	}
}

func (t *throttle) forget(now time.Time) {
	for key, b := range t.buckets {
		if !b.full.After(now) {
			delete(t.buckets, key)
		}
	}
	for key := range t.buckets { // in no order
		if len(t.buckets) < bucketsMax/2 {
			return
		}
		delete(t.buckets, key)
	}
}

// seconds is a wait as Retry-After tells it.
func seconds(wait time.Duration) int { return max(1, int(math.Ceil(wait.Seconds()))) }

// sourceKey is what an address is throttled by: itself, or its household's /64.
func sourceKey(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.Unmap().String()
}

// network is an address's prefix as the audit log keeps it: enough to tell home from
// elsewhere, not enough to name a person.
func network(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := 24
	switch {
	case !a.IsValid():
		return ""
	case a.IsLoopback():
		return "loopback"
	case a.Is6():
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
