package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// run runs until the test ends or stop is called, which returns what run returned.
func run(t testing.TB, f func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case err = <-ended:
			case <-time.After(patience):
				t.Errorf("does not end within %v", patience)
			}
		})
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return stop
}

// takes waits until the publisher takes donations.
func takes(t testing.TB, p *broker.Publisher) {
	t.Helper()
	eventually(t, "publisher takes donations", func() bool { return p.Publish(ledger.Live, donation(-1)) == nil })
}

// stored reads the IDs of a stream and how often each is there.
func stored(t testing.TB, b *broker.Broker, book ledger.Book, shard int) (ids map[ingest.ID]int, envelopes int) {
	t.Helper()
	var state broker.Inspection
	var err error
	eventually(t, "the stream answers", func() bool { // a leader may be being elected
		state, err = b.Inspect(t.Context(), book, shard)
		return err == nil
	})
	ids = make(map[ingest.ID]int)
	err = b.Scan(t.Context(), book, shard, state.First, state.Last, func(_ uint64, data []byte) error {
		envelopes++
		_, err := envelope.Decode(data, func(_ int, r envelope.Record, _ []byte, err error) {
			if err != nil {
				t.Error(err)
				return
			}
			ids[r.Donation.ID]++
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, envelopes
}

// measured returns how many observations a histogram has.
func measured(t testing.TB, reg *prometheus.Registry, name string) uint64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestPublish_AcknowledgedIsStored(t *testing.T) {
	b := brokertest.New(t, brokertest.WithShards(3))
	reg := prometheus.NewRegistry()
	p := b.NewPublisher(broker.PublisherConfig{Node: "test"}, reg)
	run(t, p.Run)
	eventually(t, "publisher takes donations", func() bool { return p.Publish(ledger.Rehearsal, donation(-1)) == nil })
	const callers, each = 64, 20
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := range each {
				if err := p.Publish(ledger.Live, donation(c*each+n)); err != nil {
					t.Errorf("donation %d: %v", c*each+n, err)
				}
			}
		})
	}
	wg.Wait()
	all, envelopes := 0, 0
	for shard := range 3 {
		ids, n := stored(t, b, ledger.Live, shard)
		if len(ids) == 0 {
			t.Errorf("shard %d holds nothing", shard)
		}
		all += len(ids)
		envelopes += n
	}
	if all != callers*each {
		t.Errorf("%d donations stored of %d", all, callers*each)
	}
	if envelopes >= callers*each {
		t.Errorf("%d envelopes for %d donations of %d callers: nothing travelled together", envelopes, callers*each, callers)
	}
	if donations, bytes := p.Waiting(); donations != 0 || bytes != 0 {
		t.Errorf("still waiting: %d donations, %d bytes", donations, bytes)
	}
	if n := measured(t, reg, "ingest_envelope_donations"); n != uint64(envelopes)+1 {
		t.Errorf("%d envelopes measured of %d", n, envelopes+1)
	}
}

// Envelopes that are not full leave at a pace, however fast the broker is.
func TestPublish_EnvelopesKeepTheirDistance(t *testing.T) {
	b := brokertest.New(t)
	p := b.NewPublisher(broker.PublisherConfig{}, nil)
	run(t, p.Run)
	takes(t, p)
	const callers, each = 4, 100
	begun := time.Now()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := range each {
				if err := p.Publish(ledger.Live, donation(c*each+n)); err != nil {
					t.Errorf("donation %d: %v", c*each+n, err)
				}
			}
		})
	}
	wg.Wait()
	most := int(time.Since(begun)/broker.EnvelopeEvery) + 2 // the first one, and the one of takes
	if _, envelopes := stored(t, b, ledger.Live, 0); envelopes > most {
		t.Errorf("%d envelopes, and not more than %d had a turn", envelopes, most)
	}
}

func TestPublish_LightLoadTravelsAlone(t *testing.T) {
	b := brokertest.New(t)
	p := b.NewPublisher(broker.PublisherConfig{}, nil)
	run(t, p.Run)
	takes(t, p)
	const n = 20
	for i := range n {
		if err := p.Publish(ledger.Live, donation(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, envelopes := stored(t, b, ledger.Live, 0); envelopes != n+1 {
		t.Errorf("%d envelopes", envelopes)
	}
}

// TestPublish_BoundsOfAnEnvelope freezes the broker so that everything gathers.
func TestPublish_BoundsOfAnEnvelope(t *testing.T) {
	process := brokertest.StartProcess(t)
	b := process.New()
	one := len(envelope.AppendDonation(nil, donation(0)))
	p := b.NewPublisher(broker.PublisherConfig{EnvelopeDonationsMax: 10, EnvelopeBytesMax: 7 * one, InFlight: 1}, nil)
	run(t, p.Run)
	takes(t, p)
	process.Signal(syscall.SIGSTOP)
	const n = 40
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := p.Publish(ledger.Live, donation(i)); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all wait", func() bool { waiting, _ := p.Waiting(); return waiting == n })
	process.Signal(syscall.SIGCONT)
	wg.Wait()
	largest := 0
	state, err := b.Inspect(t.Context(), ledger.Live, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Scan(t.Context(), ledger.Live, 0, 1, state.Last, func(_ uint64, data []byte) error {
		if len(data) > 7*one {
			t.Errorf("an envelope of %d bytes", len(data))
		}
		count := 0
		_, err := envelope.Decode(data, func(int, envelope.Record, []byte, error) { count++ })
		largest = max(largest, count)
		return err
	})
	if err != nil || largest != 6 { // the header takes the room of the seventh
		t.Errorf("largest envelope has %d donations, %v", largest, err)
	}
}

func TestPublish_RefusesAtOnceWhenTooManyWait(t *testing.T) {
	process := brokertest.StartProcess(t)
	b := process.New()
	reg := prometheus.NewRegistry()
	p := b.NewPublisher(broker.PublisherConfig{WaitingDonationsMax: 50, AckTimeout: time.Second}, reg)
	run(t, p.Run)
	takes(t, p)
	process.Signal(syscall.SIGSTOP)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := p.Publish(ledger.Live, donation(i)); err == nil {
				t.Error("acknowledged by a frozen broker")
			}
		})
	}
	eventually(t, "all wait", func() bool { waiting, _ := p.Waiting(); return waiting == 50 })
	const refusals = 1000
	began := time.Now()
	for i := range refusals {
		if err := p.Publish(ledger.Live, donation(i)); !errors.Is(err, ingest.ErrBusy) {
			t.Fatalf("refusal %d: %v", i, err)
		}
	}
	if took := time.Since(began) / refusals; took > time.Millisecond {
		t.Errorf("a refusal takes %v", took)
	}
	wg.Wait() // unknown, all of them, after AckTimeout
	if waiting, bytes := p.Waiting(); waiting != 0 || bytes != 0 {
		t.Errorf("still waiting: %d donations, %d bytes", waiting, bytes)
	}
	process.Signal(syscall.SIGCONT)
	takes(t, p)
}

// TestPublish_RestartOfTheBroker kills the broker under load: nothing that was
// acknowledged may be missing, errors are the two of the contract, and everything
// recovers by itself.
func TestPublish_RestartOfTheBroker(t *testing.T) {
	t.Parallel()
	process := brokertest.StartProcess(t)
	b := process.New()
	p := b.NewPublisher(broker.PublisherConfig{AckTimeout: 2 * time.Second}, nil)
	run(t, p.Run)
	takes(t, p)
	var mu sync.Mutex
	acknowledged := make(map[ingest.ID]bool)
	failures := make(map[string]int)
	var sent, good atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for ctx.Err() == nil {
				d := donation(int(sent.Add(1)))
				err := p.Publish(ledger.Live, d)
				mu.Lock()
				switch {
				case err == nil:
					acknowledged[d.ID] = true
					good.Add(1)
				case errors.Is(err, ingest.ErrUnknown):
					failures["unknown"]++
				case errors.Is(err, ingest.ErrNotReady):
					failures["not ready"]++
				default:
					t.Errorf("unexpected error: %v", err)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(time.Millisecond) // a client waits before it tries again
				}
			}
		})
	}
	for range 3 {
		before := good.Load()
		eventually(t, "donations flow", func() bool { return good.Load() > before+200 })
		process.Kill()
		eventually(t, "failures are noticed", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return failures["not ready"] > 0
		})
		process.Start()
	}
	before := good.Load()
	eventually(t, "donations flow again", func() bool { return good.Load() > before+200 })
	cancel()
	wg.Wait()
	ids, _ := stored(t, b, ledger.Live, 0)
	missing := 0
	for id := range acknowledged {
		if ids[id] == 0 {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d acknowledged donations are not stored", missing, len(acknowledged))
	}
	t.Logf("%d acknowledged, %v", len(acknowledged), failures)
}

// TestPublisher_StopAnswersEverybody stops it with donations under way.
func TestPublisher_StopAnswersEverybody(t *testing.T) {
	b := brokertest.New(t)
	p := b.NewPublisher(broker.PublisherConfig{}, nil)
	stop := run(t, p.Run)
	takes(t, p)
	var wg sync.WaitGroup
	var acknowledged, refused atomic.Int64
	for c := range 32 {
		wg.Go(func() {
			for n := 0; ; n++ {
				err := p.Publish(ledger.Live, donation(c*1_000_000+n))
				if err == nil {
					acknowledged.Add(1)
					continue
				}
				if !errors.Is(err, ingest.ErrNotReady) {
					t.Errorf("stopping: %v", err)
				}
				refused.Add(1)
				return
			}
		})
	}
	eventually(t, "donations flow", func() bool { return acknowledged.Load() > 100 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if ids, _ := stored(t, b, ledger.Live, 0); int64(len(ids)) != acknowledged.Load()+1 {
		t.Errorf("%d stored, %d acknowledged", len(ids), acknowledged.Load()+1)
	}
}

func TestPublish_NotBeforeRun(t *testing.T) {
	p := brokertest.New(t).NewPublisher(broker.PublisherConfig{}, nil)
	if err := p.Publish(ledger.Live, donation(1)); !errors.Is(err, ingest.ErrNotReady) {
		t.Error(err)
	}
	if err := p.Publish(0, donation(1)); !errors.Is(err, ingest.ErrNotReady) {
		t.Error(err)
	}
}

// TestPublish_FullStreamIsNoAck fills the stream to its limit.
func TestPublish_FullStreamIsNoAck(t *testing.T) {
	b := brokertest.New(t, brokertest.WithStorage(4<<20))
	p := b.NewPublisher(broker.PublisherConfig{}, nil)
	run(t, p.Run)
	takes(t, p)
	big := donation(0)
	big.Sealed = make([]byte, 8000)
	acknowledged := 1 // by takes
	var err error
	for n := 1; err == nil && n < 10_000; n++ {
		big.ID = donation(n).ID
		if err = p.Publish(ledger.Live, big); err == nil {
			acknowledged++
		}
	}
	if !errors.Is(err, ingest.ErrUnknown) {
		t.Fatalf("a full stream: %v", err)
	}
	if ids, _ := stored(t, b, ledger.Live, 0); len(ids) != acknowledged {
		t.Errorf("%d stored, %d acknowledged", len(ids), acknowledged)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, transport := range []string{"inprocess", "tcp"} {
		for _, inFlight := range []int{1, 2, 3, 4, 8} {
			b.Run(fmt.Sprintf("%s/inflight=%d", transport, inFlight), func(b *testing.B) {
				opts := []brokertest.Option{}
				if transport == "tcp" {
					opts = append(opts, brokertest.WithTCP())
				}
				broker1 := brokertest.New(b, opts...)
				reg := prometheus.NewRegistry()
				p := broker1.NewPublisher(broker.PublisherConfig{InFlight: inFlight, Node: "bench"}, reg)
				run(b, p.Run)
				takes(b, p)
				const callers = 256
				var next atomic.Int64
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for c := range callers {
					wg.Go(func() {
						d := donation(c)
						for next.Add(1) <= int64(b.N) {
							if err := p.Publish(ledger.Live, d); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "donations/s")
			})
		}
	}
}

// BenchmarkPublishPaced offers 5,000 donations a second on a schedule, whatever the
// answers do, and reports latencies from the planned time and the CPU of the whole
// process, broker included.
func BenchmarkPublishPaced(b *testing.B) {
	const perSecond, seconds = 5000, 2
	for _, inFlight := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			broker1 := brokertest.New(b)
			p := broker1.NewPublisher(broker.PublisherConfig{InFlight: inFlight}, nil)
			run(b, p.Run)
			takes(b, p)
			for b.Loop() {
				latencies := make([]time.Duration, perSecond*seconds)
				cpu := cpuTime(b)
				start := time.Now()
				var wg sync.WaitGroup
				for i := range latencies {
					planned := start.Add(time.Duration(i) * time.Second / perSecond)
					if wait := time.Until(planned); wait > 0 {
						time.Sleep(wait)
					}
					wg.Go(func() {
						if err := p.Publish(ledger.Live, donation(i)); err != nil {
							b.Error(err)
						}
						latencies[i] = time.Since(planned)
					})
				}
				wg.Wait()
				slices.Sort(latencies)
				b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds()), "p99-µs")
				b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(len(latencies)), "cpu-µs/donation")
			}
		})
	}
}

func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
