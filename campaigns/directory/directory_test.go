package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/campaigns/render"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a Source: what it holds, and news.
type broker struct {
	mu      sync.Mutex
	held    []*campaigns.Campaign
	watches int
	fail    bool
	news    chan *campaigns.Campaign // made in the bubble
	events  chan *campaigns.Event    // likewise
	turned  chan *campaigns.Switches // likewise
}

// WatchEvents is of a broker that has no giving days yet.
func (b *broker) WatchEvents(ctx context.Context, handle func(*campaigns.Event), _ func()) error {
	return hear(ctx, b.events, handle)
}

func (b *broker) WatchSwitches(ctx context.Context, handle func(*campaigns.Switches), _ func()) error {
	return hear(ctx, b.turned, handle)
}

// hear hands on what comes; a nil breaks the watch.
func hear[T any](ctx context.Context, news <-chan *T, handle func(*T)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case v := <-news:
			if v == nil {
				return errors.New("cut off")
			}
			handle(v)
		}
	}
}

func (b *broker) WatchCampaigns(ctx context.Context, handle func(*campaigns.Campaign), ready func()) error {
	b.mu.Lock()
	b.watches++
	held, fail := b.held, b.fail
	b.mu.Unlock()
	if fail {
		return errors.New("broken")
	}
	for _, c := range held {
		handle(c)
	}
	ready()
	return hear(ctx, b.news, handle)
}

func named(slug, name string, revision int64) *campaigns.Campaign {
	return &campaigns.Campaign{Slug: slug, Name: name, Currency: "USD", Revision: revision}
}

// running runs a Directory in a bubble of false time.
func running(t *testing.T, b *broker, do func(t *testing.T, d *Directory)) {
	synctest.Test(t, func(t *testing.T) {
		b.news, b.events, b.turned = make(chan *campaigns.Campaign), make(chan *campaigns.Event), make(chan *campaigns.Switches)
		d := New(b, nil, slog.New(slog.DiscardHandler), nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		synctest.Wait()
		do(t, d)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// listed returns "slug phase" of the first page.
func listed(t *testing.T, d *Directory) (all []string) {
	t.Helper()
	var page struct {
		Campaigns []struct{ Slug, Phase string }
	}
	if err := json.Unmarshal(d.Listing().AppendPage(nil, render.Cursor{}, render.PageSizeMax), &page); err != nil {
		t.Fatal(err)
	}
	for _, c := range page.Campaigns {
		all = append(all, c.Slug+" "+c.Phase)
	}
	return all
}

func TestRun_LoadsThenFollows(t *testing.T) {
	b := &broker{held: []*campaigns.Campaign{named("a", "old", 1), named("b", "b", 2)}}
	running(t, b, func(t *testing.T, d *Directory) {
		if err := d.Ready(); err != nil {
			t.Fatal(err)
		}
		<-d.Loaded()
		if got := fmt.Sprint(listed(t, d)); got != "[a open b open]" {
			t.Errorf("listed %s", got)
		}
		b.news <- named("a", "new", 3)
		b.news <- named("c", "c", 4)
		time.Sleep(2 * listEvery)
		synctest.Wait()
		if c, ok := d.Lookup([]byte("a")); !ok || c.Name != "new" {
			t.Errorf("%+v, %v", c, ok)
		}
		if got := fmt.Sprint(listed(t, d)); got != "[a open b open c open]" || len(d.All()) != 3 {
			t.Errorf("listed %s, %d in all", got, len(d.All()))
		}
		if _, ok := d.Lookup([]byte("nobody")); ok {
			t.Error("found nobody")
		}
	})
}

func TestRun_NotReadyBeforeEverythingWasRead(t *testing.T) {
	b := &broker{fail: true}
	running(t, b, func(t *testing.T, d *Directory) {
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if err := d.Ready(); !errors.Is(err, campaigns.ErrWarming) {
			t.Errorf("without a broker: %v", err)
		}
		if b.watches < 5 {
			t.Errorf("tried %d times", b.watches)
		}
		b.mu.Lock()
		b.fail, b.held = false, []*campaigns.Campaign{named("a", "a", 1)}
		b.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := d.Ready(); err != nil {
			t.Errorf("with one: %v", err)
		}
	})
}

func TestRun_AWatchThatEndsIsBegunAgain(t *testing.T) {
	b := &broker{held: []*campaigns.Campaign{named("a", "old", 1)}}
	running(t, b, func(t *testing.T, d *Directory) {
		b.mu.Lock()
		b.held = []*campaigns.Campaign{named("a", "new", 2)}
		b.mu.Unlock()
		b.news <- nil
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if c, _ := d.Find("a"); c.Name != "new" || b.watches != 2 {
			t.Errorf("%+v after %d watches", c, b.watches)
		}
	})
}

func TestListing_PhasesChangeByThemselves(t *testing.T) {
	day := named("day", "x", 1)
	ever := named("ever", "x", 2)
	synctest.Test(t, func(t *testing.T) { // only to learn when bubbles begin
		day.StartsAt = time.Now().Add(90 * time.Minute)
		day.EndsAt = time.Now().Add(25 * time.Hour)
	})
	running(t, &broker{held: []*campaigns.Campaign{day, ever}}, func(t *testing.T, d *Directory) {
		for _, step := range []struct {
			wait time.Duration
			want string
		}{
			{0, "[ever open day upcoming]"},
			{90*time.Minute - time.Second, "[ever open day upcoming]"},
			{time.Second + 2*listEvery, "[day open ever open]"},
			{24 * time.Hour, "[ever open day closed]"},
		} {
			time.Sleep(step.wait)
			synctest.Wait()
			if got := fmt.Sprint(listed(t, d)); got != step.want {
				t.Errorf("after %v more: %s, want %s", step.wait, got, step.want)
			}
		}
	})
}

func TestPut_KeepsTheHighestRevisionInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := New(&broker{}, nil, slog.New(slog.DiscardHandler), nil)
		want := map[string]int64{}
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 999)).Draw(t, "news") {
			slug, revision := fmt.Sprintf("c%d", n%10), int64(n/10+1)
			d.put(named(slug, "x", revision))
			want[slug] = max(want[slug], revision)
		}
		for slug, revision := range want {
			if c, ok := d.Find(slug); !ok || c.Revision != revision {
				t.Fatalf("%s: %+v, want revision %d", slug, c, revision)
			}
		}
		if len(d.All()) != len(want) || d.count.Load() != int64(len(want)) {
			t.Fatalf("%d campaigns, want %d", len(d.All()), len(want))
		}
	})
}

func TestPut_LeavesOutWhatIsNoSlug(t *testing.T) {
	d := New(&broker{}, nil, slog.New(slog.DiscardHandler), nil)
	d.put(named("Not A Slug", "x", 1))
	if len(d.All()) != 0 {
		t.Errorf("holds %v", d.All())
	}
}

func TestLookup_DoesNotAllocate(t *testing.T) {
	d := New(&broker{}, nil, slog.New(slog.DiscardHandler), nil)
	d.put(named("river-school", "x", 1))
	slug := []byte("river-school")
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := d.Lookup(slug); !ok {
			t.Fatal("lost")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Readers go on while campaigns change; for the race detector.
func TestLookup_WhileCampaignsChange(t *testing.T) {
	d := New(&broker{}, nil, slog.New(slog.DiscardHandler), nil)
	d.put(named("a", "x", 1))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var last int64
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, ok := d.Lookup([]byte("a"))
				if !ok || c.Revision < last {
					t.Errorf("revision %d after %d", c.Revision, last)
					return
				}
				last = c.Revision
			}
		})
	}
	for revision := range int64(2000) {
		d.put(named("a", "x", revision))
		d.put(named(fmt.Sprintf("c%d", revision), "x", 1))
	}
	close(stop)
	readers.Wait()
}

func BenchmarkLookup(b *testing.B) {
	d := New(&broker{}, nil, slog.New(slog.DiscardHandler), nil)
	for i := range 10_000 {
		d.put(named(fmt.Sprintf("campaign-%d", i), "x", 1))
	}
	slug := []byte("campaign-4711")
	b.ReportAllocs()
	for b.Loop() {
		d.Lookup(slug)
	}
}

func BenchmarkPut(b *testing.B) {
	d := New(&broker{}, nil, slog.New(slog.DiscardHandler), nil)
	for i := range 10_000 {
		d.put(named(fmt.Sprintf("campaign-%d", i), "x", 1))
	}
	revision := int64(1)
	for b.Loop() {
		revision++
		d.put(named("campaign-4711", "x", revision))
	}
}
