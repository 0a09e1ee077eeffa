package broker_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

func TestPublishWebhook_IsReadOnce(t *testing.T) {
	b := brokertest.New(t)
	for _, id := range []string{"evt_1", "evt_2", "evt_1"} { // the processor repeats itself
		if err := b.PublishWebhook(t.Context(), id, []byte(`{"id":"`+id+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	s := b.Webhooks()
	t.Cleanup(s.Close)
	if s.Stream() != broker.WebhooksStream {
		t.Errorf("reads %s", s.Stream())
	}
	messages := fetch(t, s, 10, time.Minute)
	if len(messages) != 2 || string(messages[0].Data) != `{"id":"evt_1"}` || string(messages[1].Data) != `{"id":"evt_2"}` {
		t.Fatalf("%d messages: %+v", len(messages), messages)
	}
	ack(t, messages...)
	eventually(t, "all are acked", func() bool {
		lag, err := s.Lag(t.Context())
		return err == nil && lag == broker.Lag{}
	})
}

func TestPublishCommand_BooksDoNotMeet(t *testing.T) {
	b := brokertest.New(t)
	for _, book := range ledger.Books {
		if err := b.PublishCommand(t.Context(), book, "c1", []byte(book.String())); err != nil {
			t.Fatal(err)
		}
	}
	for _, book := range ledger.Books {
		s := b.Commands(book)
		t.Cleanup(s.Close)
		messages := fetch(t, s, 10, time.Minute)
		if len(messages) != 1 || string(messages[0].Data) != book.String() {
			t.Errorf("%s: %d messages: %+v", book, len(messages), messages)
		}
		ack(t, messages...)
		eventually(t, "the book's watermark is now", func() bool {
			mark, err := s.Watermark(t.Context())
			return err == nil && time.Since(mark) < patience && mark.After(messages[0].StoredAt)
		})
	}
}

// TestPublishWebhook_TakesNoUnsafeWord: an acknowledgement of a stream that may lose
// what it acknowledged is worth nothing, so nothing is sent.
func TestPublishWebhook_TakesNoUnsafeWord(t *testing.T) {
	s := brokertest.Start(t)
	b := s.Connect()
	if err := b.PublishWebhook(t.Context(), "evt_1", []byte("{}")); !errors.Is(err, broker.ErrNotDurable) {
		t.Errorf("without a stream: %v", err)
	}
	js := asOperator(t, s)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: broker.WebhooksStream, Subjects: []string{"webhooks.v1"}, Storage: jetstream.MemoryStorage,
		Discard: jetstream.DiscardNew, DenyDelete: true, AllowDirect: true,
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a stream in memory is noticed", func() bool { // it is not asked at every turn
		err := b.PublishWebhook(t.Context(), "evt_1", []byte("{}"))
		if !errors.Is(err, broker.ErrNotDurable) {
			t.Fatalf("a stream in memory: %v", err)
		}
		return strings.Contains(err.Error(), "storage")
	})
	stream, err := js.Stream(t.Context(), broker.WebhooksStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d messages were sent all the same", n)
	}
	var syncs atomic.Bool
	lazy := connect(t, s, func(c *broker.Config) { c.Embedded = syncs.Load })
	if err := js.DeleteStream(t.Context(), broker.WebhooksStream); err != nil {
		t.Fatal(err)
	}
	if err := lazy.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lazy.PublishWebhook(t.Context(), "evt_1", []byte("{}")); !errors.Is(err, broker.ErrNotDurable) {
		t.Errorf("a server that does not sync: %v", err)
	}
	syncs.Store(true)
	eventually(t, "it is taken once the server syncs", func() bool {
		return lazy.PublishWebhook(t.Context(), "evt_1", []byte("{}")) == nil
	})
}

func TestPublishWebhook_RefusesWhatCannotBeSent(t *testing.T) {
	b := brokertest.New(t)
	for name, c := range map[string]struct {
		id   string
		size int
	}{
		"no ID":       {"", 2},
		"a split ID":  {"evt_1\r\nNats-Rollup: all", 2},
		"a long ID":   {strings.Repeat("e", 300), 2},
		"a huge body": {"evt_1", 1 << 20},
	} {
		if err := b.PublishWebhook(t.Context(), c.id, make([]byte, c.size)); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
}

// TestPublishCommand_SurvivesTheBroker: what was acknowledged is there after the
// broker was killed, and the new connection is asked for its own proof.
func TestPublishCommand_SurvivesTheBroker(t *testing.T) {
	t.Parallel()
	process := brokertest.StartProcess(t)
	b := process.New()
	if err := b.PublishCommand(t.Context(), ledger.Live, "c1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	process.Kill()
	if err := b.PublishCommand(t.Context(), ledger.Live, "c2", []byte("two")); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("without a broker: %v", err)
	}
	process.Start()
	eventually(t, "commands are taken again", func() bool {
		return b.PublishCommand(t.Context(), ledger.Live, "c3", []byte("three")) == nil
	})
	s := b.Commands(ledger.Live)
	t.Cleanup(s.Close)
	got := map[string]bool{}
	eventually(t, "both are read", func() bool {
		messages, err := s.Fetch(t.Context(), 10, 1<<20, time.Second)
		if err != nil {
			return false
		}
		for _, m := range messages {
			got[string(m.Data)] = true
			_ = m.Ack()
		}
		return got["one"] && got["three"]
	})
}

// BenchmarkPublishWebhook stores events of five kilobytes, as many at once as the
// endpoint lets in.
func BenchmarkPublishWebhook(b *testing.B) {
	br := brokertest.New(b)
	body := make([]byte, 5000)
	var next atomic.Int64
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := br.PublishWebhook(b.Context(), "evt_"+strconv.FormatInt(next.Add(1), 10), body); err != nil {
				b.Error(err)
			}
		}
	})
}
