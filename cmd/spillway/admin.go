package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
	accessdb "spillway/campaigns/access/postgres"
	"spillway/campaigns/console"
	"spillway/campaigns/console/frame"
	"spillway/campaigns/console/people"
	"spillway/campaigns/directory"
	"spillway/campaigns/status"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/admission"
	"spillway/ingest/broker"
	"spillway/ingest/keyring"
	"spillway/ingest/openapi"
	searchdb "spillway/ledger/search/postgres"
)

type adminCommand struct{ config.Admin }

// Help is shown by --help.
func (adminCommand) Help() string {
	return `The organisers' console, at /admin of its own listener, and the projection that it searches. Start as many as you like; they share the work. Nobody uses it yet? 'spillway user add --role owner' prints a one-time link.

Put a proxy with TLS in front and name its network with --admin-trusted-proxy, or reach the listener through a tunnel: passwords do not travel in the open.

Example:
    spillway admin --nats-url nats://spillway:password@broker:4222 --secrets /etc/spillway/secrets.json \
        --database-url postgres://spillway:password@db/spillway --admin-listen 0.0.0.0:8082 --admin-trusted-proxy 10.0.0.0/8`
}

const (
	// consoleStop is what requests and streams get at the end.
	consoleStop = 15 * time.Second
	// firstLinkLife is how long the first owner's link works: until the next morning.
	firstLinkLife = 24 * time.Hour
	// inviteTimeout bounds asking whether there is a user, and storing the link.
	inviteTimeout = 10 * time.Second
)

// Run serves organisers until it is told to stop.
func (c *adminCommand) Run(p *process) error {
	switch {
	case c.NATSURL == "":
		return errNoBroker
	case c.DatabaseURL == "":
		return errNoDatabase
	case c.Secrets == "":
		return errNoSecrets
	}
	secrets, err := readSecrets(c.Secrets)
	if err != nil {
		return err
	}
	ln, err := listen(c.AdminListen, "--admin-listen")
	if err != nil {
		return err
	}
	operators, err := newOps(c.OpsListen, "--ops-listen")
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	p.log.Info("console starts", "listen", ln.Addr().String(), "ops", operators.url(), "node", nodeName())
	group := lifecycle.New(p.log)
	group.Go(p.ctx, "operators' listener", quickStop, func(ctx context.Context) error { return operators.run(ctx, p.log) })
	o := &office{
		console: c.Console, broker: as(broker.RoleAdmin, brokerAt(c.Broker, c.Topology, nil, "spillway admin "+nodeName())),
		database: c.DatabaseURL.Reveal(), secrets: secrets, listener: ln, registry: operators.registry, log: p.log,
	}
	err = o.start(p.ctx, group)
	if err == nil {
		operators.setReady(func() error { return nil })
		report(p.ctx, group, o.link, operators, p.log, reportedRole{name: status.AdminRole})
		err = group.Wait(p.ctx)
	}
	return finish(p, group, err)
}

// office is what `admin` and `up` run for organisers: the console with its sections.
type office struct {
	console  config.Console
	broker   broker.Config
	database string
	secrets  *keyring.Keyring
	listener net.Listener
	registry prometheus.Registerer
	log      *slog.Logger

	// What start opens, for the sections.
	users  *accessdb.Store
	link   *broker.Broker
	search *searchdb.Store // of the live book
	// directory has switches and giving days; the dashboard's part runs it.
	directory *directory.Directory

	server *console.Console
}

// A part of the office: it opens what it needs, adds what runs or must be closed to
// the group, and returns a section of the console, or nil when it has none.
type part func(context.Context, *lifecycle.Group) (frame.Section, error)

// parts are what the office is made of. Each is a method in a file of its own,
// admin_<name>.go, which may use o.link, o.users, o.search, o.secrets, o.database and o.registry:
//
//	func (o *office) people(context.Context, *lifecycle.Group) (frame.Section, error) {
//		return people.New(o.users, o.secrets, o.hasher), nil
//	}
//
// The menu's order is the sections' own.
func (o *office) parts() []part {
	return []part{
		o.dashboard,
		o.donations, // after the dashboard, whose directory it reads
		o.manage,
		o.people,
	}
}

func (o *office) people(context.Context, *lifecycle.Group) (frame.Section, error) {
	return people.New(o.users, o.secrets, credential.NewHasher(credential.DefaultParams)), nil
}

// start opens what the console needs and adds its parts to the group. A database that
// is away is waited for by the parts themselves.
func (o *office) start(ctx context.Context, group *lifecycle.Group) (err error) {
	if o.users, err = accessdb.Open(accessdb.Config{URL: o.database}); err != nil {
		return err
	}
	group.Add("console's database", quickStop, o.users.Close)
	if o.link, err = connect(ctx, group, o.broker, o.log); err != nil {
		return err
	}
	if err := o.startSearch(ctx, group); err != nil {
		return err
	}
	var sections []frame.Section
	for _, open := range o.parts() {
		section, err := open(ctx, group)
		if err != nil {
			return err
		}
		if section != nil {
			sections = append(sections, section)
		}
	}
	proxies, err := admission.NewProxies(o.console.AdminTrustedProxy)
	if err != nil {
		return fmt.Errorf("--admin-trusted-proxy: %w", err)
	}
	o.server, err = console.New(console.Config{SessionIdle: o.console.SessionIdle, SessionLife: o.console.SessionLife}, console.Deps{
		Store: o.users, Opener: o.secrets, Hasher: credential.NewHasher(credential.DefaultParams),
		Client: proxies.Client, Trusts: proxies.Trusts, Sections: sections, Registerer: o.registry, Log: o.log,
		Documents: []console.Document{
			{Path: "/openapi.yaml", ContentType: openapi.ContentType, Body: openapi.Document},
			{Path: "/docs", ContentType: openapi.PageType, Body: openapi.Page, Policy: openapi.PagePolicy},
		},
	})
	if err != nil {
		return err
	}
	group.Go(ctx, "console", consoleStop, func(ctx context.Context) error { return o.server.Run(ctx, o.listener) })
	return nil
}

// startSearch opens the projection that donations are searched by, and keeps it in
// step with the ledger, over a connection of its own.
func (o *office) startSearch(ctx context.Context, group *lifecycle.Group) error {
	cfg := o.broker
	cfg.Name = "spillway search " + nodeName()
	link, err := connect(ctx, group, cfg, o.log)
	if err != nil {
		return err
	}
	o.search, err = startProjector(ctx, group, projectorDeps{
		broker: link, shards: cfg.Shards, database: o.database, keys: o.secrets, registry: o.registry, log: o.log,
	})
	return err
}

// url is where people find the console.
func (o *office) url() string { return "http://" + o.listener.Addr().String() + "/admin" }

// invite makes a one-time link for the first owner while there is no user; "" when
// there is one.
func (o *office) invite(ctx context.Context) (link string, err error) {
	ctx, cancel := context.WithTimeout(ctx, inviteTimeout)
	defer cancel()
	there, err := o.users.AnyUser(ctx)
	if err != nil || there {
		return "", err
	}
	token, sum := credential.NewToken()
	by := access.Entry{Name: operatorName(), Action: "user.link", Detail: "one-time link for the first owner made at start"}
	if err := o.users.AddLink(ctx, sum, "", time.Now().Add(firstLinkLife), by); err != nil {
		return "", err
	}
	return o.url() + "/link/" + token, nil
}
