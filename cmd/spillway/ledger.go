package main

import (
	"context"
	"errors"

	"spillway/campaigns/status"
	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/broker"
)

type ledgerCommand struct{ config.Ledger }

// Help is shown by --help.
func (ledgerCommand) Help() string {
	return `Any number of ledgers share the work; start more to record faster or to be safe from the loss of one. The schema must be there ('spillway migrate').

Example:
    spillway ledger --nats-url nats://spillway:password@broker:4222 \
        --database-url postgres://spillway:password@db/spillway`
}

// Run records donations until it is told to stop.
func (c *ledgerCommand) Run(p *process) error {
	switch {
	case c.NATSURL == "":
		return errNoBroker
	case c.DatabaseURL == "":
		return errNoDatabase
	}
	operators, err := newOps(c.OpsListen, "--ops-listen")
	if err != nil {
		return err
	}
	p.log.Info("ledger starts", "ops", operators.url(), "node", nodeName())
	group := lifecycle.New(p.log)
	traces, err := startTracing(p, c.Tracing, operators.registry, group, false)
	if err != nil {
		return errors.Join(err, operators.listener.Close(), group.Stop())
	}
	operators.exemplars = traces.on()
	group.Go(p.ctx, "operators' listener", quickStop, func(ctx context.Context) error { return operators.run(ctx, p.log) })
	r := &recorder{
		broker:   as(broker.RoleLedger, brokerAt(c.Broker, c.Topology, nil, "spillway ledger "+nodeName())),
		database: c.DatabaseURL.Reveal(), registry: operators.registry, log: p.log, traces: traces,
	}
	err = r.start(p.ctx, group)
	if err == nil {
		operators.setReady(func() error { return nil })
		report(p.ctx, group, r.link, operators, p.log, reportedRole{status.LedgerRole, r.published})
		err = group.Wait(p.ctx)
	}
	return finish(p, group, err)
}
