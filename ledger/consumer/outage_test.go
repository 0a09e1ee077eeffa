package consumer_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/deploy/onebox/pgtest"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/consumer"
)

// watcher runs a reader of the rig's frames.
type watcher struct {
	mu   sync.Mutex
	asOf time.Time
	sums map[string]campaigns.SlotRow
}

func (r *rig) watch() *watcher {
	w := &watcher{}
	reader := &reader{broker: r.server.Connect(), slots: map[int32]*readSlot{}, advanced: func(asOf time.Time, sums map[string]campaigns.SlotRow) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asOf, w.sums = asOf, sums
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = reader.run(r.t.Context())
	}()
	r.t.Cleanup(func() { <-done })
	return w
}

func (w *watcher) donations(campaign string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sums[campaign].Donations
}

func (w *watcher) lag() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.asOf)
}

func (r *rig) drained() bool {
	lag, err := r.broker.Source(ledger.Live, 0).Lag(r.t.Context())
	return err == nil && lag.Pending == 0 && lag.AckPending == 0
}

func donors(prefix string, n int) (all []*envelope.Donation) {
	for i := range n {
		all = append(all, gift(fmt.Sprint(prefix, " donor number ", i), "harbour"))
	}
	return all
}

func TestOutage_DatabaseGoneAndBackWithoutAPerson(t *testing.T) {
	cluster := pgtest.Private(t)
	r := newRigOn(t, cluster.Database(t))
	p := r.publisher()
	w := r.watch()
	r.run(consumer.Config{LeaseTTL: 500 * time.Millisecond, FrameEvery: 10 * time.Millisecond, IdleFrameEvery: 20 * time.Millisecond}, r.deps())
	r.publish(p, donors("early", 50)...)
	eventually(t, "the early ones are shown", func() bool { return w.donations("harbour") == 50 })

	cluster.Stop()
	eventually(t, "without donations as_of goes on", func() bool { return w.lag() < 100*time.Millisecond })
	stored := time.Now()
	r.publish(p, donors("meanwhile", 50)...)
	eventually(t, "with one waiting it stands still", func() bool { return w.lag() > time.Second })
	w.mu.Lock()
	if w.asOf.After(time.Now().Add(-time.Second)) || w.sums["harbour"].Donations != 50 {
		t.Errorf("as of %v, stored after %v, %d donations are shown", w.asOf, stored, w.sums["harbour"].Donations)
	}
	w.mu.Unlock()
	cluster.Restart(t)
	eventually(t, "all are shown", func() bool { return w.donations("harbour") == 100 && r.drained() })
	eventually(t, "as_of has caught up", func() bool { return w.lag() < 100*time.Millisecond })
	if n := r.count("SELECT count(*) FROM donations"); n != 100 {
		t.Errorf("%d donations recorded", n)
	}
}

func TestOutage_BrokerRestarted(t *testing.T) {
	r := newRig(t)
	p := r.publisher()
	w := r.watch()
	r.run(consumer.Config{FrameEvery: 10 * time.Millisecond, IdleFrameEvery: 20 * time.Millisecond}, r.deps())
	r.publish(p, donors("early", 50)...)
	eventually(t, "the early ones are shown", func() bool { return w.donations("harbour") == 50 })
	r.server.Restart()
	late := donors("late", 50)
	for _, d := range late {
		eventually(t, "taken again", func() bool { return p.Publish(ledger.Live, d) == nil })
	}
	eventually(t, "all are shown", func() bool { return w.donations("harbour") == 100 && r.drained() })
	if n := r.count("SELECT count(*) FROM donations"); n != 100 {
		t.Errorf("%d donations recorded", n)
	}
}

func TestQuarantine_CulpritsAreSetAsideAndTheRestIsRecorded(t *testing.T) {
	r := newRig(t)
	var data []byte
	envelopeOf := func(id byte) { data = envelope.AppendHeader(nil, envelope.Header{ID: [16]byte{id}, Node: "test"}) }
	store := func() {
		t.Helper()
		if err := r.store(data); err != nil {
			t.Fatal(err)
		}
	}
	// Among good ones: what only the database refuses, what cannot be decoded, and a
	// record of the other book.
	envelopeOf(1)
	for i, d := range donors("good", 40) {
		data = envelope.AppendDonation(data, d)
		if i == 10 {
			bad := gift("too much to seal", "harbour")
			bad.Sealed, bad.SealKey = make([]byte, 5000), 1
			data = envelope.AppendDonation(data, bad)
			// The same key once more, in order: the first was none, so this is the first.
			data = envelope.AppendDonation(data, gift("too much to seal", "river-school"))
		}
		if i == 20 {
			bad := gift("twenty billion", "harbour")
			bad.Lines[0].AmountMinor, bad.AmountMinor = 2_000_000_000_000, 2_000_000_000_000
			data = envelope.AppendDonation(data, bad)
			bad = gift("does not add up", "harbour")
			bad.AmountMinor++
			data = envelope.AppendDonation(data, bad)
		}
		if i == 30 {
			bad := gift("somebody rehearsing", "harbour")
			bad.Rehearsal = true
			data = envelope.AppendDonation(data, bad)
		}
	}
	store()
	data = []byte("no envelope at all")
	store()
	store() // the same again
	envelopeOf(2)
	data = envelope.AppendDonation(data, gift("after all that", "harbour"))
	store()

	r.run(consumer.Config{}, r.deps())
	eventually(t, "all is acknowledged", r.drained)
	if n := r.count("SELECT count(*) FROM donations"); n != 42 {
		t.Errorf("%d donations recorded, want 42", n)
	}
	if n := r.count("SELECT sum(donations) FROM slots"); n != 42 {
		t.Errorf("slots count %d", n)
	}
	if n := r.count("SELECT count(*) FROM conflicts"); n != 0 {
		t.Errorf("%d conflicts", n)
	}
	for reason, want := range map[ledger.Reason]int64{ledger.ReasonRefused: 3, ledger.ReasonMalformed: 2} {
		if n := r.count(fmt.Sprintf("SELECT count(*) FROM quarantine WHERE reason = '%s' AND stream = 'DONATIONS_0'", reason)); n != want {
			t.Errorf("%d set aside as %s, want %d", n, reason, want)
		}
	}
	if n := r.count("SELECT count(*) FROM quarantine WHERE record_index = -1 AND sequence = 2 AND payload = 'no envelope at all'"); n != 1 {
		t.Error("the envelope that is none is not kept as it came")
	}
	if n := r.count("SELECT record_index FROM quarantine WHERE detail = '23514 donations_sealed_length'"); n != 11 {
		t.Errorf("the culprit stood at 11, noted is %d", n)
	}
}

func TestTwoShards_AClaimIsTheLeastOfBoth(t *testing.T) {
	f := newFakeSource()
	behind := newFakeSource()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.setWatermark(noon)
	behind.setWatermark(noon.Add(-time.Hour))
	frames := &fakeFrames{}
	r := &rig{t: t}
	r.run(quick, consumer.Deps{
		Book: ledger.Live, Store: newFakeStore(), Frames: frames,
		Shards: []consumer.Shard{{Stream: "DONATIONS_0", Source: f}, {Stream: "DONATIONS_1", Source: behind}},
	})
	eventually(t, "frames", func() bool { return frames.last().Number > 2 })
	if through := frames.last().CountedThrough; !through.Equal(noon.Add(-time.Hour)) {
		t.Errorf("claimed %v", through)
	}
	behind.setWatermark(noon.Add(time.Hour))
	eventually(t, "the claim goes on", func() bool { return frames.last().CountedThrough.Equal(noon) })
}

func TestTwoShards_BothAreRecordedUnderOneSlot(t *testing.T) {
	r := newRig(t, brokertest.WithShards(2))
	p := r.publisher()
	deps := r.deps()
	s := r.broker.Source(ledger.Live, 1)
	t.Cleanup(s.Close)
	deps.Shards = append(deps.Shards, consumer.Shard{Stream: s.Stream(), Source: source{s}})
	r.run(consumer.Config{}, deps)
	r.publish(p, donors("spread", 200)...)
	eventually(t, "all are recorded", func() bool { return r.count("SELECT count(*) FROM donations") == 200 })
	if n := r.count("SELECT pledged_minor FROM slots"); n != 200_000 {
		t.Errorf("the slot holds %d", n)
	}
	if n := r.count("SELECT count(*) FROM slot_leases"); n != 1 {
		t.Errorf("%d slots", n)
	}
}
