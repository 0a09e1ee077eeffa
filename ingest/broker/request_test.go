package broker_test

import (
	"errors"
	"sync"
	"testing"

	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ingest/envelope"
	"spillway/ledger"
)

// wishes are two requests about the n-th donation.
func wishes(n int) (card, stop *envelope.Request) {
	d := donation(n)
	card = &envelope.Request{
		Kind: envelope.Attempt, ID: ingest.DeriveAttemptID(d.ID, []byte("another-card-0001")), Donation: d.ID,
		ReceivedAt: d.ReceivedAt, Source: 1, ConfirmationToken: "ctoken_another", TokenExpiresAt: d.TokenExpiresAt,
	}
	stop = &envelope.Request{Kind: envelope.Cancellation, ID: ingest.DeriveCancelLastID(d.ID, 1), Donation: d.ID, ReceivedAt: d.ReceivedAt}
	return card, stop
}

// What was acknowledged about a donation is in its book and shard in the order of
// the acknowledgements, among other donors' donations and wishes.
func TestPublishRequest_StandsBehindItsDonation(t *testing.T) {
	const shards, donors = 3, 120
	s := brokertest.Start(t, brokertest.WithShards(shards))
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := b.NewPublisher(broker.PublisherConfig{Node: "test"}, nil)
	run(t, p.Run)
	takes(t, p)
	var all sync.WaitGroup
	for n := range donors {
		all.Go(func() {
			card, stop := wishes(n)
			for _, publish := range []func() error{
				func() error { return p.Publish(ledger.Live, donation(n)) },
				func() error { return p.PublishRequest(ledger.Live, card) },
				func() error { return p.PublishRequest(ledger.Live, stop) },
			} {
				if err := publish(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()

	stage := map[ingest.ID]int{} // how many of the three have come
	for shard := range shards {
		state, err := b.Inspect(t.Context(), ledger.Live, shard)
		if err != nil {
			t.Fatal(err)
		}
		here := 0
		err = b.Scan(t.Context(), ledger.Live, shard, state.First, state.Last, func(_ uint64, data []byte) error {
			_, err := envelope.Decode(data, func(_ int, r envelope.Record, _ []byte, err error) {
				switch {
				case err != nil:
					t.Error(err)
				case r.Donation != nil:
					stage[r.Donation.ID]++
					here++
				default:
					if want := stage[r.Request.Donation]; want != int(r.Request.Kind)-1 {
						t.Errorf("%s of %s comes after %d records of its donation", r.Request.Kind, r.Request.Donation, want)
					}
					stage[r.Request.Donation]++
				}
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if here == 0 {
			t.Errorf("shard %d holds no donation", shard)
		}
	}
	for n := range donors {
		if got := stage[donation(n).ID]; got != 3 {
			t.Errorf("donation %d: %d of 3 records are stored", n, got)
		}
	}
}

// A request is refused where a donation would be, with the same meaning.
func TestPublishRequest_Refuses(t *testing.T) {
	s := brokertest.Start(t)
	b := s.Connect()
	if err := b.EnsureTopology(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := b.NewPublisher(broker.PublisherConfig{Node: "test"}, nil)
	card, stop := wishes(1)
	if err := p.PublishRequest(ledger.Live, card); !errors.Is(err, ingest.ErrNotReady) {
		t.Errorf("nobody sends: %v", err)
	}
	if err := p.PublishRequest(ledger.Book(9), stop); !errors.Is(err, ingest.ErrNotReady) {
		t.Errorf("no such book: %v", err)
	}
	gated := b.NewPublisher(broker.PublisherConfig{Node: "test", Gate: b.NewGate(nil)}, nil)
	run(t, gated.Run)
	if err := gated.PublishRequest(ledger.Live, card); !errors.Is(err, ingest.ErrNotReady) {
		t.Errorf("no proof of durability yet: %v", err)
	}
	if state, err := b.Inspect(t.Context(), ledger.Live, 0); err != nil || state.Last != 0 {
		t.Errorf("%d messages stored, %v", state.Last, err)
	}
}
