// Package publish carries campaigns from the database, where they are made, to the
// broker, where front-ends read them. Every ledger process runs it; one is enough.
//
// The one invariant: what the broker holds last of each campaign ends up being the
// newest revision in the database, whichever of several publishers was slow. A
// front-end keeps the highest revision it sees, so older news that comes late is
// harmless to it, and is overwritten here for those that start later.
//
// Goroutines: Run's own, and the watch that it starts and waits for.
package publish

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"spillway/campaigns"
	"spillway/ledger"
)

// Store is where campaigns are made.
type Store interface {
	// Since returns the campaigns that changed after revision, in that order, none
	// when there are none; it may return a part, whose last is where to go on.
	Since(ctx context.Context, revision int64) ([]*campaigns.Campaign, error)
	// RaiseRevision has later changes numbered above least.
	RaiseRevision(ctx context.Context, least int64) error
	// AddStubs stands in for campaigns that gifts name and nobody made.
	AddStubs(ctx context.Context, book ledger.Book) (slugs []string, err error)
}

// Broker is where front-ends read them.
type Broker interface {
	PublishCampaigns(ctx context.Context, all []*campaigns.Campaign) error
	// WatchCampaigns calls handle for the last of every campaign that the broker
	// holds, ready once after those, and then handle for every change, until ctx ends.
	WatchCampaigns(ctx context.Context, handle func(*campaigns.Campaign), ready func()) error
}

// Config holds the publisher's times. The zero value works.
type Config struct {
	// Every is how often changes are looked for, default 500 ms: an organiser sees
	// the change on the page within a second.
	Every time.Duration
	// StubsEvery is how often gifts to unknown campaigns are looked for, default 30 s.
	StubsEvery time.Duration
	// Timeout bounds one question to the database or the broker, default 10 s.
	Timeout time.Duration
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Every, 500 * time.Millisecond}, {&c.StubsEvery, 30 * time.Second}, {&c.Timeout, 10 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return c
}

// watchPause is the time before a watch that gave up is begun again.
const watchPause = time.Second

// Publisher publishes campaigns.
type Publisher struct {
	cfg    Config
	store  Store
	broker Broker
	log    *slog.Logger

	published, failures prometheus.Counter

	mu    sync.Mutex
	held  map[string]int64 // slug -> revision of the last message that the broker holds
	ready chan struct{}    // closed when all of those were seen once
	once  sync.Once
	told  atomic.Bool // a whole round has succeeded

	// Owned by Run.
	wanted   map[string]*campaigns.Campaign // as the database has them
	revision int64                          // up to which wanted is read
	compared bool                           // the database's numbers were compared with the broker's
	failing  map[string]bool                // what failed the last time, and was logged
}

// New returns a Publisher. reg may be nil.
func New(cfg Config, store Store, broker Broker, log *slog.Logger, reg prometheus.Registerer) *Publisher {
	f := promauto.With(reg)
	return &Publisher{
		cfg: cfg.withDefaults(), store: store, broker: broker, log: log,
		held: map[string]int64{}, ready: make(chan struct{}), wanted: map[string]*campaigns.Campaign{}, failing: map[string]bool{},
		published: f.NewCounter(prometheus.CounterOpts{
			Name: "campaigns_published_total", Help: "Campaigns published to the broker."}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "campaigns_publish_failures_total", Help: "Rounds of publishing that the database or the broker did not answer."}),
	}
}

// Run publishes until ctx ends; it returns nil then.
func (p *Publisher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.watch(ctx) })
	defer wg.Wait()
	select {
	case <-ctx.Done():
		return nil
	case <-p.ready:
	}
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	stubs := time.NewTicker(p.cfg.StubsEvery)
	defer stubs.Stop()
	for {
		p.try(ctx, "publish campaigns", func(ctx context.Context) error {
			err := p.round(ctx)
			if err == nil {
				p.told.Store(true)
			}
			return err
		})
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-stubs.C:
			p.try(ctx, "look for gifts to unknown campaigns", p.stubs)
		}
	}
}

// watch keeps held up to what the broker holds, in its order: a lower revision that
// comes after a higher one has taken its place there.
func (p *Publisher) watch(ctx context.Context) {
	handle := func(c *campaigns.Campaign) {
		p.mu.Lock()
		p.held[c.Slug] = c.Revision
		p.mu.Unlock()
	}
	for {
		err := p.broker.WatchCampaigns(ctx, handle, func() { p.once.Do(func() { close(p.ready) }) })
		if ctx.Err() != nil {
			return
		}
		p.log.Warn("news of campaigns stopped, reading again", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchPause):
		}
	}
}

// try does one thing within the timeout and logs the first of a row of failures.
func (p *Publisher) try(ctx context.Context, what string, do func(context.Context) error) {
	asking, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	err := do(asking)
	if err == nil {
		if p.failing[what] {
			p.log.Info(what + " works again")
		}
		p.failing[what] = false
		return
	}
	if ctx.Err() != nil {
		return
	}
	p.failures.Inc()
	if !p.failing[what] {
		p.log.Warn(what+" failed, trying again", "err", err)
	}
	p.failing[what] = true
	// The database may come back as an older one: read it anew.
	p.revision, p.compared = 0, false
}

// ErrNotPublished says that the broker may not hold all campaigns of the database yet.
var ErrNotPublished = errors.New("campaigns are not published yet")

// Published is nil once the broker holds every campaign that the database held when
// Run began, and ErrNotPublished before.
func (p *Publisher) Published() error {
	if !p.told.Load() {
		return ErrNotPublished
	}
	return nil
}

// round reads what changed and publishes what the broker does not hold.
func (p *Publisher) round(ctx context.Context) error {
	if p.revision == 0 {
		clear(p.wanted)
	}
	for {
		changed, err := p.store.Since(ctx, p.revision)
		if err != nil {
			return err
		}
		if len(changed) == 0 {
			break
		}
		for _, c := range changed {
			p.wanted[c.Slug] = c
			p.revision = max(p.revision, c.Revision)
		}
	}
	if !p.compared {
		if err := p.compare(ctx); err != nil {
			return err
		}
		p.compared = true
	}
	missing := p.missing()
	if len(missing) == 0 {
		return nil
	}
	if err := p.broker.PublishCampaigns(ctx, missing); err != nil {
		return err
	}
	p.published.Add(float64(len(missing)))
	p.mu.Lock()
	for _, c := range missing {
		p.held[c.Slug] = max(p.held[c.Slug], c.Revision) // the watch will say so too
	}
	p.mu.Unlock()
	return nil
}

// missing lists, in order of change, the campaigns of which the broker holds an
// older revision or nothing.
func (p *Publisher) missing() []*campaigns.Campaign {
	var missing []*campaigns.Campaign
	p.mu.Lock()
	for slug, c := range p.wanted {
		if held, ok := p.held[slug]; !ok || held < c.Revision {
			missing = append(missing, c)
		}
	}
	p.mu.Unlock()
	slices.SortFunc(missing, func(a, b *campaigns.Campaign) int { return int(a.Revision - b.Revision) })
	return missing
}

// compare looks whether the broker holds newer campaigns than the database, which
// was restored from a backup then: what front-ends have stands until somebody
// changes it, and that change has to be numbered above it.
func (p *Publisher) compare(ctx context.Context) error {
	var newer int
	var highest int64
	p.mu.Lock()
	for slug, revision := range p.held {
		highest = max(highest, revision)
		if c := p.wanted[slug]; c == nil || c.Revision < revision {
			newer++
		}
	}
	p.mu.Unlock()
	if highest <= p.revision {
		return nil
	}
	p.log.Warn("the broker holds newer campaigns than the database: was it restored? later changes are numbered above them",
		"campaigns", newer, "broker_revision", highest, "database_revision", p.revision)
	return p.store.RaiseRevision(ctx, highest)
}

// stubs stands in for campaigns that gifts name and nobody made.
func (p *Publisher) stubs(ctx context.Context) error {
	for _, book := range ledger.Books {
		slugs, err := p.store.AddStubs(ctx, book)
		if err != nil {
			return err
		}
		if len(slugs) > 0 {
			p.log.Error("gifts to unknown campaigns: stubs made", "book", book, "campaigns", slugs)
		}
	}
	return nil
}
