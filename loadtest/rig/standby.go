//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/postgres"
)

// RoleStandby is a standby of the rig's Postgres, which is RolePostgres.
const RoleStandby = "standby"

// PostgresData is the folder of the rig's Postgres, PostgresPrograms that of its programs.
func (r *Rig) PostgresData() string     { return r.postgresDir() }
func (r *Rig) PostgresPrograms() string { return filepath.Dir(r.postgres.Program("pg_basebackup")) }

// ServersFolder makes a folder below the rig's that belongs to the server's user.
func (r *Rig) ServersFolder(name string) (string, error) {
	dir := filepath.Join(r.Dir, name)
	return dir, r.serversOwn(dir)
}

// ServerURL is the address of the primary alone, StandbyURL that of the standby alone.
func (r *Rig) ServerURL() string  { return databaseURL(url.Values{"host": {r.socketDir()}}) }
func (r *Rig) StandbyURL() string { return databaseURL(url.Values{"host": {r.standbySocket()}}) }

func (r *Rig) backupDir() string     { return filepath.Join(r.Dir, "backup") }
func (r *Rig) standbyDir() string    { return filepath.Join(r.Dir, "standby") }
func (r *Rig) standbySocket() string { return filepath.Join(r.Dir, "s2") }

// BackUpPostgres takes a base backup of the running server: see RestoreBackup.
func (r *Rig) BackUpPostgres(ctx context.Context) error { return r.baseBackup(ctx, r.backupDir()) }

// RestoreBackup puts the base backup in the place of the stopped server's data, which is
// lost. The roles are to be told: see Restored.
func (r *Rig) RestoreBackup() error {
	return errors.Join(os.RemoveAll(r.postgresDir()), os.Rename(r.backupDir(), r.postgresDir()))
}

// Restored tells the installation that its database lacks what was written to it. No
// ledger and no payments process may run.
func (r *Rig) Restored(ctx context.Context) error {
	return r.tool(ctx, "restore", append([]string{"restore"}, r.Where()...)...)
}

// StartStandby makes a standby of the running server and starts it; it returns when the
// standby follows. A synchronous one has every commit before it is answered.
func (r *Rig) StartStandby(ctx context.Context, synchronous bool) error {
	if err := r.baseBackup(ctx, r.standbyDir(), "--write-recovery-conf"); err != nil {
		return err
	}
	id, err := postgres.ServerIdentity()
	if err != nil {
		return err
	}
	if err := r.serversOwn(r.standbySocket()); err != nil {
		return err
	}
	command := Command{
		Name: RoleStandby, Path: r.postgres.Program("postgres"), Dir: r.standbyDir(), Log: r.LogPath(RoleStandby),
		Args: []string{"-D", r.standbyDir(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + r.standbySocket()},
	}
	if id.Drop {
		command.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID}
	}
	if err := r.startCommand(command); err != nil {
		return err
	}
	wanted := "async"
	if synchronous {
		wanted = "sync"
		for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
			if err := r.ask(ctx, r.socketDir(), nil, sql); err != nil {
				return err
			}
		}
	}
	return r.Until(ctx, RoleStandby, "follow", func(ctx context.Context) error {
		var follows bool
		err := r.ask(ctx, r.socketDir(), &follows, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = $1)", wanted)
		if err == nil && !follows {
			err = fmt.Errorf("no %s standby is streaming", wanted)
		}
		return err
	})
}

// PauseStandby freezes the standby with all its processes, so that it falls behind.
func (r *Rig) PauseStandby() error {
	family, err := Family(r.standbyDir())
	if err != nil {
		return err
	}
	return Freeze(family...)
}

// ResumeStandby lets a frozen standby go on.
func (r *Rig) ResumeStandby() error {
	family, err := Family(r.standbyDir())
	if err != nil {
		return err
	}
	return thaw(family)
}

// Promote makes the standby the primary.
func (r *Rig) Promote(ctx context.Context) error {
	var promoted bool
	err := r.ask(ctx, r.standbySocket(), &promoted, "SELECT pg_promote(true, 60)")
	if err == nil && !promoted {
		err = errors.New("the standby was not promoted within a minute")
	}
	return err
}

// baseBackup copies the running server into a new folder of its user.
func (r *Rig) baseBackup(ctx context.Context, dir string, more ...string) error {
	id, err := postgres.ServerIdentity()
	if err != nil {
		return err
	}
	if err := r.serversOwn(dir); err != nil {
		return err
	}
	command := Command{Name: "basebackup", Path: r.postgres.Program("pg_basebackup"), Dir: dir, Log: r.LogPath("basebackup"), Args: append([]string{
		"--pgdata", dir, "--host", r.socketDir(), "--username", superuser, "--no-password", "--wal-method", "stream", "--checkpoint", "fast",
	}, more...)}
	if id.Drop {
		command.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID}
	}
	p, err := r.Begin(command)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, toolWait)
	defer cancel()
	if err := p.Wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("%w; its log ends:\n%s", err, p.Tail()), p.Kill())
	}
	return nil
}

// serversOwn makes a folder for the server's user alone.
func (r *Rig) serversOwn(dir string) error {
	id, err := postgres.ServerIdentity()
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if !id.Drop {
		return nil
	}
	return os.Chown(dir, int(id.UID), int(id.GID))
}

// ask runs one statement at the server of a socket and scans its one answer, unless into
// is nil.
func (r *Rig) ask(ctx context.Context, socket string, into *bool, sql string, args ...any) (err error) {
	conn, err := pgx.Connect(ctx, databaseURL(url.Values{"host": {socket}}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if into == nil {
		_, err = conn.Exec(ctx, sql, args...)
		return err
	}
	return conn.QueryRow(ctx, sql, args...).Scan(into)
}
