package cache_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"spillway/cache"
	"spillway/campaigns"
	"spillway/campaigns/render"
	"spillway/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func total(slug string, version int64) *render.Total {
	return render.NewTotal(campaigns.Total{Campaign: slug, Currency: "USD", Donations: version, Version: version, Epoch: 1}, ledger.Live)
}

// table is a Source: the place of each campaign.
type table struct {
	mu    sync.Mutex
	all   map[string]*render.Live
	loads atomic.Int64
	gate  chan struct{} // when set, a load answers after a receive
}

func newTable() *table { return &table{all: map[string]*render.Live{}} }

// set shows t, as the feed does.
func (s *table) set(t *render.Total) *render.Live {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.all[t.Campaign]
	if l == nil {
		l = render.NewLive(t)
		s.all[t.Campaign] = l
	}
	l.Advance(t)
	return l
}

func (s *table) Load(slug string) (*render.Live, error) {
	s.mu.Lock()
	l := s.all[slug]
	s.mu.Unlock()
	s.loads.Add(1)
	if s.gate != nil {
		<-s.gate
	}
	if l == nil {
		return nil, campaigns.ErrUnknown
	}
	return l, nil
}

func open(t testing.TB, cfg cache.Config, s cache.Source) (*cache.Totals, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	c, err := cache.New(cfg, s, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, reg
}

func get(t testing.TB, c *cache.Totals, slug string) *render.Total {
	t.Helper()
	got, err := c.Get([]byte(slug))
	if err != nil {
		t.Fatalf("%s: %v", slug, err)
	}
	return got
}

// counter reads one metric.
func counter(t testing.TB, reg *prometheus.Registry, name string) int64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return int64(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestPut_IsWhatGetGives(t *testing.T) {
	s := newTable()
	c, reg := open(t, cache.Config{}, s)
	var places []*render.Live
	for i := range 10_000 { // a warm start, more than two chunks
		places = append(places, s.set(total(fmt.Sprintf("c%d", i), 1)))
	}
	c.Put(places)
	for _, l := range places {
		if got := get(t, c, l.Slug()); got != l.Total() {
			t.Fatalf("%s: %+v", l.Slug(), got)
		}
	}
	if n := s.loads.Load(); n != 0 {
		t.Errorf("%d totals had to be loaded", n)
	}
	if n := counter(t, reg, "cache_totals_hits_total"); n != 10_000 {
		t.Errorf("counted %d hits", n)
	}
	if n := counter(t, reg, "cache_totals_dropped_total"); n != 0 {
		t.Errorf("%d were dropped", n)
	}
}

func TestGet_FollowsTheTotalForward(t *testing.T) {
	s := newTable()
	c, _ := open(t, cache.Config{}, s)
	v5, v6 := total("a", 5), total("a", 6)
	restored := render.NewTotal(campaigns.Total{Campaign: "a", Currency: "USD", Version: 2, Epoch: 2}, ledger.Live)
	for _, step := range []struct{ show, want *render.Total }{{v5, v5}, {v6, v6}, {v5, v6}, {restored, restored}, {v6, restored}} {
		c.Put([]*render.Live{s.set(step.show)})
		if got := get(t, c, "a"); got != step.want {
			t.Errorf("after %+v: %+v", step.show.Position(), got.Position())
		}
	}
}

// A cache with room for few: ristretto refuses and evicts most, and every answer
// is right all the same.
func TestGet_DroppedSetsAreHarmless(t *testing.T) {
	s := newTable()
	c, reg := open(t, cache.Config{TotalsMax: 8}, s)
	for version := int64(1); version <= 20; version++ {
		var places []*render.Live
		for i := range 200 {
			places = append(places, s.set(total(fmt.Sprintf("c%d", i), version)))
		}
		c.Put(places)
		for _, l := range places {
			if got := get(t, c, l.Slug()); got.Version != version {
				t.Fatalf("%s: version %d, want %d", l.Slug(), got.Version, version)
			}
		}
	}
	if n := counter(t, reg, "cache_totals_dropped_total"); n < 3000 {
		t.Errorf("only %d of 4,000 were dropped: this test shows nothing", n)
	}
}

// Readers must not see a version go back, nor one older than what was published
// before they asked, while the cache is much too small and misses are loaded. (A
// cache of the totals themselves failed here: a new key that ristretto took in
// late showed a total older than what a miss had been answered with.)
func TestGet_NeverGoesBack(t *testing.T) {
	for _, room := range []int64{4, 1000} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			const campaignCount = 32
			s := newTable()
			c, _ := open(t, cache.Config{TotalsMax: room}, s)
			slugs := make([]string, campaignCount)
			for i := range slugs {
				slugs[i] = fmt.Sprintf("c%d", i)
				s.set(total(slugs[i], 0))
			}
			var published atomic.Int64 // as an age is: after the totals
			stop := make(chan struct{})
			var readers sync.WaitGroup
			for range 4 {
				readers.Go(func() {
					last := map[string]int64{}
					for {
						select {
						case <-stop:
							return
						default:
						}
						slug := slugs[rand.IntN(campaignCount)]
						least := published.Load()
						got, err := c.Get([]byte(slug))
						if err != nil {
							t.Error(err)
							return
						}
						if got.Version < least || got.Version < last[slug] {
							t.Errorf("%s: version %d after %d, with %d published", slug, got.Version, last[slug], least)
							return
						}
						last[slug] = got.Version
					}
				})
			}
			for version := int64(1); version <= 200; version++ {
				places := make([]*render.Live, campaignCount)
				for i, slug := range slugs {
					places[i] = s.set(total(slug, version))
				}
				c.Put(places)
				published.Store(version)
			}
			close(stop)
			readers.Wait()
		})
	}
}

func TestGet_OneLoadForAllWaiters(t *testing.T) {
	s := newTable()
	s.gate = make(chan struct{})
	s.set(total("a", 7))
	c, reg := open(t, cache.Config{}, s)
	const waiters = 50
	var wg sync.WaitGroup
	for range waiters {
		wg.Go(func() {
			if got, err := c.Get([]byte("a")); err != nil || got.Version != 7 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	for counter(t, reg, "cache_totals_misses_total") < waiters {
	}
	close(s.gate)
	wg.Wait()
	// A waiter may have been counted and not have joined when the gate opened.
	if n := s.loads.Load(); n > 3 {
		t.Errorf("%d loads for %d waiters", n, waiters)
	}
}

// A load that was under way before a publication leads to what was published.
func TestGet_ALoadFromBeforeLeadsToTheNewest(t *testing.T) {
	s := newTable()
	s.gate = make(chan struct{})
	s.set(total("a", 1))
	c, reg := open(t, cache.Config{}, s)
	answers := make(chan *render.Total, 2)
	ask := func() { got, _ := c.Get([]byte("a")); answers <- got }
	go ask()
	for s.loads.Load() == 0 { // it has read the table and waits
	}
	s.set(total("a", 2))
	go ask()
	for counter(t, reg, "cache_totals_misses_total") < 2 {
	}
	close(s.gate)
	for range 2 {
		if got := <-answers; got.Version != 2 {
			t.Errorf("version %d", got.Version)
		}
	}
}

func TestGet_PassesErrorsOnAndForgetsThem(t *testing.T) {
	s := newTable()
	c, _ := open(t, cache.Config{}, s)
	if _, err := c.Get([]byte("a")); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	s.set(total("a", 1))
	if got := get(t, c, "a"); got.Version != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestClose_ReadsGoOn(t *testing.T) {
	s := newTable()
	c, err := cache.New(cache.Config{}, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Put([]*render.Live{s.set(total("a", 1))})
	c.Close()
	c.Put([]*render.Live{s.set(total("a", 1))})
	if got := get(t, c, "a"); got.Version != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestNew_BoundBelowOneIsTheDefault(t *testing.T) {
	s := newTable()
	c, _ := open(t, cache.Config{TotalsMax: -5}, s)
	c.Put([]*render.Live{s.set(total("a", 1)), s.set(total("b", 1))})
	get(t, c, "a")
	get(t, c, "b")
	if n := s.loads.Load(); n != 0 {
		t.Errorf("%d loads", n)
	}
}

func BenchmarkGet(b *testing.B) {
	s := newTable()
	c, _ := open(b, cache.Config{}, s)
	slug := []byte("river-school")
	c.Put([]*render.Live{s.set(total(string(slug), 1))})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Get(slug); err != nil {
				b.Fatal(err)
			}
		}
	})
}
