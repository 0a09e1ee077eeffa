//go:build linux

package chaos

import (
	"context"

	"spillway/loadtest/rig"
)

// BackUp takes a base backup of Postgres while everything runs.
func (t *Trial) BackUp(ctx context.Context) error {
	t.Logf("base backup of postgres")
	return t.Rig.BackUpPostgres(ctx)
}

// LosePostgres kills Postgres, and the roles that use it, and puts the backup in the
// place of its data. Front-ends go on.
func (t *Trial) LosePostgres(ctx context.Context) error {
	for _, role := range t.usersOfPostgres() {
		if err := t.Kill(role)(ctx); err != nil {
			return err
		}
	}
	if err := t.KillPostgres(ctx); err != nil {
		return err
	}
	t.Logf("restore the backup")
	if err := t.Rig.RestoreBackup(); err != nil {
		return err
	}
	return t.Rig.StartPostgres(ctx)
}

// Replay tells the installation of the restore and starts what uses Postgres again.
func (t *Trial) Replay(ctx context.Context) error {
	t.Logf("spillway restore")
	if err := t.Rig.Restored(ctx); err != nil {
		return err
	}
	for _, role := range t.usersOfPostgres() {
		if err := t.Restart(role)(ctx); err != nil {
			return err
		}
	}
	return nil
}

// usersOfPostgres are the roles that work on the database.
func (t *Trial) usersOfPostgres() (roles []string) {
	for _, role := range t.Rig.Roles() {
		switch role {
		case rig.RoleBroker, rig.RolePostgres, rig.RoleStandby, rig.RoleIngest, rig.RoleSimulator:
		default:
			roles = append(roles, role)
		}
	}
	return roles
}

// StopUsers ends the roles that work on the database in order.
func (t *Trial) StopUsers(ctx context.Context) error {
	for _, role := range t.usersOfPostgres() {
		if err := t.Stop(role)(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Replicate has the roles know of a standby; it comes before they are started.
func (t *Trial) Replicate(context.Context) error {
	t.Rig.Replicated = true
	return nil
}

// Standby starts a standby of Postgres.
func (t *Trial) Standby(synchronous bool) Step {
	return func(ctx context.Context) error {
		t.Logf("start a standby, synchronous: %v", synchronous)
		return t.Rig.StartStandby(ctx, synchronous)
	}
}

// FreezeStandby has an asynchronous standby fall behind; ThawStandby lets it go on.
func (t *Trial) FreezeStandby(context.Context) error {
	t.Logf("freeze the standby")
	return t.Rig.PauseStandby()
}

// ThawStandby lets a frozen standby go on.
func (t *Trial) ThawStandby(context.Context) error {
	t.Logf("let the standby go on")
	return t.Rig.ResumeStandby()
}

// LosePrimary kills the primary and promotes the standby.
func (t *Trial) LosePrimary(ctx context.Context) error {
	if err := t.KillPostgres(ctx); err != nil {
		return err
	}
	return t.Promote(ctx)
}

// Promote makes the standby the primary.
func (t *Trial) Promote(ctx context.Context) error {
	t.Logf("promote the standby")
	return t.Rig.Promote(ctx)
}
