package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/consumer"
)

// counted is a store's Record that notes how many donations each transaction had.
type counted struct {
	mu    sync.Mutex
	sizes []int
}

func (c *counted) record(_ context.Context, donations []*envelope.Donation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sizes = append(c.sizes, len(donations))
	return nil
}

// runShards runs a consumer of three shards, the first of them f.source.
func runShards(t *testing.T, config consumer.Config, c *counted) (f *fakes, shards []*fakeSource) {
	f = runFakes(t, config, func(f *fakes) {
		f.store.record = c.record
		shards = []*fakeSource{f.source, newFakeSource(), newFakeSource()}
		f.others = []consumer.Source{shards[1], shards[2]}
	})
	return f, shards
}

// What all shards brought in one tick is one transaction, and every message is
// acknowledged once.
func TestRecorder_RecordsAllShardsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f, shards := runShards(t, consumer.Config{}, &c)
		defer f.stop() // inside of the bubble, whatever ends the test
		time.Sleep(time.Second)
		const ticks = 20
		var handles []*fakeHandle
		for tick := range ticks {
			for i, s := range shards {
				m, h := message(uint64(tick+1), time.Now(), gift(fmt.Sprintf("key %d of shard %d", tick, i), "harbour"))
				s.push(m)
				handles = append(handles, h)
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Second)
		f.stop()
		if n := len(f.store.recorded); n != 3*ticks {
			t.Errorf("%d of %d donations recorded", n, 3*ticks)
		}
		for i, h := range handles {
			if h.acks.Load() != 1 || h.naks.Load() != 0 {
				t.Errorf("message %d: acknowledged %d times, given back %d times", i, h.acks.Load(), h.naks.Load())
			}
		}
		// The first push of all may be caught between its messages.
		if n := len(c.sizes); n > ticks+2 {
			t.Errorf("%d transactions in %d ticks: %v", n, ticks, c.sizes)
		}
	})
}

// The same key by two shards is one donation; with other contents it is a conflict
// of the first, as within one shard.
func TestRecorder_AKeyThatCameByTwoShardsIsOneDonation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f, shards := runShards(t, consumer.Config{}, &c)
		defer f.stop()
		time.Sleep(time.Second)
		var handles []*fakeHandle
		for i, s := range shards {
			m, h := message(uint64(i+1), time.Now(), gift("the same key", "harbour"), gift(fmt.Sprintf("key %d", i), "harbour"))
			s.push(m)
			handles = append(handles, h)
		}
		time.Sleep(time.Second)
		f.stop()
		if n := len(f.store.recorded); n != 4 {
			t.Errorf("%d donations recorded, want 4", n)
		}
		if pledged := f.store.rows["harbour"].Donations; pledged != 4 {
			t.Errorf("counted %d times, want 4", pledged)
		}
		for i, h := range handles {
			if h.acks.Load() != 1 {
				t.Errorf("shard %d: acknowledged %d times", i, h.acks.Load())
			}
		}
	})
}

// A transaction has no more than BatchDonations of several shards; what is left out is
// of the next one, and no shard waits for ever.
func TestRecorder_ATransactionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		f, shards := runShards(t, consumer.Config{BatchDonations: 10}, &c)
		defer f.stop()
		time.Sleep(time.Second)
		var handles []*fakeHandle
		for i, s := range shards {
			for n := range 6 {
				m, h := message(uint64(n+1), time.Now(), donors(fmt.Sprintf("shard %d envelope %d donor ", i, n), 4)...)
				s.push(m)
				handles = append(handles, h)
			}
		}
		time.Sleep(5 * time.Second)
		f.stop()
		if n := len(f.store.recorded); n != 3*6*4 {
			t.Errorf("%d of %d donations recorded", n, 3*6*4)
		}
		// One lane's fetch may exceed the bound, as the configuration says: six envelopes.
		if most := slices.Max(c.sizes); most > 6*4 {
			t.Errorf("a transaction of %d donations: %v", most, c.sizes)
		}
		for i, h := range handles {
			if h.acks.Load() != 1 {
				t.Errorf("message %d: acknowledged %d times", i, h.acks.Load())
			}
		}
	})
}

// slowSource is a shard whose broker lets every fetch but the first wait for longer than
// a tick, although there is something.
type slowSource struct {
	*fakeSource
	fetches int
}

func (s *slowSource) Fetch(ctx context.Context, messages, bytes int, wait time.Duration) ([]consumer.Message, error) {
	s.fetches++
	if s.fetches > 1 {
		time.Sleep(2 * time.Second)
	}
	return s.fakeSource.Fetch(ctx, messages, bytes, wait)
}

// A shard that answers late holds up the others once at most: see fetchLoop's last fetch.
func TestRecorder_ASlowShardDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counted
		slow := &slowSource{fakeSource: newFakeSource()}
		f := runFakes(t, consumer.Config{}, func(f *fakes) {
			f.store.record = c.record
			f.others = []consumer.Source{slow}
		})
		defer f.stop()
		time.Sleep(10 * time.Second)
		late := 0
		for n := range 100 {
			own, _ := message(uint64(n+1), time.Now(), gift(fmt.Sprintf("other %d", n), "harbour"))
			slow.push(own)
			m, h := message(uint64(n+1), time.Now(), gift(fmt.Sprintf("key %d", n), "harbour"))
			f.source.push(m)
			time.Sleep(200 * time.Millisecond)
			if h.acks.Load() != 1 {
				late++
			}
		}
		time.Sleep(10 * time.Second)
		f.stop()
		if n := len(f.store.recorded); n != 200 {
			t.Errorf("%d of 200 donations recorded", n)
		}
		t.Logf("%d of 100 were later than 200 ms", late)
		if late > 10 {
			t.Errorf("%d of 100 donations of a shard that answers were late for one that does not", late)
		}
	})
}

// Of a joined batch, what the database refuses is set aside under its own stream.
func TestRecorder_SetsAsideUnderTheRightStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		culprit := gift("the culprit", "harbour")
		var f *fakes
		var shards []*fakeSource
		f = runFakes(t, consumer.Config{}, func(f *fakes) {
			f.store.record = func(_ context.Context, donations []*envelope.Donation) error {
				for _, d := range donations {
					if d.ID == culprit.ID {
						return &ledger.PoisonError{Err: errors.New("the database refuses it")}
					}
				}
				return nil
			}
			shards = []*fakeSource{f.source, newFakeSource(), newFakeSource()}
			f.others = []consumer.Source{shards[1], shards[2]}
		})
		defer f.stop()
		time.Sleep(time.Second)
		for i, s := range shards {
			gifts := donors(fmt.Sprintf("shard %d donor ", i), 3)
			if i == 2 {
				gifts = append(gifts, culprit)
			}
			m, _ := message(uint64(i+7), time.Now(), gifts...)
			s.push(m)
		}
		time.Sleep(5 * time.Second)
		f.stop()
		if n := len(f.store.recorded); n != 9 {
			t.Errorf("%d of 9 good donations recorded", n)
		}
		if len(f.store.rejected) != 1 {
			t.Fatalf("%d records set aside, want 1", len(f.store.rejected))
		}
		if r := f.store.rejected[0]; r.Stream != "DONATIONS_2" || r.Sequence != 9 || r.Index != 3 {
			t.Errorf("set aside as %s, message %d, record %d; want DONATIONS_2, 9, 3", r.Stream, r.Sequence, r.Index)
		}
	})
}
