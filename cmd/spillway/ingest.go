package main

import (
	"context"
	"errors"

	"spillway/campaigns/status"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/broker"
)

type ingestCommand struct{ config.Ingest }

// Help is shown by --help.
func (ingestCommand) Help() string {
	return `A front-end takes donations and shows totals; it needs the broker and the secrets and no database. Start as many as the donors need, each with the same secrets.

Example:
    spillway ingest --nats-url nats://spillway:password@broker:4222 \
        --secrets /etc/spillway/secrets.json --listen 0.0.0.0:8080`
}

// errNoSecrets says that a front-end was not given the installation's secrets.
var errNoSecrets = errors.New("needs the installation's secrets: --secrets FILE (make one with: spillway secrets --out FILE)")

// Run takes donations until it is told to stop.
func (c *ingestCommand) Run(p *process) error {
	switch {
	case c.NATSURL == "":
		return errNoBroker
	case c.Secrets == "":
		return errNoSecrets
	}
	if err := c.Check(); err != nil {
		return err
	}
	if c.PublicURL == "" {
		p.log.Warn("no --public-url: pages have no links to share, no QR codes and no previews")
	}
	secrets, err := readSecrets(c.Secrets)
	if err != nil {
		return err
	}
	ln, err := listen(c.Listen, "--listen")
	if err != nil {
		return err
	}
	operators, err := newOps(c.OpsListen, "--ops-listen")
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	p.log.Info("front-end starts", "listen", ln.Addr().String(), "ops", operators.url(), "node", nodeName())
	group := lifecycle.New(p.log)
	traces, err := startTracing(p, c.Tracing, operators.registry, group, false)
	if err != nil {
		return errors.Join(err, operators.listener.Close(), ln.Close(), group.Stop())
	}
	operators.exemplars = traces.on()
	group.Go(p.ctx, "operators' listener", quickStop, func(ctx context.Context) error { return operators.run(ctx, p.log) })
	f := &frontEnd{
		public: c.Public, broker: as(broker.RoleFrontEnd, brokerAt(c.Broker, c.Topology, nil, "spillway ingest "+nodeName())),
		webhooks: c.Webhooks.Reveal(), secrets: secrets, listener: ln, registry: operators.registry, log: p.log, traces: traces,
		pages: c.Pages, cards: c.Cards,
	}
	err = f.start(p.ctx, group)
	if err == nil {
		operators.setReady(f.ready)
		report(p.ctx, group, f.link, operators, p.log, reportedRole{status.FrontEndRole, f.ready})
		err = group.Wait(p.ctx)
	}
	return finish(p, group, err)
}

// finish stops the group and sums up. A start that a signal ended is no failure.
func finish(p *process, group *lifecycle.Group, err error) error {
	if err != nil && p.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	p.log.Info("stopping")
	return errors.Join(err, group.Stop())
}
