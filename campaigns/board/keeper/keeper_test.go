package keeper_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/campaigns/board/keeper"
	"spillway/campaigns/render"
	"spillway/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is the rest of a front-end.
type front struct {
	mu       sync.Mutex
	all      []*campaigns.Campaign
	event    *campaigns.Event
	revision uint64
	totals   map[string]*render.Total
	warming  bool
	age      *render.Age
	watches  int
	walls    func(*campaigns.Wall)
	broken   chan struct{}
	renewed  [][]string // campaigns of walls, by snapshot
}

func (f *front) locked(do func()) { f.mu.Lock(); defer f.mu.Unlock(); do() }

func (f *front) All() (all []*campaigns.Campaign)  { f.locked(func() { all = f.all }); return }
func (f *front) Event() (e *campaigns.Event)       { f.locked(func() { e = f.event }); return }
func (f *front) Events() []*campaigns.Event        { return nil }
func (f *front) Revision() (n uint64)              { f.locked(func() { n = f.revision }); return }
func (f *front) Age(ledger.Book) (age *render.Age) { f.locked(func() { age = f.age }); return }
func (f *front) Renewed(walls []*campaigns.Wall) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var slugs []string
	for _, w := range walls {
		slugs = append(slugs, w.Campaign)
	}
	f.renewed = append(f.renewed, slugs)
}

func (f *front) Get(slug []byte) (*render.Total, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.warming {
		return nil, campaigns.ErrWarming
	}
	if t := f.totals[string(slug)]; t != nil {
		return t, nil
	}
	return nil, campaigns.ErrUnknown
}

func (f *front) WatchWalls(ctx context.Context, handle func(*campaigns.Wall), ready func()) error {
	f.locked(func() { f.watches++; f.walls = handle })
	ready()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.broken:
		return errors.New("broken")
	}
}

func (f *front) add(slugs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, slug := range slugs {
		f.all = append(f.all, &campaigns.Campaign{Slug: slug, Name: slug, Currency: "USD"})
		f.totals[slug] = total(slug, 1)
	}
	f.revision++
}

func total(slug string, version int64) *render.Total {
	return render.NewTotal(campaigns.Total{Campaign: slug, Currency: "USD", RaisedMinor: 100 * version, PledgedMinor: 100 * version, Donations: version, Version: version, Epoch: 1}, ledger.Live)
}

func running(t *testing.T, do func(t *testing.T, f *front, k *keeper.Keeper)) {
	synctest.Test(t, func(t *testing.T) {
		f := &front{totals: map[string]*render.Total{}, age: render.NewAge(time.Now()), broken: make(chan struct{})}
		k := keeper.New(keeper.Config{}, f, f, slog.New(slog.DiscardHandler), nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx, f, f, f) }()
		synctest.Wait()
		do(t, f, k)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestKeeper_FollowsCampaignsTotalsAndWalls(t *testing.T) {
	running(t, func(t *testing.T, f *front, k *keeper.Keeper) {
		if d := k.Snapshot(); d.All != 0 || k.Document() == nil {
			t.Errorf("at the start: %+v", d)
		}
		f.add("a", "b")
		time.Sleep(300 * time.Millisecond)
		if d := k.Snapshot(); d.All != 2 || d.Find("a").Total.RaisedMinor != 100 {
			t.Errorf("campaigns are not there with the totals that the feed knew before: %+v", d)
		}
		k.Publish([]*render.Total{total("a", 2)})
		k.Publish([]*render.Total{total("a", 3), total("b", 2)})
		k.Aged()
		f.walls(&campaigns.Wall{Campaign: "b", Donors: 5, Version: 2})
		f.walls(&campaigns.Wall{Campaign: "b", Donors: 4, Version: 1}) // came late
		f.walls(&campaigns.Wall{Campaign: campaigns.DayWall, Donors: 6, Version: 1})
		f.walls(&campaigns.Wall{Campaign: "No Slug", Donors: 6, Version: 1})
		version := k.Snapshot().Version
		time.Sleep(300 * time.Millisecond)
		d := k.Snapshot()
		if d.Version != version+1 {
			t.Errorf("%d snapshots for one round of news", d.Version-version)
		}
		if d.Totals[0].RaisedMinor != 500 || k.Wall("b").Donors != 5 || k.Wall(campaigns.DayWall).Donors != 6 || k.Wall("nobody") != nil || k.Name("b") != "b" || k.Name("nobody") != "" {
			t.Errorf("%+v", d)
		}
		f.locked(func() {
			if last := f.renewed[len(f.renewed)-1]; len(last) != 2 {
				t.Errorf("viewers are told of %v", last)
			}
		})
		f.locked(func() { f.event = &campaigns.Event{Slug: "day", Name: "Day"} }) // begins by the clock
		time.Sleep(300 * time.Millisecond)
		if e := k.Snapshot().Event; e == nil || e.Slug != "day" {
			t.Errorf("event %v", e)
		}
	})
}

func TestKeeper_WaitsForTotalsThatAreNotWarm(t *testing.T) {
	running(t, func(t *testing.T, f *front, k *keeper.Keeper) {
		f.locked(func() { f.warming = true })
		f.add("a")
		time.Sleep(time.Second)
		if d := k.Snapshot(); d.All != 1 || d.Find("a").Total.Version != 0 {
			t.Errorf("%+v", d.Find("a"))
		}
		f.locked(func() { f.warming = false })
		time.Sleep(300 * time.Millisecond)
		if e := k.Snapshot().Find("a"); e.Total.Version != 1 {
			t.Errorf("%+v", e)
		}
	})
}

func TestKeeper_OneSnapshotEachQuarterSecondAtMost(t *testing.T) {
	running(t, func(t *testing.T, f *front, k *keeper.Keeper) {
		f.add("a")
		time.Sleep(300 * time.Millisecond)
		before := k.Snapshot().Version
		for v := int64(2); v < 1002; v++ {
			k.Publish([]*render.Total{total("a", v)})
			time.Sleep(time.Millisecond)
		}
		if n := k.Snapshot().Version - before; n < 3 || n > 5 {
			t.Errorf("%d snapshots in a second", n)
		}
		time.Sleep(300 * time.Millisecond)
		d := k.Snapshot()
		if d.Find("a").Total.Version != 1001 {
			t.Errorf("ended at %+v", d.Find("a").Total)
		}
		// Without news only the age moves.
		f.locked(func() { f.age = render.NewAge(time.Now()) })
		time.Sleep(300 * time.Millisecond)
		if now := k.Snapshot(); now.Version != d.Version || !now.AsOf.After(d.AsOf) || !k.Document().Age().AsOf.Equal(now.AsOf) {
			t.Errorf("version %d, as of %v, before %d, %v", now.Version, now.AsOf, d.Version, d.AsOf)
		}
	})
}

// An age that was read with a snapshot never speaks of a total that is not in it.
func TestKeeper_AgeNeverOutrunsTheTotals(t *testing.T) {
	running(t, func(t *testing.T, f *front, k *keeper.Keeper) {
		f.add("a")
		time.Sleep(300 * time.Millisecond)
		published := map[time.Time]int64{} // the age that speaks of a version
		for v := int64(2); v < 400; v++ {
			k.Publish([]*render.Total{total("a", v)})
			at := time.Now()
			published[at] = v
			f.locked(func() { f.age = render.NewAge(at) })
			k.Aged()
			time.Sleep(7 * time.Millisecond)
			d := k.Snapshot()
			if spoken := published[d.AsOf]; d.Find("a").Total.Version < spoken {
				t.Fatalf("as of %v with version %d, want %d", d.AsOf, d.Find("a").Total.Version, spoken)
			}
		}
	})
}

func TestKeeper_FollowsWallsAgain(t *testing.T) {
	running(t, func(t *testing.T, f *front, k *keeper.Keeper) {
		f.add("a")
		f.broken <- struct{}{}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		f.locked(func() {
			if f.watches != 2 {
				t.Errorf("%d watches", f.watches)
			}
		})
		f.walls(&campaigns.Wall{Campaign: "a", Donors: 5, Version: 2})
		time.Sleep(300 * time.Millisecond)
		if w := k.Wall("a"); w.Donors != 5 {
			t.Errorf("%+v", w)
		}
	})
}
