package loadtest

import (
	"flag"
	"math"
	"sync"
	"testing"
	"time"

	"spillway/loadtest/trace"
)

// measuring turns on what takes time and wants a quiet machine: go test ./loadtest -run Honest -capacity
var measuring = flag.Bool("capacity", false, "run the measurements that need a quiet machine")

// TestRun_HonestAboutAServerThatStalls has a target that answers nobody in one second of
// ten. Of evenly planned requests a tenth then waits, for 0 to 1 s: a p99 of 0.9 s.
// A generator that waits for answers before it sends on would see one request a stall.
func TestRun_HonestAboutAServerThatStalls(t *testing.T) {
	if !*measuring {
		t.Skip("-capacity measures on a quiet machine")
	}
	g := newTarget(t)
	cfg := g.config(t)
	source, err := trace.NewProfile(trace.ProfileConfig{Rate: 200, For: 20 * time.Second, Campaigns: 3})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Source, cfg.Connections, cfg.Watchers = source, 300, 0
	var stalls sync.WaitGroup
	done := make(chan struct{})
	stalls.Go(func() {
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for first := time.After(5 * time.Second); ; {
			select {
			case <-done:
				return
			case <-first:
				tick.Reset(10 * time.Second)
			case <-tick.C:
			}
			g.mu.Lock()
			time.Sleep(time.Second) // the stall itself
			g.mu.Unlock()
		}
	})
	r := rehearse(t, cfg, g.deps())
	close(done)
	stalls.Wait()
	wantProof(t, r)
	s := r.Sending
	if p99 := s.Latency.P99.Seconds(); math.Abs(p99-0.9) > 0.05 {
		t.Errorf("p99 %.3f s, want 0.9", p99)
	}
	if offered := float64(s.Sent-1) / s.For.Seconds(); math.Abs(offered/200-1) > 0.01 {
		t.Errorf("offered %.1f/s, planned 200", offered)
	}
	t.Logf("p50 %v, p99 %v, lateness p99 %v, sent %d in %v", s.Latency.P50, s.Latency.P99, s.Lateness.P99, s.Sent, s.For)
}
