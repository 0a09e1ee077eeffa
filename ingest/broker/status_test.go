package broker_test

import (
	"context"
	"sync"
	"testing"

	"spillway/campaigns/status"
	"spillway/ingest/broker/brokertest"
)

// TestWatchStatus_HearsEveryProcessInOrder has two processes report, and one message
// that is no report between them.
func TestWatchStatus_HearsEveryProcessInOrder(t *testing.T) {
	s := brokertest.Start(t)
	one, two, reader := s.Connect(), s.Connect(), s.Connect()
	var mu sync.Mutex
	heard := map[string][]int64{}
	run(t, func(ctx context.Context) error {
		return reader.WatchStatus(ctx, func(r *status.Report) {
			mu.Lock()
			defer mu.Unlock()
			heard[r.Node] = append(heard[r.Node], r.Number)
		})
	})
	count := func(node string) int {
		mu.Lock()
		defer mu.Unlock()
		return len(heard[node])
	}
	eventually(t, "the reader listens", func() bool {
		if err := one.PublishStatus(t.Context(), &status.Report{Node: "first"}); err != nil {
			t.Error(err)
		}
		return count("first") > 0
	})
	if err := one.PublishStatus(t.Context(), &status.Report{}); err == nil {
		t.Error("a report of nobody was sent")
	}
	const reports = 100
	for n := range int64(reports) {
		for node, b := range map[string]interface {
			PublishStatus(context.Context, *status.Report) error
		}{"one": one, "two": two} {
			if err := b.PublishStatus(t.Context(), &status.Report{Node: node, Number: n + 1, Roles: []status.Role{{Name: status.LedgerRole}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "all are heard", func() bool { return count("one") == reports && count("two") == reports })
	mu.Lock()
	defer mu.Unlock()
	for _, node := range []string{"one", "two"} {
		for i, n := range heard[node] {
			if n != int64(i+1) {
				t.Fatalf("report %d of %s is number %d", i, node, n)
			}
		}
	}
}
