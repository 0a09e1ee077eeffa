// Package directory is the front-end's copy of all campaigns, giving days and switches,
// read on every donation and every page, kept fresh by the broker's news.
//
// The one invariant: of each slug it holds the campaign, and the giving day, of the
// highest revision it was told of, whatever the order of the news.
//
// Goroutines: the watches and list, started by Run and ended with its context.
package directory

import (
	"context"
	"hash/maphash"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"spillway/campaigns"
	"spillway/campaigns/render"
)

// Source is the broker's news of campaigns.
type Source interface {
	// WatchCampaigns calls handle for every campaign that the broker holds, ready
	// once after those, and then handle for every change, until ctx ends.
	WatchCampaigns(ctx context.Context, handle func(*campaigns.Campaign), ready func()) error
	// WatchEvents and WatchSwitches do so for giving days and switches. On a broker
	// that holds none yet they wait, and nobody waits for them.
	WatchEvents(ctx context.Context, handle func(*campaigns.Event), ready func()) error
	WatchSwitches(ctx context.Context, handle func(*campaigns.Switches), ready func()) error
}

const (
	// shardCount spreads campaigns, so that a change copies one small map: 10,000
	// campaigns make 40 a shard, copied in 2 µs.
	shardCount = 256
	// listEvery is the least time between two renderings of the listing: 10,000
	// campaigns take about 20 ms (BenchmarkNewListing), and they come in hundreds.
	listEvery = time.Second
	// phaseCheck is the longest sleep until the next look at phases: a clock that is
	// set forward opens campaigns within it.
	phaseCheck = time.Minute
	// watchPause is the time before a watch that gave up is begun again.
	watchPause = time.Second
)

// Directory holds the campaigns. Reads take no lock.
type Directory struct {
	source  Source
	log     *slog.Logger
	now     func() time.Time
	seed    maphash.Seed
	shards  [shardCount]atomic.Pointer[map[string]*campaigns.Campaign]
	count   atomic.Int64
	write   sync.Mutex // held while a shard is replaced
	loaded  chan struct{}
	once    sync.Once
	listing atomic.Pointer[render.Listing]
	changed chan struct{} // capacity 1: the listing is out of date

	events   atomic.Pointer[[]*campaigns.Event] // in order of slug
	switches atomic.Pointer[campaigns.Switches]
	revision atomic.Uint64
}

// New returns an empty Directory; Run fills it. now is the clock that opens and
// closes campaigns in the listing, time.Now when nil; reg may be nil.
func New(source Source, now func() time.Time, log *slog.Logger, reg prometheus.Registerer) *Directory {
	if now == nil {
		now = time.Now
	}
	d := &Directory{source: source, log: log, now: now, seed: maphash.MakeSeed(),
		loaded: make(chan struct{}), changed: make(chan struct{}, 1)}
	for i := range d.shards {
		d.shards[i].Store(&map[string]*campaigns.Campaign{})
	}
	d.listing.Store(render.NewListing(nil, now()))
	d.events.Store(&[]*campaigns.Event{})
	d.switches.Store(&campaigns.Switches{})
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "campaigns_known_count", Help: "Campaigns that this front-end knows, rehearsals included.",
	}, func() float64 { return float64(d.count.Load()) })
	return d
}

// Lookup finds a campaign. It does not allocate, takes no lock and keeps no
// reference to slug; the campaign is shared and must not be changed.
func (d *Directory) Lookup(slug []byte) (*campaigns.Campaign, bool) {
	c, ok := (*d.shards[maphash.Bytes(d.seed, slug)%shardCount].Load())[string(slug)]
	return c, ok
}

// Find is Lookup for a string.
func (d *Directory) Find(slug string) (*campaigns.Campaign, bool) {
	c, ok := (*d.shards[maphash.String(d.seed, slug)%shardCount].Load())[slug]
	return c, ok
}

// All lists every campaign, rehearsals included, in no order.
func (d *Directory) All() []*campaigns.Campaign {
	all := make([]*campaigns.Campaign, 0, d.count.Load())
	for i := range d.shards {
		for _, c := range *d.shards[i].Load() {
			all = append(all, c)
		}
	}
	return all
}

// Listing is the public list as of the last change of a campaign or of a phase.
func (d *Directory) Listing() *render.Listing { return d.listing.Load() }

// Revision rises with every change of a campaign, a giving day, the switches or a
// campaign's phase: what was rendered at one revision is up to date while it stands.
// A phase may show some moments before the revision rises.
func (d *Directory) Revision() uint64 { return d.revision.Load() }

// Loaded is closed once all campaigns that the broker holds have been read and
// listed.
func (d *Directory) Loaded() <-chan struct{} { return d.loaded }

// Ready is nil once Loaded is closed, and stays nil.
func (d *Directory) Ready() error {
	select {
	case <-d.loaded:
		return nil
	default:
		return campaigns.ErrWarming
	}
}

// Run follows the broker's news until ctx ends; it returns nil then.
func (d *Directory) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { d.list(ctx) })
	nobody := func() {}
	wg.Go(func() {
		d.follow(ctx, "giving days", func() error { return d.source.WatchEvents(ctx, d.putEvent, nobody) })
	})
	wg.Go(func() {
		d.follow(ctx, "switches", func() error { return d.source.WatchSwitches(ctx, d.putSwitches, nobody) })
	})
	d.follow(ctx, "campaigns", func() error { return d.source.WatchCampaigns(ctx, d.put, d.finish) })
	wg.Wait()
	return nil
}

// follow watches, again and again, until ctx ends.
func (d *Directory) follow(ctx context.Context, what string, watch func() error) {
	for {
		err := watch()
		if ctx.Err() != nil {
			return
		}
		d.log.Warn("news of "+what+" stopped, reading again", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchPause):
		}
	}
}

// put takes in a campaign unless a higher revision of it is held.
func (d *Directory) put(c *campaigns.Campaign) {
	if !campaigns.ValidSlug(c.Slug) {
		d.log.Error("a campaign whose slug is not one was left out", "slug", c.Slug, "revision", c.Revision)
		return
	}
	shard := &d.shards[maphash.String(d.seed, c.Slug)%shardCount]
	d.write.Lock()
	defer d.write.Unlock()
	held, known := (*shard.Load())[c.Slug]
	if known && held.Revision >= c.Revision {
		return
	}
	next := maps.Clone(*shard.Load())
	next[c.Slug] = c
	shard.Store(&next)
	if !known {
		d.count.Add(1)
	}
	d.revision.Add(1)
	d.outdate()
}

// outdate has the listing rendered soon.
func (d *Directory) outdate() {
	select {
	case d.changed <- struct{}{}:
	default: // it will be anyway
	}
}

// finish ends the first reading; a watch begun again comes here again.
func (d *Directory) finish() {
	d.once.Do(func() {
		d.render()
		close(d.loaded)
		d.outdate() // list looks at the next phase from now on
	})
}

// list renders the listing after changes, and when a campaign opens or closes.
func (d *Directory) list(ctx context.Context) {
	phase := time.NewTimer(phaseCheck)
	defer phase.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.changed:
		case <-phase.C:
			d.revision.Add(1)
		}
		if d.Ready() == nil {
			d.render()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(listEvery):
		}
		wait := phaseCheck
		if until := d.listing.Load().Until(); !until.IsZero() {
			wait = min(wait, max(0, until.Sub(d.now())))
		}
		phase.Reset(wait)
	}
}

func (d *Directory) render() { d.listing.Store(render.NewListing(d.All(), d.now())) }
