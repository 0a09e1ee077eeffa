package broker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/campaigns"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// rows makes n rows; about 30 bytes each on the wire with a short slug.
func rows(n int, version int64) []campaigns.SlotRow {
	all := make([]campaigns.SlotRow, n)
	for i := range all {
		all[i] = campaigns.SlotRow{
			Campaign: fmt.Sprintf("campaign-with-a-rather-long-slug-%d", i), Currency: "USD",
			PledgedMinor: version * 1000, RaisedMinor: -version, Donations: version, Version: version,
		}
	}
	return all
}

func head(slot int32, number int64) campaigns.FrameHead {
	return campaigns.FrameHead{
		Book: ledger.Live, Slot: slot, Epoch: 1, Term: 3, Number: number,
		CountedThrough: time.Unix(1_800_000_000, number).UTC(),
	}
}

// reader collects frames.
type reader struct {
	mu     sync.Mutex
	frames []*campaigns.Frame
}

func (r *reader) handle(f *campaigns.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, f)
}

func (r *reader) all() []*campaigns.Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames)
}

func readFrames(t testing.TB, b *broker.Broker) *reader {
	t.Helper()
	r := &reader{}
	run(t, func(ctx context.Context) error { return b.ReadFrames(ctx, r.handle) })
	return r
}

func TestFrames_InOrderFromTheStartOfWhatIsKept(t *testing.T) {
	b := brokertest.New(t)
	var want []*campaigns.Frame
	send := func(f *campaigns.Frame) {
		t.Helper()
		if err := b.PublishFrame(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		want = append(want, f)
	}
	send(&campaigns.Frame{FrameHead: head(0, 1), Rows: rows(3, 1)})
	send(&campaigns.Frame{FrameHead: head(1, 1)})
	r := readFrames(t, b)
	eventually(t, "the frames before it", func() bool { return len(r.all()) == 2 })
	// Larger than a message: 30,000 rows take about 2 MiB, in four parts or more.
	send(&campaigns.Frame{FrameHead: head(0, 2), Rows: rows(30_000, 2)})
	closing := head(1, 2)
	closing.Closed = true
	send(&campaigns.Frame{FrameHead: closing})
	eventually(t, "the frames after it", func() bool { return len(r.all()) == len(want) })
	if diff := cmp.Diff(want, r.all()); diff != "" {
		t.Errorf("-sent +read:\n%.2000s", diff)
	}
	late := readFrames(t, b)
	eventually(t, "a late reader", func() bool { return len(late.all()) == len(want) })
}

// TestFrames_ReadersSurvive lets readers follow two writers through cut
// connections, restarts and kills of the broker: every frame that was published
// is read, in its slot's order, and none twice.
func TestFrames_ReadersSurvive(t *testing.T) {
	t.Parallel()
	process := brokertest.StartProcess(t)
	b := process.New()
	readers := []*reader{readFrames(t, b), readFrames(t, process.Connect())}
	var mu sync.Mutex
	published := make(map[int32][]int64)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for slot := range int32(2) {
		writer := process.Connect()
		wg.Go(func() {
			for number := int64(1); ctx.Err() == nil; number++ {
				f := &campaigns.Frame{FrameHead: head(slot, number), Rows: rows(rand.IntN(20), number)}
				if err := writer.PublishFrame(ctx, f); err == nil {
					mu.Lock()
					published[slot] = append(published[slot], number)
					mu.Unlock()
				}
				time.Sleep(time.Millisecond) // as a ticker would
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(published[0])
	}
	for range 3 {
		before := count()
		eventually(t, "frames flow", func() bool { return count() > before+50 })
		process.Kill()
		process.Start()
	}
	before := count()
	eventually(t, "frames flow again", func() bool { return count() > before+50 })
	cancel()
	wg.Wait()
	for i, r := range readers {
		for slot, want := range published {
			var got []int64
			eventually(t, "the last frame is read", func() bool {
				got = got[:0]
				for _, f := range r.all() {
					if f.Slot == slot {
						got = append(got, f.Number)
					}
				}
				return len(got) > 0 && got[len(got)-1] >= want[len(want)-1]
			})
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("reader %d, slot %d: out of order or twice", i, slot)
			}
			for _, number := range want {
				if _, found := slices.BinarySearch(got, number); !found {
					t.Errorf("reader %d, slot %d: frame %d is missing", i, slot, number)
				}
			}
		}
	}
}

func TestFrames_PurgedOrMadeAnew(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t)
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	js := asOperator(t, s)
	r := readFrames(t, b)
	number := int64(0)
	sees := func(what string) {
		t.Helper()
		number++
		if err := b.PublishFrame(t.Context(), &campaigns.Frame{FrameHead: head(0, number)}); err != nil {
			t.Fatal(err)
		}
		eventually(t, what, func() bool {
			all := r.all()
			return len(all) > 0 && all[len(all)-1].Number == number
		})
	}
	for range 5 {
		sees("a frame")
	}
	stream, err := js.Stream(t.Context(), "FRAMES")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	sees("a frame after a purge")
	if err := js.DeleteStream(t.Context(), "FRAMES"); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	sees("a frame of a stream made anew, with a lower sequence")
	s.DropClients()
	eventually(t, "the connection is back", func() bool { _, err := b.Inspect(t.Context(), ledger.Live, 0); return err == nil })
	sees("a frame after a cut connection")
}

// TestFrames_UnreadableOneIsAGap puts garbage between frames.
func TestFrames_UnreadableOneIsAGap(t *testing.T) {
	s := brokertest.Start(t)
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := readFrames(t, b)
	if err := b.PublishFrame(t.Context(), &campaigns.Frame{FrameHead: head(0, 1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := asOperator(t, s).Publish(t.Context(), "frames.v1.live.0", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if err := b.PublishFrame(t.Context(), &campaigns.Frame{FrameHead: head(0, 3)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both frames", func() bool { return len(r.all()) == 2 })
}

func TestSnapshots(t *testing.T) {
	b := brokertest.New(t)
	if _, err := b.Snapshot(t.Context(), ledger.Live, 7); !errors.Is(err, broker.ErrNoSnapshot) {
		t.Errorf("a slot without a snapshot: %v", err)
	}
	if all, err := b.Snapshots(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%d snapshots, %v", len(all), err)
	}
	large := &campaigns.Snapshot{FrameHead: head(7, 5), Rows: rows(30_000, 5)}
	small := &campaigns.Snapshot{FrameHead: head(7, 6), Rows: rows(10, 6)}
	other := &campaigns.Snapshot{FrameHead: head(7, 1)}
	other.Book = ledger.Rehearsal
	for _, s := range []*campaigns.Snapshot{large, other} {
		if err := b.PublishSnapshot(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		got, err := b.Snapshot(t.Context(), s.Book, s.Slot)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, got); diff != "" {
			t.Errorf("-sent +read:\n%.2000s", diff)
		}
	}
	// Fewer parts than before: those left over belong to nobody.
	if err := b.PublishSnapshot(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	all, err := b.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b *campaigns.Snapshot) int { return int(a.Book) - int(b.Book) })
	if diff := cmp.Diff([]*campaigns.Snapshot{small, other}, all); diff != "" {
		t.Errorf("-sent +read:\n%.2000s", diff)
	}
}

// TestSnapshots_Coherent reads a slot while its snapshot is replaced by others of
// the same number and of different sizes: no mixture is ever returned.
func TestSnapshots_Coherent(t *testing.T) {
	b := brokertest.New(t)
	publish := func(ctx context.Context, version int64) error {
		return b.PublishSnapshot(ctx, &campaigns.Snapshot{FrameHead: head(1, 1), Rows: rows(8_000+4_000*int(version%3), version)})
	}
	if err := publish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	run(t, func(ctx context.Context) error {
		for version := int64(2); ctx.Err() == nil; version++ {
			if err := publish(ctx, version); err != nil && ctx.Err() == nil {
				return err
			}
			time.Sleep(10 * time.Millisecond) // much denser than the ledger's 5 s
		}
		return nil
	})
	for range 50 {
		s, err := b.Snapshot(t.Context(), ledger.Live, 1)
		if errors.Is(err, broker.ErrUnavailable) {
			continue // replaced again and again: said so
		}
		if err != nil {
			t.Fatal(err)
		}
		version := s.Rows[0].Version
		if len(s.Rows) != 8_000+4_000*int(version%3) {
			t.Fatalf("%d rows at version %d", len(s.Rows), version)
		}
		for _, row := range s.Rows {
			if row.Version != version {
				t.Fatalf("rows of versions %d and %d in one snapshot", version, row.Version)
			}
		}
	}
}

func campaign(slug string, revision int64) *campaigns.Campaign {
	return &campaigns.Campaign{
		Slug: slug, Name: slug, Currency: "USD", Revision: revision,
		StartsAt: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
	}
}

// watcher keeps the campaigns it was told of.
type watcher struct {
	mu      sync.Mutex
	known   map[string]int64
	ready   bool
	atReady int
}

func watchCampaigns(t testing.TB, b *broker.Broker) *watcher {
	t.Helper()
	w := &watcher{known: make(map[string]int64)}
	run(t, func(ctx context.Context) error {
		return b.WatchCampaigns(ctx, func(c *campaigns.Campaign) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.known[c.Slug] = c.Revision
		}, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.ready {
				t.Error("ready twice")
			}
			w.ready, w.atReady = true, len(w.known)
		})
	})
	return w
}

func (w *watcher) isReady() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.ready }

func (w *watcher) knows(want map[string]int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Equal(w.known, want)
}

func TestCampaigns(t *testing.T) {
	b := brokertest.New(t)
	early := watchCampaigns(t, b)
	eventually(t, "ready without campaigns", early.isReady)
	want := make(map[string]int64)
	var all []*campaigns.Campaign
	for i := range 300 {
		c := campaign(fmt.Sprintf("campaign-%d", i), int64(i+1))
		all = append(all, c)
		want[c.Slug] = c.Revision
	}
	if err := b.PublishCampaigns(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all campaigns", func() bool { return early.knows(want) })
	late := watchCampaigns(t, b)
	eventually(t, "a late watcher is ready", late.isReady)
	if late.atReady != len(all) {
		t.Errorf("ready after %d of %d campaigns", late.atReady, len(all))
	}
	// A change is seen, and one that is older than what is there is not published.
	if err := b.PublishCampaign(t.Context(), campaign("campaign-5", 500)); err != nil {
		t.Fatal(err)
	}
	if err := b.PublishCampaign(t.Context(), campaign("campaign-5", 400)); err != nil {
		t.Fatal(err)
	}
	if err := b.PublishCampaign(t.Context(), campaign("campaign-6", 501)); err != nil {
		t.Fatal(err)
	}
	want["campaign-5"], want["campaign-6"] = 500, 501
	for _, w := range []*watcher{early, late, watchCampaigns(t, b)} {
		eventually(t, "changes", func() bool { return w.knows(want) })
	}
}

// TestCampaigns_NeverGoBack lets many processes publish all revisions at once.
func TestCampaigns_NeverGoBack(t *testing.T) {
	b := brokertest.New(t)
	var wg sync.WaitGroup
	const last = 40
	for _, revision := range rand.Perm(last) {
		wg.Go(func() {
			if err := b.PublishCampaign(t.Context(), campaign("a", int64(revision+1))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w := watchCampaigns(t, b)
	eventually(t, "ready", w.isReady)
	if !w.knows(map[string]int64{"a": last}) {
		t.Errorf("the broker holds %v", w.known)
	}
}
