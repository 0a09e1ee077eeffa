//go:build linux

package chaos

import (
	"context"
	"fmt"
	"time"

	"spillway/loadtest/rig"
)

// takeOverMost bounds how long a dead ledger's part may keep totals from the moment of its
// death; what it held comes again after AckWait.
const takeOverMost = 15 * time.Second

// takeOversNote has the seconds by fault and ledger.
const takeOversNote = "seconds_until_taken_over"

// takeOverScenario kills and freezes each of two ledgers that share the donations.
func takeOverScenario(load Load) Scenario {
	return Scenario{
		Name:  "ledger-taken-over",
		Fault: "of two ledgers that share the donations each is killed (kill -9), started again, frozen and let go on",
		Load:  load,
		Script: func(t *Trial) []Step {
			steps := []Step{t.StartRoles(2), t.BeginAfter("run", 20), t.Hold(calmAfter)}
			for n := range 2 {
				role := rig.Ledger(n + 1)
				steps = append(steps,
					t.takenOver("kill -9", role, t.Rig.Kill, func() error { return t.Rig.Restart(context.Background(), role) }),
					t.takenOver("freeze", role, t.Rig.Pause, func() error { return t.Rig.Resume(role) }))
			}
			return steps
		},
	}
}

// takenOver takes a ledger away and waits until totals count everything that came before:
// its slot is adopted, and what it held is recorded by the other one. Then it comes back.
func (t *Trial) takenOver(what, role string, hurt func(string) error, heal func() error) Step {
	return func(ctx context.Context) error {
		t.Logf("%s %s", what, role)
		gone := time.Now()
		if err := hurt(role); err != nil {
			return err
		}
		if err := t.countedThrough(ctx, time.Now()); err != nil {
			return err
		}
		took := time.Since(gone)
		t.Logf("what %s had was taken over after %v", role, took.Round(100*time.Millisecond))
		all, _ := t.Notes[takeOversNote].(map[string]float64)
		if all == nil {
			all = map[string]float64{}
			t.Notes[takeOversNote] = all
		}
		all[what+" "+role] = took.Round(10 * time.Millisecond).Seconds()
		if took > takeOverMost {
			return fmt.Errorf("%w: %s's work was taken over after %v only, not within %v", errBroken, role, took, takeOverMost)
		}
		if err := heal(); err != nil {
			return err
		}
		return t.Hold(calmAfter)(ctx)
	}
}

// countedThrough waits until a front-end's totals count everything before a time.
func (t *Trial) countedThrough(ctx context.Context, at time.Time) error {
	for deadline := time.Now().Add(4 * takeOverMost); ; {
		asked := time.Now()
		document, err := rig.Get(ctx, t.Rig.OpsURL()+"/metrics")
		if err != nil {
			return err
		}
		lag, err := metric(document, "totals_lag_seconds", `book="rehearsal"`)
		if err != nil {
			return err
		}
		if asked.Add(-time.Duration(lag * float64(time.Second))).After(at) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: totals are %v s old %v after a ledger's death", errBroken, lag, time.Since(at).Round(time.Second))
		}
		if err := t.Hold(acceptPoll)(ctx); err != nil {
			return err
		}
	}
}
