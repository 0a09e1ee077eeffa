package feed

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/campaigns/render"
	"spillway/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a Source in memory.
type broker struct {
	mu        sync.Mutex
	kept      []*campaigns.Frame
	more      chan struct{} // closed with the next frame; made in the bubble, for whoever waits
	snapshots map[SlotKey]*campaigns.Snapshot
	broken    bool
	stuck     bool // Snapshot does not answer
	reads     atomic.Int64
	asked     atomic.Int64 // calls of Snapshot
	all       atomic.Int64 // calls of Snapshots
}

var errBroken = errors.New("broken")

func newBroker() *broker {
	return &broker{snapshots: map[SlotKey]*campaigns.Snapshot{}}
}

func (b *broker) publish(frames ...*campaigns.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, frames...)
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
}

func (b *broker) put(sn *campaigns.Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.snapshots[SlotKey{sn.Book, sn.Slot}] = sn
}

func (b *broker) set(broken, stuck bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken, b.stuck = broken, stuck
}

func (b *broker) ReadFrames(ctx context.Context, handle func(*campaigns.Frame)) error {
	b.reads.Add(1)
	for next := 0; ; {
		b.mu.Lock()
		if b.more == nil {
			b.more = make(chan struct{})
		}
		frames, more, broken := b.kept[next:], b.more, b.broken
		b.mu.Unlock()
		if broken {
			return errBroken
		}
		for _, f := range frames {
			handle(f)
			next++
		}
		if len(frames) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

func (b *broker) Snapshot(ctx context.Context, book ledger.Book, slot int32) (*campaigns.Snapshot, error) {
	b.asked.Add(1)
	b.mu.Lock()
	stuck, sn := b.stuck, b.snapshots[SlotKey{book, slot}]
	b.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if sn == nil {
		return nil, errors.New("no snapshot")
	}
	return sn, nil
}

func (b *broker) Snapshots(context.Context) ([]*campaigns.Snapshot, error) {
	b.all.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return nil, errBroken
	}
	var all []*campaigns.Snapshot
	for _, sn := range b.snapshots {
		all = append(all, sn)
	}
	return all, nil
}

// directory is a Campaigns in memory.
type directory struct {
	mu     sync.Mutex
	all    map[string]*campaigns.Campaign
	loaded chan struct{}
}

func newDirectory(all ...*campaigns.Campaign) *directory {
	d := &directory{all: map[string]*campaigns.Campaign{}, loaded: make(chan struct{})}
	for _, c := range all {
		d.all[c.Slug] = c
	}
	close(d.loaded)
	return d
}

func (d *directory) Find(slug string) (*campaigns.Campaign, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.all[slug]
	return c, ok
}

func (d *directory) add(c *campaigns.Campaign) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all[c.Slug] = c
}

func (d *directory) All() (all []*campaigns.Campaign) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.all {
		all = append(all, c)
	}
	return all
}

func (d *directory) Loaded() <-chan struct{} { return d.loaded }

// shown is what the public sees: a Cache and a Viewers.
type shown struct {
	mu     sync.Mutex
	places map[string]*render.Live
	puts   int // totals put into places, as viewers were told
	told   []string
	inPut  func() // called inside Put and Publish
}

func (s *shown) Put(places []*render.Live) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inPut != nil {
		s.inPut()
	}
	for _, l := range places {
		s.places[l.Slug()] = l
	}
}

func (s *shown) Publish(totals []*render.Total) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inPut != nil {
		s.inPut()
	}
	s.puts++
	for _, t := range totals {
		s.told = append(s.told, t.Campaign)
	}
}

func (s *shown) Aged() {}

func (s *shown) donations(slug string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.places[slug]; l != nil {
		return l.Total().Donations
	}
	return -1
}

func usd(slug string) *campaigns.Campaign {
	return &campaigns.Campaign{Slug: slug, Name: slug, Currency: "USD"}
}

// running runs a Feed in a bubble of false time, in which times begin at 2000-01-01.
func running(t *testing.T, b *broker, d *directory, do func(t *testing.T, f *Feed, s *shown)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := New(Config{}, b, d, slog.New(slog.DiscardHandler), nil)
		s := &shown{places: map[string]*render.Live{}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx, s, s) }()
		do(t, f, s)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// now is a head whose claim is this moment.
func now(h campaigns.FrameHead) campaigns.FrameHead {
	return of(h, func(h *campaigns.FrameHead) { h.CountedThrough = time.Now() })
}

func settle(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestRun_WarmsEverythingBeforeReady(t *testing.T) {
	b := newBroker()
	b.put(snap(said(3, 7, 0), row("a", 5, 5)))
	d := newDirectory(usd("a"), usd("no-gifts-yet"))
	running(t, b, d, func(t *testing.T, f *Feed, s *shown) {
		if err := f.Ready(); !errors.Is(err, campaigns.ErrWarming) {
			t.Errorf("ready at once: %v", err)
		}
		if _, err := f.Load("a"); !errors.Is(err, campaigns.ErrWarming) {
			t.Errorf("loaded before it was warm: %v", err)
		}
		b.publish(frame(now(said(3, 7, 0))), frame(now(said(3, 8, 0)), row("a", 6, 6)))
		settle(100 * time.Millisecond)
		if err := f.Ready(); err != nil {
			t.Fatalf("not ready: %v", err)
		}
		if got := s.donations("a"); got != 6 {
			t.Errorf("a shows %d donations", got)
		}
		if got := s.donations("no-gifts-yet"); got != 0 {
			t.Errorf("the campaign without gifts shows %d", got)
		}
		if lag := f.Age(ledger.Live).Lag(time.Now()); lag > 200*time.Millisecond {
			t.Errorf("lag %v", lag)
		}
		if f.Age(ledger.Rehearsal) == nil || !f.Age(ledger.Rehearsal).AsOf.IsZero() || !f.Age(0).AsOf.IsZero() || !f.Age(77).AsOf.IsZero() {
			t.Error("a book that nobody spoke of has an age")
		}
	})
}

// Without a ledger nobody speaks, and donors still give.
func TestRun_ReadyThoughNoLedgerSpeaks(t *testing.T) {
	for name, snapshots := range map[string][]*campaigns.Snapshot{
		"a new installation": nil,
		"ledgers are down":   {snap(said(3, 7, 0), row("a", 5, 5))},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker()
			for _, sn := range snapshots {
				b.put(sn)
			}
			running(t, b, newDirectory(usd("a")), func(t *testing.T, f *Feed, s *shown) {
				settle(time.Second)
				if err := f.Ready(); err != nil {
					t.Errorf("not ready: %v", err)
				}
				if !f.Age(ledger.Live).Stale(time.Now()) {
					t.Error("not stale")
				}
			})
		})
	}
}

func TestRun_NotReadyWhileASlotStandsStillUnlessItTakesTooLong(t *testing.T) {
	b := newBroker()
	running(t, b, newDirectory(usd("a")), func(t *testing.T, f *Feed, s *shown) {
		b.publish(frame(now(said(1, 5, 0)), row("a", 1, 1))) // and no snapshot anywhere
		settle(10 * time.Second)
		if f.Ready() == nil {
			t.Error("ready with a slot that stands still")
		}
		settle(10 * time.Second)
		if err := f.Ready(); err != nil {
			t.Errorf("donors wait for totals: %v", err)
		}
		if !f.Age(ledger.Live).AsOf.IsZero() {
			t.Error("claims something")
		}
	})
}

func TestRun_WaitsForCampaignsAndForTheBroker(t *testing.T) {
	b := newBroker()
	b.set(true, false)
	synctest.Test(t, func(t *testing.T) {
		d := &directory{all: map[string]*campaigns.Campaign{}, loaded: make(chan struct{})} // not loaded
		f := New(Config{}, b, d, slog.New(slog.DiscardHandler), nil)
		s := &shown{places: map[string]*render.Live{}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx, s, s) }()
		settle(time.Minute)
		if b.all.Load() != 0 {
			t.Error("read slots before campaigns were known")
		}
		if _, err := f.Load("a"); !errors.Is(err, campaigns.ErrWarming) {
			t.Errorf("a campaign is unknown before they are loaded: %v", err)
		}
		close(d.loaded)
		settle(time.Minute)
		if f.Ready() == nil {
			t.Error("ready without a broker")
		}
		b.set(false, false)
		settle(3 * time.Second)
		if err := f.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		if _, err := f.Load("a"); !errors.Is(err, campaigns.ErrUnknown) {
			t.Errorf("unknown campaign: %v", err)
		}
		cancel()
		<-ended
	})
	synctest.Test(t, func(t *testing.T) { // ended in the middle of each wait
		d := &directory{loaded: make(chan struct{})}
		f := New(Config{}, newBroker(), d, slog.New(slog.DiscardHandler), nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Run(ctx, &shown{}, &shown{}); err != nil {
			t.Errorf("ended early: %v", err)
		}
	})
}

// A slot whose snapshot cannot be had stands still; the others go on meanwhile.
func TestRun_AGapHoldsItsSlotOnly(t *testing.T) {
	b := newBroker()
	b.put(snap(said(1, 0, 0)))
	b.put(snap(slotNumber(2, said(1, 0, 0))))
	running(t, b, newDirectory(usd("a"), usd("b")), func(t *testing.T, f *Feed, s *shown) {
		b.publish(frame(now(said(1, 1, 0))), frame(now(slotNumber(2, said(1, 1, 0)))))
		settle(100 * time.Millisecond)
		b.set(false, true)
		before := f.Age(ledger.Live).AsOf
		b.publish(frame(now(said(1, 5, 0)), row("a", 1, 1)))
		for n := int64(2); n < 30; n++ {
			settle(100 * time.Millisecond)
			b.publish(frame(now(slotNumber(2, said(1, n, 0))), row("b", n, n)))
			settle(30 * time.Millisecond)
			if got := s.donations("b"); got != n {
				t.Fatalf("slot 2 waits for slot 1: %d donations, want %d", got, n)
			}
		}
		if got := s.donations("a"); got != 1 {
			t.Errorf("rows of the slot that stands still: %d", got)
		}
		if got := f.Age(ledger.Live).AsOf; got.After(before.Add(20 * time.Millisecond)) {
			t.Errorf("as_of went on to %v, was %v", got, before)
		}
		b.put(snap(said(1, 4, 0), row("a", 1, 1)))
		b.set(false, false)
		settle(3 * time.Second)
		if got := f.Age(ledger.Live).AsOf; !got.After(before) {
			t.Error("as_of still stands")
		}
	})
}

func TestRun_AsksForASnapshotWithGrowingPauses(t *testing.T) {
	b := newBroker()
	running(t, b, newDirectory(usd("a")), func(t *testing.T, f *Feed, s *shown) {
		settle(time.Second)
		b.publish(frame(now(said(1, 5, 0))))
		settle(time.Millisecond)
		if b.asked.Load() != 1 {
			t.Errorf("asked %d times at once", b.asked.Load())
		}
		settle(20 * time.Second)
		if n := b.asked.Load(); n < 15 || n > 30 {
			t.Errorf("asked %d times in 20 s", n)
		}
		b.put(snap(said(1, 4, 0)))
		settle(1200 * time.Millisecond)
		n := b.asked.Load()
		settle(20 * time.Second)
		if b.asked.Load() != n {
			t.Error("asks on for a slot that is complete")
		}
	})
}

func TestRun_TotalsAreShownBeforeTheirAge(t *testing.T) {
	b := newBroker()
	b.put(snap(said(1, 0, 0)))
	running(t, b, newDirectory(usd("a")), func(t *testing.T, f *Feed, s *shown) {
		b.publish(frame(now(said(1, 1, 0))))
		settle(time.Second)
		before := f.Age(ledger.Live)
		a, err := f.Load("a")
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.inPut = func() {
			if f.Age(ledger.Live) != before {
				t.Error("the age was public before the viewers knew of the totals that it speaks of")
			}
			if n := a.Total().Donations; n != 1 {
				t.Errorf("viewers are told of a total that is not shown yet: %d", n)
			}
		}
		s.mu.Unlock()
		b.publish(frame(now(said(1, 2, 0)), row("a", 1, 1)))
		settle(time.Second)
		if f.Age(ledger.Live) == before || s.donations("a") != 1 || !slices.Contains(s.told, "a") {
			t.Errorf("not published: %d donations, told %q", s.donations("a"), s.told)
		}
	})
}

func TestRun_NewsOfOneTickIsPublishedTogether(t *testing.T) {
	b := newBroker()
	b.put(snap(said(1, 0, 0)))
	running(t, b, newDirectory(usd("a")), func(t *testing.T, f *Feed, s *shown) {
		b.publish(frame(now(said(1, 1, 0))))
		settle(time.Second)
		puts := s.puts
		for n := int64(2); n < 102; n++ {
			b.publish(frame(now(said(1, n, 0)), row("a", n, n)))
			settle(time.Millisecond)
		}
		settle(time.Second)
		if got := s.puts - puts; got > 5 || got < 3 {
			t.Errorf("%d publications in 100 ms", got)
		}
		if got := s.donations("a"); got != 101 {
			t.Errorf("ended at %d", got)
		}
	})
}

// What a restore raises is the epoch. The old numbers stand until all slots of
// the restored ledger are known; half of them would look like a loss.
func TestRun_ANewEpochIsShownWhole(t *testing.T) {
	b := newBroker()
	b.put(snap(said(7, 3, 0), row("a", 10, 10)))
	b.put(snap(closed(slotNumber(2, said(1, 3, 0))), row("a", 5, 5)))
	second := func(h campaigns.FrameHead) campaigns.FrameHead {
		return now(of(h, func(h *campaigns.FrameHead) { h.Epoch = 2 }))
	}
	running(t, b, newDirectory(usd("a"), usd("no-gifts-yet")), func(t *testing.T, f *Feed, s *shown) {
		b.publish(frame(now(said(7, 4, 0))))
		settle(time.Second)
		if got := s.donations("a"); got != 15 {
			t.Fatalf("shows %d", got)
		}
		age := f.Age(ledger.Live)
		b.put(snap(second(said(1, 0, 0)), row("a", 9, 9)))
		b.put(snap(closed(slotNumber(2, second(said(1, 3, 0)))), row("a", 4, 4)))
		b.set(true, false)
		b.publish(frame(second(said(1, 1, 0)), row("a", 9, 9)))
		// The fake's reader stops while the broker is broken; hand the frame over.
		f.apply(t.Context(), frame(second(said(1, 1, 0)), row("a", 9, 9)))
		settle(3 * time.Second)
		if got := s.donations("a"); got != 15 || f.Age(ledger.Live) != age {
			t.Errorf("half of the new epoch is shown: %d", got)
		}
		if got, err := f.Load("a"); err != nil || got.Total().Donations != 15 {
			t.Errorf("a miss is answered with %+v, %v", got, err)
		}
		b.set(false, false)
		settle(3 * time.Second)
		if got := s.donations("a"); got != 13 {
			t.Errorf("shows %d, want 13", got)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if e := s.places["no-gifts-yet"].Total().Epoch; e != 2 {
			t.Errorf("the campaign without gifts is of epoch %d", e)
		}
	})
}

// A restored ledger replays for a while: open pages go on showing what they showed, and
// say how old it is, until its totals are as complete. They never show less.
func TestRun_ARestoredLedgerIsShownOnceItIsAsComplete(t *testing.T) {
	b := newBroker()
	b.put(snap(said(1, 0, 0), row("a", 10, 10)))
	all := newDirectory(usd("a"))
	running(t, b, all, func(t *testing.T, f *Feed, s *shown) {
		b.publish(frame(now(said(1, 1, 0))))
		settle(time.Second)
		age := f.Age(ledger.Live)
		second := func(number int64, through time.Time) campaigns.FrameHead {
			return of(said(1, number, 0), func(h *campaigns.FrameHead) { h.Epoch, h.CountedThrough = 2, through })
		}
		b.put(snap(second(0, time.Time{}), row("a", 3, 3)))
		b.publish(frame(second(1, age.AsOf.Add(-time.Hour)), row("a", 3, 3)))
		settle(3 * time.Second)
		b.publish(frame(second(2, age.AsOf.Add(-time.Millisecond)), row("a", 9, 9)))
		settle(3 * time.Second)
		if got := s.donations("a"); got != 10 || f.Age(ledger.Live) != age {
			t.Errorf("while it replays it shows %d of 10, as of %v", got, f.Age(ledger.Live).AsOf)
		}
		if got, err := f.Load("a"); err != nil || got.Total().Donations != 10 || got.Total().Epoch != 1 {
			t.Errorf("a miss is answered with %+v, %v", got, err)
		}
		all.add(usd("made-meanwhile"))
		if got, err := f.Load("made-meanwhile"); err != nil || got.Total().Epoch != 1 || got.Total().Donations != 0 {
			t.Errorf("a campaign that was made meanwhile: %v", err)
		}
		b.publish(frame(second(3, age.AsOf), row("a", 11, 11)))
		settle(3 * time.Second)
		if got := s.donations("a"); got != 11 || !f.Age(ledger.Live).AsOf.Equal(age.AsOf) {
			t.Errorf("once it is as complete it shows %d of 11, as of %v", got, f.Age(ledger.Live).AsOf)
		}
		if got, err := f.Load("made-meanwhile"); err != nil || got.Total().Epoch != 2 {
			t.Errorf("and the campaign that was made meanwhile: %+v, %v", got, err)
		}
	})
}

// Frames that aged out unseen may have held the first of a slot that is not known
// here. The next frame of another slot must not be believed before that slot is.
func TestRun_AfterASilenceEverySlotIsReadFirst(t *testing.T) {
	b := newBroker()
	b.put(snap(said(1, 0, 0)))
	running(t, b, newDirectory(usd("a")), func(t *testing.T, f *Feed, s *shown) {
		b.publish(frame(now(said(1, 1, 0))))
		settle(time.Second)
		all := b.all.Load()
		settle(30 * time.Second)
		b.put(snap(slotNumber(2, said(1, 0, 0)), row("a", 1, 1))) // its first frame was never seen
		before := f.Age(ledger.Live).AsOf
		b.publish(frame(now(said(1, 2, 0))))
		settle(time.Second)
		if b.all.Load() != all+1 {
			t.Errorf("read every slot %d times", b.all.Load()-all)
		}
		if got := f.Age(ledger.Live).AsOf; !got.Equal(before) {
			t.Errorf("as_of went on to %v without the slot that nobody heard", got)
		}
		if got := s.donations("a"); got != 1 {
			t.Errorf("its rows count: %d", got)
		}
		b.publish(frame(now(slotNumber(2, said(1, 1, 0)))), frame(now(said(1, 3, 0))))
		settle(time.Second)
		if got := f.Age(ledger.Live).AsOf; !got.After(before) {
			t.Error("as_of stands")
		}
	})
}

func TestRun_AReaderThatGivesUpIsStartedAgain(t *testing.T) {
	b := newBroker()
	b.put(snap(said(1, 0, 0)))
	running(t, b, newDirectory(usd("a")), func(t *testing.T, f *Feed, s *shown) {
		b.publish(frame(now(said(1, 1, 0)), row("a", 1, 1)))
		settle(time.Second)
		b.set(true, false)
		b.publish(frame(now(said(1, 2, 0)), row("a", 2, 2)))
		settle(3 * time.Second)
		b.set(false, false)
		settle(3 * time.Second)
		if b.reads.Load() < 2 || s.donations("a") != 2 {
			t.Errorf("%d readings, %d donations", b.reads.Load(), s.donations("a"))
		}
	})
}

func TestLoad_GivesTheCampaignsCurrencyAndBook(t *testing.T) {
	b := newBroker()
	euro := row("a", 7, 1)
	euro.Currency = "EUR"
	practice := of(said(1, 0, 0), func(h *campaigns.FrameHead) { h.Book = ledger.Rehearsal })
	b.put(snap(said(1, 0, 0), row("a", 2, 2), euro, row("drill", 9, 9)))
	b.put(snap(practice, row("drill", 3, 3), row("a", 8, 8)))
	drill := usd("drill")
	drill.Rehearsal = true
	d := newDirectory(usd("a"), drill)
	running(t, b, d, func(t *testing.T, f *Feed, s *shown) {
		settle(time.Second)
		for slug, want := range map[string]int64{"a": 2, "drill": 3} {
			got, err := f.Load(slug)
			if err != nil {
				t.Fatal(err)
			}
			if n := got.Total().Donations; n != want || s.donations(slug) != want {
				t.Errorf("%s: loaded %d, shown %d, want %d", slug, n, s.donations(slug), want)
			}
		}
		// A campaign that became known after its gifts.
		if _, err := f.Load("late"); !errors.Is(err, campaigns.ErrUnknown) {
			t.Errorf("unknown campaign: %v", err)
		}
		b.put(snap(said(1, 1, 0)))
		b.publish(frame(now(said(1, 1, 0)), row("late", 4, 4)))
		settle(time.Second)
		if got := s.donations("late"); got != -1 {
			t.Errorf("an unknown campaign is shown: %d", got)
		}
		d.mu.Lock()
		d.all["late"] = usd("late")
		d.mu.Unlock()
		late, err := f.Load("late")
		if err != nil || late.Total().Donations != 4 {
			t.Errorf("loaded %+v, %v", late, err)
		}
		b.publish(frame(now(said(1, 2, 0)), row("late", 5, 5)))
		settle(time.Second)
		if again, err := f.Load("late"); err != nil || again != late || late.Total().Donations != 5 {
			t.Errorf("the place that was loaded shows %+v, %v", late.Total(), err)
		}
	})
}
