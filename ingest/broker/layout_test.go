package broker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// busy gives until stop is called; every donor must be heard in between.
func busy(t *testing.T, d *donor) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = d.give() // what was acknowledged is what counts
		}
	})
	return func() { cancel(); wg.Wait() }
}

func TestSetReplicas_WhileDonationsGoOn(t *testing.T) {
	if !*wholeCluster {
		t.Skip("an election for each of fourteen streams: go test ./ingest/broker -run SetReplicas -cluster -v")
	}
	t.Parallel()
	servers := brokertest.StartCluster(t, 3, func(int) []brokertest.Option { return []brokertest.Option{brokertest.WithReplicas(1)} })
	b := servers[0].Connect()
	eventually(t, "the cluster makes streams", func() bool { return b.EnsureTopology(t.Context()) == nil })
	g, p := publisherAt(t, b)
	gateSays(t, g, nil)
	d := newDonor(p, 0)
	d.heard(t, "one copy", 20)
	stop := busy(t, d)

	three := connect(t, servers[1], func(c *broker.Config) { c.Replicas = 3 })
	if err := three.EnsureTopology(t.Context()); !errors.Is(err, broker.ErrTopology) {
		t.Errorf("one copy for who wants three: %v", err)
	}
	var told []string
	if err := b.SetReplicas(t.Context(), 3, func(stream string) { told = append(told, stream) }); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := three.EnsureTopology(t.Context()); err != nil {
		t.Error(err)
	}
	all, err := b.Layouts(t.Context())
	if err != nil || len(all) != len(told) {
		t.Errorf("%d streams, told of %d, %v", len(all), len(told), err)
	}
	for _, l := range all {
		if !l.Whole() || l.Replicas != 3 {
			t.Errorf("%+v", l)
		}
	}
	g3, p3 := publisherAt(t, three)
	gateSays(t, g3, nil)
	d3 := newDonor(p3, 1_000_000)
	d3.heard(t, "three copies", 20)
	d.heard(t, "a front-end that knows of one", 20)
	proven(t, b, d, d3)
	if err := b.SetReplicas(t.Context(), 3, func(stream string) { t.Errorf("%s is changed again", stream) }); err != nil {
		t.Error(err)
	}
	if err := b.SetReplicas(t.Context(), 6, func(string) {}); err == nil {
		t.Error("six copies")
	}
}

// A stream whose copies are being changed takes nothing, for front-ends that wait as for
// those that give up, and whoever left it so is put right by the same command.
func TestSetReplicas_APausedStreamTakesNothingAndGoesOn(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t)
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	g, p := publisherAt(t, b)
	gateSays(t, g, nil)
	d := newDonor(p, 0)
	d.heard(t, "before", 1)

	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), broker.Stream(ledger.Live, 0))
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgSize = 1 // as SetReplicas leaves it when it is killed
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := d.give(); !errors.Is(err, ingest.ErrUnknown) {
		t.Errorf("until the deadline: %v", err)
	}
	paused := func() bool {
		all, err := b.Layouts(t.Context())
		return err == nil && slices.ContainsFunc(all, func(l broker.Layout) bool { return l.Paused })
	}
	if !paused() {
		t.Error("it is not said that it is paused")
	}

	waits := newDonor(p, 1_000_000)
	answered := make(chan error, 1)
	go func() { answered <- waits.give() }()
	var changed []string
	if err := b.SetReplicas(t.Context(), 1, func(stream string) { changed = append(changed, stream) }); err != nil || len(changed) != 1 {
		t.Errorf("changed %q, %v", changed, err)
	}
	if err := <-answered; err != nil {
		t.Logf("who waited was told %v", err) // the machine was slow
	}
	waits.heard(t, "afterwards", 1)
	if paused() {
		t.Error("it is still paused")
	}
	if err := b.SetReplicas(t.Context(), 3, func(string) {}); err == nil || paused() {
		t.Errorf("three copies on one server: %v, paused %v", err, paused())
	}
	waits.heard(t, "after a no", 1)
	proven(t, b, d, waits)
}

func TestAddShards_WhileDonationsGoOn(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t)
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	g, p := publisherAt(t, b)
	gateSays(t, g, nil)
	old := newDonor(p, 0)
	old.heard(t, "one shard", 20)
	stop := busy(t, old)
	wide := connect(t, s, func(c *broker.Config) { c.Shards = 3 })
	if err := wide.AddShards(t.Context()); err != nil {
		t.Fatal(err)
	}
	g3, p3 := publisherAt(t, wide)
	gateSays(t, g3, nil)
	next := newDonor(p3, 1_000_000)
	next.heard(t, "three shards", 60)
	stop()
	old.heard(t, "a front-end that knows of one shard", 20)

	// Both wrote at once; ledgers of three shards find everything.
	there := make(map[ingest.ID]int)
	for shard := range 3 {
		ids, _ := stored(t, wide, ledger.Live, shard)
		if len(ids) == 0 {
			t.Errorf("shard %d is empty", shard)
		}
		for id, n := range ids {
			there[id] += n
		}
	}
	for _, d := range []*donor{old, next} {
		for id, told := range d.sent {
			if told && there[id] == 0 {
				t.Errorf("donation %s was acknowledged and is in no shard", id)
			}
		}
	}
	if err := s.Connect().AddShards(t.Context()); !errors.Is(err, broker.ErrTopology) {
		t.Errorf("fewer shards than there are: %v", err)
	}
	// A ledger that would miss two shards does not start; a front-end does.
	if err := s.Connect().EnsureTopology(t.Context()); !errors.Is(err, broker.ErrTopology) {
		t.Errorf("a ledger of one shard: %v", err)
	}
	front := connect(t, s, func(c *broker.Config) { c.Role = broker.RoleFrontEnd })
	if err := front.EnsureTopology(t.Context()); err != nil {
		t.Errorf("a front-end of one shard: %v", err)
	}
}

// TestAddShards_KeepsWhatIsStored has a stream that is fuller than its new share.
func TestAddShards_KeepsWhatIsStored(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.WithStorage(2<<20)) // a stream of 1 MiB
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := publishing(t, b)
	big := donation(0)
	big.Sealed = make([]byte, 8000)
	for n := range 80 { // 640 KB: more than half
		big.ID = donation(n).ID
		if err := p.Publish(ledger.Live, big); err != nil {
			t.Fatal(err)
		}
	}
	wide := connect(t, s, func(c *broker.Config) { c.Shards = 2 })
	if err := wide.AddShards(t.Context()); !errors.Is(err, broker.ErrNoRoom) {
		t.Errorf("a stream that is fuller than its new share: %v", err)
	}
	if ids, _ := stored(t, b, ledger.Live, 0); len(ids) < 80 {
		t.Errorf("%d donations are left", len(ids))
	}
	if there, err := b.ShardsThere(t.Context()); err != nil || there != 1 {
		t.Errorf("%d shards, %v", there, err)
	}
}
