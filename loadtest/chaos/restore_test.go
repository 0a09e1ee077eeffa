//go:build linux

package chaos

import (
	"testing"
	"time"

	"spillway/loadtest/rig"
)

// A charge of every kind goes on meanwhile: declines, events late and twice.
var calmly = []string{"--latency", "50ms", "--latency-p99", "300ms", "--decline", "0.05", "--webhook-duplicate", "0.1", "--webhook-reorder", "0.1"}

// The primary is killed and a synchronous standby promoted: nobody does anything else.
func TestPostgres_StandbyPromoted(t *testing.T) {
	if !*long {
		t.Skip("a minute of load: go test ./loadtest/chaos -chaos -v -run TestPostgres")
	}
	play(t, Scenario{
		Name:  "postgres-promoted",
		Fault: "kill -9 of the primary Postgres in the middle, its synchronous standby promoted",
		Load:  Load{RatePerSecond: 150, For: 30 * time.Second},
		Script: func(t *Trial) []Step {
			return []Step{t.Replicate, t.StartTill(rig.Till{Processes: 2, PerSecond: 200, Faults: calmly}), t.Standby(true), t.BeginAfter("run", 1000), t.WatchRaised,
				t.LosePrimary, t.Settle, t.Drained, t.Raised}
		},
	})
}

// A standby that lagged behind is promoted: what it lacks is replayed.
func TestPostgres_LaggingStandbyPromoted(t *testing.T) {
	if !*long {
		t.Skip("a minute of load: go test ./loadtest/chaos -chaos -v -run TestPostgres")
	}
	play(t, Scenario{
		Name:  "postgres-lagging-promoted",
		Fault: "kill -9 of the primary Postgres, its asynchronous standby, frozen 8 s before, promoted; ledgers and payments stopped, `spillway restore`, started again",
		Load:  Load{RatePerSecond: 150, For: 40 * time.Second},
		Script: func(t *Trial) []Step {
			return []Step{t.Replicate, t.StartTill(rig.Till{Processes: 2, PerSecond: 200, Faults: calmly}), t.Standby(false), t.BeginAfter("run", 1000), t.WatchRaised,
				t.FreezeStandby, t.Hold(8 * time.Second), t.StopUsers, t.KillPostgres, t.ThawStandby, t.Promote, t.Replay, t.Settle, t.Drained, t.Raised}
		},
	})
}

// The database is lost with everything since the last backup, and restored from it.
func TestPostgres_RestoredFromABackup(t *testing.T) {
	if !*long {
		t.Skip("a minute of load: go test ./loadtest/chaos -chaos -v -run TestPostgres")
	}
	play(t, Scenario{
		Name:  "postgres-restored",
		Fault: "kill -9 of Postgres, ledgers and payments and the loss of its data; the backup of 12 s before restored, `spillway restore`, all started again",
		Load:  Load{RatePerSecond: 150, For: 40 * time.Second},
		Script: func(t *Trial) []Step {
			return []Step{t.StartTill(rig.Till{Processes: 2, PerSecond: 200, Faults: calmly}), t.BeginAfter("run", 1000), t.WatchRaised,
				t.BackUp, t.Hold(12 * time.Second), t.LosePostgres, t.Replay, t.Settle, t.Drained, t.Raised}
		},
	})
}
