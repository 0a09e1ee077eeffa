//go:build linux

package chaos

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"spillway/deploy/onebox/postgres"
)

// database is the rig's database; superuser the only role of the cluster that onebox makes.
const (
	database  = "spillway"
	superuser = "spillway"
)

// createPostgres makes a durable cluster with an empty database. onebox' own
// supervisor starts a server that dies again, and a rig wants it to stay down: so
// the rig only lets it make the cluster and runs the server itself.
func (r *Rig) createPostgres(ctx context.Context) error {
	binaries, err := postgres.ThisHost().Find(ctx, "", 0)
	if err != nil {
		return err
	}
	r.postgres = binaries
	output, err := os.OpenFile(r.logPath("initdb"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer output.Close()
	cluster, err := postgres.Start(ctx, postgres.Config{
		Binaries: binaries, Dir: r.postgresDir(), SocketDir: r.socketDir(), Output: output,
	})
	if err != nil {
		return err
	}
	defer cluster.Stop()
	return cluster.CreateDatabase(ctx, database)
}

func (r *Rig) postgresDir() string { return filepath.Join(r.Dir, "postgres") }
func (r *Rig) socketDir() string   { return filepath.Join(r.Dir, "s") }

// StartPostgres starts the server on the rig's cluster and waits until it answers.
func (r *Rig) StartPostgres(ctx context.Context) error {
	id, err := postgres.ServerIdentity()
	if err != nil {
		return err
	}
	command := Command{
		Name: RolePostgres, Path: r.postgres.Program("postgres"), Dir: r.postgresDir(), Log: r.logPath(RolePostgres),
		Args: []string{"-D", r.postgresDir(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + r.socketDir()},
	}
	if id.Drop {
		command.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID}
	}
	if err := r.startCommand(command); err != nil {
		return err
	}
	return r.until(ctx, RolePostgres, "answer", func(context.Context) error { return r.postgresAnswers() })
}

// postgresAnswers reads what pg_ctl -w waits for: the eighth line of postmaster.pid
// says "ready" once the log is redone and connections are taken.
func (r *Rig) postgresAnswers() error {
	text, err := os.ReadFile(filepath.Join(r.postgresDir(), "postmaster.pid"))
	if err != nil {
		return err
	}
	p, err := r.Process(RolePostgres)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 8 || lines[0] != strconv.Itoa(p.PID()) || strings.TrimSpace(lines[7]) != "ready" {
		return fmt.Errorf("postmaster.pid: %q", text)
	}
	return nil
}

// StopPostgresNow is pg_ctl stop -m immediate: sessions die, nothing is written,
// the next start redoes the log.
func (r *Rig) StopPostgresNow() error {
	p, err := r.Process(RolePostgres)
	if err != nil {
		return err
	}
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	return p.gone()
}

// DatabaseURL is the address of the rig's database.
func (r *Rig) DatabaseURL() string {
	q := url.Values{"host": {r.socketDir()}, "user": {superuser}}
	return fmt.Sprintf("postgres:///%s?%s", database, q.Encode())
}
