package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"spillway/loadtest/capacity"
	"spillway/loadtest/trace"
)

// turnstile lets one through every so often: whoever uses it serves exactly so many a
// second, and those who come faster wait for their turn.
type turnstile struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time
}

func (s *turnstile) pass() {
	s.mu.Lock()
	at := s.next
	if now := time.Now(); at.Before(now) {
		at = now
	}
	s.next = at.Add(s.every)
	s.mu.Unlock()
	time.Sleep(time.Until(at))
}

// searchStub searches a target that serves so many donations a second, through the
// generator as it is.
func searchStub(t *testing.T, limit float64, trial time.Duration, c capacity.Config) (found *capacity.Result, err error) {
	t.Helper()
	g := newTarget(t)
	gate := &turnstile{every: time.Duration(float64(time.Second) / limit)}
	g.turn = gate.pass
	folder, made := t.TempDir(), 0
	c.Show = func(now capacity.Progress) {
		if now.Last != nil {
			t.Log(now.Last.Line())
		}
	}
	found, err = capacity.Search(t.Context(), c, func(ctx context.Context, rate float64) (capacity.Trial, error) {
		made++
		source, err := trace.NewProfile(trace.ProfileConfig{Rate: rate, For: trial, Campaigns: 3, Seed: uint64(made)})
		if err != nil {
			return capacity.Trial{}, err
		}
		cfg := g.config(t)
		cfg.Run, cfg.Source, cfg.Record, cfg.Watchers = fmt.Sprintf("trial-%d", made), source, filepath.Join(folder, fmt.Sprint(made)), 0
		// Room for everybody who waits for a turn: it is the target that is to be the limit.
		cfg.Connections, cfg.Timeout = 1000, time.Minute
		r, err := Run(ctx, nil, cfg, g.deps())
		if err != nil {
			return capacity.Trial{}, err
		}
		s := &r.Sending
		tr := capacity.Trial{Name: cfg.Run, For: s.For, Attempts: s.Attempts, Failed: s.UnknownAnswers, AckP50: s.Latency.P50, AckP99: s.Latency.P99,
			LatenessP99: s.Lateness.P99, WaitingP99: s.Waiting.P99, Drain: r.DrainFor, Drained: r.Drained}
		if s.For > 0 {
			tr.Offered = float64(s.Sent-1) / s.For.Seconds()
		}
		tr.Unproven = broken(r)
		return tr, nil
	})
	return found, err
}

// stubLevels are reached a tenth of a second of waiting above the limit.
var stubLevels = capacity.Levels{AckP99: 100 * time.Millisecond, ErrorShare: 0.001, StalenessP99: time.Second, Drain: 10 * time.Second}

// TestCapacity_AStubNeverHoldsWhatItCannotServe is true on any machine: what a target
// serves so slowly can only look slower. How near the knee is found to the limit is the
// next test's.
func TestCapacity_AStubNeverHoldsWhatItCannotServe(t *testing.T) {
	t.Parallel()
	const limit, trial = 150, 500 * time.Millisecond
	found, err := searchStub(t, limit, trial, capacity.Config{Levels: stubLevels, Start: 100, Least: 50, Most: 1000, Precision: 0.2, Budget: 4 * time.Second})
	if errors.Is(err, capacity.ErrNothing) {
		return // the generator was late in every trial, and nothing was held against the target
	}
	if err != nil {
		t.Fatal(err)
	}
	// At this rate the last donation of a trial waits as long as the level allows.
	most := limit * (1 + stubLevels.AckP99.Seconds()/trial.Seconds())
	for _, tr := range found.Trials {
		if tr.Verdict == capacity.Held && tr.Rate > 1.1*most {
			t.Errorf("%.0f/s held, of a target that serves %d/s: %+v", tr.Rate, limit, tr)
		}
	}
	if found.Sure > 1.1*most {
		t.Errorf("it is said to hold %.0f/s, and serves %d/s", found.Sure, limit)
	}
}

// TestCapacity_FindsTheKneeOfAStub is part of what needs a quiet machine.
func TestCapacity_FindsTheKneeOfAStub(t *testing.T) {
	if !*measuring {
		t.Skip("-capacity measures on a quiet machine")
	}
	const limit, trial = 1000.0, 5 * time.Second
	found, err := searchStub(t, limit, trial, capacity.Config{Levels: stubLevels, Budget: 6 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(found.Sentence())
	if found.Limit != capacity.LimitTarget || math.Abs(found.Rate/limit-1) > 0.05 {
		t.Errorf("%s at %.0f/s, %+v; it serves %.0f/s", found.Limit, found.Rate, found.Knee, limit)
	}
}
