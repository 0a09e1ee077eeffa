package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// heard keeps the last of each name that a watch told.
type heard[T any] struct {
	mu    sync.Mutex
	last  map[string]T
	ready bool
}

// listen runs a watch and keeps what it tells.
func listen[T any](t testing.TB, watch func(context.Context, func(T), func()) error, name func(T) string) *heard[T] {
	t.Helper()
	h := &heard[T]{last: make(map[string]T)}
	run(t, func(ctx context.Context) error {
		return watch(ctx, func(v T) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.last[name(v)] = v
		}, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.ready = true
		})
	})
	return h
}

func (h *heard[T]) isReady() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.ready }

func (h *heard[T]) of(name string) T { h.mu.Lock(); defer h.mu.Unlock(); return h.last[name] }

func eventSlug(e *campaigns.Event) string    { return e.Slug }
func wallOf(w *campaigns.Wall) string        { return w.Campaign }
func theSwitches(*campaigns.Switches) string { return "" }
func day(revision int64) *campaigns.Event {
	return &campaigns.Event{Slug: "day", Name: "Day", TimeZone: "UTC", Revision: revision}
}
func wall(c string, version int64) *campaigns.Wall {
	return &campaigns.Wall{
		Campaign: c, Donors: version, Version: version, AsOf: time.Unix(1_800_000_000, 0).UTC(),
		Gifts: []campaigns.Gift{{Ref: "r", Campaign: "a", Name: "Ada", AmountMinor: 5000, Currency: "USD", At: time.Unix(1_800_000_000, 0).UTC()}},
	}
}

func TestEvents_NeverGoBack(t *testing.T) {
	b := brokertest.New(t)
	early := listen(t, b.WatchEvents, eventSlug)
	eventually(t, "ready without events", early.isReady)
	var wg sync.WaitGroup
	const last = 20
	for revision := range int64(last) {
		wg.Go(func() {
			if err := b.PublishEvent(t.Context(), day(revision+1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, h := range []*heard[*campaigns.Event]{early, listen(t, b.WatchEvents, eventSlug)} {
		eventually(t, "the last revision", func() bool { e := h.of("day"); return e != nil && e.Revision == last })
	}
	if d := cmp.Diff(day(last), early.of("day")); d != "" {
		t.Error(d)
	}
}

// Of two people who switch at once the second is told, and asks again.
func TestSwitches_OneAfterTheOther(t *testing.T) {
	b := brokertest.New(t)
	h := listen(t, b.WatchSwitches, theSwitches)
	eventually(t, "ready without switches", h.isReady)
	if s, err := b.Switches(t.Context()); err != nil || *s != (campaigns.Switches{}) {
		t.Errorf("before anybody switched: %+v, %v", s, err)
	}
	const people = 8
	var wg sync.WaitGroup
	for i := range people {
		wg.Go(func() {
			for {
				s, err := b.Switches(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				s.Revision++
				s.ChangedBy += fmt.Sprint(i)
				switch err := b.PublishSwitches(t.Context(), s); {
				case errors.Is(err, campaigns.ErrOvertaken):
					continue
				case err != nil:
					t.Error(err)
				}
				return
			}
		})
	}
	wg.Wait()
	got, err := b.Switches(t.Context())
	if err != nil || got.Revision != people || len(got.ChangedBy) != people {
		t.Errorf("after %d changes: %+v, %v", people, got, err)
	}
	eventually(t, "the last change", func() bool { s := h.of(""); return s != nil && *s == *got })
	if err := b.PublishSwitches(t.Context(), got); err != nil {
		t.Errorf("the same again, its answer was lost: %v", err)
	}
	other := *got
	other.LiveOff = true
	if err := b.PublishSwitches(t.Context(), &other); !errors.Is(err, campaigns.ErrOvertaken) {
		t.Errorf("another of the same revision: %v", err)
	}
}

func TestMedia(t *testing.T) {
	s := brokertest.Start(t)
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	largest := bytes.Repeat([]byte{7}, campaigns.MediaBytesMax)
	keys := map[string]bool{}
	for _, data := range [][]byte{[]byte("a picture"), largest, []byte("a picture")} {
		key := campaigns.MediaKey(data)
		keys[key] = true
		if err := b.PublishMedia(t.Context(), key, "image/webp", data); err != nil {
			t.Fatal(err)
		}
		contentType, got, err := b.Media(t.Context(), key)
		if err != nil || contentType != "image/webp" || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %d bytes, %v", key, contentType, len(got), err)
		}
	}
	if got, err := b.MediaKeys(t.Context()); err != nil || cmp.Diff(keys, got) != "" {
		t.Errorf("keys %v, %v", got, err)
	}
	stream, err := asOperator(t, s).Stream(t.Context(), "MEDIA")
	if err != nil || stream.CachedInfo().State.LastSeq != 2 {
		t.Errorf("stored %d times, %v", stream.CachedInfo().State.LastSeq, err)
	}
	for range 2 { // the second finds nothing to do
		if err := b.RemoveMedia(t.Context(), campaigns.MediaKey([]byte("a picture"))); err != nil {
			t.Fatal(err)
		}
		if got, err := b.MediaKeys(t.Context()); err != nil || len(got) != 1 || !got[campaigns.MediaKey(largest)] {
			t.Errorf("after one was removed: %v, %v", got, err)
		}
	}
	if err := b.RemoveMedia(t.Context(), ">"); !errors.Is(err, campaigns.ErrInvalid) {
		t.Errorf("all at once: %v", err)
	}
	if err := b.PublishMedia(t.Context(), campaigns.MediaKey([]byte("a picture")), "image/webp", []byte("a picture")); err != nil {
		t.Errorf("published again: %v", err)
	}
	for name, key := range map[string]string{"unknown": campaigns.MediaKey([]byte("other")), "no key": ">", "empty": ""} {
		if _, _, err := b.Media(t.Context(), key); !errors.Is(err, campaigns.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]campaigns.Media{
		"too large": {Key: campaigns.MediaKey(append(largest, 0)), ContentType: "image/png", Data: append(largest, 0)},
		"wrong key": {Key: campaigns.MediaKey(nil), ContentType: "image/png", Data: []byte{1}},
		"a script":  {Key: campaigns.MediaKey([]byte{1}), ContentType: "text/html", Data: []byte{1}},
	} {
		if err := b.PublishMedia(t.Context(), c.Key, c.ContentType, c.Data); !errors.Is(err, campaigns.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What somebody else put there is not served from our origin.
	forged := campaigns.MediaKey([]byte("forged"))
	if _, err := asOperator(t, s).PublishMsg(t.Context(), &nats.Msg{Subject: "media.v1." + forged,
		Data: []byte("<script>"), Header: nats.Header{"Content-Type": {"text/html"}}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Media(t.Context(), forged); !errors.Is(err, campaigns.ErrUnknown) {
		t.Errorf("a forged one: %v", err)
	}
}

// TestWalls_SurviveTheirStream follows walls through a restart of the broker, which
// loses their stream: who leads is told so, publishes all again, and watchers go on.
func TestWalls_SurviveTheirStream(t *testing.T) {
	t.Parallel()
	process := brokertest.StartProcess(t)
	b := process.New()
	h := listen(t, process.Connect().WatchWalls, wallOf)
	eventually(t, "ready without walls", h.isReady)
	fresh, err := b.EnsureWalls(t.Context())
	if err != nil || !fresh {
		t.Errorf("nothing published: fresh %v, %v", fresh, err)
	}
	publish := func(version int64) {
		t.Helper()
		all := []*campaigns.Wall{wall(campaigns.DayWall, version)}
		for i := range 300 {
			all = append(all, wall(fmt.Sprintf("c%d", i), version))
		}
		if err := b.PublishWalls(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		for _, w := range []*campaigns.Wall{all[0], all[300]} {
			eventually(t, "walls are seen", func() bool { return cmp.Equal(h.of(w.Campaign), w) })
		}
		late := listen(t, b.WatchWalls, wallOf)
		eventually(t, "a late watcher is ready", late.isReady)
		if got := late.of("c299"); got == nil || got.Version != version {
			t.Errorf("a late watcher was told %+v", got)
		}
	}
	publish(1)
	publish(2)
	if fresh, err = b.EnsureWalls(t.Context()); err != nil || fresh {
		t.Errorf("published: fresh %v, %v", fresh, err)
	}
	process.Kill()
	process.Start()
	eventually(t, "the stream is made anew", func() bool {
		fresh, err = b.EnsureWalls(t.Context())
		return err == nil
	})
	if !fresh {
		t.Error("a stream that was lost is said to hold walls")
	}
	publish(3)
	if err := b.PublishWalls(t.Context(), []*campaigns.Wall{wall("a", 1), wall("A b", 1)}); err == nil {
		t.Error("a wall of no slug was published")
	}
}

// TestPages_BrokerOfBefore lets a front-end of this build read a broker whose streams
// a build of before has made: it waits for what is not there, and goes on when it is.
func TestPages_BrokerOfBefore(t *testing.T) {
	s := brokertest.Start(t)
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	js := asOperator(t, s)
	for _, stream := range []string{"EVENTS", "SWITCHES", "MEDIA", "WALLS"} {
		if err := js.DeleteStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	gate := b.NewGate(nil)
	run(t, gate.Run)
	events, switches, walls := listen(t, b.WatchEvents, eventSlug), listen(t, b.WatchSwitches, theSwitches), listen(t, b.WatchWalls, wallOf)
	all := watchCampaigns(t, b)
	eventually(t, "campaigns are read", all.isReady)
	eventually(t, "donations are taken", func() bool { return gate.Ready() == nil })
	if events.isReady() || switches.isReady() || walls.isReady() {
		t.Error("ready without a stream")
	}
	if _, _, err := b.Media(t.Context(), campaigns.MediaKey(nil)); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a picture: %v", err)
	}
	if _, err := b.Switches(t.Context()); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("switches: %v", err)
	}
	if err := b.PublishEvent(t.Context(), day(1)); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("an event: %v", err)
	}
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.PublishEvent(t.Context(), day(1)), b.PublishSwitches(t.Context(), &campaigns.Switches{Revision: 1}),
		b.PublishWalls(t.Context(), []*campaigns.Wall{wall("a", 1)})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything is read", func() bool {
		return events.of("day") != nil && switches.of("") != nil && walls.of("a") != nil
	})
}

// Streams that only pages need never keep the money from being taken.
func TestEnsureTopology_GoesOnWithoutPages(t *testing.T) {
	s := brokertest.Start(t)
	js := asOperator(t, s)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "WALLS", Subjects: []string{"walls.>"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.v1.>"}}); err != nil {
		t.Fatal(err)
	}
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Errorf("refused: %v", err)
	}
	if _, err := b.EnsureWalls(t.Context()); !errors.Is(err, broker.ErrTopology) {
		t.Errorf("walls: %v", err)
	}
	if state, err := b.Inspect(t.Context(), ledger.Live, 0); err != nil || len(state.Faults) > 0 {
		t.Errorf("%+v, %v", state, err)
	}
	if _, err := js.Stream(t.Context(), "MEDIA"); err != nil {
		t.Errorf("one that is right was not made: %v", err)
	}
}

// BenchmarkPublishWalls is a second of a busy day: so many campaigns have news.
func BenchmarkPublishWalls1000(b *testing.B) {
	broker := brokertest.New(b)
	var all []*campaigns.Wall
	for i := range 1000 {
		w := wall(fmt.Sprintf("c%d", i), 1)
		for len(w.Gifts) < campaigns.WallGiftsMax {
			w.Gifts = append(w.Gifts, w.Gifts[0])
		}
		all = append(all, w)
	}
	for b.Loop() {
		if err := broker.PublishWalls(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
}
