//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// KillPostgres is kill -9 of the server and of all its backends, as the kernel does
// it when memory is short: the next start redoes the log.
func (r *Rig) KillPostgres() error {
	pid, err := r.postmaster()
	if err != nil {
		return err
	}
	if err := KillAll(pid); err != nil {
		return err
	}
	if !r.Private() {
		if err := r.Kill(RolePostgres); err != nil { // reaps it
			return err
		}
	}
	// Orphans notice the postmaster's death only when they next wait for something,
	// and hold the cluster's memory until then.
	backends, err := Family(r.postgresDir())
	if err != nil {
		return err
	}
	return KillAll(backends...)
}

// PausePostgres freezes the server and all its backends; ResumePostgres lets them go on.
func (r *Rig) PausePostgres() error {
	pid, err := r.postmaster()
	if err != nil {
		return err
	}
	// The one that makes the others first: then there are no more of them.
	if err := Freeze(pid); err != nil {
		return err
	}
	family, err := Family(r.postgresDir())
	if err != nil {
		return err
	}
	return Freeze(family...)
}

// ResumePostgres lets a paused server and its backends go on.
func (r *Rig) ResumePostgres() error {
	family, err := Family(r.postgresDir())
	if err != nil {
		return err
	}
	return thaw(family)
}

// thaw lets frozen processes go on; one that is gone needs nothing.
func thaw(pids []int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("let %d go on: %w", pid, err)
		}
	}
	return nil
}

// AwaitPostgres waits until the server answers: the rig's own, or that of `up`, which
// starts it again by itself.
func (r *Rig) AwaitPostgres(ctx context.Context) error {
	if !r.Private() {
		return r.Until(ctx, RolePostgres, "answer", func(context.Context) error { return r.postgresAnswers() })
	}
	return r.Until(ctx, RoleUp, "start Postgres again", func(context.Context) error {
		return r.clusterReady(func(pid int) bool {
			state, err := processState(pid)
			return err == nil && state != 'Z' && state != 0
		})
	})
}

// Stop ends a role in order: SIGTERM, and as much time as the drain takes. Postgres
// ends its sessions and writes everything down. Errors: it had to be killed.
func (r *Rig) Stop(role string) error {
	if role == RolePostgres && r.Private() {
		pid, err := r.postmaster()
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return untilState([]int{pid}, "gone", func(state byte) bool { return state == 'Z' || state == 0 })
	}
	p, err := r.Process(role)
	if err != nil {
		return err
	}
	ask := p.Stop
	if role == RolePostgres {
		ask = p.Interrupt // it would wait for its clients to go, and they stay
	}
	orderly, err := ask(stopGrace)
	if err == nil && !orderly {
		err = fmt.Errorf("%s did not end within %v; its log ends:\n%s", role, stopGrace, p.Tail())
	}
	return err
}
