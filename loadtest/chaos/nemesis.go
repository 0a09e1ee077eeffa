//go:build linux

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"spillway/loadtest/rig"
)

// Nemesis hurts one role after the other, drawn from the trial's seed, until d is
// over, and leaves everything running. One fault at a time, but the next comes
// before the service has digested the one before.
func (t *Trial) Nemesis(d time.Duration) Step {
	return t.plague(d, t.faults.next)
}

// Killer is kill -9 of one role after the other, drawn from the trial's seed, until d
// is over; each is started again, and everything runs at the end.
func (t *Trial) Killer(d time.Duration, roles ...string) Step {
	return t.plague(d, func() fault { return t.faults.kill(roles) })
}

// faultsNote is where a nemesis leaves how often it hurt each role.
const faultsNote = "faults"

// plague brings one fault after the other until d is over.
func (t *Trial) plague(d time.Duration, next func() fault) Step {
	return func(ctx context.Context) error {
		hurt := map[string]int{}
		t.Notes[faultsNote] = hurt
		end := time.Now().Add(d)
		for time.Now().Before(end) {
			f := next()
			t.Logf("nemesis: %v", f)
			hurt[f.role]++
			if err := t.do(ctx, t.hurt(f)); err != nil {
				return fmt.Errorf("nemesis of seed %d: %v: %w", t.Seed, f, err)
			}
		}
		return nil
	}
}

// fault is one thing that the nemesis does.
type fault struct {
	role   string
	freeze bool          // or kill
	hard   bool          // Postgres is killed like the others, not told to stop at once
	lasts  time.Duration // until it is healed
	rest   time.Duration // from then to the next
}

func (f fault) String() string {
	what := "kill"
	if f.freeze {
		what = "freeze"
	}
	return fmt.Sprintf("%s %s for %v, then rest %v", what, f.role, f.lasts.Round(time.Millisecond), f.rest.Round(time.Millisecond))
}

// Bounds of the faults: freezes of every length around lease and AckWait, and
// outages from none at all to longer than a reconnect.
const (
	freezeLeast, freezeMost = time.Second, ackWait + lease
	downMost                = 3 * time.Second
	restLeast, restMost     = 200 * time.Millisecond, 3 * time.Second
	freezesOneIn            = 3
)

// faults draws faults from a seed: the same seed, the same faults.
type faults struct{ draw *rand.Rand }

func newFaults(seed uint64) faults { return faults{rand.New(rand.NewPCG(seed, 0))} }

func (d faults) next() fault {
	roles := []string{rig.RoleBroker, rig.RolePostgres, rig.RoleIngest, rig.Ledger(1), rig.Ledger(2)}
	f := fault{role: roles[d.draw.IntN(len(roles))], lasts: d.between(0, downMost), rest: d.between(restLeast, restMost)}
	// Postgres is many processes: freezing its postmaster alone would be no fault.
	if d.draw.IntN(freezesOneIn) == 0 && f.role != rig.RolePostgres {
		f.freeze, f.lasts = true, d.between(freezeLeast, freezeMost)
	}
	return f
}

// kill draws the death of one of the roles.
func (d faults) kill(roles []string) fault {
	return fault{role: roles[d.draw.IntN(len(roles))], hard: true, lasts: d.between(0, downMost), rest: d.between(restLeast, restMost)}
}

// between draws a duration from [least, most).
func (d faults) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.draw.Int64N(int64(most-least)))
}

func (t *Trial) hurt(f fault) []Step {
	switch {
	case f.freeze:
		return []Step{t.Pause(f.role), t.Hold(f.lasts), t.Resume(f.role), t.Hold(f.rest)}
	case f.role == rig.RolePostgres && f.hard:
		return []Step{t.KillPostgres, t.Hold(f.lasts), t.Restart(f.role), t.Hold(f.rest)}
	case f.role == rig.RolePostgres:
		return []Step{t.StopPostgres, t.Hold(f.lasts), t.Restart(f.role), t.Hold(f.rest)}
	}
	return []Step{t.Kill(f.role), t.Hold(f.lasts), t.Restart(f.role), t.Hold(f.rest)}
}

// startMost is as long as `up` takes to start on an idle machine: kills drawn up to
// it hit every step of the start, and some come just after.
const startMost = 2500 * time.Millisecond

// CrashLoop starts `up` so many times and kills it at a moment drawn from the seed
// before or just after it is ready. It is down before and after.
func (t *Trial) CrashLoop(times int) []Step {
	var steps []Step
	for range times {
		lives := t.faults.between(0, startMost)
		steps = append(steps, func(ctx context.Context) error {
			t.Logf("start up, kill -9 after %v", lives.Round(time.Millisecond))
			if err := t.Rig.LaunchUp(); err != nil {
				return err
			}
			if err := t.Hold(lives)(ctx); err != nil {
				return err
			}
			p, err := t.Rig.Process(rig.RoleUp)
			if err != nil {
				return err
			}
			if !p.Running() {
				return fmt.Errorf("%w: up ended by itself with status %d; its log ends:\n%s", errBroken, p.ExitCode(), p.Tail())
			}
			return p.Kill()
		})
	}
	return steps
}
