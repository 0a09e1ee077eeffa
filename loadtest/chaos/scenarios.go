//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/rig"
)

// The product's own times, which a fault has to outlast: AckWait of the ledger's
// consumers and the lease of a slot.
const (
	ackWait = 10 * time.Second
	lease   = 3 * time.Second
)

// steady is a load that 2 cores take with everything else on them.
func steady(d time.Duration) Load { return Load{RatePerSecond: 1500, For: d} }

// Scenarios are the faults that the proof must survive.
var Scenarios = []Scenario{
	{
		Name:  "up-and-generator-killed",
		Fault: "kill -9 of `up` and of the generator in the middle; `up` again on the same data, the generator resumed",
		Load:  steady(15 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartUp, t.Begin("run"), t.Kill(rig.RoleUp), t.KillGenerator, t.Restart(rig.RoleUp), t.ResumeGenerator}
		},
	},
	{
		Name:  "up-killed",
		Fault: "kill -9 of `up` in the middle, the generator goes on sending; `up` again on the same data",
		Load:  steady(15 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartUp, t.Begin("run"), t.Kill(rig.RoleUp), t.Hold(2 * time.Second), t.Restart(rig.RoleUp), t.Back}
		},
	},
	{
		Name:  "up-crash-loop",
		Fault: "kill -9 of `up` again and again while it starts: on an empty folder, and later in the middle of a load",
		Load:  steady(20 * time.Second),
		Script: func(t *Trial) []Step {
			steps := t.CrashLoop(6)
			steps = append(steps, t.StartUp, t.Begin("run"), t.Kill(rig.RoleUp))
			return append(append(steps, t.CrashLoop(6)...), t.Restart(rig.RoleUp), t.Back)
		},
	},
	{
		Name:  "ledger-killed",
		Fault: "kill -9 of the only ledger; started again 3 s later",
		Load:  steady(15 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartRoles(1), t.Begin("run"), t.Kill(rig.Ledger(1)), t.Hold(3 * time.Second), t.Restart(rig.Ledger(1))}
		},
	},
	{
		Name:  "broker-killed",
		Fault: "kill -9 of the broker, back 2 s later on its store; twice",
		Load:  steady(20 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartRoles(2), t.Begin("run"),
				t.Kill(rig.RoleBroker), t.Hold(2 * time.Second), t.Restart(rig.RoleBroker), t.Back, t.Hold(4 * time.Second),
				t.Kill(rig.RoleBroker), t.Hold(2 * time.Second), t.Restart(rig.RoleBroker), t.Back}
		},
	},
	{
		Name:  "ledger-paused",
		Fault: "one of two ledgers frozen for longer than AckWait and its lease, then let go on",
		Load:  steady(30 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartRoles(2), t.Begin("run"),
				t.Pause(rig.Ledger(1)), t.Hold(ackWait + lease + 2*time.Second), t.Resume(rig.Ledger(1))}
		},
	},
	{
		Name:  "postgres-down",
		Fault: "pg_ctl stop -m immediate, Postgres away for 30 s",
		Load:  steady(60 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartRoles(2), t.Calm, t.Begin("run"),
				t.StopPostgres, t.Hold(30 * time.Second), t.Restart(rig.RolePostgres)}
		},
		Judge: donorsNoticeNothing,
	},
	{
		Name:  "generator-killed",
		Fault: "kill -9 of the generator, resumed from its own record",
		Load:  steady(15 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartRoles(1), t.Begin("run"), t.KillGenerator, t.ResumeGenerator}
		},
	},
	{
		Name:  "ingest-killed",
		Fault: "kill -9 of the front-end; started again at once",
		Load:  steady(15 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartRoles(1), t.Begin("run"), t.Kill(rig.RoleIngest), t.Restart(rig.RoleIngest), t.Back}
		},
	},
	{
		Name:  "nemesis",
		Fault: "a minute of kills, freezes and restarts of every role, drawn from the seed",
		Load:  steady(75 * time.Second),
		Script: func(t *Trial) []Step {
			return []Step{t.StartRoles(2), t.Begin("run"), t.Nemesis(time.Minute)}
		},
	},
}

// calmNote is where Calm leaves its figures.
const calmNote = "calm"

// Calm is a short undisturbed run at the scenario's rate, for comparison.
func (t *Trial) Calm(ctx context.Context) error {
	h, err := Rehearse(t.Rig, "calm", Load{RatePerSecond: t.Load.RatePerSecond, For: 10 * time.Second})
	if err != nil {
		return err
	}
	t.Rehearsal = h
	if err := t.Settle(ctx); err != nil {
		return err
	}
	t.Notes[calmNote] = t.verdict.Report.Sending
	return nil
}

// noticed is how much later than in calm an answer may come, at the 99th
// percentile, before donors can be said to notice: a tenth of a second is what
// people call at once, and two noisy cores need most of it.
const noticed = 100 * time.Millisecond

// donorsNoticeNothing wants every donation answered 202, at the first attempt and
// no later than in calm.
func donorsNoticeNothing(t *Trial, r *loadtest.Report) error {
	calm, ok := t.Notes[calmNote].(loadtest.Sending)
	if !ok {
		return errors.New("nothing to compare with")
	}
	s := r.Sending
	if s.Accepted != s.Planned || s.UnknownAnswers+s.Deferred+s.Unresolved != 0 || len(s.Refused) != 0 {
		return fmt.Errorf("donors noticed: of %d donations %d accepted, %d answers unknown, %d deferred, %v refused",
			s.Planned, s.Accepted, s.UnknownAnswers, s.Deferred, s.Refused)
	}
	if s.Latency.P99 > calm.Latency.P99+noticed {
		return fmt.Errorf("donors noticed: 99 in 100 answered within %v, and %v in calm", s.Latency.P99, calm.Latency.P99)
	}
	t.Logf("99 in 100 answered within %v, and %v in calm", s.Latency.P99, calm.Latency.P99)
	return nil
}
