package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/jackc/pgx/v5"
)

// promoteSeconds bounds the wait for a standby to become a primary: it has only to
// replay what it has received.
const promoteSeconds = 60

// BaseBackup copies the running cluster into dir, which is made, or is empty, and
// belongs to the server's user then: with pg_basebackup, its log included, so that a
// server started on it has everything that was committed when the copy ended.
//
// Errors: dir is not empty; whatever pg_basebackup said is in Config.Output.
func (c *Cluster) BaseBackup(ctx context.Context, dir string) error { return c.baseBackup(ctx, dir) }

// Follower is BaseBackup of a standby: a server started on dir follows this cluster.
func (c *Cluster) Follower(ctx context.Context, dir string) error {
	return c.baseBackup(ctx, dir, "--write-recovery-conf")
}

func (c *Cluster) baseBackup(ctx context.Context, dir string, more ...string) error {
	if err := c.private(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("base backup: %s holds %s; choose an empty folder", dir, entries[0].Name())
	}
	args := append([]string{
		"--pgdata", dir, "--host", c.socketDir, "--username", superuser, "--no-password",
		"--wal-method", "stream", "--checkpoint", "fast",
	}, more...)
	if c.disposable() {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, c.cfg.Binaries.Program("pg_basebackup"), args...)
	cmd.Dir = dir
	cmd.Env = childEnvironment()
	cmd.Stdout, cmd.Stderr = c.cfg.Output, c.cfg.Output
	cmd.SysProcAttr = attributes(c.id)
	runtime.LockOSThread() // see supervise
	err = cmd.Run()
	runtime.UnlockOSThread()
	if err != nil {
		return withTail(fmt.Errorf("pg_basebackup: %w", err), c.cfg.Output)
	}
	return nil
}

// errNotPromoted says that a standby is one still.
var errNotPromoted = errors.New("the standby was not promoted in time")

// Promote makes a standby a primary and returns when it takes writes.
func (c *Cluster) Promote(ctx context.Context) (err error) {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var promoted bool
	if err := conn.QueryRow(ctx, "SELECT pg_promote(true, $1)", promoteSeconds).Scan(&promoted); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	if !promoted {
		return errNotPromoted
	}
	return nil
}
