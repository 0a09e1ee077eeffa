//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"spillway/loadtest/rig"
)

func (t *Trial) do(ctx context.Context, steps []Step) error {
	for _, s := range steps {
		if err := s(ctx); err != nil {
			return err
		}
	}
	return nil
}

// StartUp starts everything in one process.
func (t *Trial) StartUp(ctx context.Context) error {
	t.Logf("start up")
	return t.Rig.StartUp(ctx)
}

// StartRoles starts everything as processes of its own.
func (t *Trial) StartRoles(ledgers int) Step {
	return func(ctx context.Context) error {
		t.Logf("start the roles, %d ledgers", ledgers)
		return t.Rig.StartRoles(ctx, ledgers)
	}
}

// Begin starts the load and goes on once a third of it is accepted.
func (t *Trial) Begin(name string) Step {
	return func(ctx context.Context) error {
		gifts, err := t.Load.Gifts()
		if err != nil {
			return err
		}
		return t.BeginAfter(name, gifts/3)(ctx)
	}
}

// BeginAfter starts the load and goes on once so many of its gifts are accepted.
func (t *Trial) BeginAfter(name string, gifts int64) Step {
	return func(ctx context.Context) error {
		t.Logf("load %s: %v", name, t.Load)
		h, err := Rehearse(t.Rig, name, t.Load)
		if err != nil {
			return err
		}
		t.Rehearsal = h
		return h.AwaitAccepted(ctx, gifts)
	}
}

var (
	// errProof says that a rehearsal's proof failed; Trial.verdict tells how.
	errProof = errors.New("the proof fails")
	// errBroken says that something else that must hold did not.
	errBroken = errors.New("broken")
)

// Ready waits until a front-end takes money (again).
func (t *Trial) Ready(role string) Step {
	return func(ctx context.Context) error { return t.Rig.Ready(ctx, role) }
}

// backWithin bounds how long donors may wait for their first 202 once what was
// down is up again.
const backWithin = 10 * time.Second

// Back waits for the next acknowledgement and notes how long that took. It comes
// right after the restart of what donors cannot give without.
func (t *Trial) Back(ctx context.Context) error {
	began := time.Now()
	if err := t.Rehearsal.awaitTotal(ctx, t.accepted+1); err != nil {
		return err
	}
	took := time.Since(began)
	t.Logf("donations are taken again after %v", took.Round(time.Millisecond))
	back, _ := t.Notes[backNote].([]float64)
	t.Notes[backNote] = append(back, took.Seconds())
	if took > backWithin {
		return fmt.Errorf("%w: donations were taken again only after %v, not within %v", errBroken, took, backWithin)
	}
	return nil
}

// backNote is where Back leaves its figures.
const backNote = "seconds_until_taken_again"

// Repeat sends the last run's every key again, once that has been audited.
func (t *Trial) Repeat(context.Context) error {
	t.Logf("the same run again")
	return t.Rehearsal.Repeat()
}

// Settle waits for the end of the load, the drain and the audit, and ends the
// scenario when the proof fails. The last load of a script is settled after it.
func (t *Trial) Settle(ctx context.Context) error {
	v, err := t.Rehearsal.Wait(ctx)
	t.verdict = v
	if err == nil && !v.Holds() {
		return fmt.Errorf("%w: status %d", errProof, v.ExitCode)
	}
	return err
}

// Kill is kill -9 of a role.
func (t *Trial) Kill(role string) Step {
	return func(context.Context) error {
		t.Logf("kill -9 %s", role)
		return t.Rig.Kill(role)
	}
}

// Pause freezes a role.
func (t *Trial) Pause(role string) Step {
	return func(context.Context) error {
		t.Logf("freeze %s", role)
		return t.Rig.Pause(role)
	}
}

// Resume lets a frozen role go on.
func (t *Trial) Resume(role string) Step {
	return func(context.Context) error {
		t.Logf("let %s go on", role)
		return t.Rig.Resume(role)
	}
}

// Restart starts a role that was killed, and goes on once it is ready.
func (t *Trial) Restart(role string) Step {
	return func(ctx context.Context) error {
		t.Logf("start %s", role)
		t.accepted = 0
		if n, err := accepted(ctx, t.Rig); err == nil {
			t.accepted = n // else the front-end is down too, and begins at 0 again
		}
		return t.Rig.Restart(ctx, role)
	}
}

// StopPostgres takes the database away at once.
func (t *Trial) StopPostgres(context.Context) error {
	t.Logf("stop postgres at once")
	return t.Rig.StopPostgresNow()
}

// KillGenerator is kill -9 of the generator.
func (t *Trial) KillGenerator(context.Context) error {
	t.Logf("kill -9 the generator")
	return t.Rehearsal.Kill()
}

// ResumeGenerator starts a killed generator again on its own record.
func (t *Trial) ResumeGenerator(context.Context) error {
	t.Logf("resume the generator")
	return t.Rehearsal.Resume()
}

// Hold lets time pass: the length of a fault.
func (t *Trial) Hold(d time.Duration) Step {
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

// Stop ends a role in order: SIGTERM, and as much time as the drain takes.
func (t *Trial) Stop(role string) Step {
	return func(context.Context) error {
		t.Logf("stop %s in order", role)
		return t.Rig.Stop(role)
	}
}

// CopyBroker keeps a copy of the stopped broker's store; RestoreBroker puts it back.
func (t *Trial) CopyBroker(context.Context) error {
	t.Logf("copy the broker's store")
	return os.CopyFS(brokerCopy(t.Rig), os.DirFS(t.Rig.BrokerStore()))
}

// RestoreBroker replaces the stopped broker's store by the copy.
func (t *Trial) RestoreBroker(context.Context) error {
	t.Logf("restore the broker's store")
	if err := os.RemoveAll(t.Rig.BrokerStore()); err != nil {
		return err
	}
	return os.Rename(brokerCopy(t.Rig), t.Rig.BrokerStore())
}

func brokerCopy(r *rig.Rig) string { return filepath.Join(r.Dir, "nats-copy") }
