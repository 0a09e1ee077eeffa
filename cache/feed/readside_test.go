package feed_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"spillway/cache"
	"spillway/cache/feed"
	"spillway/campaigns"
	"spillway/campaigns/directory"
	"spillway/campaigns/live"
	"spillway/campaigns/render"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// patience bounds every wait for something that happens at once when all is well.
const patience = 30 * time.Second

// readSide is a front-end's read side over a real broker.
type readSide struct {
	feed  *feed.Feed
	cache *cache.Totals
	hub   *live.Hub
}

func startReadSide(t *testing.T, b *broker.Broker) *readSide {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	all := directory.New(b, nil, log, nil)
	f := feed.New(feed.Config{}, b, all, log, nil)
	c, err := cache.New(cache.Config{}, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := live.New(live.Config{}, live.Deps{Latest: c, Ages: f})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{all.Run, h.Run, func(ctx context.Context) error { return f.Run(ctx, c, h) }} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait(); c.Close() })
	r := &readSide{f, c, h}
	until(t, "the read side is ready", func() bool { return f.Ready() == nil })
	return r
}

// until waits for something to become so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// writer is a ledger's slot, by hand: one campaign, one donation a tick.
type writer struct {
	t       *testing.T
	b       *broker.Broker
	head    campaigns.FrameHead
	row     campaigns.SlotRow
	gap     bool // readers may miss a number
	mu      sync.Mutex
	history []claim
}

// claim says that version was published before at.
type claim struct {
	at      time.Time
	version int64
}

func openWriter(t *testing.T, b *broker.Broker, slot int32) *writer {
	t.Helper()
	w := &writer{t: t, b: b, head: campaigns.FrameHead{Book: ledger.Live, Slot: slot, Epoch: 1, Term: 1},
		row: campaigns.SlotRow{Campaign: "river-school", Currency: "USD"}}
	w.snapshot()
	w.tick(false)
	return w
}

func (w *writer) snapshot() {
	sn := &campaigns.Snapshot{FrameHead: w.head}
	if w.row.Version > 0 {
		sn.Rows = []campaigns.SlotRow{w.row}
	}
	w.gap = w.b.PublishSnapshot(w.t.Context(), sn) != nil
}

// tick records a donation and publishes it, after a snapshot when a frame may be
// missing. lost leaves the frame out, as when its publication fails.
func (w *writer) tick(lost bool) {
	if w.gap {
		w.snapshot()
	}
	w.row.PledgedMinor += 100
	w.row.Donations++
	w.row.Version++
	w.head.Number++
	w.head.CountedThrough = time.Now()
	w.mu.Lock()
	w.history = append(w.history, claim{w.head.CountedThrough, w.row.Version})
	w.mu.Unlock()
	if lost || w.b.PublishFrame(w.t.Context(), &campaigns.Frame{FrameHead: w.head, Rows: []campaigns.SlotRow{w.row}}) != nil {
		w.gap = true
	}
}

// claimed is the version that a total has at least when it is complete up to asOf.
func (w *writer) claimed(asOf time.Time) (version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.history {
		if !c.at.After(asOf) {
			version = c.version
		}
	}
	return version
}

// The whole read side over a real broker: two writers, lost frames, connections
// cut; every answer is true and nothing goes back. A front-end that starts
// afterwards shows the same.
func TestReadSide_TotalsAreTrueOverARealBroker(t *testing.T) {
	server := brokertest.Start(t, brokertest.WithTCP())
	writing := server.Connect()
	if err := writing.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	school := &campaigns.Campaign{Slug: "river-school", Name: "River School", Currency: "USD", Revision: 1}
	if err := writing.PublishCampaigns(t.Context(), []*campaigns.Campaign{school}); err != nil {
		t.Fatal(err)
	}
	writers := []*writer{openWriter(t, writing, 1), openWriter(t, writing, 2)}
	r := startReadSide(t, server.Connect())

	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var last *render.Total
			var lastAge *render.Age
			for {
				select {
				case <-stop:
					return
				default:
				}
				age := r.feed.Age(ledger.Live)
				total, err := r.cache.Get([]byte("river-school"))
				if err != nil {
					t.Error(err)
					return
				}
				var least int64
				for _, w := range writers {
					least += w.claimed(age.AsOf)
				}
				if total.Version < least {
					t.Errorf("as_of %v claims version %d, the total is %d", age.AsOf, least, total.Version)
				}
				if last != nil && (total.Version < last.Version || age.AsOf.Before(lastAge.AsOf)) {
					t.Errorf("went back: version %d after %d, as_of %v after %v", total.Version, last.Version, age.AsOf, lastAge.AsOf)
				}
				last, lastAge = total, age
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	for i := range 80 {
		for k, w := range writers {
			w.tick((i+5*k)%16 == 15)
		}
		if i == 40 {
			server.DropClients()
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, w := range writers { // with the broker back
		until(t, "a frame is published", func() bool { w.tick(false); return !w.gap })
	}
	end := writers[0].row.Version + writers[1].row.Version
	complete := func(r *readSide) func() bool {
		return func() bool {
			total, err := r.cache.Get([]byte("river-school"))
			return err == nil && total.Version == end && total.PledgedMinor == 100*end &&
				!r.feed.Age(ledger.Live).AsOf.Before(writers[0].head.CountedThrough.Truncate(time.Microsecond))
		}
	}
	until(t, "everything is shown", complete(r))
	close(stop)
	readers.Wait()
	until(t, "a new front-end shows the same", complete(startReadSide(t, server.Connect())))
}
