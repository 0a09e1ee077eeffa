//go:build linux

package chaos

import (
	"errors"
	"flag"
	"testing"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/rig"
)

var minutes = flag.Int("minutes", 1, "how long payments, ledger, Postgres and simulator are killed, under -chaos")

// hurt are the processor's faults beside the kills: declines, donors who are asked for
// 3-D Secure and act a second later, calls that are carried out and never answered,
// answers cut off, and events late, twice, out of order and never.
var hurt = []string{
	"--latency", "100ms", "--latency-p99", "600ms",
	"--decline", "0.05", "--authenticate", "0.02", "--donors-after", "1s", "--donors-succeed", "0.7", "--donors-fail", "0.3",
	"--timeout-rate", "0.01", "--reset-rate", "0.01", "--error-after-rate", "0.01",
	"--webhook-duplicate", "0.1", "--webhook-reorder", "0.1", "--webhook-loss", "0.03",
}

// moneyRoles are those that money passes through.
var moneyRoles = []string{rig.Payments(1), rig.Payments(2), rig.Ledger(1), rig.Ledger(2), rig.RolePostgres, rig.RoleSimulator}

// Whatever dies, every gift is charged once at most, every gift ends in a final state,
// and the processor's books and the journal agree to the cent.
func TestPayments_KilledAtRandom(t *testing.T) {
	if !*long {
		t.Skip("minutes of load and kills: go test ./loadtest/chaos -chaos -v -run Payments [-minutes 10]")
	}
	plague := time.Duration(*minutes) * time.Minute
	play(t, Scenario{
		Name:  "payments-killed",
		Fault: "kill -9 of payments, ledger, Postgres and simulator, drawn from the seed, while the processor's own faults go on",
		Load:  Load{RatePerSecond: 150, For: plague + 15*time.Second},
		Script: func(t *Trial) []Step {
			return []Step{t.StartTill(rig.Till{Processes: 2, PerSecond: 200, Faults: hurt}), t.BeginAfter("run", 500),
				t.Killer(plague, moneyRoles...), t.Settle, t.Drained}
		},
	})
}

// The same in small belongs to every run of the tests: each of the roles dies once.
func TestPayments_KilledInSmall(t *testing.T) {
	if testing.Short() || *long {
		t.Skip("seconds of load and a minute of drain: left out by -short, and part of -chaos in full")
	}
	t.Parallel() // it waits more than it works: what dies with a claim lapses after 45 s
	play(t, Scenario{
		Name:  "payments-killed-in-small",
		Fault: "kill -9 of payments, simulator, Postgres and ledger, one after the other",
		Load:  Load{RatePerSecond: 50, For: 8 * time.Second},
		Script: func(t *Trial) []Step {
			// Where half of the events never come, what a kill left open is found out by the
			// same call again, and not by an event in time.
			steps := []Step{t.StartTill(rig.Till{Processes: 1, PerSecond: 100, Faults: []string{
				"--latency", "200ms", "--latency-p99", "600ms", "--decline", "0.05", "--reset-rate", "0.05", "--webhook-duplicate", "0.1", "--webhook-loss", "0.5",
			}}), t.BeginAfter("run", 50), t.Charges(10)}
			for _, role := range []string{rig.Payments(1), rig.RoleSimulator, rig.RolePostgres, rig.Ledger(1)} {
				steps = append(steps, t.hurt(fault{role: role, hard: true, lasts: 200 * time.Millisecond, rest: restLeast})...)
			}
			return append(steps, t.Settle, t.DrainedButFees)
		},
		Judge: func(t *Trial, _ *loadtest.Report) error {
			if m, ok := t.Notes[moneyNote].(*Money); !ok || m.Repeated == 0 {
				return errors.New("no call was made again: nothing was left open")
			}
			return nil
		},
	})
}
