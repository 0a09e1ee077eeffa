package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

func TestEnsureTopology_TwiceAndInParallel(t *testing.T) {
	s := brokertest.Start(t, brokertest.WithShards(2))
	errs := make(chan error)
	for range 4 {
		b := s.Connect()
		go func() { errs <- b.EnsureTopology(t.Context()) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Error(err)
	}
	js := asOperator(t, s)
	var names []string
	for info := range js.ListStreams(t.Context()).Info() {
		names = append(names, info.Config.Name)
		storage := jetstream.FileStorage
		if info.Config.Name == "WALLS" { // found again in the books
			storage = jetstream.MemoryStorage
		}
		if info.Config.MaxBytes <= 0 || info.Config.Storage != storage {
			t.Errorf("%s: %+v", info.Config.Name, info.Config)
		}
	}
	if want := "CAMPAIGNS COMMANDS DONATIONS_0 DONATIONS_1 EVENTS FRAMES MEDIA REHEARSALS_0 REHEARSALS_1 REHEARSAL_COMMANDS SNAPSHOTS SWITCHES WALLS WEBHOOKS"; strings.Join(names, " ") != want {
		t.Errorf("streams: %v", names)
	}
	for _, book := range ledger.Books {
		for shard := range 2 {
			state, err := b.Inspect(t.Context(), book, shard)
			if err != nil || len(state.Faults) > 0 {
				t.Errorf("%s: %+v, %v", broker.Stream(book, shard), state, err)
			}
			c, err := js.Consumer(t.Context(), broker.Stream(book, shard), "LEDGER")
			if err != nil {
				t.Fatal(err)
			}
			cfg := c.CachedInfo().Config
			if cfg.AckPolicy != jetstream.AckExplicitPolicy || cfg.MaxDeliver != -1 || cfg.AckWait != 10*time.Second || cfg.MaxAckPending <= 0 {
				t.Errorf("consumer: %+v", cfg)
			}
		}
	}
}

// TestEnsureTopology_LeavesWhatIsWrongAlone expects a clear refusal and no change.
func TestEnsureTopology_LeavesWhatIsWrongAlone(t *testing.T) {
	for name, wrong := range map[string]jetstream.StreamConfig{
		"deny_delete is not set":         {Name: "DONATIONS_0", Subjects: []string{"donations.v1.0"}, Discard: jetstream.DiscardNew, AllowDirect: true},
		"max_msgs_per_subject is -1":     {Name: "SNAPSHOTS", Subjects: []string{"snapshots.v1.>"}, Discard: jetstream.DiscardNew, AllowDirect: true},
		"discard is DiscardOld":          {Name: "CAMPAIGNS", Subjects: []string{"campaigns.v1.>"}, MaxMsgsPerSubject: 1, AllowDirect: true},
		"its subjects are frames.v1.*.*": {Name: "FRAMES", Subjects: []string{"frames.v1.*.*"}, AllowDirect: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := brokertest.Start(t)
			js := asOperator(t, s)
			before, err := js.CreateStream(t.Context(), wrong)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Connect().EnsureTopology(t.Context())
			if !errors.Is(err, broker.ErrTopology) || !strings.Contains(err.Error(), wrong.Name) || !strings.Contains(err.Error(), name) {
				t.Errorf("refusal: %v", err)
			}
			after, err := js.Stream(t.Context(), wrong.Name)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := after.CachedInfo().Config, before.CachedInfo().Config; a.Discard != b.Discard || a.DenyDelete != b.DenyDelete || a.MaxMsgsPerSubject != b.MaxMsgsPerSubject {
				t.Errorf("changed to %+v", a)
			}
		})
	}
	t.Run("more shards than configured", func(t *testing.T) {
		s := brokertest.Start(t)
		more := connect(t, s, func(c *broker.Config) { c.Shards = 3 })
		if err := more.EnsureTopology(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Connect().EnsureTopology(t.Context()); !errors.Is(err, broker.ErrTopology) || !strings.Contains(err.Error(), "3 shards") {
			t.Errorf("refusal: %v", err)
		}
	})
	t.Run("consumer", func(t *testing.T) {
		s := brokertest.Start(t)
		b := s.Connect()
		if err := b.EnsureTopology(t.Context()); err != nil {
			t.Fatal(err)
		}
		js := asOperator(t, s)
		if err := js.DeleteConsumer(t.Context(), "DONATIONS_0", "LEDGER"); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateConsumer(t.Context(), "DONATIONS_0", jetstream.ConsumerConfig{Durable: "LEDGER", AckPolicy: jetstream.AckAllPolicy, MaxDeliver: 5}); err != nil {
			t.Fatal(err)
		}
		err := b.EnsureTopology(t.Context())
		if !errors.Is(err, broker.ErrTopology) || !strings.Contains(err.Error(), "ack_policy") || !strings.Contains(err.Error(), "max_deliver") {
			t.Errorf("refusal: %v", err)
		}
		state, err := b.Inspect(t.Context(), ledger.Live, 0)
		if err != nil || len(state.Faults) != 1 || !strings.Contains(state.Faults[0], "ack_policy") {
			t.Errorf("faults: %v, %v", state.Faults, err)
		}
	})
}

func TestConnect_WaitsForTheBroker(t *testing.T) {
	t.Parallel()
	s := brokertest.Start(t, brokertest.WithTCP())
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := broker.Connect(ctx, s.Config(), brokertest.Log(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a broker: %v", err)
	}
	connected := make(chan error, 1)
	go func() {
		b, err := broker.Connect(context.Background(), s.Config(), brokertest.Log(t))
		if err == nil {
			err = b.Close()
		}
		connected <- err
	}()
	s.Start()
	select {
	case err := <-connected:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("not connected")
	}
}

func TestConfig_Validate(t *testing.T) {
	err := broker.Config{Shards: 65, Replicas: 6, StorageBytes: -1, MonitorURLs: []string{"localhost:8222"}}.Validate()
	for _, what := range []string{"URL", "shards", "replicas", "storage", "monitoring"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s is not named: %v", what, err)
		}
	}
}
