package admission

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// limiterWays is how many clients share a set of the table; the one that has
	// been idle longest makes room.
	limiterWays = 8
	// limiterShards is how many locks the table has: with fewer than this many
	// cores they hardly ever meet.
	limiterShards = 64
	// networksMax bounds the list that is walked for every donation.
	networksMax = 256

	// DefaultClients is how many clients the limiter remembers: 128 Ki, in 2 MiB.
	// A forgotten client starts with a full burst, so a table that is too small
	// errs on the donor's side.
	DefaultClients = 128 << 10
)

// DefaultRate is what one address prefix may do: no person gives twenty times a
// second, a household or an office behind one address hardly does, and a burst
// covers a class that taps at the same moment.
var DefaultRate = Rate{PerSecond: 20, Burst: 200}

// Rate is a steady rate and what may come at once on top of it.
type Rate struct {
	PerSecond float64 // donations per second, > 0
	Burst     int     // donations, >= 1
}

// Network gives every client of an address block another rate: a school or an
// office behind a few addresses.
type Network struct {
	Prefix netip.Prefix
	Rate   Rate
}

// LimiterConfig configures a Limiter; its zero value works.
type LimiterConfig struct {
	// Default is the rate of one client; zero is DefaultRate.
	Default Rate
	// Networks have rates of their own; the longest prefix that fits wins. At most 256.
	Networks []Network
	// Clients is how many clients are remembered; zero is DefaultClients.
	Clients int
}

// Validate reports everything that is wrong at once.
func (c *LimiterConfig) Validate() error {
	var errs []error
	check := func(what string, r Rate) {
		if !(r.PerSecond > 0) || r.PerSecond > 1e6 || r.Burst < 1 || r.Burst > 1e6 {
			errs = append(errs, fmt.Errorf("%s: rate %v per second with burst %d, want both above 0 and at most a million", what, r.PerSecond, r.Burst))
		}
	}
	if c.Default != (Rate{}) {
		check("default", c.Default)
	}
	for _, n := range c.Networks {
		check("network "+n.Prefix.String(), n.Rate)
		if !n.Prefix.IsValid() {
			errs = append(errs, errors.New("network without a valid prefix"))
		}
	}
	if len(c.Networks) > networksMax {
		errs = append(errs, fmt.Errorf("%d networks, at most %d", len(c.Networks), networksMax))
	}
	if c.Clients < 0 {
		errs = append(errs, fmt.Errorf("%d clients, want 0 or more", c.Clients))
	}
	return errors.Join(errs...)
}

// Limiter holds clients to a rate, by the generic cell rate algorithm: per client
// one number, the time at which its bucket would be full again. It is one
// process's view: n front-ends allow n times the rate.
type Limiter struct {
	normal   pace
	networks []network // longest prefix first
	sets     uint64    // a power of two, a multiple of limiterShards
	shards   [limiterShards]limiterShard
}

// pace is a Rate as the algorithm uses it, in nanoseconds.
type pace struct {
	interval  int64 // between two donations at the steady rate
	tolerance int64 // how far ahead of now a bucket may run
}

type network struct {
	prefix netip.Prefix
	pace   pace
}

type limiterShard struct {
	mu  sync.Mutex
	set [][limiterWays]client
	_   [32]byte // a cache line for each lock
}

// client is what is remembered of one client; the zero value is a free place.
type client struct {
	key    uint64 // its source
	fullAt int64  // Unix nanoseconds at which its bucket is full again
}

// NewLimiter returns a limiter with its whole table allocated.
func NewLimiter(c LimiterConfig) (*Limiter, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("rate limits: %w", err)
	}
	if c.Default == (Rate{}) {
		c.Default = DefaultRate
	}
	if c.Clients == 0 {
		c.Clients = DefaultClients
	}
	l := &Limiter{normal: paceOf(c.Default), sets: limiterShards}
	for l.sets*limiterWays < uint64(c.Clients) {
		l.sets *= 2
	}
	for i := range l.shards {
		l.shards[i].set = make([][limiterWays]client, l.sets/limiterShards)
	}
	for _, n := range c.Networks {
		l.networks = append(l.networks, network{n.Prefix.Masked(), paceOf(n.Rate)})
	}
	slices.SortStableFunc(l.networks, func(a, b network) int { return b.prefix.Bits() - a.prefix.Bits() })
	return l, nil
}

func paceOf(r Rate) pace {
	interval := max(1, int64(math.Round(float64(time.Second)/r.PerSecond)))
	return pace{interval: interval, tolerance: interval * int64(r.Burst)}
}

// Allow tells whether the client may give now, and counts it if so; else wait is
// how long until it may. source is the keyed hash of the client's address
// prefix: an attacker who cannot compute it cannot aim at a set of the table.
func (l *Limiter) Allow(source uint64, addr netip.Addr, now time.Time) (wait time.Duration, ok bool) {
	p := l.paceFor(addr)
	t := now.UnixNano()
	set := source & (l.sets - 1)
	shard := &l.shards[set%limiterShards]

	shard.mu.Lock()
	defer shard.mu.Unlock()
	clients := &shard.set[set/limiterShards]
	idlest := 0
	for i := range clients {
		if clients[i].key == source && clients[i].fullAt != 0 {
			idlest = i
			break
		}
		if clients[i].fullAt < clients[idlest].fullAt {
			idlest = i
		}
	}
	c := &clients[idlest]
	if c.key != source || c.fullAt < t {
		*c = client{key: source, fullAt: t}
	}
	// Only a clock that was set back leaves a bucket further ahead than it can be
	// filled; nobody waits for the clock to catch up.
	c.fullAt = min(c.fullAt, t+p.tolerance)
	if ahead := c.fullAt + p.interval - t; ahead > p.tolerance {
		return time.Duration(ahead - p.tolerance), false
	}
	c.fullAt += p.interval
	return 0, true
}

func (l *Limiter) paceFor(addr netip.Addr) pace {
	if len(l.networks) > 0 {
		addr = addr.Unmap().WithZone("")
		for i := range l.networks {
			if l.networks[i].prefix.Contains(addr) {
				return l.networks[i].pace
			}
		}
	}
	return l.normal
}
