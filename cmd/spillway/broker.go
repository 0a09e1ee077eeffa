package main

import (
	"os"

	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
)

// brokerCommand runs the broker that is inside as a process of its own. People run a
// nats-server; a rehearsal runs this one, to kill it.
type brokerCommand struct {
	Config   string        `env:"SPILLWAY_BROKER_CONFIG" required:"" placeholder:"FILE" type:"existingfile" help:"Configuration as nats-server reads it."`
	Password config.Secret `env:"SPILLWAY_BROKER_PASSWORD" placeholder:"SECRET" help:"What the configuration calls $$SPILLWAY_BROKER_PASSWORD."`
}

// Help is shown by --help.
func (brokerCommand) Help() string {
	return `Runs the broker that 'spillway up' has inside as a process of its own, for rehearsals that break it. An installation runs nats-server.

Example:
    SPILLWAY_BROKER_PASSWORD=... spillway broker --config nats-server.conf`
}

// Run serves until it is told to stop.
func (c *brokerCommand) Run(p *process) error {
	if c.Password != "" { // the file's variables are read from the environment alone
		if err := os.Setenv("SPILLWAY_BROKER_PASSWORD", c.Password.Reveal()); err != nil {
			return err
		}
	}
	return onebox.RunBroker(p.ctx, c.Config, p.log)
}
