// Package cache holds the rendered totals that pages and programs read, a hundred
// reads for every gift, in ristretto.
//
// The one invariant: what Get returns is at least as new as the last Put of that
// campaign. Ristretto may drop a new key or refuse it, so it is never the only
// copy: a miss is loaded from the feed's own table, once for all who wait.
//
// Goroutines: ristretto's own two, started by New and ended by Close.
package cache

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"spillway/campaigns/render"
)

// Source is where a total is loaded from on a miss: the feed's table. What it
// returns it also puts into the cache later, in order.
//
// Errors: campaigns.ErrUnknown, campaigns.ErrWarming.
type Source interface {
	Load(slug string) (*render.Total, error)
}

// TotalsMax is the default bound of the cache, in totals: a rendered total with
// its key and its place in ristretto takes about 600 bytes, so 40 MB when full.
// An installation has thousands of campaigns, so nothing is evicted.
const TotalsMax = 1 << 16

// putChunk is how many new keys are handed to ristretto before they are waited for:
// far below its buffer of 32 Ki, beyond which it drops them.
const putChunk = 4096

// Config bounds the cache. The zero value works.
type Config struct {
	// TotalsMax is the number of totals held, default TotalsMax.
	TotalsMax int64
}

// Totals is the cache of rendered totals. Get may be called by any number of
// goroutines, Put by one.
type Totals struct {
	store  *ristretto.Cache[[]byte, *render.Total]
	source Source
	loads  singleflight.Group
	// puts counts calls of Put, so that a reader can tell whether a load that was
	// under way when it came had seen all that was published by then.
	puts    atomic.Uint64
	metrics *metrics
}

// loaded is the answer of one load, which was begun after this many Puts.
type loaded struct {
	total *render.Total
	puts  uint64
}

// New returns an empty cache that loads from source. reg may be nil.
func New(cfg Config, source Source, reg prometheus.Registerer) (*Totals, error) {
	if cfg.TotalsMax <= 0 {
		cfg.TotalsMax = TotalsMax
	}
	key, conflict := maphash.MakeSeed(), maphash.MakeSeed()
	store, err := ristretto.NewCache(&ristretto.Config[[]byte, *render.Total]{
		// Every total costs 1, so MaxCost counts totals. Ristretto would add its own
		// bytes to that 1, and 65,536 would hold a thousand (measured 2026-11:
		// 2,000 keys at MaxCost 2,000 left 35), hence IgnoreInternalCost.
		MaxCost:            cfg.TotalsMax,
		IgnoreInternalCost: true,
		NumCounters:        10 * cfg.TotalsMax, // ristretto's advice: ten per key held
		BufferItems:        64,                 // likewise
		ShouldUpdate: func(next, held *render.Total) bool {
			return !held.Position().After(next.Position())
		},
		// Ristretto's own function boxes the slice, an allocation per read.
		KeyToHash: func(slug []byte) (uint64, uint64) {
			return maphash.Bytes(key, slug), maphash.Bytes(conflict, slug)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cache of %d totals: %w", cfg.TotalsMax, err)
	}
	return &Totals{store: store, source: source, metrics: newMetrics(reg)}, nil
}

// Get returns the campaign's total. A hit does not allocate. It keeps no reference
// to slug.
//
// Errors: campaigns.ErrUnknown, campaigns.ErrWarming.
func (c *Totals) Get(slug []byte) (*render.Total, error) {
	if t, ok := c.store.Get(slug); ok {
		c.metrics.hits.Inc()
		return t, nil
	}
	c.metrics.misses.Inc()
	return c.load(string(slug))
}

// load asks the source, together with whoever misses the same campaign. A load
// that was under way already may have read the table before the last Put, and so
// before an age that the caller has read: then it is not good enough, and the next
// one is.
func (c *Totals) load(slug string) (*render.Total, error) {
	least := c.puts.Load()
	for {
		v, err, _ := c.loads.Do(slug, func() (any, error) {
			c.metrics.loads.Inc()
			puts := c.puts.Load()
			t, err := c.source.Load(slug)
			return loaded{t, puts}, err
		})
		if err != nil {
			return nil, err
		}
		if l := v.(loaded); l.puts >= least {
			return l.total, nil
		}
	}
}

// Put makes these totals the ones that Get returns, unless newer ones are held; a
// campaign is at most once among them. When it returns, Get gives each of them or a
// newer one, from the cache or through it: a key that ristretto did not take is a
// miss, which loads what is newest.
//
// Put is for one goroutine. A second writer's older total could wait in
// ristretto's buffer as a new key while this one's is refused as a repetition.
func (c *Totals) Put(totals []*render.Total) {
	c.puts.Add(1)
	for chunk := range slices.Chunk(totals, putChunk) {
		var added []*render.Total
		for _, t := range chunk {
			key := []byte(t.Campaign)
			// An existing key is updated before Set returns; a new one waits in a buffer.
			c.store.Set(key, t, 1)
			if !c.holds(key, t) {
				added = append(added, t)
			}
		}
		if len(added) == 0 {
			continue
		}
		c.store.Wait()
		for _, t := range added {
			if key := []byte(t.Campaign); !c.holds(key, t) {
				c.store.Set(key, t, 1) // replaces an older one at once, where there is one
				c.metrics.dropped.Inc()
			}
		}
	}
}

// holds tells whether the cache gives t or a newer total.
func (c *Totals) holds(key []byte, t *render.Total) bool {
	held, ok := c.store.Get(key)
	return ok && !t.Position().After(held.Position())
}

// Close ends ristretto's goroutines. Reads go on, as misses.
func (c *Totals) Close() { c.store.Close() }
