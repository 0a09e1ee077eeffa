//go:build linux

package chaos

import (
	"context"
	"flag"
	"os/exec"
	"strings"
	"testing"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/rig"
	"spillway/loadtest/timeline"
)

var clusterRate = flag.Int("rate", 500, "donations a second of TestCluster, under -chaos")

// clusterFor is longer than all of its faults take.
const clusterFor = 5 * time.Minute

func clusterOrSkip(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("minutes of load and faults: go test ./loadtest/chaos -chaos -v -run 'Cluster|TakenOver' [-rate 2000]")
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		t.Skip("no haproxy: on Debian, sudo apt-get install haproxy")
	}
}

// TestCluster plays every fault of three brokers and two of each role.
func TestCluster(t *testing.T) {
	clusterOrSkip(t)
	play(t, clusterScenario(Load{RatePerSecond: *clusterRate, For: clusterFor}, rig.Till{Processes: 2, PerSecond: *clusterRate}))
}

// One copy of each stream is what the check of the minority must catch: its server
// acknowledges alone.
func TestCluster_OneCopyIsCaught(t *testing.T) {
	clusterOrSkip(t)
	s := Scenario{Name: "minority-of-one-copy", Fault: "one copy of each stream, and its server left alone with a front-end", Load: Load{RatePerSecond: 100, For: time.Minute},
		Script: func(t *Trial) []Step {
			return []Step{t.startCluster(rig.Till{}, 1), t.BeginAfter("run", 20), t.alone(func(ctx context.Context, _ int) error { return t.Hold(brokerAway)(ctx) })}
		}}
	p, err := built()
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := s.Play(t.Context(), Options{Programs: p, Logf: t.Logf, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Holds || !strings.Contains(outcome.Why, "acknowledged by a minority") {
		t.Errorf("a server that acknowledges alone is not noticed: holds %v, %s", outcome.Holds, outcome.Why)
	}
}

// TestTakenOver measures how long a ledger's work waits when nobody does anything.
func TestTakenOver(t *testing.T) {
	if !*long {
		t.Skip("minutes of load and faults: go test ./loadtest/chaos -chaos -v -run TakenOver")
	}
	play(t, takeOverScenario(Load{RatePerSecond: 500, For: 100 * time.Second}))
}

func TestAcknowledgedAlone(t *testing.T) {
	for name, c := range map[string]struct {
		before, cut, after published
		says               string
	}{
		"none":               {published{100, 100}, published{103, 110}, published{103, 130}, ""},
		"some":               {published{100, 100}, published{103, 110}, published{104, 130}, "1 donations were acknowledged by a minority"},
		"nobody gave":        {published{100, 100}, published{103, 103}, published{103, 103}, "nothing is shown"},
		"all before the cut": {published{100, 110}, published{103, 113}, published{103, 113}, "nothing is shown"},
	} {
		err := acknowledgedAlone(c.before, c.cut, c.after)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedOutsideElections(t *testing.T) {
	began := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
	point := func(second int, unknown int64) timeline.Point {
		return timeline.Point{From: time.Duration(second) * time.Second, For: time.Second, Accepted: 100 - unknown, Unknown: unknown}
	}
	for name, c := range map[string]struct {
		points []timeline.Point
		says   string
	}{
		"inside":      {[]timeline.Point{point(0, 0), point(1, 0), point(10, 100), point(29, 100)}, ""},
		"a few":       {[]timeline.Point{point(0, 1), point(1, 0), point(40, 0)}, ""},
		"outside":     {[]timeline.Point{point(0, 0), point(31, 10)}, "% of attempts"},
		"only inside": {[]timeline.Point{point(12, 0)}, "nothing was accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			trial := &Trial{Notes: map[string]any{electionsNote: []span{{began.Add(10 * time.Second), began.Add(30 * time.Second)}}}, Logf: t.Logf}
			err := refusedOutsideElections(trial, &loadtest.Report{Timeline: &timeline.Timeline{BeganAt: began, Points: c.points}})
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("says %v", err)
			}
		})
	}
}
