// Package publish carries campaigns, giving days and pictures from the database, where
// they are made, to the broker, where front-ends read them. Every ledger process runs
// it, and whoever edits campaigns; one is enough.
//
// The one invariant: what the broker holds last of each campaign and giving day ends
// up being the newest revision in the database, whichever of several publishers was
// slow. A front-end keeps the highest revision it sees, so older news that comes late
// is harmless to it, and is overwritten here for those that start later.
//
// Goroutines: Run's own, the two watches and the loop of pictures, which it starts
// and waits for.
package publish

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
	"spillway/ledger"
)

// Store is where campaigns are made.
type Store interface {
	// Since returns the campaigns that changed after revision, in that order, none
	// when there are none; it may return a part, whose last is where to go on.
	Since(ctx context.Context, revision int64) ([]*campaigns.Campaign, error)
	// EventsSince is Since for giving days, whole.
	EventsSince(ctx context.Context, revision int64) ([]*campaigns.Event, error)
	// MediaSince returns the keys of pictures stored after revision, in that order,
	// and the revision of the last; it may return a part.
	MediaSince(ctx context.Context, revision int64) (keys []string, last int64, err error)
	// Media returns a picture.
	Media(ctx context.Context, key string) (*campaigns.Media, error)
	// UnusedMedia returns keys of pictures that no campaign names for at least so long.
	UnusedMedia(ctx context.Context, least time.Duration) (keys []string, err error)
	// RemoveMedia removes those of them that are unused still.
	RemoveMedia(ctx context.Context, keys []string) error
	// RaiseRevision has later changes, of campaigns and giving days, numbered above least.
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
	PublishEvent(ctx context.Context, e *campaigns.Event) error
	// WatchEvents is WatchCampaigns for giving days.
	WatchEvents(ctx context.Context, handle func(*campaigns.Event), ready func()) error
	// PublishMedia stores a picture that the broker does not hold.
	PublishMedia(ctx context.Context, key, contentType string, data []byte) error
	// RemoveMedia removes a picture, if it is there.
	RemoveMedia(ctx context.Context, key string) error
	// MediaKeys names the pictures that the broker holds.
	MediaKeys(ctx context.Context) (map[string]bool, error)
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

// Publisher publishes campaigns, giving days and pictures.
type Publisher struct {
	cfg   Config
	store Store
	log   *slog.Logger

	failures prometheus.Counter
	lasted   prometheus.Histogram

	campaigns *news[*campaigns.Campaign]
	events    *news[*campaigns.Event]
	pictures  pictures
	told      atomic.Bool // a whole round of campaigns has succeeded

	nudges, pictureNudges chan struct{} // capacity 1 each
}

// New returns a Publisher. reg may be nil.
func New(cfg Config, store Store, broker Broker, log *slog.Logger, reg prometheus.Registerer) *Publisher {
	f := promauto.With(reg)
	published := f.NewCounterVec(prometheus.CounterOpts{
		Name: "campaigns_published_total", Help: "Campaigns and giving days published to the broker."}, []string{"kind"})
	p := &Publisher{
		cfg: cfg.withDefaults(), store: store, log: log,
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "campaigns_publish_failures_total", Help: "Rounds of publishing that the database or the broker did not answer."}),
		lasted: f.NewHistogram(prometheus.HistogramOpts{
			Name: "campaigns_publish_seconds", Help: "From the look for changes until the broker held all that had changed.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}),
		pictures: pictures{store: store, broker: broker},
		nudges:   make(chan struct{}, 1), pictureNudges: make(chan struct{}, 1),
	}
	p.campaigns = (&news[*campaigns.Campaign]{
		what: "campaigns", log: log, published: published.WithLabelValues("campaign"),
		of:    func(c *campaigns.Campaign) (string, int64) { return c.Slug, c.Revision },
		since: store.Since, raise: store.RaiseRevision, publish: broker.PublishCampaigns, watch: broker.WatchCampaigns,
	}).begun()
	p.events = (&news[*campaigns.Event]{
		what: "giving days", log: log, published: published.WithLabelValues("event"),
		of:    func(e *campaigns.Event) (string, int64) { return e.Slug, e.Revision },
		since: store.EventsSince, raise: store.RaiseRevision, watch: broker.WatchEvents,
		publish: func(ctx context.Context, all []*campaigns.Event) error {
			for _, e := range all { // few, and rarely
				if err := broker.PublishEvent(ctx, e); err != nil {
					return err
				}
			}
			return nil
		},
	}).begun()
	return p
}

// Nudge has changes looked for at once: whoever has changed something calls it after
// the commit, and need not wait. Without it they are found within Config.Every.
func (p *Publisher) Nudge() {
	for _, c := range []chan struct{}{p.nudges, p.pictureNudges} {
		select {
		case c <- struct{}{}:
		default: // a look is due that has not begun
		}
	}
}

// Run publishes until ctx ends; it returns nil then.
func (p *Publisher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { p.campaigns.follow(ctx) })
	wg.Go(func() { p.events.follow(ctx) })
	wg.Go(func() { p.carryPictures(ctx) })
	select {
	case <-ctx.Done():
		return nil
	case <-p.campaigns.ready:
	}
	attempt := p.attempts()
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	stubs := time.NewTicker(p.cfg.StubsEvery)
	defer stubs.Stop()
	for {
		before := time.Now()
		attempt(ctx, "publish campaigns", func(ctx context.Context) error {
			err := p.campaigns.round(ctx)
			if err == nil {
				p.told.Store(true)
			}
			return err
		})
		if p.events.known() { // a broker of before has no stream of them
			attempt(ctx, "publish giving days", p.events.round)
		}
		p.lasted.Observe(time.Since(before).Seconds())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.nudges:
		case <-stubs.C:
			attempt(ctx, "look for gifts to unknown campaigns", p.stubs)
		}
	}
}

// carryPictures publishes pictures, and removes those that nobody uses, until ctx ends.
func (p *Publisher) carryPictures(ctx context.Context) {
	attempt := p.attempts()
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		attempt(ctx, "publish pictures", p.pictures.round)
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			attempt(ctx, "remove unused pictures", p.pictures.sweep)
		case <-tick.C:
		case <-p.pictureNudges:
		}
	}
}

// attempts returns what does one thing within the timeout and logs the first of a row
// of failures. It belongs to one goroutine.
func (p *Publisher) attempts() func(ctx context.Context, what string, do func(context.Context) error) {
	failing := map[string]bool{} // what failed the last time, and was logged
	return func(ctx context.Context, what string, do func(context.Context) error) {
		asking, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
		defer cancel()
		err := do(asking)
		switch {
		case err == nil:
			if failing[what] {
				p.log.Info(what + " works again")
			}
			failing[what] = false
		case ctx.Err() == nil:
			p.failures.Inc()
			if !failing[what] {
				p.log.Warn(what+" failed, trying again", "err", err)
			}
			failing[what] = true
		}
	}
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
