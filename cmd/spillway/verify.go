package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"spillway/campaigns"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/ingest/broker"
	"spillway/ledger"
	"spillway/ledger/verify"
	verifydb "spillway/ledger/verify/postgres"
)

const (
	// verifyConnect bounds finding the broker and the database: one that is not
	// there now is a result, not a reason to wait.
	verifyConnect = 15 * time.Second
	// verifyProgressEvery is how often a long step is told.
	verifyProgressEvery = time.Second
)

// verifyCommand checks what must hold, in the database and on the broker.
type verifyCommand struct {
	Data string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Data folder of 'spillway up' (${default}), running or stopped; not used with --database-url."`
	config.Broker
	config.Database
	Replicas int `default:"1" enum:"1,3,5" help:"Copies that the broker must keep of every stream."`

	Deep     bool `help:"Compare every stored message with its row, field by field, both ways, in place of a sample."`
	Rebuild  bool `help:"Recompute every total from zero, line by line, and compare."`
	Drained  bool `help:"The day is over: a message that waits for the ledger is an offender."`
	Findings int  `default:"20" placeholder:"N" help:"Offenders listed for each check (${default}); all are counted."`
	JSON     bool `name:"json" env:"SPILLWAY_VERIFY_JSON" help:"Write the report as JSON."`
}

// Help is shown by --help.
func (verifyCommand) Help() string {
	return `Changes nothing and may run while donations arrive. Exit status: 0 when everything that was checked holds; 1 when something does not, with the offending IDs; 2 when nothing is known to be broken and something could not be checked.

Of a stopped 'spillway up' it starts the private database and the embedded broker for as long as it looks.

Examples:
    spillway verify
    spillway verify --deep --rebuild --drained --data /srv/giving-day
    spillway verify --json --nats-url nats://spillway:password@broker:4222 \
        --database-url postgres://spillway:password@db/spillway`
}

// Run checks and prints; see Help for the exit status.
func (c *verifyCommand) Run(p *process) error {
	group := lifecycle.New(p.log)
	report, err := c.check(p, group)
	if stop := group.Stop(); stop != nil {
		p.log.Warn("stop what was started to look", "error", stop)
	}
	if err == nil {
		if c.JSON {
			err = report.WriteJSON(p.stdout)
		} else {
			err = report.WriteTable(p.stdout)
		}
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "spillway verify: nothing was checked: %v\n", err)
		return exitStatus(verify.StatusUnchecked)
	}
	if status := report.Status(); status != verify.StatusHolds {
		return exitStatus(status)
	}
	return nil
}

// check finds the database and the broker and makes the checks.
func (c *verifyCommand) check(p *process, group *lifecycle.Group) (*verify.Report, error) {
	databaseURL, at, err := c.find(p, group)
	if err != nil {
		return nil, err
	}
	deps := verify.Deps{
		Open: func(ctx context.Context) (verify.Database, error) {
			ctx, cancel := context.WithTimeout(ctx, verifyConnect)
			defer cancel()
			return verifydb.Open(ctx, databaseURL)
		},
		Progress: c.progress(p),
	}
	if at == nil {
		deps.NoStreams = "no broker was named: --nats-url"
	} else if b, shards, err := verifyBroker(p, group, *at); err != nil {
		deps.NoStreams = err.Error()
	} else {
		deps.Streams = verifyStreams{b, shards}
	}
	return verify.Run(p.ctx, verify.Config{
		Deep: c.Deep, Rebuild: c.Rebuild, Drained: c.Drained, FindingsMax: c.Findings,
	}, deps)
}

// find says where the database and the broker are; at is nil when nobody said
// where the broker is. Of a stopped `up` it starts them, as parts of the group.
func (c *verifyCommand) find(p *process, group *lifecycle.Group) (databaseURL string, at *broker.Config, err error) {
	const name = "spillway verify"
	if c.DatabaseURL != "" {
		if c.NATSURL != "" {
			cfg := as(broker.RoleOperator, brokerAt(c.Broker, config.Topology{Replicas: c.Replicas}, nil, name))
			at = &cfg
		}
		return c.DatabaseURL.Reveal(), at, nil
	}
	if c.NATSURL != "" {
		return "", nil, errors.New("--nats-url needs --database-url beside it")
	}
	run, err := onebox.ReadRun(c.Data)
	if errors.Is(err, onebox.ErrNotRunning) {
		return c.startStopped(p, group, name)
	}
	if err != nil {
		return "", nil, err
	}
	c.Broker.NATSURL = config.Secret(run.NATSURL)
	cfg := as(broker.RoleOperator, brokerAt(c.Broker, config.Topology{Replicas: c.Replicas}, nil, name))
	return run.DatabaseURL, &cfg, nil
}

// startStopped starts the engines of an `up` that does not run.
func (c *verifyCommand) startStopped(p *process, group *lifecycle.Group, name string) (databaseURL string, at *broker.Config, err error) {
	if _, err := os.Stat(filepath.Join(c.Data, "postgres")); err != nil {
		return "", nil, fmt.Errorf("no spillway runs in %s, and no private database is there: start 'spillway up', or name the servers with --database-url and --nats-url", c.Data)
	}
	u := &up{p: p, out: io.Discard, group: group}
	u.Data, u.NoInstall, u.BrokerListen = c.Data, true, "127.0.0.1:0"
	u.progress = newProgress(p.stderr)
	folder, err := onebox.OpenFolder(c.Data)
	if err != nil {
		return "", nil, err
	}
	group.Add("data folder", quickStop, folder.Close)
	u.folder = folder
	fmt.Fprintf(p.stderr, "Nothing runs in %s; starting its engines to look\n", folder.Dir)
	if err := u.startPostgres(p.ctx); err != nil {
		return "", nil, err
	}
	if _, err := os.Stat(folder.Path("nats")); err != nil {
		return u.run.DatabaseURL, nil, nil // it worked with a broker elsewhere
	}
	if err := u.startBroker(p.ctx); err != nil {
		return "", nil, err
	}
	cfg := brokerAt(c.Broker, config.Topology{Replicas: c.Replicas}, u.embedded, name)
	return u.run.DatabaseURL, &cfg, nil
}

// verifyBroker connects to the broker with the number of shards that it has.
func verifyBroker(p *process, group *lifecycle.Group, cfg broker.Config) (*broker.Broker, int, error) {
	ctx, cancel := context.WithTimeout(p.ctx, verifyConnect)
	defer cancel()
	shards := 1
	for {
		cfg.Shards = shards
		b, err := broker.Connect(ctx, cfg, p.log)
		if err != nil {
			return nil, 0, err
		}
		there, err := b.ShardsThere(ctx)
		if err == nil && (there == shards || there == 0) {
			group.Add(cfg.Name+" connection", connectionStop, func() { logClose(p.log, b) })
			return b, there, nil
		}
		logClose(p.log, b)
		if err != nil {
			return nil, 0, err
		}
		shards = there
	}
}

func logClose(log *slog.Logger, b *broker.Broker) {
	if err := b.Close(); err != nil {
		log.Warn("close broker connection", "error", err)
	}
}

// progress tells long steps on a terminal, and is silent elsewhere.
func (c *verifyCommand) progress(p *process) func(string, int64, int64) {
	if !isTerminal(p.stderr) {
		return nil
	}
	var told time.Time
	return func(step string, done, total int64) {
		if now := time.Now(); now.Sub(told) >= verifyProgressEvery {
			told = now
			switch {
			case total > 0:
				fmt.Fprintf(p.stderr, "%s: %d of %d\n", step, done, total)
			case done > 0:
				fmt.Fprintf(p.stderr, "%s: %d\n", step, done)
			default:
				fmt.Fprintln(p.stderr, step)
			}
		}
	}
}

// verifyStreams is the broker as verify asks for it.
type verifyStreams struct {
	*broker.Broker
	shards int
}

func (s verifyStreams) Shards() int { return s.shards }

func (s verifyStreams) State(ctx context.Context, book ledger.Book, shard int) (verify.StreamState, error) {
	at, err := s.Inspect(ctx, book, shard)
	return verify.StreamState(at), err
}

func (s verifyStreams) Read(ctx context.Context, book ledger.Book, shard int, first, last uint64, visit func(uint64, []byte) error) error {
	err := s.Scan(ctx, book, shard, first, last, visit)
	if errors.Is(err, broker.ErrNoMessage) {
		return fmt.Errorf("%w: %w", verify.ErrNoMessage, err)
	}
	return err
}

func (s verifyStreams) Snapshots(ctx context.Context) ([]*campaigns.Snapshot, error) {
	return s.Broker.Snapshots(ctx)
}

// Durable sorts what the gate would say: a broker that is full is no less durable.
func (s verifyStreams) Durable(ctx context.Context) (fault string, err error) {
	switch err := s.Broker.Durable(ctx); {
	case err == nil, errors.Is(err, broker.ErrFull):
		return "", nil
	case errors.Is(err, broker.ErrNotDurable):
		return err.Error(), nil
	default:
		return "", err
	}
}
