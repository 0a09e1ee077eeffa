package broker_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// publishing returns a publisher that takes donations, and one is in the stream.
func publishing(t testing.TB, b *broker.Broker) *broker.Publisher {
	t.Helper()
	p := b.NewPublisher(broker.PublisherConfig{}, nil)
	run(t, p.Run)
	takes(t, p)
	return p
}

func publish(t testing.TB, p *broker.Publisher, n int) {
	t.Helper()
	if err := p.Publish(ledger.Live, donation(n)); err != nil {
		t.Fatal(err)
	}
}

func source(t testing.TB, b *broker.Broker) *broker.Source {
	t.Helper()
	s := b.Source(ledger.Live, 0)
	t.Cleanup(s.Close)
	return s
}

func fetch(t testing.TB, s *broker.Source, most int, wait time.Duration) []broker.Message {
	t.Helper()
	messages, err := s.Fetch(t.Context(), most, 16<<20, wait)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

func ack(t testing.TB, messages ...broker.Message) {
	t.Helper()
	for _, m := range messages {
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFetch_ReturnsWhatIsThere(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	for n := range 9 {
		publish(t, p, n)
	}
	began := time.Now()
	messages := fetch(t, s, 100, time.Minute)
	if len(messages) != 10 {
		t.Fatalf("%d messages", len(messages))
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("waited %v though something was there", took)
	}
	for i, m := range messages {
		if m.Sequence != uint64(i)+1 || m.Deliveries != 1 || len(m.Data) == 0 || time.Since(m.StoredAt) > time.Hour {
			t.Errorf("message %d: sequence %d, delivery %d, %d bytes, stored %v", i, m.Sequence, m.Deliveries, len(m.Data), m.StoredAt)
		}
	}
	ack(t, messages...)
	eventually(t, "all are acked", func() bool {
		lag, err := s.Lag(t.Context())
		return err == nil && lag == broker.Lag{}
	})
}

func TestFetch_BoundsCountAndBytes(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	const n = 300
	big := donation(0)
	big.Sealed = make([]byte, 8000)
	big.Lines = nil
	for i := range n {
		big.ID = donation(i).ID
		if err := p.Publish(ledger.Live, big); err != nil {
			t.Fatal(err)
		}
	}
	if got := fetch(t, s, 7, time.Minute); len(got) != 7 {
		t.Errorf("%d messages of 7", len(got))
	}
	// The least byte bound, 2 MiB, lets about 250 of these through.
	got, err := s.Fetch(t.Context(), 1000, 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, m := range got {
		bytes += len(m.Data)
	}
	if len(got) < 100 || bytes > 2<<20 {
		t.Errorf("%d messages of %d bytes", len(got), bytes)
	}
}

func TestFetch_WaitsForTheFirst(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	ack(t, fetch(t, s, 10, time.Minute)...)
	if got := fetch(t, s, 10, 50*time.Millisecond); len(got) != 0 {
		t.Fatalf("%d messages of an empty stream", len(got))
	}
	if got := fetch(t, s, 10, 0); len(got) != 0 {
		t.Fatalf("%d messages of an empty stream without waiting", len(got))
	}
	// A round's latency must not depend on the wait.
	worst := time.Duration(0)
	for n := range 50 {
		arrived := make(chan time.Time, 1)
		go func() {
			messages, err := s.Fetch(t.Context(), 10, 1<<20, time.Minute)
			if err != nil || len(messages) != 1 {
				t.Errorf("%d messages, %v", len(messages), err)
			}
			arrived <- time.Now()
			for _, m := range messages {
				_ = m.Ack()
			}
		}()
		publish(t, p, n)
		acknowledged := time.Now()
		worst = max(worst, (<-arrived).Sub(acknowledged))
	}
	t.Logf("worst of 50: with the ledger %v after the front-end's ack", worst)
	if worst > 5*time.Second {
		t.Errorf("a message is with the ledger %v after the ack", worst)
	}
}

func TestFetch_EndsWithItsContext(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	ack(t, fetch(t, s, 10, time.Minute)...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Fetch(ctx, 10, 1<<20, time.Hour)
		ended <- err
	}()
	eventually(t, "the request waits", func() bool { return waiting(t, b) == 1 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// The request that was given up must not swallow what comes next.
	publish(t, p, 1)
	if got := fetch(t, s, 10, time.Minute); len(got) != 1 || got[0].Deliveries != 1 {
		t.Errorf("after a fetch that was given up: %d messages", len(got))
	}
}

// waiting is how many requests wait at the broker.
func waiting(t testing.TB, b *broker.Broker) int {
	t.Helper()
	n, err := broker.WaitingRequests(t.Context(), b, broker.Stream(ledger.Live, 0))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMessage_RedeliveryUntilAcked(t *testing.T) {
	t.Parallel()
	b := brokertest.New(t)
	publishing(t, b)
	first, second := source(t, b), source(t, b)
	got := fetch(t, first, 10, time.Minute)
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	if err := got[0].Nak(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	again := fetch(t, second, 10, time.Minute)
	if len(again) != 1 || again[0].Sequence != got[0].Sequence || again[0].Deliveries != 2 {
		t.Fatalf("after a nak: %+v", again)
	}
	// No word at all: it comes back after AckWait, unless InProgress is said.
	if err := again[0].InProgress(); err != nil {
		t.Fatal(err)
	}
	third := fetch(t, first, 10, broker.AckWait+patience)
	if len(third) != 1 || third[0].Deliveries != 3 {
		t.Fatalf("after AckWait: %+v", third)
	}
	if err := third[0].Ack(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is acked", func() bool {
		lag, err := first.Lag(t.Context())
		return err == nil && lag == broker.Lag{}
	})
}

// TestSource_SharedBySeveral lets four sources drain a stream while its broker is
// restarted twice: every envelope is processed, by somebody.
func TestSource_SharedBySeveral(t *testing.T) {
	t.Parallel()
	process := brokertest.StartProcess(t)
	b := process.New()
	p := publishing(t, b)
	const donations = 3000
	var acked sync.Map
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		s := source(t, process.Connect())
		wg.Go(func() {
			for ctx.Err() == nil {
				messages, err := s.Fetch(ctx, 1+rand.IntN(50), 1<<20, 200*time.Millisecond)
				if err != nil && ctx.Err() == nil && !errors.Is(err, broker.ErrUnavailable) {
					t.Errorf("fetch: %v", err)
				}
				for _, m := range messages {
					if rand.IntN(20) == 0 {
						_ = m.Nak(time.Duration(rand.IntN(50)) * time.Millisecond)
						continue
					}
					if m.Ack() == nil {
						acked.Store(m.Sequence, true)
					}
				}
			}
		})
	}
	var next atomic.Int64
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for n := next.Add(1); n <= donations; n = next.Add(1) {
				for p.Publish(ledger.Live, donation(int(n))) != nil {
					time.Sleep(5 * time.Millisecond) // as a client does after a 503
				}
			}
		})
	}
	for _, at := range []int64{donations / 3, donations * 2 / 3} {
		eventually(t, "donations flow", func() bool { return next.Load() >= at })
		process.Kill()
		process.Start()
	}
	senders.Wait()
	s := source(t, b)
	eventually(t, "the stream is drained", func() bool {
		lag, err := s.Lag(t.Context())
		return err == nil && lag.Pending == 0 && lag.AckPending == 0
	})
	cancel()
	wg.Wait()
	state, err := b.Inspect(t.Context(), ledger.Live, 0)
	if err != nil {
		t.Fatal(err)
	}
	for seq := state.First; seq <= state.Last; seq++ {
		if _, ok := acked.Load(seq); !ok {
			t.Errorf("envelope %d was acked by nobody", seq)
		}
	}
}

// TestWatermark_IsTrue asks for watermarks all the time while publishers, slow and
// forgetful consumers and redeliveries do their worst: whatever was acknowledged to
// its publisher before a watermark had been acked by the ledger when it was returned.
func TestWatermark_IsTrue(t *testing.T) {
	t.Parallel()
	b := brokertest.New(t, brokertest.WithTCP())
	p := publishing(t, b)
	// The broker is on this machine: its clock is ours. StoredAt, which the test
	// does not use, and the watermark are the broker's.
	var mu sync.Mutex
	acknowledgedAt := make(map[uint64]time.Time) // by donation number
	processed := make(map[uint64]bool)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var next atomic.Uint64
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1)
				d := donation(int(n))
				d.Source = n
				if err := p.Publish(ledger.Live, d); err != nil {
					t.Errorf("publish: %v", err)
					return
				}
				mu.Lock()
				acknowledgedAt[n] = time.Now()
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			}
		})
	}
	for range 3 {
		s := source(t, b)
		wg.Go(func() {
			for ctx.Err() == nil {
				messages, err := s.Fetch(ctx, 1+rand.IntN(20), 1<<20, 100*time.Millisecond)
				if err != nil && ctx.Err() == nil {
					t.Errorf("fetch: %v", err)
					return
				}
				rand.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
				for _, m := range messages {
					if rand.IntN(10) == 0 {
						_ = m.Nak(time.Duration(rand.IntN(100)) * time.Millisecond)
						continue
					}
					if rand.IntN(10) == 0 {
						time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
					}
					mu.Lock()
					for _, n := range sourcesOf(t, m.Data) {
						processed[n] = true
					}
					mu.Unlock()
					_ = m.Ack()
				}
			}
		})
	}
	asker := source(t, b)
	claims, caughtUp := 0, 0
	last := time.Time{}
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		mark, err := asker.Watermark(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		for n, at := range acknowledgedAt {
			if at.Before(mark) {
				if !processed[n] {
					t.Fatalf("watermark %v, but donation %d, acknowledged %v before it, is not processed", mark, n, mark.Sub(at))
				}
				delete(acknowledgedAt, n) // checked for good: watermarks that follow include it
			}
		}
		mu.Unlock()
		claims++
		if time.Since(mark) < 50*time.Millisecond {
			caughtUp++
		}
		last = mark
	}
	cancel()
	wg.Wait()
	t.Logf("%d claims, %d of them fresher than 50 ms, %d donations", claims, caughtUp, next.Load())
	if claims < 50 || caughtUp == 0 {
		t.Errorf("the test hardly asked: %d claims, %d fresh", claims, caughtUp)
	}
	// Once everything is drained, the watermark follows the clock.
	rest := source(t, b)
	for {
		messages := fetch(t, rest, 100, 200*time.Millisecond)
		ack(t, messages...)
		if lag, err := rest.Lag(t.Context()); err == nil && lag.Pending == 0 && lag.AckPending == 0 {
			break
		}
	}
	eventually(t, "the watermark passes the end", func() bool {
		mark, err := asker.Watermark(t.Context())
		return err == nil && mark.After(last) && time.Since(mark) < time.Second
	})
}

// TestWatermark_StandsBeforeTheFirstUnacked holds one message and acks those
// around it.
func TestWatermark_StandsBeforeTheFirstUnacked(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	for n := range 4 {
		publish(t, p, n)
	}
	messages := fetch(t, s, 10, time.Minute)
	if len(messages) != 5 {
		t.Fatalf("%d messages", len(messages))
	}
	ack(t, messages[0], messages[1], messages[3], messages[4])
	want := messages[2].StoredAt
	for _, from := range []*broker.Source{s, source(t, b)} { // one remembers the time, one asks for it
		eventually(t, "the watermark stands before the third message", func() bool {
			mark, err := from.Watermark(t.Context())
			return err == nil && mark.Equal(want)
		})
		if lag, err := from.Lag(t.Context()); err != nil || !lag.Oldest.Equal(want) {
			t.Errorf("lag: oldest %v, want %v, %v", lag.Oldest, want, err)
		}
	}
	ack(t, messages[2])
	eventually(t, "the watermark is now", func() bool {
		mark, err := s.Watermark(t.Context())
		return err == nil && mark.After(want) && time.Since(mark) < time.Second
	})
}

func BenchmarkWatermark(b *testing.B) {
	br := brokertest.New(b)
	p, s := publishing(b, br), source(b, br)
	for n := range 100 {
		publish(b, p, n)
	}
	b.Run("behind", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Watermark(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	ack(b, fetch(b, s, 200, time.Minute)...)
	b.Run("caught up", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Watermark(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFetch(b *testing.B) {
	br := brokertest.New(b)
	p, s := publishing(b, br), source(b, br)
	const burst = 4000
	for b.Loop() {
		b.StopTimer()
		var wg sync.WaitGroup
		for c := range 64 {
			wg.Go(func() {
				for n := range burst / 64 {
					publish(b, p, c*1000+n)
				}
			})
		}
		wg.Wait()
		state, err := br.Inspect(b.Context(), ledger.Live, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for got := uint64(0); got < state.Pending; {
			messages := fetch(b, s, 256, time.Minute)
			ack(b, messages...)
			got += uint64(len(messages))
		}
	}
}
