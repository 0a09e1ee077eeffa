//go:build linux

package chaos

import (
	"context"
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

var (
	long    = flag.Bool("chaos", false, "play every scenario: minutes of load and faults")
	file    = flag.String("file", "", "replay this event instead of each scenario's own load")
	speed   = flag.Float64("speed", 1000, "how many times faster than the event the file is replayed")
	results = flag.String("results", "", "folder for one JSON document per scenario")
	keep    = flag.String("keep", "", "folder that gets a failed rig's logs, data and records")
	seed    = flag.Uint64("seed", 0, "of the nemesis; 0 draws one and says it")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if programsDir != "" {
		if err := os.RemoveAll(programsDir); err != nil {
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

var programsDir string

// built builds the product and the broker once for all tests.
var built = sync.OnceValues(func() (rig.Programs, error) {
	tree, err := programs.Tree()
	if err != nil {
		return rig.Programs{}, err
	}
	if programsDir, err = os.MkdirTemp("", "spillway-programs-"); err != nil {
		return rig.Programs{}, err
	}
	var p rig.Programs
	if p.Spillway, err = programs.BuildSpillway(context.Background(), tree, programsDir); err != nil {
		return p, err
	}
	p.NATSServer, err = programs.BuildNATSServer(context.Background(), tree, programsDir)
	return p, err
})

// play plays a scenario as the flags say, and fails the test when the proof does.
func play(t *testing.T, s Scenario) *Outcome {
	t.Helper()
	p, err := built()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Programs: p, Logf: t.Logf, Results: *results, Keep: *keep, Seed: *seed}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if *file != "" {
		o.Load = &Load{File: *file, Speed: *speed}
	}
	outcome, err := s.Play(t.Context(), o)
	if err != nil {
		t.Fatalf("seed %d: %v", o.Seed, err)
	}
	if !outcome.Holds {
		t.Errorf("seed %d: %s", o.Seed, outcome.Why)
	}
	return outcome
}

// One scenario in small belongs to every run of the tests: the rig, the generator
// and the audit stay true to each other.
func TestChaos_UpKilledInSmall(t *testing.T) {
	if testing.Short() || *long {
		t.Skip("seconds of load: left out by -short, and part of -chaos in full")
	}
	for _, s := range Scenarios {
		if s.Name == "up-killed" {
			s.Load = Load{RatePerSecond: 300, For: 4 * time.Second}
			play(t, s)
		}
	}
}

func TestChaos(t *testing.T) {
	if !*long {
		t.Skip("minutes of load and faults: go test ./loadtest/chaos -chaos -v")
	}
	for _, s := range Scenarios {
		t.Run(s.Name, func(t *testing.T) { play(t, s) })
	}
}
