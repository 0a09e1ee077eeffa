package broker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// asOperator gives a test what an operator has: JetStream, to set streams up wrongly.
func asOperator(t testing.TB, s *brokertest.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// gateSays waits until the gate says want, with all the words; nil is ready.
func gateSays(t testing.TB, g *broker.Gate, want error, words ...string) {
	t.Helper()
	var got error
	defer func() {
		if t.Failed() {
			t.Logf("the gate says: %v", got)
		}
	}()
	eventually(t, "gate's verdict", func() bool {
		if got = g.Ready(); want == nil || got == nil {
			return got == want
		}
		for _, w := range words {
			if !strings.Contains(got.Error(), w) {
				return false
			}
		}
		return errors.Is(got, want)
	})
}

func openGate(t testing.TB, b *broker.Broker) *broker.Gate {
	t.Helper()
	g := b.NewGate(nil)
	if err := g.Ready(); err == nil {
		t.Fatal("a gate that has not asked is open")
	}
	run(t, g.Run)
	return g
}

func TestGate_OpensForADurableBroker(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		gateSays(t, openGate(t, brokertest.New(t)), nil)
	})
	t.Run("system account", func(t *testing.T) {
		gateSays(t, openGate(t, brokertest.New(t, brokertest.WithTCP())), nil)
	})
	t.Run("monitoring", func(t *testing.T) {
		s := brokertest.Start(t, brokertest.WithTCP(), brokertest.WithoutExport(), brokertest.WithMonitor())
		b := connect(t, s, func(c *broker.Config) { c.MonitorURLs = []string{s.MonitorURL()} })
		if err := b.EnsureTopology(t.Context()); err != nil {
			t.Fatal(err)
		}
		gateSays(t, openGate(t, b), nil)
	})
}

// connect connects with a changed Config.
func connect(t testing.TB, s *brokertest.Server, change func(*broker.Config)) *broker.Broker {
	t.Helper()
	cfg := s.Config()
	change(&cfg)
	b, err := broker.Connect(t.Context(), cfg, brokertest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestGate_StaysShut(t *testing.T) {
	t.Run("embedded broker without sync", func(t *testing.T) {
		g := openGate(t, brokertest.New(t, brokertest.WithoutSync()))
		gateSays(t, g, broker.ErrNotDurable, "sync_interval: always")
	})
	t.Run("broker without sync", func(t *testing.T) {
		g := openGate(t, brokertest.New(t, brokertest.WithTCP(), brokertest.WithoutSync()))
		gateSays(t, g, broker.ErrNotDurable, "server broker", "sync_interval: always")
	})
	t.Run("monitoring tells of no sync", func(t *testing.T) {
		s := brokertest.Start(t, brokertest.WithTCP(), brokertest.WithoutExport(), brokertest.WithMonitor(), brokertest.WithoutSync())
		b := connect(t, s, func(c *broker.Config) { c.MonitorURLs = []string{s.MonitorURL()} })
		if err := b.EnsureTopology(t.Context()); err != nil {
			t.Fatal(err)
		}
		g := openGate(t, b)
		gateSays(t, g, broker.ErrNotDurable, "sync_interval: always")
	})
	t.Run("nobody tells", func(t *testing.T) {
		s := brokertest.Start(t, brokertest.WithTCP(), brokertest.WithoutExport())
		b := s.Connect()
		if err := b.EnsureTopology(t.Context()); err == nil {
			t.Fatal("streams of 4 GiB fit a store of 1 GiB")
		}
		b = connect(t, s, func(c *broker.Config) { c.StorageBytes = 1 << 30 })
		if err := b.EnsureTopology(t.Context()); err != nil {
			t.Fatal(err)
		}
		gateSays(t, openGate(t, b), broker.ErrNoProof, "import it from the system account", "DONATIONS_0")
	})
	t.Run("no streams", func(t *testing.T) {
		gateSays(t, openGate(t, brokertest.Start(t).Connect()), broker.ErrNotDurable, "DONATIONS_0 does not exist")
	})
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"persist_mode is async":       func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode; c.AllowDirect = false },
		"retention is not limits":     func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"discard is old":              func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"storage is not file":         func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"max_age is set":              func(c *jetstream.StreamConfig) { c.MaxAge = 1e12 },
		"max_msgs is set":             func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 },
		"max_msgs_per_subject is set": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 10 },
		"no_ack is set":               func(c *jetstream.StreamConfig) { c.NoAck = true },
		"has no max_bytes":            func(c *jetstream.StreamConfig) { c.MaxBytes = -1 },
		"its subjects are":            func(c *jetstream.StreamConfig) { c.Subjects = []string{"donations.v1.*"} },
		"may expire":                  func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := brokertest.Start(t)
			cfg := jetstream.StreamConfig{
				Name: "DONATIONS_0", Subjects: []string{"donations.v1.0"}, Discard: jetstream.DiscardNew,
				MaxBytes: 100 << 20, DenyDelete: true, AllowDirect: true,
			}
			change(&cfg)
			if _, err := asOperator(t, s).CreateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			b := s.Connect()
			err := b.EnsureTopology(t.Context())
			if name != "has no max_bytes" && !errors.Is(err, broker.ErrTopology) { // a size is the operator's
				t.Errorf("topology: %v", err)
			}
			gateSays(t, openGate(t, b), broker.ErrNotDurable, "DONATIONS_0", name)
		})
	}
}

// TestGate_AnotherServerBehindTheName restarts the broker without sync: the proof
// for the old connection must not serve the new one.
func TestGate_AnotherServerBehindTheName(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"embedded", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			var opts []brokertest.Option
			if transport == "tcp" {
				opts = append(opts, brokertest.WithTCP())
			}
			s := brokertest.Start(t, opts...)
			b := s.Connect()
			if err := b.EnsureTopology(t.Context()); err != nil {
				t.Fatal(err)
			}
			g := openGate(t, b)
			p := b.NewPublisher(broker.PublisherConfig{Gate: g}, nil)
			run(t, p.Run)
			gateSays(t, g, nil)
			takes(t, p)

			s.Stop()
			eventually(t, "gate shuts with the connection", func() bool { return g.Ready() != nil })
			s.Restart(brokertest.WithoutSync())
			// From here on nothing may be acknowledged, not even between the
			// connection's return and the next question.
			var err error
			for n := 0; err == nil || !errors.Is(err, broker.ErrNotDurable); n++ {
				if err = p.Publish(ledger.Live, donation(n)); err == nil {
					t.Fatal("acknowledged by a broker that does not sync")
				}
				if n%1000 == 0 {
					t.Log(err)
				}
			}
			if !errors.Is(err, ingest.ErrNotReady) {
				t.Error(err)
			}
			gateSays(t, g, broker.ErrNotDurable, "sync_interval: always")

			s.Restart(brokertest.WithSync())
			gateSays(t, g, nil)
			takes(t, p)
		})
	}
}

func TestGate_ShutsBeforeTheStreamIsFull(t *testing.T) {
	t.Parallel()
	b := brokertest.New(t, brokertest.WithStorage(2<<20)) // a stream of 1 MiB
	g := openGate(t, b)
	gateSays(t, g, nil)
	p := b.NewPublisher(broker.PublisherConfig{Gate: g}, nil)
	run(t, p.Run)
	takes(t, p)
	big := donation(0)
	big.Sealed = make([]byte, 8000)
	// Up to 92 per cent, which is below the limit; then wait for the next look.
	for n := 0; n < (1<<20)*92/100/8300; n++ {
		big.ID = donation(n).ID
		if err := p.Publish(ledger.Live, big); err != nil {
			if errors.Is(err, broker.ErrFull) {
				break
			}
			t.Fatal(err)
		}
	}
	gateSays(t, g, broker.ErrFull, "DONATIONS_0", "max_bytes")
	if err := p.Publish(ledger.Live, big); !errors.Is(err, ingest.ErrNotReady) {
		t.Errorf("published into a full stream: %v", err)
	}
}

// TestGate_Cluster lets one of three servers forget to sync: whoever holds a copy
// has to say that it does.
func TestGate_Cluster(t *testing.T) {
	t.Parallel()
	servers := brokertest.StartCluster(t, 3, func(i int) []brokertest.Option {
		if i == 2 {
			return []brokertest.Option{brokertest.WithoutSync()}
		}
		return nil
	})
	b := servers[0].Connect()
	eventually(t, "the cluster has a leader and makes streams", func() bool { return b.EnsureTopology(t.Context()) == nil })
	g := openGate(t, b)
	gateSays(t, g, broker.ErrNotDurable, "server broker-2", "sync_interval: always")
	servers[2].Restart(brokertest.WithSync())
	gateSays(t, g, nil)
	p := b.NewPublisher(broker.PublisherConfig{Gate: g}, nil)
	run(t, p.Run)
	takes(t, p)

	// With one server gone, two synced copies acknowledge; the gate may blink while
	// leaders are elected.
	servers[1].Stop()
	takes(t, p)
	gateSays(t, g, nil)
	// When it comes back without sync, it is noticed.
	servers[1].Restart(brokertest.WithoutSync())
	gateSays(t, g, broker.ErrNotDurable, "server broker-1")
	// With two gone, there is nobody to acknowledge.
	servers[1].Stop()
	servers[2].Stop()
	eventually(t, "the gate shuts", func() bool { return g.Ready() != nil })
	if err := p.Publish(ledger.Live, donation(1)); err == nil {
		t.Error("acknowledged by one of three")
	}
}
