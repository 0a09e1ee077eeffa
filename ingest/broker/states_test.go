package broker_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ingest/broker/brokertest"
	"spillway/ledger"
)

func state(id ingest.ID) ledger.State {
	return ledger.State{
		Found: true, Book: ledger.Rehearsal, Fingerprint: id, Status: ledger.StatusAccepted,
		AmountMinor: 1<<62 + 1, FeeCoverMinor: 3, Currency: "USD",
		ReceivedAt: time.Date(2026, 11, 22, 19, 0, 0, 123456000, time.UTC),
		RecordedAt: time.Date(2026, 11, 22, 19, 0, 1, 0, time.UTC),
		Lines:      []ledger.StateLine{{Campaign: "river-school", AmountMinor: 1<<62 - 2}},
		Conflicts:  [][16]byte{{1}, {2}},
		Reason:     "declined", Decline: "insufficient_funds", ClientSecret: "pi_1_secret_2", AttemptNo: 3,
		RefundedMinor: 1<<62 - 3, Dispute: "open", ExpectedWait: 90 * time.Second,
	}
}

func TestAskDonation(t *testing.T) {
	s := brokertest.Start(t)
	asker, answerer := s.Connect(), s.Connect()
	if _, err := asker.AskDonation(t.Context(), ingest.ID{1}); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("nobody serves: %v", err)
	}
	var fails atomic.Bool
	var mu sync.Mutex
	var calls, asked int
	run(t, func(ctx context.Context) error {
		return answerer.ServeDonations(ctx, func(_ context.Context, ids []ingest.ID) (map[ingest.ID]ledger.State, error) {
			mu.Lock()
			defer mu.Unlock()
			calls++
			asked += len(ids)
			if fails.Load() {
				return nil, ledger.ErrUnavailable
			}
			seen := make(map[ingest.ID]bool)
			answers := make(map[ingest.ID]ledger.State)
			for _, id := range ids {
				if seen[id] {
					t.Error("an ID twice in one query")
				}
				seen[id] = true
				if id[15]%2 == 0 {
					answers[id] = state(id)
				}
			}
			return answers, nil
		})
	})
	eventually(t, "somebody serves", func() bool { _, err := asker.AskDonation(t.Context(), ingest.ID{}); return err == nil })
	var wg sync.WaitGroup
	for n := range 500 {
		wg.Go(func() {
			id := ingest.ID{15: byte(n)}
			got, err := asker.AskDonation(t.Context(), id)
			for tries := 1; errors.Is(err, broker.ErrUnavailable) && tries < 60; tries++ {
				got, err = asker.AskDonation(t.Context(), id) // late on a busy machine, not wrong
			}
			if err != nil {
				t.Errorf("ask: %v", err)
				return
			}
			want := ledger.State{}
			if n%2 == 0 {
				want = state(id)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-answered +got:\n%s", diff)
			}
		})
	}
	wg.Wait()
	mu.Lock()
	t.Logf("%d IDs in %d queries", asked, calls)
	mu.Unlock()
	fails.Store(true)
	if _, err := asker.AskDonation(t.Context(), ingest.ID{1}); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("the database is gone: %v", err)
	}
}

// TestServeDonations_AsksTogetherWhatWaits fills the queue before it is served.
func TestServeDonations_AsksTogetherWhatWaits(t *testing.T) {
	var got []int
	for left := 600; left > 0; {
		n := broker.Gathered(left)
		got = append(got, n)
		left -= n
	}
	if diff := cmp.Diff([]int{256, 256, 88}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestAskDonation_GivesUpInTime asks while nobody answers in time.
func TestAskDonation_GivesUpInTime(t *testing.T) {
	s := brokertest.Start(t)
	asker, answerer := s.Connect(), s.Connect()
	serving := make(chan struct{}, 10)
	run(t, func(ctx context.Context) error {
		return answerer.ServeDonations(ctx, func(ctx context.Context, _ []ingest.ID) (map[ingest.ID]ledger.State, error) {
			serving <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		})
	})
	eventually(t, "somebody serves", func() bool {
		_, _ = asker.AskDonation(t.Context(), ingest.ID{})
		return len(serving) > 0
	})
	began := time.Now()
	if _, err := asker.AskDonation(t.Context(), ingest.ID{}); err == nil {
		t.Error("answered")
	}
	if took := time.Since(began); took > 10*broker.AskTimeout {
		t.Errorf("gave up after %v", took)
	}
}

func BenchmarkAskDonation(b *testing.B) {
	s := brokertest.Start(b)
	asker, answerer := s.Connect(), s.Connect()
	run(b, func(ctx context.Context) error {
		return answerer.ServeDonations(ctx, func(_ context.Context, ids []ingest.ID) (map[ingest.ID]ledger.State, error) {
			answers := make(map[ingest.ID]ledger.State, len(ids))
			for _, id := range ids {
				answers[id] = state(id)
			}
			return answers, nil
		})
	})
	eventually(b, "somebody serves", func() bool { _, err := asker.AskDonation(b.Context(), ingest.ID{}); return err == nil })
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := asker.AskDonation(b.Context(), ingest.ID{}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
