//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"spillway/loadtest/rig"
	"spillway/loadtest/stripesim"
)

// StartTill starts the roles with two of everything that moves money, and a till.
func (t *Trial) StartTill(till rig.Till) Step {
	return func(ctx context.Context) error {
		till.Seed = t.Seed
		t.Logf("start the roles with a till: %d charges/s, %d processes, %s", till.PerSecond, till.Processes, strings.Join(till.Faults, " "))
		t.Rig.Till = &till
		if err := t.Rig.StartRoles(ctx, 2); err != nil {
			return err
		}
		return t.Rig.StartTill(ctx)
	}
}

// Charges waits until the simulator has made so many charges, good or bad: faults meet
// calls under way.
func (t *Trial) Charges(n int64) Step {
	return func(ctx context.Context) error {
		return t.Rig.Until(ctx, rig.RoleSimulator, fmt.Sprintf("make %d charges", n), func(ctx context.Context) error {
			document, err := rig.Get(ctx, t.Rig.ProcessorURL()+"/sim/stats")
			if err != nil {
				return err
			}
			var s stripesim.Stats
			if err := json.Unmarshal(document, &s); err != nil {
				return err
			}
			if s.Charges < n {
				return fmt.Errorf("%d charges", s.Charges)
			}
			return nil
		})
	}
}

// KillPostgres takes the database away with kill -9.
func (t *Trial) KillPostgres(context.Context) error {
	t.Logf("kill -9 %s and its backends", rig.RolePostgres)
	return t.Rig.KillPostgres()
}
