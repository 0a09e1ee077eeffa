//go:build linux

package chaos

import (
	"context"
	"math/rand/v2"
	"time"
)

// Nemesis hurts one role after the other, drawn from the trial's seed, until d is
// over, and leaves everything running. One fault at a time, but the next comes
// before the service has digested the one before.
func (t *Trial) Nemesis(d time.Duration) Step {
	return func(ctx context.Context) error {
		draw := rand.New(rand.NewPCG(t.Seed, 0))
		end := time.Now().Add(d)
		for time.Now().Before(end) {
			if err := t.do(ctx, t.fault(draw)); err != nil {
				return err
			}
		}
		return nil
	}
}

// fault draws a role, what is done to it and for how long, and the rest after it.
func (t *Trial) fault(draw *rand.Rand) []Step {
	roles := []string{RoleBroker, RolePostgres, RoleIngest, Ledger(1), Ledger(2)}
	role := roles[draw.IntN(len(roles))]
	rest := t.Hold(between(draw, 200*time.Millisecond, 3*time.Second))
	// A third are freezes, of every length around lease and AckWait. Postgres is
	// many processes: freezing its postmaster alone would be no fault.
	if draw.IntN(3) == 0 && role != RolePostgres {
		return []Step{t.Pause(role), t.Hold(between(draw, time.Second, ackWait+lease)), t.Resume(role), rest}
	}
	down := t.Kill(role)
	if role == RolePostgres {
		down = t.StopPostgres
	}
	return []Step{down, t.Hold(between(draw, 0, 3*time.Second)), t.Restart(role), rest}
}

// between draws a duration from [low, high).
func between(draw *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(draw.Int64N(int64(high-low)))
}
