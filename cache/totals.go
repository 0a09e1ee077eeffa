// Package cache leads pages and programs, a hundred reads for every gift, to the
// rendered totals, by ristretto.
//
// The one invariant: Get gives the campaign's newest published total, whatever the
// cache kept, dropped or evicted. Ristretto may drop a new key, refuse it, or take it
// in late, so what it holds is not a total but the campaign's one place for it
// (render.Live), which the feed moves forward; a miss asks the feed's table for
// the same place, once for all who wait.
//
// Goroutines: ristretto's own two, started by New and ended by Close.
package cache

import (
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"spillway/campaigns/render"
)

// Source is where a miss is loaded from: the feed's table. It gives the same
// place for a campaign every time.
//
// Errors: campaigns.ErrUnknown, campaigns.ErrWarming.
type Source interface {
	Load(slug string) (*render.Live, error)
}

// TotalsMax is the default bound of the cache, in totals: one with its key and its
// place in ristretto takes about 700 bytes, so 45 MB when full. An installation
// has thousands of campaigns, so nothing is evicted.
const TotalsMax = 1 << 16

// putChunk is how many new keys are handed to ristretto before they are waited for:
// far below its buffer of 32 Ki, beyond which it drops them.
const putChunk = 4096

// Config bounds the cache. The zero value works.
type Config struct {
	// TotalsMax is the number of totals held, default TotalsMax.
	TotalsMax int64
}

// Totals is the cache of rendered totals. Any number of goroutines may call any
// of its methods.
type Totals struct {
	store   *ristretto.Cache[[]byte, *render.Live]
	source  Source
	loads   singleflight.Group
	metrics *metrics
}

// New returns an empty cache that loads from source. reg may be nil.
func New(cfg Config, source Source, reg prometheus.Registerer) (*Totals, error) {
	if cfg.TotalsMax <= 0 {
		cfg.TotalsMax = TotalsMax
	}
	key, conflict := maphash.MakeSeed(), maphash.MakeSeed()
	store, err := ristretto.NewCache(&ristretto.Config[[]byte, *render.Live]{
		// Every total costs 1, so MaxCost counts totals. Ristretto would add its own
		// bytes to that 1, and 65,536 would hold a thousand (measured 2026-11:
		// 2,000 keys at MaxCost 2,000 left 35), hence IgnoreInternalCost.
		MaxCost:            cfg.TotalsMax,
		IgnoreInternalCost: true,
		NumCounters:        10 * cfg.TotalsMax, // ristretto's advice: ten per key held
		BufferItems:        64,                 // likewise
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

// Get returns the campaign's newest published total. A hit does not allocate. It
// keeps no reference to slug.
//
// Errors: campaigns.ErrUnknown, campaigns.ErrWarming.
func (c *Totals) Get(slug []byte) (*render.Total, error) {
	if l, ok := c.store.Get(slug); ok {
		c.metrics.hits.Inc()
		return l.Total(), nil
	}
	c.metrics.misses.Inc()
	return c.load(string(slug))
}

// load asks the source, together with whoever misses the same campaign.
func (c *Totals) load(slug string) (*render.Total, error) {
	v, err, _ := c.loads.Do(slug, func() (any, error) {
		c.metrics.loads.Inc()
		l, err := c.source.Load(slug)
		if err == nil && !c.store.Set([]byte(slug), l, 1) {
			c.metrics.dropped.Inc()
		}
		return l, err
	})
	if err != nil {
		return nil, err
	}
	// Not before now: a load that was under way when this reader came leads to the
	// total as it is after.
	return v.(*render.Live).Total(), nil
}

// Put takes places in, in bulk, and returns once Get finds them without a miss,
// those excepted that ristretto refuses.
func (c *Totals) Put(places []*render.Live) {
	for chunk := range slices.Chunk(places, putChunk) {
		for _, l := range chunk {
			c.store.Set([]byte(l.Slug()), l, 1)
		}
		c.store.Wait()
		for _, l := range chunk {
			if _, ok := c.store.Get([]byte(l.Slug())); !ok {
				c.metrics.dropped.Inc()
			}
		}
	}
}

// Close ends ristretto's goroutines. Reads go on, as misses.
func (c *Totals) Close() { c.store.Close() }
