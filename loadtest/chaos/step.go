//go:build linux

package chaos

import (
	"context"
	"math/rand/v2"
	"time"
)

// step is one thing that a scenario does.
type step func(context.Context) error

func (t *Trial) steps(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		if err := s(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trial) startUp(ctx context.Context) error { return t.Rig.StartUp(ctx) }

func (t *Trial) startRoles(ledgers int) step {
	return func(ctx context.Context) error { return t.Rig.StartRoles(ctx, ledgers) }
}

func (t *Trial) kill(role string) step   { return t.logged("kill -9", role, t.Rig.Kill) }
func (t *Trial) pause(role string) step  { return t.logged("freeze", role, t.Rig.Pause) }
func (t *Trial) resume(role string) step { return t.logged("let go on", role, t.Rig.Resume) }
func (t *Trial) restart(role string) step {
	return func(ctx context.Context) error {
		return t.logged("start", role, func(role string) error { return t.Rig.Restart(ctx, role) })(ctx)
	}
}

func (t *Trial) logged(what, role string, do func(string) error) step {
	return func(context.Context) error {
		t.Logf("%s %s", what, role)
		return do(role)
	}
}

func (t *Trial) hold(d time.Duration) step {
	return func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *Trial) killGenerator(context.Context) error {
	t.Logf("kill -9 the generator")
	return t.Rehearsal.Kill()
}

func (t *Trial) resumeGenerator(context.Context) error {
	t.Logf("resume the generator")
	return t.Rehearsal.Resume()
}

// nemesis hurts one role after the other, drawn from the trial's seed, until d is
// over, and leaves everything running. One fault at a time: what two at once do to
// each other is the seed's business over many runs, since faults follow each other
// before the first has healed inside the service.
func (t *Trial) nemesis(d time.Duration) step {
	return func(ctx context.Context) error {
		draw := rand.New(rand.NewPCG(t.Seed, 0))
		end := time.Now().Add(d)
		for time.Now().Before(end) {
			if err := t.hurt(ctx, draw); err != nil {
				return err
			}
			if err := t.hold(between(draw, 200*time.Millisecond, 3*time.Second))(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// hurt draws a role and a fault, applies it and heals it.
func (t *Trial) hurt(ctx context.Context, draw *rand.Rand) error {
	roles := []string{RoleBroker, RolePostgres, RoleIngest, Ledger(1), Ledger(2)}
	role := roles[draw.IntN(len(roles))]
	if draw.IntN(3) == 0 { // a third are freezes, of every length around lease and AckWait
		if role == RolePostgres {
			role = Ledger(1) // its backends would go on without their postmaster
		}
		return t.steps(ctx, t.pause(role), t.hold(between(draw, time.Second, ackWait+lease)), t.resume(role))
	}
	down := t.kill(role)
	if role == RolePostgres {
		down = t.logged("stop at once", role, func(string) error { return t.Rig.StopPostgresNow() })
	}
	return t.steps(ctx, down, t.hold(between(draw, 0, 3*time.Second)), t.restart(role))
}

// between draws a duration from [low, high).
func between(draw *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(draw.Int64N(int64(high-low)))
}
