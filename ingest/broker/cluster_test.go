package broker_test

import (
	"errors"
	"flag"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

var wholeCluster = flag.Bool("cluster", false, "kill, freeze and cut three broker processes and wait for their elections: a minute")

// donor publishes one donation after the other and keeps what was acknowledged.
type donor struct {
	p    *broker.Publisher
	from int // number of its first donation; no two donors share one

	mu    sync.Mutex
	sent  map[ingest.ID]bool // true: acknowledged
	next  int
	acked int
}

func newDonor(p *broker.Publisher, from int) *donor {
	return &donor{p: p, from: from, sent: make(map[ingest.ID]bool)}
}

// give publishes the next donation.
func (d *donor) give() error {
	d.mu.Lock()
	given := donation(d.from + d.next)
	d.next++
	d.sent[given.ID] = false
	d.mu.Unlock()
	err := d.p.Publish(ledger.Live, given)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.sent[given.ID] = true
		d.acked++
	}
	return err
}

// heard waits until n more donations are acknowledged.
func (d *donor) heard(t testing.TB, what string, n int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for before := d.acked; d.acked < before+n; {
		if err := d.give(); err != nil {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// proven holds the stream against what donors were told: everything acknowledged is
// there, and nothing that nobody sent.
func proven(t testing.TB, b *broker.Broker, donors ...*donor) {
	t.Helper()
	there, _ := stored(t, b, ledger.Live, 0)
	acked := 0
	for _, d := range donors {
		for id, told := range d.sent {
			if told {
				acked++
				if there[id] == 0 {
					t.Errorf("donation %s was acknowledged and is not in the stream", id)
				}
			}
			delete(there, id)
		}
	}
	if len(there) > 0 {
		t.Errorf("%d donations are in the stream that nobody sent", len(there))
	}
	if !t.Failed() {
		t.Logf("%d acknowledged, all there", acked)
	}
}

// publisherAt is a front-end's publisher behind a gate, over the given servers, that
// gives up soon.
func publisherAt(t testing.TB, b *broker.Broker) (*broker.Gate, *broker.Publisher) {
	t.Helper()
	g := openGate(t, b)
	p := b.NewPublisher(broker.PublisherConfig{Gate: g, AckTimeout: time.Second}, nil)
	run(t, p.Run)
	return g, p
}

// TestCluster_AMinorityAcknowledgesNothing cuts the leader of the stream off both
// followers while a front-end sees nobody but it.
func TestCluster_AMinorityAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	c := brokertest.StartProcesses(t, 3, nil)
	c.New()
	leader := c.Leader("DONATIONS_0")
	alone := c.Connect(leader)
	g, p := publisherAt(t, alone)
	gateSays(t, g, nil)
	d := newDonor(p, 0)
	d.heard(t, "three together", 20)

	c.Cut(leader)
	for range 3 {
		if err := d.give(); err == nil {
			t.Fatal("acknowledged by one of three")
		} else if !errors.Is(err, ingest.ErrUnknown) && !errors.Is(err, ingest.ErrNotReady) {
			t.Errorf("not acknowledged: %v", err)
		}
	}
	if !*wholeCluster {
		c.Heal(leader)
		d.heard(t, "healed", 5)
		proven(t, alone, d)
		return
	}

	var others []int
	for i := range c.Size() {
		if i != leader {
			others = append(others, i)
		}
	}
	majority := c.Connect(others...)
	g2, p2 := publisherAt(t, majority)
	gateSays(t, g2, nil)
	d2 := newDonor(p2, 1_000_000)
	began := time.Now()
	d2.heard(t, "the other two elect a leader", 20)
	t.Logf("two of three take donations %v after they were asked", time.Since(began).Round(100*time.Millisecond))
	// The one that was cut off still says nothing else, and its gate knows why.
	gateSays(t, g, broker.ErrNoProof)
	if err := d.give(); err == nil {
		t.Fatal("acknowledged by one of three while the other two go on")
	}
	c.Heal(leader)
	d.heard(t, "healed", 20)
	d2.heard(t, "healed", 20)
	proven(t, alone, d, d2)
	proven(t, majority, d, d2)
}

// TestCluster_EveryServerInTurn kills, freezes and cuts off each server while donors give.
func TestCluster_EveryServerInTurn(t *testing.T) {
	if !*wholeCluster {
		t.Skip("a minute of elections: go test ./ingest/broker -run Cluster -cluster -v")
	}
	t.Parallel()
	c := brokertest.StartProcesses(t, 3, nil)
	b := c.New()
	g, p := publisherAt(t, b)
	gateSays(t, g, nil)
	d := newDonor(p, 0)
	for _, hurt := range []struct {
		what       string
		do, undone func(int)
	}{
		{"killed", c.Kill, func(i int) { c.Start(i) }},
		{"frozen", c.Pause, c.Resume},
		{"cut off", c.Cut, c.Heal},
	} {
		for range c.Size() {
			i := c.Leader("DONATIONS_0")
			began := time.Now()
			hurt.do(i)
			d.heard(t, "without "+hurt.what, 20)
			t.Logf("broker-%d, the leader, %s: donations are taken %v later", i, hurt.what, time.Since(began).Round(100*time.Millisecond))
			hurt.undone(i)
			d.heard(t, "with all", 20)
		}
	}
	gateSays(t, g, nil)
	proven(t, b, d)
}

// TestCluster_CopiesStandApart has two servers in one zone: three copies are not made
// before they stand in three.
func TestCluster_CopiesStandApart(t *testing.T) {
	if !*wholeCluster {
		t.Skip("seconds of elections: go test ./ingest/broker -run Cluster -cluster -v")
	}
	t.Parallel()
	zones := []string{"a", "a", "b"}
	c := brokertest.StartProcesses(t, 3, func(i int) []brokertest.Option {
		return []brokertest.Option{brokertest.WithZone(zones[i])}
	})
	b := c.Connect()
	eventually(t, "the broker refuses to put copies together", func() bool {
		err := b.EnsureTopology(t.Context())
		if err == nil {
			t.Fatal("three copies in two zones")
		}
		return strings.Contains(err.Error(), "no suitable peers")
	})
	c.Kill(1)
	c.Start(1, brokertest.WithZone("c"))
	eventually(t, "three zones take three copies", func() bool { return b.EnsureTopology(t.Context()) == nil })
	g, _ := publisherAt(t, b)
	gateSays(t, g, nil)
}
