package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/deploy/onebox"
	"spillway/ingest/broker"
	"spillway/ledger"
)

// inspected starts a broker of the test's own and returns our connection to it
// and a plain one.
func inspected(t *testing.T) (*broker.Broker, jetstream.JetStream) {
	t.Helper()
	folder, err := onebox.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	server, err := onebox.StartBroker(folder, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	b, err := broker.Connect(t.Context(), broker.Config{URL: server.URL(), StorageBytes: 1 << 30}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	plain, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Close)
	js, err := jetstream.New(plain)
	if err != nil {
		t.Fatal(err)
	}
	return b, js
}

func TestInspect_SaysWhereAShardStands(t *testing.T) {
	b, js := inspected(t)
	ctx := t.Context()

	at, err := b.Inspect(ctx, ledger.Live, 0)
	if err != nil || len(at.Faults) != 1 || !strings.Contains(at.Faults[0], "DONATIONS_0 does not exist") {
		t.Fatalf("before there is a stream: %+v, %v", at, err)
	}
	if shards, err := b.ShardsThere(ctx); err != nil || shards != 0 {
		t.Fatalf("before there is a stream: %d shards, %v", shards, err)
	}
	if err := b.EnsureTopology(ctx); err != nil {
		t.Fatal(err)
	}
	if shards, err := b.ShardsThere(ctx); err != nil || shards != 1 {
		t.Fatalf("%d shards, %v", shards, err)
	}
	if err := b.Durable(ctx); err != nil {
		t.Errorf("an embedded broker that syncs: %v", err)
	}
	want := broker.Inspection{First: 1}
	if at, err = b.Inspect(ctx, ledger.Live, 0); err != nil || fmt.Sprint(at) != fmt.Sprint(want) {
		t.Fatalf("empty: %+v, %v", at, err)
	}

	for i := range 5 {
		if _, err := js.Publish(ctx, "donations.v1.0", fmt.Appendf(nil, "message %d", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := js.Consumer(ctx, "DONATIONS_0", "LEDGER")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(3)
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		if meta, err := m.Metadata(); err != nil || meta.Sequence.Stream == 3 {
			continue // the third stays unacked
		}
		if err := m.DoubleAck(ctx); err != nil {
			t.Fatal(err)
		}
	}
	at, err = b.Inspect(ctx, ledger.Live, 0)
	if err != nil || at.First != 1 || at.Last != 5 || at.AckFloor != 2 || at.Pending != 2 || at.Unacked != 1 || len(at.Faults) > 0 {
		t.Errorf("%+v, %v", at, err)
	}
	if age := time.Since(at.FirstAt); age < 0 || age > time.Minute {
		t.Errorf("first stored %v ago", age)
	}
}

func TestInspect_NamesUnsafeSettings(t *testing.T) {
	b, js := inspected(t)
	ctx := t.Context()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "DONATIONS_0", Subjects: []string{"donations.v1.0"}, Storage: jetstream.MemoryStorage, MaxAge: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateConsumer(ctx, "DONATIONS_0", jetstream.ConsumerConfig{
		Durable: "LEDGER", AckPolicy: jetstream.AckAllPolicy, MaxDeliver: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	at, err := b.Inspect(ctx, ledger.Live, 0)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(at.Faults, "\n")
	for _, want := range []string{"storage is not file", "max_age is set", "discard is", "ack_policy is not explicit", "max_deliver is set"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not among %q", want, at.Faults)
		}
	}
	if err := b.Durable(ctx); !errors.Is(err, broker.ErrNotDurable) {
		t.Errorf("durable: %v", err)
	}
	if _, err := js.Stream(ctx, "REHEARSALS_0"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("inspecting made a stream: %v", err)
	}
}

func TestScan_VisitsWhatIsStoredInOrder(t *testing.T) {
	b, js := inspected(t)
	ctx := t.Context()
	// A stream that allows deleting, as ours does not, to make holes in.
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "DONATIONS_0", Subjects: []string{"donations.v1.0"}})
	if err != nil {
		t.Fatal(err)
	}
	const stored = 200 // more than one pull
	for i := range stored {
		if _, err := js.PublishAsync("donations.v1.0", fmt.Append(nil, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		t.Fatal("not published")
	}
	for _, gone := range []uint64{1, 7, 199, 200} {
		if err := s.DeleteMsg(ctx, gone); err != nil {
			t.Fatal(err)
		}
	}
	scan := func(first, last uint64) (got []uint64, err error) {
		err = b.Scan(ctx, ledger.Live, 0, first, last, func(sequence uint64, data []byte) error {
			if string(data) != fmt.Sprint(sequence) {
				t.Errorf("message %d holds %q", sequence, data)
			}
			got = append(got, sequence)
			return nil
		})
		return got, err
	}
	for _, c := range []struct {
		first, last uint64
		want        []uint64
		err         error
	}{
		{2, 2, []uint64{2}, nil},
		{5, 9, []uint64{5, 6, 8, 9}, nil},
		{5, 7, []uint64{5, 6}, nil}, // the end is a hole
		{196, 200, []uint64{196, 197, 198}, nil},
		{198, 200, []uint64{198}, nil},
		{197, 1000, []uint64{197, 198}, nil},
		{3, 2, nil, nil},
		{1, 5, nil, broker.ErrNoMessage},
		{7, 7, nil, broker.ErrNoMessage},
		{1000, 1000, nil, broker.ErrNoMessage},
	} {
		got, err := scan(c.first, c.last)
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%d..%d: %d, %v; want %d, %v", c.first, c.last, got, err, c.want, c.err)
		}
	}
	if got, err := scan(2, stored); err != nil || len(got) != stored-4 {
		t.Errorf("all: %d messages, %v", len(got), err)
	}

	stop := errors.New("enough")
	visits := 0
	err = b.Scan(ctx, ledger.Live, 0, 2, stored, func(uint64, []byte) error {
		if visits++; visits == 10 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || visits != 10 {
		t.Errorf("visit's error: %v after %d visits", err, visits)
	}

	ctx, cancel := context.WithCancel(ctx)
	err = b.Scan(ctx, ledger.Live, 0, 2, stored, func(uint64, []byte) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
