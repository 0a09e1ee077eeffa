package directory

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"spillway/campaigns"
)

func TestEvent_OpenElseNextElseLast(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	day := func(slug string, starts, ends int) *campaigns.Event { // in hours from now, 0 for no bound
		e := &campaigns.Event{Slug: slug, Revision: 1}
		if starts != 0 {
			e.StartsAt = now.Add(time.Duration(starts) * time.Hour)
		}
		if ends != 0 {
			e.EndsAt = now.Add(time.Duration(ends) * time.Hour)
		}
		return e
	}
	for _, c := range []struct {
		name string
		all  []*campaigns.Event
		want string
	}{
		{"none", nil, ""},
		{"open before next and last", []*campaigns.Event{day("last", -9, -1), day("next", 1, 9), day("open", -5, 5)}, "open"},
		{"began last", []*campaigns.Event{day("ever", 0, 0), day("long", -50, 50), day("short", -1, 2)}, "short"},
		{"next", []*campaigns.Event{day("last", -9, -1), day("later", 30, 40), day("next", 20, 60)}, "next"},
		{"ended last", []*campaigns.Event{day("first", -90, -80), day("long", -99, -1), day("second", -9, -7)}, "long"},
		{"without bounds it is open", []*campaigns.Event{day("ever", 0, 0), day("next", 1, 2)}, "ever"},
		{"of two alike the first slug", []*campaigns.Event{day("b", -1, 1), day("a", -1, 1)}, "a"},
	} {
		d := New(&broker{}, func() time.Time { return now }, slog.New(slog.DiscardHandler), nil)
		for _, e := range c.all {
			d.putEvent(e)
		}
		got := ""
		if e := d.Event(); e != nil {
			got = e.Slug
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	edge := day("edge", 0, 0)
	edge.StartsAt, edge.EndsAt = now, now.Add(time.Hour)
	for at, open := range map[time.Duration]bool{-1: false, 0: true, time.Hour - 1: true, time.Hour: false} {
		other := day("other", 0, 0)
		if got := shown([]*campaigns.Event{edge, other}, now.Add(at)); (got == edge) != open {
			t.Errorf("%v after it begins: %s", at, got.Slug)
		}
	}
}

func TestPutEvent_KeepsTheHighestRevisionInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := New(&broker{}, nil, slog.New(slog.DiscardHandler), nil)
		want := map[string]int64{}
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 99)).Draw(t, "news") {
			e := &campaigns.Event{Slug: string(rune('a' + n%5)), Revision: int64(n/5 + 1)}
			d.putEvent(e)
			want[e.Slug] = max(want[e.Slug], e.Revision)
		}
		all := d.Events()
		if len(all) != len(want) || !slices.IsSortedFunc(all, func(a, b *campaigns.Event) int { return bySlug(a, b.Slug) }) {
			t.Fatalf("%d events, want %d in order", len(all), len(want))
		}
		for slug, revision := range want {
			if e, ok := d.FindEvent(slug); !ok || e.Revision != revision {
				t.Fatalf("%s: %+v, want revision %d", slug, e, revision)
			}
		}
	})
}

func TestRun_EventsAndSwitchesArrive(t *testing.T) {
	b := &broker{held: []*campaigns.Campaign{named("a", "a", 1)}}
	running(t, b, func(t *testing.T, d *Directory) {
		// Ready without a word of either.
		if err := d.Ready(); err != nil || d.Event() != nil || d.Switches() != (campaigns.Switches{}) {
			t.Errorf("%v, %+v, %+v", err, d.Event(), d.Switches())
		}
		last := d.Revision()
		rises := func(what string) {
			t.Helper()
			synctest.Wait()
			if now := d.Revision(); now <= last {
				t.Errorf("%s: the revision stays %d", what, now)
			} else {
				last = now
			}
		}
		b.events <- &campaigns.Event{Slug: "day", Name: "The day", Revision: 3}
		rises("an event")
		if e := d.Event(); e == nil || e.Name != "The day" {
			t.Errorf("%+v", e)
		}
		b.turned <- &campaigns.Switches{LiveOff: true, Revision: 7}
		rises("a switch")
		// The watches break and come back; a broker made anew counts from the start.
		b.events <- nil
		b.turned <- nil
		time.Sleep(2 * watchPause)
		b.turned <- &campaigns.Switches{FeedOff: true, Revision: 1}
		rises("a switch of a new broker")
		if s := d.Switches(); s.LiveOff || !s.FeedOff {
			t.Errorf("%+v", s)
		}
		b.news <- named("a", "b", 8)
		rises("a campaign")
		b.news <- named("a", "old", 7)
		b.turned <- &campaigns.Switches{FeedOff: true, Revision: 1}
		synctest.Wait()
		if d.Revision() != last {
			t.Errorf("the revision rose from %d to %d without a change", last, d.Revision())
		}
	})
}

func TestRevision_RisesWhenACampaignCloses(t *testing.T) {
	day := named("day", "x", 1)
	synctest.Test(t, func(*testing.T) { day.EndsAt = time.Now().Add(30 * time.Second) }) // when bubbles begin
	running(t, &broker{held: []*campaigns.Campaign{day}}, func(t *testing.T, d *Directory) {
		time.Sleep(20 * time.Second)
		synctest.Wait()
		before := d.Revision()
		time.Sleep(10*time.Second + 2*listEvery)
		synctest.Wait()
		if d.Revision() == before {
			t.Error("the campaign closed, and nothing tells")
		}
	})
}

func TestEventAndSwitches_DoNotAllocate(t *testing.T) {
	d := New(&broker{}, nil, slog.New(slog.DiscardHandler), nil)
	d.putEvent(&campaigns.Event{Slug: "day", Revision: 1})
	if n := testing.AllocsPerRun(100, func() {
		if d.Event() == nil || d.Switches().LiveOff {
			t.Fatal("lost")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
