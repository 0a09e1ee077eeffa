package broker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

// What is acknowledged may go, and nothing else: neither what is not, nor the last.
func TestTrim_RemovesWhatWasReadAndNoMore(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	for n := range 9 { // a tenth message is the publisher's own, the first
		publish(t, p, n)
	}
	messages := fetch(t, s, 100, time.Minute)
	ack(t, messages[:6]...)
	eventually(t, "six are acked", func() bool {
		at, err := s.Place(t.Context())
		return err == nil && at.Sequence == 6
	})
	if _, err := s.Trim(t.Context(), 7); !errors.Is(err, broker.ErrUnread) {
		t.Errorf("trimmed what is held by a reader: %v", err)
	}
	at, err := s.Trim(t.Context(), 4)
	if err != nil || at.First != 5 || at.Last != 10 || at.Sequence != 6 || !at.FirstAt.Equal(messages[4].StoredAt) {
		t.Errorf("after the trim it stands at %+v, %v", at, err)
	}
	if again, err := s.Trim(t.Context(), 3); err != nil || again.First != 5 {
		t.Errorf("what is gone already: %+v, %v", again, err)
	}
	ack(t, messages[6:]...)
	eventually(t, "all are acked", func() bool {
		at, err := s.Place(t.Context())
		return err == nil && at.Sequence == 10
	})
	if _, err := s.Trim(t.Context(), 10); !errors.Is(err, broker.ErrUnread) {
		t.Errorf("trimmed the last: %v", err)
	}
	if at, err = s.Trim(t.Context(), 9); err != nil || at.First != 10 || at.Last != 10 {
		t.Errorf("all but the last: %+v, %v", at, err)
	}
	// The stream is as good as before: it is sound, and goes on where it was.
	publish(t, p, 10)
	if next := fetch(t, s, 100, time.Minute); len(next) != 1 || next[0].Sequence != 11 {
		t.Errorf("and then %d messages", len(next))
	}
	if state, err := b.Inspect(t.Context(), ledger.Live, 0); err != nil || len(state.Faults) > 0 || state.First != 10 {
		t.Errorf("%+v, %v", state, err)
	}
	if _, err := s.Watermark(t.Context()); err != nil {
		t.Errorf("watermark: %v", err)
	}
}

// Somebody else who reads the stream has a say too.
func TestTrim_WaitsForEveryDurableReader(t *testing.T) {
	server := brokertest.Start(t, brokertest.WithTCP())
	b := server.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, s := publishing(t, b), source(t, b)
	for n := range 4 {
		publish(t, p, n)
	}
	ack(t, fetch(t, s, 100, time.Minute)...)
	eventually(t, "all are acked", func() bool {
		at, err := s.Place(t.Context())
		return err == nil && at.Sequence == at.Last
	})
	js := asOperator(t, server)
	_, err := js.CreateConsumer(t.Context(), s.Stream(), jetstream.ConsumerConfig{Durable: "WAREHOUSE", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Trim(t.Context(), 2); !errors.Is(err, broker.ErrUnread) {
		t.Errorf("trimmed what the other reader has not seen: %v", err)
	}
	if err := js.DeleteConsumer(t.Context(), s.Stream(), "WAREHOUSE"); err != nil {
		t.Fatal(err)
	}
	if at, err := s.Trim(t.Context(), 2); err != nil || at.First != 3 {
		t.Errorf("%+v, %v", at, err)
	}
}

func TestLastBefore_FindsTheMoment(t *testing.T) {
	b := brokertest.New(t)
	p, s := publishing(t, b), source(t, b)
	for n := range 20 {
		publish(t, p, n)
		time.Sleep(time.Millisecond)
	}
	messages := fetch(t, s, 100, time.Minute)
	ack(t, messages...)
	last := messages[len(messages)-1]
	find := func(moment time.Time, first, last, want uint64) {
		t.Helper()
		if got, err := s.LastBefore(t.Context(), moment, first, last); err != nil || got != want {
			t.Errorf("the last of %d to %d before %v: %d, %v; want %d", first, last, moment, got, err, want)
		}
	}
	for _, m := range messages {
		find(m.StoredAt, 1, last.Sequence, m.Sequence-1)
		find(m.StoredAt.Add(1), 1, last.Sequence, m.Sequence)
	}
	find(time.Now().Add(time.Hour), 1, last.Sequence, last.Sequence)
	find(time.Now().Add(time.Hour), 1, 7, 7)
	find(time.Now().Add(time.Hour), 1, 1000, last.Sequence) // further than it goes
	find(time.Now().Add(time.Hour), 8, 7, 0)
	find(time.Time{}, 1, last.Sequence, 0)
	eventually(t, "all are acked", func() bool {
		at, err := s.Place(t.Context())
		return err == nil && at.Sequence == last.Sequence
	})
	if _, err := s.Trim(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	find(messages[4].StoredAt, 10, last.Sequence, 0)
	find(messages[14].StoredAt, 10, last.Sequence, 14)
}

// A copy that was away meanwhile loses the same when it is back, and may lead then.
func TestTrim_ACopyThatWasAway(t *testing.T) {
	t.Parallel()
	servers := brokertest.StartCluster(t, 3, func(int) []brokertest.Option { return nil })
	b := servers[0].Connect()
	eventually(t, "the cluster has a leader and makes streams", func() bool { return b.EnsureTopology(t.Context()) == nil })
	p := b.NewPublisher(broker.PublisherConfig{}, nil)
	run(t, p.Run)
	takes(t, p)
	for n := range 9 {
		publish(t, p, n)
	}
	s := source(t, b)
	acknowledged := func() bool {
		messages, err := s.Fetch(t.Context(), 100, 16<<20, time.Second)
		for _, m := range messages {
			err = errors.Join(err, m.Ack())
		}
		at, placed := s.Place(t.Context())
		return errors.Join(err, placed) == nil && at.Sequence == at.Last
	}
	eventually(t, "all is acknowledged", acknowledged)
	servers[2].Stop()
	eventually(t, "the two that are left trim", func() bool {
		at, err := s.Trim(t.Context(), 6)
		return err == nil && at.First == 7
	})
	servers[2].Restart()
	whole := func() bool {
		all, err := b.Layouts(t.Context())
		for _, l := range all {
			if !l.Whole() {
				return false
			}
		}
		return err == nil
	}
	eventually(t, "every copy is complete", whole)
	servers[1].Stop() // the third is needed now
	var last uint64
	eventually(t, "it goes on with two", func() bool {
		publishing := p.Publish(ledger.Live, donation(100))
		at, err := s.Place(t.Context())
		last = at.Last
		return publishing == nil && err == nil && at.First == 7 && at.Last > 10
	})
	eventually(t, "all is acknowledged", acknowledged)
	servers[1].Restart()
	eventually(t, "every copy is complete", whole)
	if at, err := s.Place(t.Context()); err != nil || at.First != 7 || at.Last < last {
		t.Errorf("in the end it stands at %+v, %v", at, err)
	}
}
