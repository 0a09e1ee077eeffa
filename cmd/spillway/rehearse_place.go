package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	campaigndb "spillway/campaigns/postgres"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/ingest/broker"
	"spillway/ledger"
	"spillway/loadtest/audit"
	auditdb "spillway/loadtest/audit/postgres"
	"spillway/loadtest/machine"
)

// place is the installation that is rehearsed. It is looked up again at each use,
// because an `up` that was killed in the middle of a rehearsal comes back with
// other ports.
type place struct {
	command *rehearseRunCommand
	log     *slog.Logger
	data    string // "" when the command says where everything is
	alone   bool   // it is the rehearsal's own
	written string // pattern of what its own processes log to, "" when it is somebody else's

	// of an installation of processes, which stay where they are
	own       *addresses
	processes func() []machine.Role
	metrics   string // URL

	// the broker, while it is asked for its backlog
	group  *lifecycle.Group
	broker *broker.Broker
	shards int
	asked  string // its URL
}

// addresses is where an installation's parts are.
type addresses struct{ target, database, nats, secrets, simulator string }

// find returns the addresses as they are now. What the command was told counts first.
func (a *place) find() (addresses, error) {
	if a.own != nil {
		return *a.own, nil
	}
	c := a.command
	at := addresses{target: c.Target, database: c.DatabaseURL.Reveal(), nats: c.NATSURL.Reveal(), secrets: c.Secrets}
	if a.data == "" {
		return at, nil
	}
	run, err := onebox.ReadRun(a.data)
	if errors.Is(err, onebox.ErrNotRunning) {
		return at, fmt.Errorf("%w; start it: spillway up --data %s", err, a.data)
	}
	if err != nil {
		return at, err
	}
	or := func(s *string, other string) {
		if *s == "" {
			*s = other
		}
	}
	or(&at.target, run.HTTPURL)
	or(&at.database, run.DatabaseURL)
	or(&at.nats, run.NATSURL)
	or(&at.secrets, run.SecretsFile)
	or(&at.simulator, run.SimulatorURL)
	return at, nil
}

// campaigns opens the store of campaigns.
func (a *place) campaigns() (*campaigndb.Store, error) {
	at, err := a.find()
	if err != nil {
		return nil, err
	}
	return campaigndb.Open(campaigndb.Config{URL: at.database, Application: "spillway rehearse"})
}

// view starts the audit's view of the ledger.
func (a *place) view(ctx context.Context) (audit.Ledger, func(), error) {
	at, err := a.find()
	if err != nil {
		return nil, nil, err
	}
	return auditdb.Begin(ctx, at.database)
}

func (a *place) count(ctx context.Context, prefix string) (int64, error) {
	at, err := a.find()
	if err != nil {
		return 0, err
	}
	return auditdb.Count(ctx, at.database, prefix)
}

// logs lists the files that the proof searches: those that were named, and those of an
// installation of our own.
func (a *place) logs() ([]string, error) {
	patterns := slices.Clone(a.command.Logs)
	if a.written != "" {
		patterns = append(patterns, a.written)
	}
	var files []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("--logs %s: %w", pattern, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("--logs %s: %w", pattern, errNoLog)
		}
		files = append(files, found...)
	}
	if a.data == "" || len(files) == 0 {
		return files, nil
	}
	// Beside what `up` itself says: the servers that it runs (onebox.Folder.Output).
	servers, err := os.ReadDir(filepath.Join(a.data, "logs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, s := range servers {
		files = append(files, filepath.Join(a.data, "logs", s.Name()))
	}
	return files, nil
}

var errNoLog = errors.New("there is no such file: name the logs of the installation's processes, or leave it out")

// secrets are those that are known here and that no log may hold.
func (a *place) secrets(credential string) []string {
	all := []string{credential}
	at, err := a.find()
	if err != nil {
		return all // it is asked for again, and told then
	}
	for _, address := range []string{at.database, at.nats} {
		if u, err := url.Parse(address); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok {
				all = append(all, password)
			}
		}
	}
	return all
}

// backlogTimeout bounds asking the broker once.
const backlogTimeout = 5 * time.Second

// backlog counts what the ledger has not acknowledged; nil when nobody said
// where the broker is.
func (a *place) backlog() func(context.Context) (int64, error) {
	if at, err := a.find(); err == nil && at.nats == "" {
		return nil
	}
	return func(ctx context.Context) (n int64, err error) {
		defer func() {
			if err != nil {
				a.close() // and look where it is now the next time
			}
		}()
		ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
		defer cancel()
		at, err := a.find()
		if err != nil {
			return 0, err
		}
		if a.broker == nil || a.asked != at.nats {
			if err := a.connect(ctx, at.nats); err != nil {
				return 0, err
			}
		}
		for shard := range a.shards {
			lag, err := a.broker.Source(ledger.Rehearsal, shard).Lag(ctx)
			if err != nil {
				return 0, err
			}
			n += int64(lag.Pending) + int64(lag.AckPending) //nolint:gosec // far below 2^63
		}
		return n, nil
	}
}

func (a *place) connect(ctx context.Context, url string) error {
	a.close()
	named := a.command.Broker
	named.NATSURL = config.Secret(url)
	group := lifecycle.New(a.log)
	b, shards, err := verifyBroker(&process{ctx: ctx, log: a.log}, group, as(broker.RoleGenerator, brokerAt(named, config.Topology{Replicas: 1}, nil, "spillway rehearse")))
	if err != nil {
		return errors.Join(err, group.Stop())
	}
	a.group, a.broker, a.shards, a.asked = group, b, shards, url
	return nil
}

// close lets go of the broker.
func (a *place) close() {
	if a.group == nil {
		return
	}
	if err := a.group.Stop(); err != nil {
		a.log.Debug("close the broker's connection", "error", err)
	}
	a.group, a.broker = nil, nil
}
