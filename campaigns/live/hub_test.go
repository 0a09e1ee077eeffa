package live_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"spillway/campaigns"
	"spillway/campaigns/live"
	"spillway/campaigns/render"
	"spillway/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is the rest of a front-end: places of totals and ages, published in the
// feed's order.
type front struct {
	mu     sync.Mutex
	places map[string]*render.Live
	ages   [3]*render.Age
	hub    *live.Hub
}

func newFront() *front {
	f := &front{places: map[string]*render.Live{}}
	for i := range f.ages {
		f.ages[i] = render.Unheard
	}
	return f
}

func (f *front) Get(slug []byte) (*render.Total, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.places[string(slug)]; l != nil {
		return l.Total(), nil
	}
	return nil, campaigns.ErrUnknown
}

func (f *front) Age(book ledger.Book) *render.Age {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ages[book]
}

func total(slug string, version int64) *render.Total {
	return render.NewTotal(campaigns.Total{Campaign: slug, Currency: "USD", PledgedMinor: 100 * version, Donations: version, Version: version, Epoch: 1}, ledger.Live)
}

// show publishes totals and then, as of now, the age of the live book.
func (f *front) show(totals ...*render.Total) {
	f.mu.Lock()
	for _, t := range totals {
		if l := f.places[t.Campaign]; l != nil {
			l.Advance(t)
		} else {
			f.places[t.Campaign] = render.NewLive(t)
		}
	}
	f.mu.Unlock()
	f.hub.Publish(totals)
	f.mu.Lock()
	f.ages[ledger.Live] = render.NewAge(time.Now())
	f.mu.Unlock()
	f.hub.Aged()
}

// event is what a viewer was sent.
type event struct {
	at      time.Time
	kind    string
	id      string
	Version int64     `json:"version"`
	AsOf    time.Time `json:"as_of"`
	Lag     int64     `json:"lag_ms"`
	Stale   bool      `json:"stale"`
}

func parse(t testing.TB, raw []byte) event {
	e := event{at: time.Now()}
	if !bytes.HasSuffix(raw, []byte("\n\n")) {
		t.Errorf("not a whole event: %q", raw)
	}
	for _, line := range bytes.Split(bytes.TrimSpace(raw), []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "id":
			e.id = string(value)
		case "event":
			e.kind = string(value)
		case "data":
			if err := json.Unmarshal(value, &e); err != nil {
				t.Errorf("%q: %v", value, err)
			}
		default:
			t.Errorf("unexpected line %q", line)
		}
	}
	return e
}

// viewer watches in a goroutine of its own and keeps what it was sent.
type viewer struct {
	mu    sync.Mutex
	sent  []event
	gone  chan struct{}
	ended chan error
	block chan struct{} // when set, send waits for a receive from it
}

func watch(t testing.TB, h *live.Hub, slug string, after *render.Position) *viewer {
	return watchSlowly(t, h, slug, after, nil)
}

func watchSlowly(t testing.TB, h *live.Hub, slug string, after *render.Position, block chan struct{}) *viewer {
	v := &viewer{gone: make(chan struct{}), ended: make(chan error, 1), block: block}
	go func() {
		v.ended <- h.Watch(ledger.Live, slug, after, v.gone, func(raw []byte) error {
			e := parse(t, raw)
			v.mu.Lock()
			v.sent = append(v.sent, e)
			v.mu.Unlock()
			if v.block != nil {
				<-v.block
			}
			return nil
		})
	}()
	return v
}

func (v *viewer) leave() error { close(v.gone); return <-v.ended }

// take returns what was sent since the last call.
func (v *viewer) take() []event {
	v.mu.Lock()
	defer v.mu.Unlock()
	sent := v.sent
	v.sent = nil
	return sent
}

// kinds writes events as "totals 1.7, heartbeat".
func kinds(events []event) string {
	var b bytes.Buffer
	for i, e := range events {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(e.kind)
		if e.id != "" {
			b.WriteString(" " + e.id)
		}
	}
	return b.String()
}

func expect(t *testing.T, v *viewer, want string) []event {
	t.Helper()
	synctest.Wait()
	got := v.take()
	if kinds(got) != want {
		t.Errorf("sent %q, want %q", kinds(got), want)
	}
	return got
}

// running runs a hub in a bubble of false time.
func running(t *testing.T, cfg live.Config, do func(t *testing.T, f *front, stop context.CancelFunc)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront()
		f.hub = live.New(cfg, live.Deps{Latest: f, Ages: f})
		f.show(total("a", 1))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.hub.Run(ctx) }()
		synctest.Wait()
		do(t, f, cancel)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestWatch_NewestFirstThenChanges(t *testing.T) {
	running(t, live.Config{HeartbeatEvery: time.Hour}, func(t *testing.T, f *front, _ context.CancelFunc) {
		v := watch(t, f.hub, "a", nil)
		expect(t, v, "totals 1.1")
		f.show(total("a", 2), total("b", 1))
		expect(t, v, "totals 1.2")
		f.show(total("b", 2))
		time.Sleep(time.Second)
		expect(t, v, "")
		f.show(total("a", 2)) // rendered again, no change
		time.Sleep(time.Second)
		expect(t, v, "")
		if err := v.leave(); err != nil {
			t.Errorf("leaving ended with %v", err)
		}
	})
}

func TestWatch_ConflatesToTenASecond(t *testing.T) {
	running(t, live.Config{}, func(t *testing.T, f *front, _ context.CancelFunc) {
		v := watch(t, f.hub, "a", nil)
		expect(t, v, "totals 1.1")
		for i := int64(2); i <= 1001; i++ {
			f.show(total("a", i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		sent := v.take()
		if len(sent) < 9 || len(sent) > 12 {
			t.Errorf("%d events in a second", len(sent))
		}
		if last := sent[len(sent)-1]; last.Version != 1001 {
			t.Errorf("ended at version %d", last.Version)
		}
		_ = v.leave()
	})
}

func TestWatch_ManyViewersStretchThePace(t *testing.T) {
	// 20 writes a second in all and 10 viewers: an event every half second.
	running(t, live.Config{WritesMost: 20}, func(t *testing.T, f *front, _ context.CancelFunc) {
		var viewers []*viewer
		for range 10 {
			viewers = append(viewers, watch(t, f.hub, "a", nil))
		}
		synctest.Wait()
		viewers[0].take()
		for i := int64(2); i < 400; i++ {
			f.show(total("a", i))
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(viewers[0].take()); n < 7 || n > 11 { // a heartbeat among them
			t.Errorf("%d events in four seconds", n)
		}
		for _, v := range viewers {
			_ = v.leave()
		}
	})
}

func TestWatch_ASlowViewerSkipsToTheLatest(t *testing.T) {
	running(t, live.Config{}, func(t *testing.T, f *front, _ context.CancelFunc) {
		quick := watch(t, f.hub, "a", nil)
		slow := watchSlowly(t, f.hub, "a", nil, make(chan struct{}))
		synctest.Wait() // slow is stuck in its first event
		for i := int64(2); i <= 30; i++ {
			f.show(total("a", i))
			time.Sleep(200 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(quick.take()); n < 30 {
			t.Errorf("the quick one was sent %d events", n)
		}
		slow.take()
		close(slow.block)
		expect(t, slow, "totals 1.30") // and no heartbeat: the one it missed is older
		_, _ = quick.leave(), slow.leave()
	})
}

func TestWatch_Resumes(t *testing.T) {
	cases := map[string]struct {
		after render.Position
		first string
	}{
		"behind":              {render.Position{Epoch: 1, Version: 4}, "totals 1.5"},
		"of an older epoch":   {render.Position{Epoch: 0, Version: 99}, "totals 1.5"},
		"up to date":          {render.Position{Epoch: 1, Version: 5}, "heartbeat"},
		"ahead of this one":   {render.Position{Epoch: 1, Version: 7}, "heartbeat"},
		"of an epoch to come": {render.Position{Epoch: 2, Version: 1}, "heartbeat"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			running(t, live.Config{}, func(t *testing.T, f *front, _ context.CancelFunc) {
				f.show(total("a", 5))
				v := watch(t, f.hub, "a", &c.after)
				expect(t, v, c.first)
				time.Sleep(200 * time.Millisecond)
				for version := int64(6); version <= 8; version++ {
					f.show(total("a", version))
					time.Sleep(200 * time.Millisecond)
					want := ""
					if (render.Position{Epoch: 1, Version: version}).After(c.after) {
						want = fmt.Sprintf("totals 1.%d", version)
					}
					expect(t, v, want)
				}
				_ = v.leave()
			})
		})
	}
}

func TestWatch_HeartbeatEveryFiveSeconds(t *testing.T) {
	running(t, live.Config{}, func(t *testing.T, f *front, _ context.CancelFunc) {
		var viewers []*viewer
		for range 120 { // more than two for each part of the round
			viewers = append(viewers, watch(t, f.hub, "a", nil))
		}
		synctest.Wait()
		for range 300 {
			f.show() // only the age moves
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		for i, v := range viewers {
			var last time.Time
			beats := 0
			for _, e := range v.take() {
				if e.kind != "heartbeat" {
					continue
				}
				beats++
				if !last.IsZero() && e.at.Sub(last) != 5*time.Second {
					t.Errorf("viewer %d: %v between two heartbeats", i, e.at.Sub(last))
				}
				last = e.at
				if lag := e.at.Sub(e.AsOf); lag > 110*time.Millisecond || e.Lag > 110 || e.Stale {
					t.Errorf("viewer %d: lag %v, said %d ms, stale %v", i, lag, e.Lag, e.Stale)
				}
			}
			if beats < 5 || beats > 6 {
				t.Errorf("viewer %d: %d heartbeats in 30 s", i, beats)
			}
			_ = v.leave()
		}
	})
}

func TestWatch_TheBoundBreaksAndHealsAtOnce(t *testing.T) {
	running(t, live.Config{HeartbeatEvery: time.Hour}, func(t *testing.T, f *front, _ context.CancelFunc) {
		f.show()
		v := watch(t, f.hub, "a", nil)
		expect(t, v, "totals 1.1")
		time.Sleep(campaigns.StaleBound - 100*time.Millisecond)
		expect(t, v, "")
		time.Sleep(300 * time.Millisecond)
		if e := expect(t, v, "heartbeat"); len(e) == 1 && (!e[0].Stale || e[0].Lag <= 2000 || e[0].Lag > 2200) {
			t.Errorf("said %+v", e[0])
		}
		time.Sleep(10 * time.Second)
		expect(t, v, "")
		f.show()
		time.Sleep(150 * time.Millisecond)
		if e := expect(t, v, "heartbeat"); len(e) == 1 && e[0].Stale {
			t.Errorf("said %+v", e[0])
		}
		// Healed by a change: the age comes with it or after it.
		time.Sleep(3 * time.Second)
		v.take()
		f.show(total("a", 2))
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		sent := v.take()
		if len(sent) == 0 || sent[0].id != "1.2" || sent[len(sent)-1].Stale {
			t.Errorf("sent %+v", sent)
		}
		_ = v.leave()
	})
}

// While news waits for its turn, a heartbeat says the age of what was sent.
func TestWatch_AnAgeNeverOutrunsTheTotal(t *testing.T) {
	running(t, live.Config{EventEvery: 3 * time.Second}, func(t *testing.T, f *front, _ context.CancelFunc) {
		v := watch(t, f.hub, "a", nil)
		f.show(total("a", 2))
		synctest.Wait()
		v.take()
		type shown struct {
			at      time.Time
			version int64
		}
		var history []shown
		for version := int64(3); version < 300; version++ {
			history = append(history, shown{time.Now(), version})
			f.show(total("a", version))
			time.Sleep(130 * time.Millisecond)
		}
		synctest.Wait()
		var version int64 = 2
		var asOf time.Time
		beats := 0
		for _, e := range v.take() {
			if e.kind == "totals" {
				version = e.Version
			} else {
				beats++
			}
			if e.AsOf.Before(asOf) {
				t.Errorf("as_of went back from %v to %v", asOf, e.AsOf)
			}
			asOf = e.AsOf
			for _, h := range history {
				if !h.at.After(asOf) && version < h.version {
					t.Errorf("%s: as_of %v with version %d, version %d was before that", e.kind, asOf, version, h.version)
				}
			}
		}
		if version < 200 || beats < 6 {
			t.Errorf("ended at version %d with %d heartbeats", version, beats)
		}
		_ = v.leave()
	})
}

// Who came after the last event was told a newer age than it has.
func TestWatch_ANewcomersAgeDoesNotGoBack(t *testing.T) {
	running(t, live.Config{EventEvery: 3 * time.Second, HeartbeatEvery: 200 * time.Millisecond}, func(t *testing.T, f *front, _ context.CancelFunc) {
		first := watch(t, f.hub, "a", nil)
		var newcomers []*viewer
		for version := int64(2); version < 30; version++ {
			f.show(total("a", version))
			newcomers = append(newcomers, watch(t, f.hub, "a", nil))
			time.Sleep(310 * time.Millisecond)
		}
		synctest.Wait()
		for i, v := range newcomers {
			var asOf time.Time
			for _, e := range v.take() {
				if e.AsOf.Before(asOf) {
					t.Errorf("newcomer %d: as_of went back from %v to %v with %s %s", i, asOf, e.AsOf, e.kind, e.id)
				}
				asOf = e.AsOf
			}
			_ = v.leave()
		}
		_ = first.leave()
	})
}

func TestWatch_Ends(t *testing.T) {
	errSend := errors.New("connection broke")
	running(t, live.Config{}, func(t *testing.T, f *front, stop context.CancelFunc) {
		if err := f.hub.Watch(ledger.Live, "nobody", nil, nil, nil); !errors.Is(err, campaigns.ErrUnknown) {
			t.Errorf("unknown campaign: %v", err)
		}
		sends := 0
		err := f.hub.Watch(ledger.Live, "a", nil, nil, func([]byte) error { sends++; return errSend })
		if !errors.Is(err, errSend) || sends != 1 {
			t.Errorf("broken at the first event: %v after %d", err, sends)
		}
		later := make(chan error, 1)
		go func() {
			n := 0
			later <- f.hub.Watch(ledger.Live, "a", nil, nil, func([]byte) error {
				if n++; n > 1 {
					return errSend
				}
				return nil
			})
		}()
		synctest.Wait()
		f.show(total("a", 2))
		if err := <-later; !errors.Is(err, errSend) {
			t.Errorf("broken later: %v", err)
		}
		watching := watch(t, f.hub, "a", nil)
		synctest.Wait()
		stop()
		if err := <-watching.ended; !errors.Is(err, live.ErrStopped) {
			t.Errorf("stopped: %v", err)
		}
		if err := <-watch(t, f.hub, "a", nil).ended; !errors.Is(err, live.ErrStopped) {
			t.Errorf("came after the stop: %v", err)
		}
	})
}

// Everybody comes and goes while totals move: versions and ages only rise, and the
// last state reaches whoever stays.
func TestWatch_ManyComeAndGo(t *testing.T) {
	running(t, live.Config{}, func(t *testing.T, f *front, _ context.CancelFunc) {
		const campaignCount, stayers = 50, 4
		slugs := make([]string, campaignCount)
		for i := range slugs {
			slugs[i] = fmt.Sprintf("c%d", i)
			f.show(total(slugs[i], 1))
		}
		var staying []*viewer
		var guests sync.WaitGroup
		for _, slug := range slugs {
			for range stayers {
				staying = append(staying, watch(t, f.hub, slug, nil))
			}
			guests.Go(func() {
				for range 20 {
					v := watch(t, f.hub, slug, nil)
					time.Sleep(37 * time.Millisecond)
					_ = v.leave()
				}
			})
		}
		for version := int64(2); version <= 100; version++ {
			for _, slug := range slugs {
				f.show(total(slug, version))
			}
			time.Sleep(11 * time.Millisecond)
		}
		guests.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		for i, v := range staying {
			var last event
			for _, e := range v.take() {
				if e.kind == "totals" {
					if e.Version <= last.Version {
						t.Errorf("viewer %d: version %d after %d", i, e.Version, last.Version)
					}
					last.Version = e.Version
				}
				if e.AsOf.Before(last.AsOf) {
					t.Errorf("viewer %d: as_of went back", i)
				}
				last.AsOf = e.AsOf
			}
			if last.Version != 100 {
				t.Errorf("viewer %d ended at version %d", i, last.Version)
			}
			_ = v.leave()
		}
	})
}

// BenchmarkHub measures one change of a campaign that b.N/… viewers watch.
func BenchmarkFanOut(b *testing.B) {
	for _, viewers := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("viewers=%d", viewers), func(b *testing.B) {
			f := newFront()
			f.hub = live.New(live.Config{EventEvery: time.Nanosecond, WritesMost: 1 << 40, HeartbeatEvery: time.Hour}, live.Deps{Latest: f, Ages: f})
			f.show(total("a", 1))
			ctx, cancel := context.WithCancel(context.Background())
			var hub, all sync.WaitGroup
			hub.Go(func() { _ = f.hub.Run(ctx) })
			var got sync.WaitGroup
			got.Add(viewers)
			for range viewers {
				all.Go(func() {
					_ = f.hub.Watch(ledger.Live, "a", nil, nil, func([]byte) error { got.Done(); return nil })
				})
			}
			got.Wait()
			b.ReportAllocs()
			version := int64(1)
			for b.Loop() {
				version++
				got.Add(viewers)
				f.show(total("a", version))
				got.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(viewers), "ns/viewer")
			cancel()
			hub.Wait()
			all.Wait()
		})
	}
}
