package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"spillway/campaigns/status"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/deploy/onebox/postgres"
	"spillway/ingest/keyring"
)

type upCommand struct{ config.Up }

// Help is shown by --help.
func (upCommand) Help() string {
	return `Starts an embedded broker, a private Postgres, every role, a simulated payment processor and a demo giving day, and keeps everything it writes in one folder. A restart continues where it was. Postgres' programs are found, or installed with the system's package manager where that needs no question.

With SPILLWAY_STRIPE_KEY set, cards are charged at Stripe; SPILLWAY_STRIPE_WEBHOOK_SECRETS must be set beside it, and rehearsals are not charged.

Examples:
    spillway up
    spillway up --listen 0.0.0.0:8080 --data /srv/giving-day
    spillway up --nats-url nats://spillway:password@broker:4222 --secrets secrets.json \
        --database-url postgres://spillway:password@db/spillway`
}

const (
	// databaseName is the private cluster's only database.
	databaseName = "spillway"
	// brokerStop and postgresStop bound the two engines; Postgres' own steps of
	// stopping, each harder than the one before, fit in.
	brokerStop   = 30 * time.Second
	postgresStop = 60 * time.Second
	// readyPoll is how often a starting front-end is asked whether it is ready.
	readyPoll = 20 * time.Millisecond
	// readySay is how long it may take before the reason is told.
	readySay = 2 * time.Second
)

// up is one run of the command.
type up struct {
	config.Up
	p          *process
	out        io.Writer
	progress   *progress
	group      *lifecycle.Group
	folder     *onebox.Folder
	operators  *ops
	listener   net.Listener
	organisers net.Listener // nil with --no-admin
	till       *till        // nil while nothing is charged here
	traces     *tracing     // nil unless they are wanted

	embedded *onebox.Broker // nil with --nats-url
	run      onebox.Run
	// simulatorURL is Simulator once that listens, for the front-end, which is there before.
	simulatorURL atomic.Value // string
}

// Run starts everything, waits for the signal to stop, and drains.
func (c *upCommand) Run(p *process) error {
	u := &up{Up: c.Up, p: p, out: p.stdout, group: lifecycle.New(p.log)}
	if c.Quiet {
		u.out = io.Discard
	}
	if err := u.checkProcessor(); err != nil {
		return err
	}
	u.progress = newProgress(u.out)
	folder, err := onebox.OpenFolder(c.Data)
	if err != nil {
		return err
	}
	defer folder.Close()
	u.folder = folder
	if u.listener, err = listen(c.Listen, "--listen"); err != nil {
		return err
	}
	defer u.listener.Close() // the server has closed it, unless it was never started
	if !c.NoAdmin {
		if u.organisers, err = listen(c.AdminListen, "--admin-listen"); err != nil {
			return err
		}
		defer u.organisers.Close() // the console has closed it, unless it was never started
	}
	if u.operators, err = newOps(c.OpsListen, "--ops-listen"); err != nil {
		return err
	}
	if u.traces, err = startTracing(p, c.Tracing, u.operators.registry, u.group, true); err != nil {
		return errors.Join(err, u.operators.listener.Close())
	}
	u.operators.exemplars = u.traces.on()
	u.group.Go(p.ctx, "operators' listener", quickStop, func(ctx context.Context) error { return u.operators.run(ctx, p.log) })

	fmt.Fprintf(u.out, "Spillway starts; its data is in %s\n", folder.Dir)
	err = u.start(p.ctx)
	if err == nil {
		u.banner()
		err = u.group.Wait(p.ctx)
	}
	fmt.Fprintln(u.out, "\nStopping: the donors inside get their answer, the ledger records what it holds. Ctrl-C again stops at once.")
	err = finish(p, u.group, err)
	err = errors.Join(err, folder.RemoveRun())
	if err == nil {
		fmt.Fprintln(u.out, "Stopped.")
	}
	return err
}

// start brings up everything, each step needing those before it.
func (u *up) start(ctx context.Context) error {
	u.run = onebox.Run{PID: os.Getpid(), StartedAt: time.Now().UTC(),
		HTTPURL: "http://" + u.listener.Addr().String(), OpsURL: u.operators.url()}
	if err := u.secrets(); err != nil {
		return err
	}
	secrets, err := readSecrets(u.run.SecretsFile)
	if err != nil {
		return err
	}
	if err := u.startPostgres(ctx); err != nil {
		return err
	}
	if err := u.startBroker(ctx); err != nil {
		return err
	}
	if err := u.progress.step("schema", func() error { return migrate(ctx, u.run.DatabaseURL) }, func() string { return "up to date" }); err != nil {
		return err
	}
	demo := u.DatabaseURL == "" || u.Demo
	if demo {
		if err := u.progress.step("giving day", func() error { return openDemo(ctx, u.run.DatabaseURL, time.Now()) },
			func() string { return fmt.Sprintf("%d campaigns", len(demoCampaigns)) }); err != nil {
			return err
		}
	}
	r := &recorder{
		broker:   brokerAt(u.Broker, u.Topology, u.embedded, "spillway ledger "+nodeName()),
		database: u.run.DatabaseURL, registry: u.operators.registry, log: u.p.log, traces: u.traces, idle: u.NoLedger,
	}
	if err := u.progress.step("ledger", func() error {
		if err := r.start(ctx, u.group); err != nil || !demo {
			return err
		}
		// A front-end that starts before would be ready without them, and say 404.
		return u.await(ctx, r.published)
	}, r.say); err != nil {
		return err
	}
	if u.PublicURL == "" {
		u.PublicURL = ownURL(u.listener)
	}
	if u.StripeKey != "" && u.StripePublishableKey == "" {
		u.p.log.Warn("no publishable key: donors' pages take no cards", "variable", "SPILLWAY_STRIPE_PUBLISHABLE_KEY")
	}
	f := &frontEnd{
		public: u.Public, broker: brokerAt(u.Broker, u.Topology, u.embedded, "spillway ingest "+nodeName()),
		webhooks: u.Webhooks.Reveal(),
		secrets:  secrets, listener: u.listener, registry: u.operators.registry, log: u.p.log, traces: u.traces,
		simulator: u.simulatorAddress(),
		pages:     u.Pages, cards: config.Cards{StripePublishableKey: u.StripePublishableKey, DemoCards: u.simulated() || u.Simulator != ""},
	}
	if err := u.progress.step("front-end", func() error { return f.start(ctx, u.group) }, func() string { return "takes donations" }); err != nil {
		return err
	}
	if err := u.admin(ctx, secrets); err != nil {
		return err
	}
	// After the front-end, which hears the processor's events, so that it goes before.
	if err := u.processor(ctx); err != nil {
		return err
	}
	if err := u.folder.WriteRun(u.run); err != nil {
		return err
	}
	if err := u.payments(ctx); err != nil {
		return err
	}
	u.operators.setReady(f.ready)
	report(ctx, u.group, r.link, u.operators, u.p.log, u.roles(f, r)...)
	return u.await(ctx, f.ready)
}

// roles are what this process tells the console about.
func (u *up) roles(f *frontEnd, r *recorder) []reportedRole {
	roles := []reportedRole{{status.FrontEndRole, f.ready}}
	if !u.NoLedger {
		roles = append(roles, reportedRole{status.LedgerRole, r.published})
	}
	if u.till != nil {
		roles = append(roles, reportedRole{status.PaymentsRole, u.till.ready})
	}
	if u.organisers != nil {
		roles = append(roles, reportedRole{name: status.AdminRole})
	}
	return roles
}

// admin starts the organisers' console, unless other processes have it, and makes the
// first owner's link while there is no user.
func (u *up) admin(ctx context.Context, secrets *keyring.Keyring) error {
	if u.organisers == nil {
		u.progress.note("console     left to processes beside this one")
		return nil
	}
	o := &office{
		console: u.Console, broker: brokerAt(u.Broker, u.Topology, u.embedded, "spillway admin "+nodeName()),
		database: u.run.DatabaseURL, secrets: secrets, listener: u.organisers, registry: u.operators.registry, log: u.p.log,
	}
	return u.progress.step("console", func() (err error) {
		if err := o.start(ctx, u.group); err != nil {
			return err
		}
		u.run.ConsoleURL = o.url()
		u.run.FirstOwnerURL, err = o.invite(ctx)
		return err
	}, func() string { return "for organisers" })
}

// payments starts to charge, unless other processes do.
func (u *up) payments(ctx context.Context) error {
	if u.NoPayments {
		u.progress.note("payments    left to processes beside this one")
		return nil
	}
	if !u.Named() {
		return nil // said already
	}
	u.till = &till{
		processor: u.Processor, broker: brokerAt(u.Broker, u.Topology, u.embedded, "spillway payments "+nodeName()),
		database: u.run.DatabaseURL, registry: u.operators.registry, log: u.p.log, traces: u.traces,
	}
	return u.progress.step("payments", func() error { return u.till.start(ctx, u.group) }, u.till.say)
}

// secrets sees to the installation's secrets.
func (u *up) secrets() (err error) {
	u.run.SecretsFile = u.Secrets
	if u.Secrets == "" {
		u.run.SecretsFile, err = u.folder.Secrets(freshSecrets)
	}
	return err
}

// startPostgres starts the private cluster, unless a real one was named.
func (u *up) startPostgres(ctx context.Context) error {
	if u.DatabaseURL != "" {
		u.run.DatabaseURL = u.DatabaseURL.Reveal()
		u.progress.note("database    as given by --database-url")
		return nil
	}
	binaries, err := u.findPostgres(ctx)
	if err != nil {
		return err
	}
	output, err := u.folder.Output("postgres.log")
	if err != nil {
		return err
	}
	var cluster *postgres.Cluster
	err = u.progress.step("postgres", func() error {
		cluster, err = postgres.Start(ctx, postgres.Config{
			Binaries: binaries, Dir: u.folder.Path("postgres"), SocketDir: u.folder.Path("socket"),
			Settings: postgres.Ledger(ctx, binaries, u.folder.Dir), Output: output, Log: u.p.log.With("component", "postgres"),
		})
		if err != nil {
			return errors.Join(err, output.Close())
		}
		u.group.Add("postgres", postgresStop, func() {
			cluster.Stop()
			_ = output.Close() // only ever appended to by the server
		})
		return cluster.CreateDatabase(ctx, databaseName)
	}, func() string { return binaries.Version + " from " + binaries.Dir })
	if err != nil {
		return err
	}
	u.run.DatabaseURL = cluster.URL(databaseName)
	u.run.PostgresSocketDir = cluster.SocketDir()
	return nil
}

// findPostgres finds the programs, and installs them where that is allowed.
func (u *up) findPostgres(ctx context.Context) (postgres.Binaries, error) {
	host := postgres.ThisHost()
	major := postgres.ClusterMajor(u.folder.Path("postgres"))
	b, err := host.Find(ctx, u.PostgresBin, major)
	if !errors.Is(err, postgres.ErrNotFound) {
		return b, err
	}
	if u.NoInstall || u.PostgresBin != "" || major != 0 {
		return b, fmt.Errorf("%w; install it with: %s", err, host.Hint())
	}
	u.progress.note("PostgreSQL is not installed; installing it")
	b, err = host.Install(ctx, func(s string) { u.progress.note("%s", s) }, u.p.stderr)
	if err != nil {
		return b, fmt.Errorf("PostgreSQL is needed: %w; install it with: %s", err, host.Hint())
	}
	return b, nil
}

// startBroker starts the embedded broker, unless a real one was named.
func (u *up) startBroker(ctx context.Context) error {
	if u.NATSURL != "" {
		u.run.NATSURL = u.NATSURL.Reveal()
		u.progress.note("broker      as given by --nats-url")
		return nil
	}
	return u.progress.step("broker", func() (err error) {
		if u.embedded, err = onebox.StartBroker(u.folder, u.BrokerListen, u.p.log); err != nil {
			return err
		}
		u.group.Add("broker", brokerStop, u.embedded.Stop)
		u.group.Go(ctx, "broker's health", brokerStop, u.embedded.Run)
		u.run.NATSURL = u.embedded.URL()
		return nil
	}, func() string { return "syncs before it acknowledges" })
}

// await returns when ready says so, or a part fails, or ctx ends. It tells the
// reason when it takes long.
func (u *up) await(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- u.group.Wait(ctx) }()
	defer func() { cancel(); <-failed }()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	began, said := time.Now(), ""
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Since(began) > readySay && err.Error() != said {
			said = err.Error()
			u.p.log.Warn("not ready yet", "reason", err)
		}
		select {
		case err := <-failed:
			failed <- nil
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}
