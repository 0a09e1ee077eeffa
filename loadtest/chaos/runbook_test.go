//go:build linux

package chaos

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"spillway/deploy/onebox/postgres"
	"spillway/loadtest/rig"
	"spillway/loadtest/rig/programs"
)

// operator carries out runbooks' scripts on a rig, as they are, and keeps what they say.
type operator struct {
	t          *Trial
	hands      *httptest.Server // what systemctl is elsewhere
	env        []string
	transcript strings.Builder
}

// newOperator has an operator at hand for the steps that follow: the scripts stop and start
// roles and Postgres by asking it.
func newOperator(ctx context.Context, t *Trial) *operator {
	o := &operator{t: t}
	do := func(what Step) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if err := what(ctx); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/stop-roles", do(t.StopUsers))
	mux.Handle("/start-roles", do(func(ctx context.Context) error {
		for _, role := range t.usersOfPostgres() {
			if err := t.Restart(role)(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
	mux.Handle("/stop-postgres", do(t.StopPostgres)) // by its process alone: the script's environment names its folder too
	mux.Handle("/start-postgres", do(t.Rig.StartPostgres))
	o.hands = httptest.NewServer(mux)
	for _, what := range []string{"STOP_ROLES", "START_ROLES", "STOP_POSTGRES", "START_POSTGRES"} {
		path := strings.ReplaceAll(strings.ToLower(what), "_", "-")
		o.env = append(o.env, what+"=curl --fail-with-body --silent --show-error "+o.hands.URL+"/"+path)
	}
	o.env = append(o.env,
		"SPILLWAY_DATABASE_URL="+t.Rig.DatabaseURL(), "SPILLWAY_NATS_URL="+t.Rig.BrokerURL(), "PGDATA="+t.Rig.PostgresData(),
		"PATH="+filepath.Dir(t.Rig.Programs().Spillway)+":"+t.Rig.PostgresPrograms()+":"+os.Getenv("PATH"))
	return o
}

// run runs a script of deploy/runbooks in a folder of its own, as the server's user when
// it is one for that user.
func (o *operator) run(ctx context.Context, script string, asServer bool, env ...string) error {
	tree, err := programs.Tree()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(tree, "deploy", "runbooks", script))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", string(text), script)
	cmd.Env = append(append(os.Environ(), o.env...), env...)
	if cmd.Dir, err = os.MkdirTemp("", "operator-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(cmd.Dir) }() // a folder of a moment
	id, err := postgres.ServerIdentity()
	if err != nil {
		return err
	}
	if asServer && id.Drop {
		if err := os.Chown(cmd.Dir, int(id.UID), int(id.GID)); err != nil {
			return err
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id.UID, Gid: id.GID}}
	}
	fmt.Fprintf(&o.transcript, "== deploy/runbooks/%s, %s\n", script, time.Now().UTC().Format(time.DateTime))
	said, err := cmd.CombinedOutput()
	o.transcript.Write(said)
	o.t.Logf("%s:\n%s", script, said)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errBroken, script, err)
	}
	return nil
}

// keep writes the transcript, without this machine's temporary paths.
func (o *operator) keep(name string) error {
	if *results == "" {
		return nil
	}
	text := strings.NewReplacer(o.t.Rig.Dir, "/srv", o.hands.URL, "http://operator").Replace(o.transcript.String())
	return os.WriteFile(filepath.Join(*results, name), []byte(text), 0o644)
}

// The runbooks' scripts as they stand, carried out under load; the rehearsal's proof and
// the processor's books judge.
func TestRunbook_RestoreFromBackup(t *testing.T) {
	if !*long {
		t.Skip("a minute of load: go test ./loadtest/chaos -chaos -v -run TestRunbook -results DIR")
	}
	play(t, Scenario{
		Name:  "runbook-restore-from-backup",
		Fault: "Postgres lost with its data; deploy/runbooks/back-up.sh before, restore-from-backup.sh afterwards",
		Load:  Load{RatePerSecond: 40, For: 20 * time.Second},
		Script: func(t *Trial) []Step {
			return []Step{t.StartTill(rig.Till{Processes: 1, PerSecond: 100, Faults: calmly}), t.BeginAfter("run", 200), func(ctx context.Context) error {
				o := newOperator(ctx, t)
				defer o.hands.Close()
				folder, err := t.Rig.ServersFolder("backups")
				if err != nil {
					return err
				}
				backup := "BACKUP=" + filepath.Join(folder, "20261123T190000Z")
				if err := o.run(ctx, "back-up.sh", true, backup, "PRIMARY="+t.Rig.ServerURL()); err != nil {
					return err
				}
				if err := t.Hold(4 * time.Second)(ctx); err != nil {
					return err
				}
				if err := o.run(ctx, "restore-from-backup.sh", false, backup); err != nil {
					return err
				}
				return o.keep("restore-from-backup.txt")
			}, t.Settle, t.Drained}
		},
	})
}

func TestRunbook_PostgresLost(t *testing.T) {
	if !*long {
		t.Skip("a minute of load: go test ./loadtest/chaos -chaos -v -run TestRunbook -results DIR")
	}
	play(t, Scenario{
		Name:  "runbook-postgres-lost",
		Fault: "the primary killed; deploy/runbooks/postgres-lost.sh",
		Load:  Load{RatePerSecond: 40, For: 20 * time.Second},
		Script: func(t *Trial) []Step {
			return []Step{t.Replicate, t.StartTill(rig.Till{Processes: 1, PerSecond: 100, Faults: calmly}), t.Standby(true), t.BeginAfter("run", 200), t.KillPostgres,
				func(ctx context.Context) error {
					o := newOperator(ctx, t)
					defer o.hands.Close()
					if err := o.run(ctx, "postgres-lost.sh", false, "STANDBY="+t.Rig.StandbyURL()); err != nil {
						return err
					}
					return o.keep("postgres-lost.txt")
				}, t.Settle, t.Drained}
		},
	})
}
