// Package feed keeps the front-end's own table of totals: it applies the ledger's
// frames and snapshots in order, renders every changed total into its place, fills
// the cache with new places, and tells the viewers.
//
// The one invariant: an age is published only after the totals that it speaks of.
// Whoever reads the age first and the total second never shows an as_of that is
// not true.
//
// Goroutines, all started by Run and ended with its context: read (the broker's
// frames, in order), mend (the snapshots of slots that stand still), publish
// (changed totals to their places and to the viewers).
package feed

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns"
	"spillway/campaigns/render"
	"spillway/ledger"
)

// Source is the broker's news of slots.
type Source interface {
	// ReadFrames calls handle for every frame, in the order of their stream, from
	// the start of what is kept, until ctx ends.
	ReadFrames(ctx context.Context, handle func(*campaigns.Frame)) error
	// Snapshot reads the newest snapshot of one slot.
	Snapshot(ctx context.Context, book ledger.Book, slot int32) (*campaigns.Snapshot, error)
	// Snapshots reads the newest snapshot of every slot.
	Snapshots(ctx context.Context) ([]*campaigns.Snapshot, error)
}

// Campaigns says which campaigns there are, and in which currency and book.
type Campaigns interface {
	Find(slug string) (*campaigns.Campaign, bool)
	All() []*campaigns.Campaign
	// Loaded is closed once the campaigns have been read.
	Loaded() <-chan struct{}
}

// Cache takes the places of totals that are new.
type Cache interface {
	Put(places []*render.Live)
}

// Viewers is told which totals changed.
type Viewers interface {
	// Publish notes changed totals. It is called before an age that speaks of them
	// is published, so that an age never reaches a viewer whose totals it outruns.
	Publish(totals []*render.Total)
	// Aged says that ages are public now: what was noted may be sent.
	Aged()
}

// Config holds the feed's times. The zero value works.
type Config struct {
	// PublishEvery is the least time between two publications, default 25 ms: what
	// several ledgers say in one tick is rendered once, and it adds a twentieth of
	// the stated lag.
	PublishEvery time.Duration
	// RetryLeast and RetryMost bound the time between two readings of the snapshot
	// of a slot that still stands, default 50 ms and 1 s. It doubles in between. A
	// writer sends a snapshot after a failed frame, and every 5 s.
	RetryLeast, RetryMost time.Duration
	// SilenceMost is how long no frame may come before frames may have been missed
	// altogether, default 10 s: then every snapshot is read before the next frame
	// counts. It is far below what the broker keeps of frames (2 minutes).
	SilenceMost time.Duration
	// SnapshotTimeout bounds the reading of one snapshot, default 2 s; that of all
	// may take five times as long.
	SnapshotTimeout time.Duration
	// Quiet is how long no frame must come before the start is taken as caught up
	// when no ledger speaks, default 500 ms; a live ledger speaks every 200 ms.
	Quiet time.Duration
	// WarmMost is how long the start waits for slots that stand still, default 15 s.
	// Beyond it the front-end takes donations all the same, and its totals say their age.
	WarmMost time.Duration
	// Now is the clock, default time.Now.
	Now func() time.Time
}

// fetchesMost is how many snapshots are read at once.
const fetchesMost = 4

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.PublishEvery, 25 * time.Millisecond},
		{&c.RetryLeast, 50 * time.Millisecond},
		{&c.RetryMost, time.Second},
		{&c.SilenceMost, 10 * time.Second},
		{&c.SnapshotTimeout, 2 * time.Second},
		{&c.Quiet, 500 * time.Millisecond},
		{&c.WarmMost, 15 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Feed is the front-end's table of totals.
type Feed struct {
	cfg       Config
	source    Source
	campaigns Campaigns
	log       *slog.Logger
	metrics   *metrics

	mu    sync.RWMutex
	state *State
	// opened says that the start is over and totals may be shown.
	opened bool
	// resets counts the rises of each book's epoch, reread those after which every
	// snapshot has been read again. While they differ, and until the new epoch is
	// complete up to where the one before was, the book is held: what it showed last
	// stands, and grows old.
	resets, reread map[ledger.Book]int
	// shown is every total as it was published last, in its place.
	shown map[string]*render.Live
	// heardAt is when the newest frame came, or every snapshot was read.
	heardAt time.Time

	ages     [len(ages{})]atomic.Pointer[render.Age]
	ready    atomic.Bool
	changed  chan struct{} // capacity 1: something waits for publish
	unwell   chan struct{} // capacity 1: something waits for mend
	progress chan struct{} // capacity 1: something happened that the start waits for
}

// ages is indexed by book; book 0 is none.
type ages [ledger.Rehearsal + 1]struct{}

// New returns a Feed; Run brings it to life. reg may be nil.
func New(cfg Config, source Source, all Campaigns, log *slog.Logger, reg prometheus.Registerer) *Feed {
	f := &Feed{
		cfg: cfg.withDefaults(), source: source, campaigns: all, log: log,
		state: NewState(), resets: map[ledger.Book]int{}, reread: map[ledger.Book]int{},
		shown:   map[string]*render.Live{},
		changed: make(chan struct{}, 1), unwell: make(chan struct{}, 1), progress: make(chan struct{}, 1),
	}
	for i := range f.ages {
		f.ages[i].Store(render.Unheard)
	}
	f.metrics = newMetrics(f, reg)
	return f
}

// Age is the published age of a book's totals. Read it before the total. It does
// not allocate.
func (f *Feed) Age(book ledger.Book) *render.Age {
	if int(book) >= len(f.ages) {
		return render.Unheard
	}
	return f.ages[book].Load()
}

// Ready is nil once every known slot has been applied up to its newest news and
// the cache is warm. It stays nil: later the ages say what is missing.
func (f *Feed) Ready() error {
	if f.ready.Load() {
		return nil
	}
	return campaigns.ErrWarming
}

// Load gives the place of a campaign's total, as it was published last.
//
// Errors: campaigns.ErrUnknown, campaigns.ErrWarming.
func (f *Feed) Load(slug string) (*render.Live, error) {
	c, ok := f.campaigns.Find(slug)
	if !ok {
		select {
		case <-f.campaigns.Loaded():
			return nil, campaigns.ErrUnknown
		default:
			return nil, campaigns.ErrWarming
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.opened {
		return nil, campaigns.ErrWarming
	}
	if l := f.shown[c.Slug]; l != nil {
		return l, nil
	}
	book := c.Book() // known since the last publication
	if f.rereading(book) {
		return nil, campaigns.ErrWarming
	}
	total := f.state.Total(book, c.Slug, c.Currency)
	if prior, behind := f.state.Behind(book); behind {
		// The age that is public is the epoch's before, in which nobody gave to it.
		total = campaigns.Total{Campaign: c.Slug, Currency: c.Currency, Epoch: prior}
		f.state.MarkChanged(book, c.Slug) // to be rendered when the new epoch is shown
	}
	l := render.NewLive(render.NewTotal(total, book))
	f.shown[c.Slug] = l
	return l, nil
}

// Run warms the cache, becomes ready and keeps the totals fresh until ctx ends. It
// returns nil then, after everything it started has ended.
func (f *Feed) Run(ctx context.Context, cache Cache, viewers Viewers) error {
	select {
	case <-ctx.Done():
		return nil
	case <-f.campaigns.Loaded():
	}
	if !f.readAll(ctx) {
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { f.read(ctx) })
	wg.Go(func() { f.mend(ctx) })
	if f.catchUp(ctx) {
		f.open()
		f.publish(cache, viewers)
		f.ready.Store(true)
		f.log.Info("totals are warm", "campaigns", len(f.campaigns.All()))
		f.publishChanges(ctx, cache, viewers)
	}
	wg.Wait()
	return nil
}

// held tells whether what the book showed last stands: its epoch rose, and its snapshots
// are to be read again, or what they add up to is less than was shown. The caller holds mu.
func (f *Feed) held(b ledger.Book) bool {
	_, behind := f.state.Behind(b)
	return behind || f.rereading(b)
}

// rereading tells whether the book waits for its snapshots to be read again. The caller
// holds mu.
func (f *Feed) rereading(b ledger.Book) bool { return f.resets[b] != f.reread[b] }

// signal leaves one mark in a channel of capacity 1; a mark that is there already
// says as much.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits for about d and reports false when ctx ended first. The jitter keeps
// front-ends that lost the broker together from asking together.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
