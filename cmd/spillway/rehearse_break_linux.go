package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"spillway/loadtest/faults"
	"spillway/loadtest/machine"
	"spillway/loadtest/rig"
	"spillway/loadtest/trace"
)

// What a private installation of processes has of each kind: two where a role is made
// to share, so that one can stand in for the other.
const (
	rigLedgers  = 2
	rigPayments = 2
)

// rigged is a private installation that may be broken.
type rigged struct {
	rig    *rig.Rig
	screen *screen
	play   func(context.Context, func(time.Time, string)) *faults.Record // nil without a plan
}

// startRig draws the plan, tells it, starts what it is played on, and says where that is.
func (c *rehearseRunCommand) startRig(p *process, s *screen, at *place, source trace.Source) (started *rigged, err error) {
	up, err := c.withUp()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r, err := rig.New(rig.Programs{Spillway: self})
	if err != nil {
		return nil, err
	}
	if c.Record == "" {
		c.Record = r.Dir
	}
	u := &rigged{rig: r, screen: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.end(true))
		}
	}()
	if up {
		r.UpArgs = c.privateArgs()
	} else {
		r.Till = c.rigTill()
		if r.Wired, err = c.plan.Mentions(faults.Fault.Network); err != nil {
			return nil, err
		}
	}
	if !c.plan.Empty() {
		events, err := c.plan.Schedule(c.Seed, r.Cast(up, rigLedgers), c.length(source))
		if err != nil {
			return nil, fmt.Errorf("the plan of what to break: %w", err)
		}
		tellPlan(p.stderr, &c.plan, c.Seed, events)
		u.play = player(&c.plan, c.Seed, events, rig.Stage{Rig: r}, s)
	}
	at.written = r.LogPath("*")
	s.say("starting a private spillway as processes in " + r.Dir)
	if up {
		err = r.StartUp(p.ctx)
		at.data = r.DataDir
	} else {
		err = r.StartRoles(p.ctx, rigLedgers)
		if err == nil && r.Till != nil {
			err = r.StartTill(p.ctx)
		}
		at.own = &addresses{target: r.URL(), database: r.DatabaseURL(), nats: r.BrokerURL(), secrets: r.Secrets()}
		if r.Till != nil {
			at.own.simulator = r.ProcessorURL()
		}
		at.processes = u.roles
		at.metrics = r.OpsURL()
	}
	if err != nil {
		return nil, fmt.Errorf("the private spillway: %w", err)
	}
	return u, nil
}

// rigTill is how the processes charge, nil when they do not.
func (c *rehearseRunCommand) rigTill() *rig.Till {
	if c.Charging == chargingOff {
		return nil
	}
	return &rig.Till{Processes: rigPayments, PerSecond: c.Pace, Seed: c.Seed,
		// Donors who are asked for 3-D Secure are the rehearsal's.
		Faults: []string{"--donors-after", "0s"}, Args: privateTill()}
}

// roles lists the processes as they are now, for what each of them uses.
func (u *rigged) roles() (all []machine.Role) {
	for _, name := range u.rig.Roles() {
		if p, err := u.rig.Process(name); err == nil && p.Running() {
			all = append(all, machine.Role{Name: name, PID: p.PID(), Children: name == rig.RolePostgres})
		}
	}
	return all
}

// end ends all processes and removes their folder, unless it is evidence.
func (u *rigged) end(remove bool) error {
	u.screen.say("ending the private spillway")
	err := u.rig.Close(!remove)
	u.screen.end()
	if !remove {
		u.screen.line("The private spillway's data and output are kept in " + u.rig.Dir)
	}
	return err
}
