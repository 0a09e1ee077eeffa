// Package keeper keeps the giving day's board fresh: it gathers changed totals,
// walls and campaigns, has a board.Builder make the next snapshot of them, and tells
// whoever sends news of it to viewers.
//
// The one invariant: a snapshot's age is read before the totals that it is made of
// are taken, and totals are noted before their age is published, so that no as_of
// speaks of a total that is not in the snapshot.
//
// Goroutines, all started by Run and ended with its context: one that builds, one
// that follows the walls.
package keeper

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"spillway/campaigns"
	"spillway/campaigns/board"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// Directory knows campaigns and giving days.
type Directory interface {
	All() []*campaigns.Campaign
	// Event is the giving day that pages show, nil for none.
	Event() *campaigns.Event
	Events() []*campaigns.Event
	// Revision rises with any change of what the directory holds.
	Revision() uint64
}

// Totals gives a campaign's newest published total: the cache.
type Totals interface {
	Get(slug []byte) (*render.Total, error)
}

// Ages gives the published age of a book's totals.
type Ages interface {
	Age(book ledger.Book) *render.Age
}

// Walls is the broker's news of walls.
type Walls interface {
	// WatchWalls calls handle for every wall that the broker holds, ready once after
	// those, and then handle for every change, until ctx ends. The highest version of
	// each counts.
	WatchWalls(ctx context.Context, handle func(*campaigns.Wall), ready func()) error
}

// Viewers is told what a new snapshot brought.
type Viewers interface {
	// Renewed is called after a snapshot is public, with the walls that came with it. It
	// keeps no reference to the slice.
	Renewed(walls []*campaigns.Wall)
}

// Config holds the keeper's times. The zero value works.
type Config struct {
	// BuildEvery is the least time between two snapshots, default 250 ms: with 2,000
	// of 20,000 campaigns changed each takes 7 ms of a core (BenchmarkBoard).
	BuildEvery time.Duration
	// RetryAfter is the time before walls that could not be followed are followed
	// again, default 1 s.
	RetryAfter time.Duration
	// Now is the clock, default time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.BuildEvery <= 0 {
		c.BuildEvery = 250 * time.Millisecond
	}
	if c.RetryAfter <= 0 {
		c.RetryAfter = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Keeper holds the newest snapshot. Any number of goroutines may read it.
type Keeper struct {
	cfg       Config
	directory Directory
	ages      Ages
	log       *slog.Logger
	day       atomic.Pointer[board.Day]
	document  atomic.Pointer[render.Day]
	took      prometheus.Histogram

	mu     sync.Mutex
	totals map[string]*render.Total   // noted since the last snapshot
	walls  map[string]*campaigns.Wall // likewise
}

// New returns a Keeper of an empty day; Run fills it. reg may be nil.
func New(cfg Config, directory Directory, ages Ages, log *slog.Logger, reg prometheus.Registerer) *Keeper {
	k := &Keeper{
		cfg: cfg.withDefaults(), directory: directory, ages: ages, log: log,
		totals: map[string]*render.Total{}, walls: map[string]*campaigns.Wall{},
	}
	k.day.Store(board.NewBuilder().Build(k.cfg.Now(), time.Time{}))
	k.document.Store(render.NewDay(render.DayFacts{}, render.Unheard))
	p := promauto.With(reg)
	k.took = p.NewHistogram(prometheus.HistogramOpts{
		Name: "board_build_seconds", Help: "Time that a snapshot of the giving day took to make.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
	})
	p.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "board_campaigns_count", Help: "Campaigns that the giving day lists.",
	}, func() float64 { return float64(k.Snapshot().All) })
	return k
}

// Snapshot is the newest snapshot. It takes no lock and does not allocate.
func (k *Keeper) Snapshot() *board.Day { return k.day.Load() }

// Document is the day's document, of the newest snapshot or the one before.
func (k *Keeper) Document() *render.Day { return k.document.Load() }

// Wall is a campaign's wall, or that of campaigns.DayWall; nil when there is no such
// campaign.
func (k *Keeper) Wall(slug string) *campaigns.Wall {
	d := k.Snapshot()
	if slug == campaigns.DayWall {
		return d.Wall
	}
	if e := d.Find(slug); e != nil {
		return e.Wall
	}
	return nil
}

// Name is a campaign's, "" when it is not known.
func (k *Keeper) Name(slug string) string {
	if e := k.Snapshot().Find(slug); e != nil {
		return e.Name
	}
	return ""
}

// Publish notes changed totals; see feed.Viewers.
func (k *Keeper) Publish(totals []*render.Total) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range totals {
		k.totals[t.Campaign] = t
	}
}

// Aged says that ages are public now; the next snapshot finds them by itself.
func (k *Keeper) Aged() {}

// PutWall notes a wall.
func (k *Keeper) PutWall(w *campaigns.Wall) {
	if w.Campaign != campaigns.DayWall && !campaigns.ValidSlug(w.Campaign) {
		k.log.Error("a wall whose campaign is none was left out", "campaign", w.Campaign)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if held := k.walls[w.Campaign]; held == nil || w.Version > held.Version {
		k.walls[w.Campaign] = w
	}
}

// Run keeps the snapshot fresh until ctx ends; it returns nil then.
func (k *Keeper) Run(ctx context.Context, totals Totals, walls Walls, viewers Viewers) error {
	var wg sync.WaitGroup
	wg.Go(func() { k.follow(ctx, walls) })
	k.build(ctx, totals, viewers)
	wg.Wait()
	return nil
}

// follow takes in walls, again and again when they cannot be followed: pages without
// newest gifts are pages.
func (k *Keeper) follow(ctx context.Context, walls Walls) {
	for {
		err := walls.WatchWalls(ctx, k.PutWall, func() {})
		if ctx.Err() != nil {
			return
		}
		k.log.Warn("news of walls stopped, reading again", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(k.cfg.RetryAfter):
		}
	}
}

// build makes a snapshot every BuildEvery when something changed. Without news that
// is a few comparisons.
func (k *Keeper) build(ctx context.Context, totals Totals, viewers Viewers) {
	w := &work{Keeper: k, builder: board.NewBuilder(), source: totals, viewers: viewers, missing: map[string]bool{}}
	tick := time.NewTicker(k.cfg.BuildEvery)
	defer tick.Stop()
	for {
		w.renew()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// work is what only the building goroutine touches.
type work struct {
	*Keeper
	builder  *board.Builder
	source   Totals
	viewers  Viewers
	revision uint64
	began    bool
	// missing are campaigns whose total could not be had when they were added.
	missing map[string]bool
	changed []*campaigns.Wall
}

// renew makes the next snapshot, if it is another one, and publishes it.
func (w *work) renew() {
	begun := w.cfg.Now()
	age := w.ages.Age(ledger.Live) // before the totals: see the package's invariant
	w.mu.Lock()
	var totals map[string]*render.Total
	var walls map[string]*campaigns.Wall
	if len(w.totals) > 0 {
		totals, w.totals = w.totals, make(map[string]*render.Total, len(w.totals))
	}
	if len(w.walls) > 0 {
		walls, w.walls = w.walls, map[string]*campaigns.Wall{}
	}
	w.mu.Unlock()

	for _, t := range totals {
		w.builder.SetTotal(t.Total)
	}
	w.admit(begun)
	w.changed = w.changed[:0]
	for _, wall := range walls {
		w.builder.SetWall(wall)
		w.changed = append(w.changed, wall)
	}

	before := w.Snapshot()
	d := w.builder.Build(begun, age.AsOf)
	if d == before {
		return
	}
	w.day.Store(d)
	if d.Version != before.Version {
		w.document.Store(document(d, age))
		w.took.Observe(w.cfg.Now().Sub(begun).Seconds())
	} else {
		w.document.Store(w.Document().Aged(age))
	}
	w.viewers.Renewed(w.changed)
}

// admit takes in campaigns and giving days after a change of them. A total that the
// feed published before a campaign was known here is asked for.
func (w *work) admit(now time.Time) {
	// The revision first: what changes after it is seen next time.
	revision := w.directory.Revision()
	event := w.directory.Event()
	if !w.began || revision != w.revision || event != w.Snapshot().Event {
		w.began, w.revision = true, revision
		for _, slug := range w.builder.SetCampaigns(w.directory.All(), event, w.directory.Events(), now) {
			w.missing[slug] = true
		}
	}
	for slug := range w.missing {
		t, err := w.source.Get([]byte(slug))
		if errors.Is(err, campaigns.ErrWarming) {
			return // so are the others; the feed publishes them all when it is warm
		}
		delete(w.missing, slug)
		if err != nil {
			w.log.Error("a campaign's total cannot be read", "campaign", slug, "err", err)
			continue
		}
		w.builder.SetTotal(t.Total)
	}
}

// document renders the day.
func document(d *board.Day, age *render.Age) *render.Day {
	facts := render.DayFacts{Event: d.Event, Open: d.Open, Upcoming: d.Upcoming, Closed: d.Closed, Donors: d.Donors, DonorsAsOf: d.DonorsAsOf}
	for _, s := range d.Totals {
		facts.Sums = append(facts.Sums, render.DaySum{Currency: s.Currency, RaisedMinor: s.RaisedMinor, PledgedMinor: s.PledgedMinor, Donations: s.Donations})
	}
	return render.NewDay(facts, age)
}
