//go:build linux

package rig

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
	output, err := os.OpenFile(r.LogPath("initdb"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
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

// postgresDir is the cluster's folder: the rig's own, or that of `up`.
func (r *Rig) postgresDir() string {
	if r.Private() {
		return filepath.Join(r.DataDir, "postgres")
	}
	return filepath.Join(r.Dir, "postgres")
}
func (r *Rig) socketDir() string { return filepath.Join(r.Dir, "s") }

// StartPostgres starts the server on the rig's cluster and waits until it answers.
func (r *Rig) StartPostgres(ctx context.Context) error {
	id, err := postgres.ServerIdentity()
	if err != nil {
		return err
	}
	command := Command{
		Name: RolePostgres, Path: r.postgres.Program("postgres"), Dir: r.postgresDir(), Log: r.LogPath(RolePostgres),
		Args: []string{"-D", r.postgresDir(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + r.socketDir()},
	}
	if id.Drop {
		command.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID}
	}
	if err := r.startCommand(command); err != nil {
		return err
	}
	return r.Until(ctx, RolePostgres, "answer", func(context.Context) error { return r.postgresAnswers() })
}

// postgresAnswers tells whether the rig's own server takes connections.
func (r *Rig) postgresAnswers() error {
	p, err := r.Process(RolePostgres)
	if err != nil {
		return err
	}
	return r.clusterReady(func(pid int) bool { return pid == p.PID() })
}

// clusterReady reads what pg_ctl -w waits for: the eighth line of postmaster.pid
// says "ready" once the log is redone and connections are taken.
func (r *Rig) clusterReady(meant func(pid int) bool) error {
	text, err := os.ReadFile(filepath.Join(r.postgresDir(), "postmaster.pid"))
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(lines[0])
	if err != nil || len(lines) < 8 || !meant(pid) || strings.TrimSpace(lines[7]) != "ready" {
		return fmt.Errorf("postmaster.pid: %q", text)
	}
	return nil
}

// postmaster is the id of the server that runs now.
func (r *Rig) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(r.postgresDir(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
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

// DatabaseURL is the address of the rig's database, on whichever server takes writes when
// it is Replicated.
func (r *Rig) DatabaseURL() string {
	hosts := r.socketDir()
	if r.Replicated {
		hosts += "," + r.standbySocket()
	}
	return databaseURL(url.Values{"host": {hosts}})
}

// socket is where Postgres listens: its default port names the file.
func (r *Rig) socket() string { return filepath.Join(r.socketDir(), ".s.PGSQL.5432") }

func databaseURL(q url.Values) string {
	q.Set("user", superuser)
	return fmt.Sprintf("postgres:///%s?%s", database, q.Encode())
}
