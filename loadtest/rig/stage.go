//go:build linux

package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"spillway/loadtest/faults"
	"spillway/loadtest/stripesim"
	"spillway/loadtest/wire"
)

// Stage plays a plan's events on a rig.
type Stage struct{ Rig *Rig }

var _ faults.Stage = Stage{}

// Cast is what a rig has that can be broken once it is started: with roles of their own
// and so many ledgers, or `up`.
func (r *Rig) Cast(up bool, ledgers int) faults.Cast {
	const oneProcess = "the installation is one process: with --roles every role is one"
	if up {
		both := []string{RoleUp, RolePostgres}
		not := map[faults.Action]string{}
		for _, do := range faults.Actions() {
			not[do] = oneProcess
		}
		not[faults.Fill] = noDisk
		cast := faults.Cast{May: map[faults.Action][]string{faults.Kill: both, faults.Pause: both, faults.Restart: both}, Not: not}
		return cast
	}
	roles := []string{RoleIngest}
	for n := range ledgers {
		roles = append(roles, Ledger(n+1))
	}
	wired := []string{RoleBroker, RolePostgres}
	cast := faults.Cast{May: map[faults.Action][]string{}, Not: map[faults.Action]string{
		faults.Fill: noDisk, faults.Outage: noTill, faults.Storm: noTill,
	}}
	if r.Till != nil {
		for n := range r.Till.Processes {
			roles = append(roles, Payments(n+1))
		}
		wired = append(wired, RoleSimulator)
		cast.May[faults.Outage] = []string{RoleSimulator}
		cast.May[faults.Storm] = []string{RoleSimulator}
	}
	for _, do := range []faults.Action{faults.Kill, faults.Pause, faults.Restart} {
		cast.May[do] = slices.Concat(roles, []string{RoleBroker, RolePostgres})
	}
	for _, do := range []faults.Action{faults.Cut, faults.Slow, faults.HalfOpen, faults.Reset} {
		cast.May[do] = slices.Concat(roles, wired)
	}
	return cast
}

// Why something cannot be broken.
const (
	noDisk = "no disk of its own is made for the broker: go test ./loadtest/powercut -powercut fills one, as root"
	noTill = "nothing is charged, so there is no processor: leave out --charging off"
)

// stormRate is the part of the calls that a storm refuses, as in charging's own storms.
const stormRate = 0.5

// Break begins a fault and returns once it is there.
func (s Stage) Break(ctx context.Context, e faults.Event) error {
	r := s.Rig
	switch e.Do {
	case faults.Kill:
		if e.What == RolePostgres {
			return r.KillPostgres()
		}
		return r.Kill(e.What)
	case faults.Pause:
		if e.What == RolePostgres {
			return r.PausePostgres()
		}
		return r.Pause(e.What)
	case faults.Restart:
		return r.Stop(e.What)
	case faults.Outage:
		return r.processor(ctx, map[string]any{"outage": stripesim.Unavailable})
	case faults.Storm:
		return r.processor(ctx, map[string]any{"rate_limit_rate": stormRate})
	}
	kind, ok := map[faults.Action]wire.Kind{faults.Cut: wire.Cut, faults.Slow: wire.Slow, faults.HalfOpen: wire.HalfOpen, faults.Reset: wire.Reset}[e.Do]
	if !ok {
		return fmt.Errorf("%s: %w", &e, faults.ErrPlan)
	}
	r.SetWeather(e.What, wire.Weather{Kind: kind, Latency: e.By, BytesPerSecond: e.To})
	return nil
}

// Mend ends a fault and returns once what was broken takes part again.
func (s Stage) Mend(ctx context.Context, e faults.Event) error {
	r := s.Rig
	switch e.Do {
	case faults.Kill, faults.Restart:
		return r.again(ctx, e.What)
	case faults.Pause:
		if e.What == RolePostgres {
			return r.ResumePostgres()
		}
		return r.Resume(e.What)
	case faults.Outage:
		return r.processor(ctx, map[string]any{"outage": stripesim.NoOutage})
	case faults.Storm:
		return r.processor(ctx, map[string]any{"rate_limit_rate": 0})
	}
	r.SetWeather(e.What, wire.Weather{})
	return nil
}

// again starts what was ended, unless it runs.
func (r *Rig) again(ctx context.Context, role string) error {
	if role == RolePostgres && r.Private() {
		return r.AwaitPostgres(ctx)
	}
	if p, err := r.Process(role); err != nil || p.Running() {
		return err
	}
	return r.Restart(ctx, role)
}

// controlTimeout bounds one call of the simulator's controls.
const controlTimeout = 10 * time.Second

// processor changes what goes wrong at the simulated processor.
func (r *Rig) processor(ctx context.Context, change map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.ProcessorURL()+"/sim/faults", bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the processor's faults: %s: %s", answer.Status, text)
	}
	return err
}
