package main

import (
	"os"

	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
)

// brokerCommand is what a person does to the brokers, and the broker that is inside.
type brokerCommand struct {
	Run    brokerRunCommand    `cmd:"" default:"withargs" hidden:"" help:"The broker that is inside, as a process of its own, for rehearsals that break it."`
	Layout brokerLayoutCommand `cmd:"" help:"Show where the streams are and how many copies they have; change copies and shards while everything runs."`
	Trim   brokerTrimCommand   `cmd:"" help:"Let streams go of what is recorded, in a verified backup, and old."`
}

// Help is shown by --help.
func (brokerCommand) Help() string {
	return `Where the streams of donations are, how that is changed in the middle of a day, and how they are kept from growing for ever.

Examples:
    spillway broker layout --nats-url nats://operator:password@broker-1:4222,nats://operator:password@broker-2:4222
    spillway broker layout --replicas 3 --nats-url ...
    spillway broker trim --backed-up-at 2026-11-23T02:00:00Z --nats-url ... --database-url ...`
}

// brokerRunCommand runs the broker that is inside as a process of its own. People run a
// nats-server; a rehearsal runs this one, to kill it.
type brokerRunCommand struct {
	Config   string        `env:"SPILLWAY_BROKER_CONFIG" required:"" placeholder:"FILE" type:"existingfile" help:"Configuration as nats-server reads it."`
	Password config.Secret `env:"SPILLWAY_BROKER_PASSWORD" placeholder:"SECRET" help:"What the configuration calls $$SPILLWAY_BROKER_PASSWORD."`
}

// Help is shown by --help.
func (brokerRunCommand) Help() string {
	return `Runs the broker that 'spillway up' has inside as a process of its own, for rehearsals that break it. An installation runs nats-server.

Example:
    SPILLWAY_BROKER_PASSWORD=... spillway broker --config nats-server.conf`
}

// Run serves until it is told to stop.
func (c *brokerRunCommand) Run(p *process) error {
	if c.Password != "" { // the file's variables are read from the environment alone
		if err := os.Setenv("SPILLWAY_BROKER_PASSWORD", c.Password.Reveal()); err != nil {
			return err
		}
	}
	return onebox.RunBroker(p.ctx, c.Config, p.log)
}
