package broker_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// impatient is a publisher that notices a silent broker at once. Its donors would
// wait long, so that an answer in time can only be a refusal.
func impatient(t *testing.T, b *broker.Broker) (*broker.Gate, *broker.Publisher) {
	t.Helper()
	gate := b.NewGate(nil)
	p := b.NewPublisher(broker.PublisherConfig{Gate: gate, AckTimeout: patience, StalledAfter: 50 * time.Millisecond}, nil)
	run(t, gate.Run)
	run(t, p.Run)
	takes(t, p)
	return gate, p
}

// give publishes one donation and hands its outcome to the channel.
func give(p *broker.Publisher, n int) <-chan error {
	outcome := make(chan error, 1)
	go func() { outcome <- p.Publish(ledger.Live, donation(n)) }()
	return outcome
}

func TestStall_RefusesAtOnceAndHealsByItself(t *testing.T) {
	server := brokertest.StartProcess(t)
	b := server.New()
	gate, p := impatient(t, b)

	server.Signal(syscall.SIGSTOP)
	waiting := give(p, 1)
	gateSays(t, gate, broker.ErrStalled, "DONATIONS_0")
	// The one that is with the broker still waits; whoever comes now does not.
	for n := range 100 {
		err := p.Publish(ledger.Live, donation(2+n))
		if !errors.Is(err, ingest.ErrNotReady) {
			t.Fatalf("a newcomer: %v", err)
		}
	}
	select {
	case err := <-waiting:
		t.Errorf("the donation in flight was settled before its deadline: %v", err)
	default:
	}
	server.Signal(syscall.SIGCONT)
	gateSays(t, gate, nil)
	if err := <-waiting; err != nil && !errors.Is(err, ingest.ErrUnknown) { // its connection may have been given up
		t.Errorf("the donation in flight: %v", err)
	}
	takes(t, p)
	if ids, _ := stored(t, b, ledger.Live, 0); ids[donation(50).ID] != 0 {
		t.Error("a refused donation was sent")
	}
}

func TestStall_StopsWithoutWaitingForTheDeadline(t *testing.T) {
	server := brokertest.StartProcess(t)
	b := server.New()
	gate := b.NewGate(nil)
	run(t, gate.Run)
	// The deadline is beyond the test's patience: only cutting it short ends Run in time.
	p := b.NewPublisher(broker.PublisherConfig{Gate: gate, AckTimeout: 10 * patience, StalledAfter: 50 * time.Millisecond}, nil)
	stop := run(t, p.Run)
	takes(t, p)
	server.Signal(syscall.SIGSTOP)
	defer server.Signal(syscall.SIGCONT)
	waiting := give(p, 1)
	gateSays(t, gate, broker.ErrStalled)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, ingest.ErrUnknown) {
		t.Errorf("the donation in flight: %v", err)
	}
}

// A disk that was full leaves nats-server unable to write until it is started
// again. Nothing is lost, donors are refused at once, and they are taken again
// without anybody telling the front-end.
func TestStall_FullDisk(t *testing.T) {
	disk := brokertest.SmallDisk(t)
	server := brokertest.Start(t, brokertest.WithStore(filepath.Join(disk, "store")))
	b := server.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	gate := b.NewGate(nil)
	p := b.NewPublisher(broker.PublisherConfig{Gate: gate, AckTimeout: 2 * time.Second}, nil)
	run(t, gate.Run)
	run(t, p.Run)
	takes(t, p)
	filler := filepath.Join(disk, "filler")
	brokertest.FillDisk(t, filler)

	acknowledged := map[ingest.ID]bool{}
	n := 1
	eventually(t, "a stall", func() bool {
		d := donation(n)
		d.Sealed = make([]byte, 8000)
		n++
		if p.Publish(ledger.Live, d) == nil {
			acknowledged[d.ID] = true
		}
		return errors.Is(gate.Ready(), broker.ErrStalled)
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(ledger.Live, donation(0)); !errors.Is(err, ingest.ErrNotReady) {
		t.Errorf("while stalled: %v", err)
	}
	server.Restart()
	gateSays(t, gate, nil)
	if err := p.Publish(ledger.Live, donation(0)); err != nil {
		t.Errorf("after the broker was started again: %v", err)
	}
	ids, _ := stored(t, b, ledger.Live, 0)
	for id := range acknowledged {
		if ids[id] == 0 {
			t.Errorf("acknowledged and lost: %v", id)
		}
	}
}
