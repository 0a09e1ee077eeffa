package broker_test

import (
	"context"
	"sync"
	"testing"

	"spillway/ingest/broker/brokertest"
	"spillway/ledger/payments"
)

// TestWatchChanges_HearsEveryChangeOnce publishes more than one message holds, with
// others between that changed nothing for a donor.
func TestWatchChanges_HearsEveryChangeOnce(t *testing.T) {
	s := brokertest.Start(t)
	writer, reader := s.Connect(), s.Connect()
	var mu sync.Mutex
	heard := map[[16]byte]int{}
	run(t, func(ctx context.Context) error {
		return reader.WatchChanges(ctx, func(ids [][16]byte) {
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				heard[id]++
			}
		})
	})
	count := func(id [16]byte) int {
		mu.Lock()
		defer mu.Unlock()
		return heard[id]
	}
	eventually(t, "the reader listens", func() bool {
		if err := writer.PublishChanges(t.Context(), []payments.Outcome{{Donation: [16]byte{15: 1}, Changed: true}}); err != nil {
			t.Error(err)
		}
		return count([16]byte{15: 1}) > 0
	})
	const changes = 3000
	var all []payments.Outcome
	for n := range changes {
		id := [16]byte{0: 1, 1: byte(n >> 8), 2: byte(n)}
		all = append(all, payments.Outcome{Donation: id, Changed: true}, payments.Outcome{Donation: [16]byte{0: 2, 1: byte(n)}})
	}
	if err := writer.PublishChanges(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last is heard", func() bool { return count(all[2*changes-2].Donation) == 1 })
	mu.Lock()
	defer mu.Unlock()
	delete(heard, [16]byte{15: 1})
	if len(heard) != changes {
		t.Errorf("%d changes heard of %d", len(heard), changes)
	}
	for id, n := range heard {
		if n != 1 || id[0] != 1 {
			t.Errorf("%x heard %d times", id, n)
		}
	}
}
