//go:build linux

package chaos

import (
	"context"
	"time"
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
		play: func(ctx context.Context, t *Trial) error {
			return t.steps(ctx, t.startUp, t.begin, t.kill(RoleUp), t.killGenerator, t.restart(RoleUp), t.resumeGenerator)
		},
	},
	{
		Name:  "up-killed",
		Fault: "kill -9 of `up` in the middle, the generator goes on sending; `up` again on the same data",
		Load:  steady(15 * time.Second),
		play: func(ctx context.Context, t *Trial) error {
			return t.steps(ctx, t.startUp, t.begin, t.kill(RoleUp), t.hold(2*time.Second), t.restart(RoleUp))
		},
	},
	{
		Name:  "ledger-killed",
		Fault: "kill -9 of the only ledger; another is started 3 s later",
		Load:  steady(15 * time.Second),
		play: func(ctx context.Context, t *Trial) error {
			return t.steps(ctx, t.startRoles(1), t.begin, t.kill(Ledger(1)), t.hold(3*time.Second), t.restart(Ledger(1)))
		},
	},
	{
		Name:  "broker-killed",
		Fault: "kill -9 of the broker, back 2 s later on its store; twice",
		Load:  steady(20 * time.Second),
		play: func(ctx context.Context, t *Trial) error {
			return t.steps(ctx, t.startRoles(2), t.begin,
				t.kill(RoleBroker), t.hold(2*time.Second), t.restart(RoleBroker), t.hold(4*time.Second),
				t.kill(RoleBroker), t.hold(2*time.Second), t.restart(RoleBroker))
		},
	},
	{
		Name:  "ledger-paused",
		Fault: "one of two ledgers frozen for longer than AckWait and its lease, then let go on",
		Load:  steady(30 * time.Second),
		play: func(ctx context.Context, t *Trial) error {
			return t.steps(ctx, t.startRoles(2), t.begin,
				t.pause(Ledger(1)), t.hold(ackWait+lease+2*time.Second), t.resume(Ledger(1)))
		},
	},
	{
		Name:  "postgres-down",
		Fault: "pg_ctl stop -m immediate, Postgres away for 30 s",
		Load:  steady(60 * time.Second),
		play:  postgresDown,
	},
	{
		Name:  "generator-killed",
		Fault: "kill -9 of the generator, resumed from its own record",
		Load:  steady(15 * time.Second),
		play: func(ctx context.Context, t *Trial) error {
			return t.steps(ctx, t.startRoles(1), t.begin, t.killGenerator, t.resumeGenerator)
		},
	},
	{
		Name:  "ingest-killed",
		Fault: "kill -9 of the front-end; back at once",
		Load:  steady(15 * time.Second),
		play: func(ctx context.Context, t *Trial) error {
			return t.steps(ctx, t.startRoles(1), t.begin, t.kill(RoleIngest), t.restart(RoleIngest))
		},
	},
	{
		Name:  "nemesis",
		Fault: "a minute of kills, freezes and restarts of every role, drawn from the seed",
		Load:  steady(75 * time.Second),
		play: func(ctx context.Context, t *Trial) error {
			return t.steps(ctx, t.startRoles(2), t.begin, t.nemesis(time.Minute))
		},
	},
}

// postgresDown also compares what donors see before the outage with what they see
// in a run that holds it.
func postgresDown(ctx context.Context, t *Trial) error {
	if err := t.startRoles(2)(ctx); err != nil {
		return err
	}
	before, err := t.calm(ctx)
	if err != nil {
		return err
	}
	t.Notes["calm"] = before
	return t.steps(ctx, t.begin,
		func(context.Context) error { return t.Rig.StopPostgresNow() },
		t.hold(30*time.Second), t.restart(RolePostgres))
}

// calm is a short undisturbed run of the same rate, for comparison.
func (t *Trial) calm(ctx context.Context) (*Report, error) {
	h, err := t.Rig.Rehearse("calm", Load{RatePerSecond: t.Load.RatePerSecond, For: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	v, err := h.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return &v.Report, nil
}
