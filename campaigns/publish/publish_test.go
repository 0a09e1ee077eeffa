package publish

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is a Store in memory.
type database struct {
	mu     sync.Mutex
	all    map[string]*campaigns.Campaign
	last   int64
	broken bool
	stubs  []string
	asked  int // calls of AddStubs
	events []*campaigns.Event
	media  []*campaigns.Media // numbered from 1
	unused []string           // keys
	kept   string             // named again before it is removed
}

// event changes a giving day and returns its revision.
func (d *database) event(slug, banner string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.events = slices.DeleteFunc(d.events, func(e *campaigns.Event) bool { return e.Slug == slug })
	d.events = append(d.events, &campaigns.Event{Slug: slug, Name: slug, Banner: banner, Revision: d.last})
	return d.last
}

func (d *database) picture(data string) (key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &campaigns.Media{Key: campaigns.MediaKey([]byte(data)), ContentType: "image/png", Data: []byte(data)}
	d.media = append(d.media, m)
	return m.Key
}

func (d *database) EventsSince(_ context.Context, revision int64) ([]*campaigns.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return nil, errBroken
	}
	i := slices.IndexFunc(d.events, func(e *campaigns.Event) bool { return e.Revision > revision })
	if i < 0 {
		return nil, nil
	}
	return slices.Clone(d.events[i:]), nil
}

func (d *database) MediaSince(_ context.Context, revision int64) (keys []string, last int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return nil, 0, errBroken
	}
	last = revision
	for _, m := range d.media[min(int(revision), len(d.media)):] {
		if keys, last = append(keys, m.Key), last+1; len(keys) == 2 { // in parts
			break
		}
	}
	return keys, last, nil
}

func (d *database) UnusedMedia(_ context.Context, least time.Duration) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if least < 24*time.Hour {
		return nil, errBroken
	}
	return slices.Clone(d.unused), nil
}

func (d *database) RemoveMedia(_ context.Context, keys []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unused = nil
	d.media = slices.DeleteFunc(d.media, func(m *campaigns.Media) bool { return m.Key != d.kept && slices.Contains(keys, m.Key) })
	return nil
}

func (d *database) Media(_ context.Context, key string) (*campaigns.Media, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.media {
		if m.Key == key {
			return m, nil
		}
	}
	return nil, campaigns.ErrUnknown
}

var errBroken = errors.New("broken")

func (d *database) put(slug, name string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	if d.all == nil {
		d.all = map[string]*campaigns.Campaign{}
	}
	d.all[slug] = &campaigns.Campaign{Slug: slug, Name: name, Currency: "USD", Revision: d.last}
	return d.last
}

func (d *database) Since(_ context.Context, revision int64) ([]*campaigns.Campaign, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return nil, errBroken
	}
	var changed []*campaigns.Campaign
	for _, c := range d.all {
		if c.Revision > revision {
			changed = append(changed, c)
		}
	}
	slices.SortFunc(changed, func(a, b *campaigns.Campaign) int { return int(a.Revision - b.Revision) })
	return changed[:min(2, len(changed))], nil // in parts, as a real one may
}

func (d *database) RaiseRevision(_ context.Context, least int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = max(d.last, least)
	return nil
}

func (d *database) AddStubs(context.Context, ledger.Book) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	return d.stubs, nil
}

// stream is a Broker in memory: the last message of each campaign.
type stream struct {
	mu        sync.Mutex
	last      map[string]*campaigns.Campaign
	watchers  map[chan *campaigns.Campaign]bool
	published int
	refuse    bool
	events    map[string]*campaigns.Event
	noEvents  bool              // a broker of before, without a stream of them
	media     map[string]string // key -> bytes
	stored    int               // pictures that were published
}

func (b *stream) PublishEvent(_ context.Context, e *campaigns.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse || b.noEvents {
		return errBroken
	}
	if b.events == nil {
		b.events = map[string]*campaigns.Event{}
	}
	b.events[e.Slug] = e
	return nil
}

func (b *stream) WatchEvents(ctx context.Context, handle func(*campaigns.Event), ready func()) error {
	b.mu.Lock()
	waits := b.noEvents
	for _, e := range b.events {
		handle(e)
	}
	b.mu.Unlock()
	if !waits {
		ready()
	}
	<-ctx.Done()
	return ctx.Err()
}

func (b *stream) PublishMedia(_ context.Context, key, contentType string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse || contentType != "image/png" {
		return errBroken
	}
	if b.media == nil {
		b.media = map[string]string{}
	}
	b.media[key] = string(data)
	b.stored++
	return nil
}

func (b *stream) RemoveMedia(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse {
		return errBroken
	}
	delete(b.media, key)
	return nil
}

func (b *stream) MediaKeys(context.Context) (map[string]bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := map[string]bool{}
	for key := range b.media {
		keys[key] = true
	}
	return keys, nil
}

func (b *stream) banner(slug string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.events[slug]; e != nil {
		return e.Banner
	}
	return ""
}

func (b *stream) pictures() (held, stored int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.media), b.stored
}

func (b *stream) PublishCampaigns(_ context.Context, all []*campaigns.Campaign) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse {
		return errBroken
	}
	for _, c := range all {
		b.keep(c)
		b.published++
	}
	return nil
}

// keep is a message that arrives, whoever sent it. The caller holds mu.
func (b *stream) keep(c *campaigns.Campaign) {
	if b.last == nil {
		b.last = map[string]*campaigns.Campaign{}
	}
	b.last[c.Slug] = c
	for w := range b.watchers {
		w <- c
	}
}

func (b *stream) WatchCampaigns(ctx context.Context, handle func(*campaigns.Campaign), ready func()) error {
	news := make(chan *campaigns.Campaign, 1000)
	b.mu.Lock()
	for _, c := range b.last {
		handle(c)
	}
	if b.watchers == nil {
		b.watchers = map[chan *campaigns.Campaign]bool{}
	}
	b.watchers[news] = true
	b.mu.Unlock()
	ready()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-news:
			handle(c)
		}
	}
}

func (b *stream) state() (map[string]int64, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := map[string]int64{}
	for slug, c := range b.last {
		held[slug] = c.Revision
	}
	return held, b.published
}

// running runs n publishers of one database in a bubble of false time, and then do.
func running(t *testing.T, n int, d *database, b *stream, do func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range n {
			p := New(Config{}, d, b, slog.New(slog.DiscardHandler), nil)
			wg.Go(func() {
				if err := p.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		do(t)
		cancel()
		wg.Wait()
	})
}

// rounds lets every publisher look twice.
func rounds() { time.Sleep(1200 * time.Millisecond); synctest.Wait() }

func holds(t *testing.T, b *stream, want map[string]int64) {
	t.Helper()
	held, _ := b.state()
	for slug, revision := range want {
		if held[slug] != revision {
			t.Errorf("the broker holds revision %d of %s, want %d", held[slug], slug, revision)
		}
	}
}

func TestRun_PublishesWhatDiffersAndThenChanges(t *testing.T) {
	d, b := &database{}, &stream{}
	for _, slug := range []string{"a", "b", "c", "d", "e"} {
		d.put(slug, slug)
	}
	b.keep(d.all["b"]) // published by another process before
	running(t, 1, d, b, func(t *testing.T) {
		rounds()
		if _, published := b.state(); published != 4 {
			t.Errorf("published %d, want the 4 that the broker did not hold", published)
		}
		holds(t, b, map[string]int64{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
		r := d.put("c", "renamed")
		rounds()
		holds(t, b, map[string]int64{"c": r})
		if _, published := b.state(); published != 5 {
			t.Errorf("published %d, want one more", published)
		}
	})
}

func TestRun_SeveralPublishersAgree(t *testing.T) {
	d, b := &database{}, &stream{}
	running(t, 4, d, b, func(t *testing.T) {
		for range 20 {
			d.put("a", "x")
			time.Sleep(130 * time.Millisecond)
		}
		rounds()
		holds(t, b, map[string]int64{"a": 20})
	})
}

// A publisher that was frozen with an old revision in hand sends it last: whoever
// reads the stream from the start then would get the old campaign.
func TestRun_OlderNewsThatCameLateIsOverwritten(t *testing.T) {
	d, b := &database{}, &stream{}
	old := d.put("a", "old")
	stale := d.all["a"]
	newest := d.put("a", "new")
	running(t, 1, d, b, func(t *testing.T) {
		rounds()
		holds(t, b, map[string]int64{"a": newest})
		b.mu.Lock()
		b.keep(stale)
		b.mu.Unlock()
		holds(t, b, map[string]int64{"a": old})
		rounds()
		holds(t, b, map[string]int64{"a": newest})
	})
}

func TestRun_FailuresAreRepeated(t *testing.T) {
	d, b := &database{broken: true}, &stream{refuse: true}
	d.put("a", "a")
	running(t, 1, d, b, func(t *testing.T) {
		rounds()
		d.mu.Lock()
		d.broken = false
		d.mu.Unlock()
		rounds()
		if _, published := b.state(); published != 0 {
			t.Fatal("published to a broker that refuses")
		}
		b.mu.Lock()
		b.refuse = false
		b.mu.Unlock()
		rounds()
		holds(t, b, map[string]int64{"a": 1})
	})
}

// A database that came back as an older one numbers later changes above what
// front-ends hold, or they would take them for old.
func TestRun_RestoredDatabaseIsNumberedAboveTheBroker(t *testing.T) {
	d, b := &database{}, &stream{}
	d.put("a", "a")
	b.keep(&campaigns.Campaign{Slug: "a", Revision: 41})
	b.keep(&campaigns.Campaign{Slug: "made-after-the-backup", Revision: 57})
	running(t, 1, d, b, func(t *testing.T) {
		rounds()
		holds(t, b, map[string]int64{"a": 41, "made-after-the-backup": 57})
		r := d.put("a", "changed after the restore")
		if r <= 57 {
			t.Errorf("numbered %d", r)
		}
		rounds()
		holds(t, b, map[string]int64{"a": r})
	})
}

// The same when it happens while the publisher runs: the connection breaks, and
// what answers again is older.
func TestRun_DatabaseRestoredUnderneath(t *testing.T) {
	d, b := &database{}, &stream{}
	for range 9 {
		d.put("a", "a")
	}
	running(t, 1, d, b, func(t *testing.T) {
		rounds()
		holds(t, b, map[string]int64{"a": 9})
		d.mu.Lock()
		d.broken = true
		d.mu.Unlock()
		rounds()
		d.mu.Lock()
		d.broken, d.last, d.all = false, 3, map[string]*campaigns.Campaign{"a": {Slug: "a", Revision: 3}}
		d.mu.Unlock()
		rounds()
		r := d.put("a", "changed after the restore")
		rounds()
		holds(t, b, map[string]int64{"a": r})
		if r <= 9 {
			t.Errorf("numbered %d", r)
		}
	})
}

func TestRun_LooksForStubsInBothBooks(t *testing.T) {
	d, b := &database{stubs: []string{"lost"}}, &stream{}
	running(t, 1, d, b, func(t *testing.T) {
		time.Sleep(31 * time.Second)
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.asked != len(ledger.Books) {
			t.Errorf("asked %d times", d.asked)
		}
	})
}

// Published says yes only once the broker holds what the database held.
func TestPublished_WaitsForTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := &database{}, &stream{refuse: true}
		d.put("a", "a")
		p := New(Config{}, d, b, slog.New(slog.DiscardHandler), nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.Run(ctx) })
		rounds()
		if err := p.Published(); !errors.Is(err, ErrNotPublished) {
			t.Errorf("the broker refuses, and Published says %v", err)
		}
		b.mu.Lock()
		b.refuse = false
		b.mu.Unlock()
		rounds()
		if err := p.Published(); err != nil {
			t.Errorf("the broker holds all, and Published says %v", err)
		}
		cancel()
		wg.Wait()
	})
}

// What was changed is with the broker as soon as the publisher is nudged: a false
// clock that does not move shows that nothing waited for a tick.
func TestNudge_PublishesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b := &database{}, &stream{}
		p := New(Config{}, d, b, slog.New(slog.DiscardHandler), nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.Run(ctx) })
		rounds()
		time.Sleep(10 * time.Millisecond) // between two ticks
		before := time.Now()
		for range 3 {
			r := d.put("a", "closes now")
			d.event("day", "closing")
			d.picture("a picture")
			p.Nudge()
			p.Nudge() // does not block
			synctest.Wait()
			holds(t, b, map[string]int64{"a": r})
			if b.banner("day") != "closing" {
				t.Error("the giving day was not published")
			}
			if held, _ := b.pictures(); held != 1 {
				t.Errorf("%d pictures", held)
			}
		}
		if d := time.Since(before); d != 0 {
			t.Errorf("it took %v", d)
		}
		cancel()
		wg.Wait()
	})
}

func TestRun_PublishesEventsAndPictures(t *testing.T) {
	d, b := &database{}, &stream{}
	d.event("day", "first")
	for _, data := range []string{"one", "two", "three", "four", "five"} {
		d.picture(data)
	}
	b.media = map[string]string{campaigns.MediaKey([]byte("two")): "two"} // there already
	running(t, 1, d, b, func(t *testing.T) {
		rounds()
		if held, stored := b.pictures(); held != 5 || stored != 4 {
			t.Errorf("%d pictures are held, %d were published", held, stored)
		}
		d.event("day", "second")
		d.event("night", "third")
		rounds()
		if b.banner("day") != "second" || b.banner("night") != "third" {
			t.Errorf("banners %q and %q", b.banner("day"), b.banner("night"))
		}
		// A broker that lost its pictures gets them again.
		b.mu.Lock()
		clear(b.media)
		b.mu.Unlock()
		time.Sleep(picturesEvery + time.Second)
		synctest.Wait()
		if held, _ := b.pictures(); held != 5 {
			t.Errorf("%d pictures are held after they were lost", held)
		}
	})
}

// Campaigns go on while the broker knows of no giving days.
func TestRun_BrokerWithoutEvents(t *testing.T) {
	d, b := &database{}, &stream{noEvents: true}
	d.event("day", "x")
	running(t, 1, d, b, func(t *testing.T) {
		r := d.put("a", "a")
		rounds()
		holds(t, b, map[string]int64{"a": r})
	})
}

// Pictures that no campaign names for a day leave broker and database; one that is named
// again meanwhile is back at once.
func TestRun_RemovesUnusedPictures(t *testing.T) {
	d, b := &database{}, &stream{}
	for _, data := range []string{"used", "unused", "used again"} {
		d.picture(data)
	}
	running(t, 1, d, b, func(t *testing.T) {
		rounds()
		b.mu.Lock()
		b.refuse = true
		b.mu.Unlock()
		d.mu.Lock()
		d.unused, d.kept = []string{campaigns.MediaKey([]byte("unused")), campaigns.MediaKey([]byte("used again"))}, campaigns.MediaKey([]byte("used again"))
		d.mu.Unlock()
		time.Sleep(sweepEvery)
		synctest.Wait()
		d.mu.Lock()
		if len(d.media) != 3 {
			t.Error("the broker was away, and the database lost pictures that it has to remove there")
		}
		d.mu.Unlock()
		b.mu.Lock()
		b.refuse = false
		b.mu.Unlock()
		time.Sleep(sweepEvery)
		rounds()
		keys, err := b.MediaKeys(t.Context())
		want := map[string]bool{campaigns.MediaKey([]byte("used")): true, d.kept: true}
		if err != nil || !maps.Equal(keys, want) {
			t.Errorf("the broker holds %v, want %v", keys, want)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.media) != 2 {
			t.Errorf("the database holds %d pictures", len(d.media))
		}
	})
}
