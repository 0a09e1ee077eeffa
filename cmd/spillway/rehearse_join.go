package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/loadtest"
	"spillway/loadtest/fleet"
)

// joinCommand sends a share of a rehearsal that another process leads.
type joinCommand struct {
	config.Broker
	Data     string `placeholder:"DIR" type:"path" help:"Data folder of a running 'spillway up' on this machine, in place of --nats-url."`
	Name     string `placeholder:"NAME" help:"What this generator is called in the report: letters, digits, _ and -. The machine's name and a number when not given."`
	Fleet    string `default:"default" placeholder:"NAME" help:"What the leader calls its fleet (--fleet); only for several rehearsals over one broker at a time."`
	Folder   string `placeholder:"DIR" type:"path" help:"Where the replayed file and the record are kept until the leader has them; a folder for temporary files when not given."`
	OwnLimit string `default:"auto" enum:"auto,on,off" placeholder:"WHEN" help:"Measure before the run, for a second, what this machine can send at most. auto: when the busiest second of the share asks for 2,000 or more."`
}

// Help is shown by --help.
func (joinCommand) Help() string {
	return `Waits until a rehearsal with --generators leads it, gets the run and the replayed file from there, sends its share of the rows at their times, hands its record over, and ends. The leader makes the campaigns, sends the probes, watches and judges; nothing is needed here but the broker and the way to the target.

The gifts are shared by a hash of each, so that every key is sent by one generator. All begin at one moment: clocks are compared over the broker, and what that leaves open is allowed for in the proof.

Of the broker it needs the rights to say that it is there and to answer: the user generator of deploy/nats-roles.conf.

Exit status: 0 when the leader has everything, 2 otherwise; gifts whose record the leader does not have leave that record, and it is said where.

Examples:
    spillway rehearse join --nats-url nats://generator:password@broker:4222
    spillway rehearse join --nats-url nats://generator:password@broker:4222 --name north
    spillway rehearse join --data /srv/giving-day --name second

    spillway rehearse --rate 40000 --for 1m --generators 3 --target https://give.example.org ...   # the leader`
}

// Run joins; see Help for the exit status.
func (c *joinCommand) Run(p *process) error {
	if err := c.join(p); err != nil {
		fmt.Fprintf(p.stderr, "spillway rehearse join: %v\n", err)
		return exitStatus(exitUsage)
	}
	return nil
}

func (c *joinCommand) join(p *process) (err error) {
	switch {
	case c.Data != "" && c.NATSURL != "":
		return errors.New("--data and --nats-url do not go together")
	case c.Data != "":
		run, err := onebox.ReadRun(c.Data)
		if errors.Is(err, onebox.ErrNotRunning) {
			return fmt.Errorf("%w; start it: spillway up --data %s", err, c.Data)
		}
		if err != nil {
			return err
		}
		c.NATSURL = config.Secret(run.NATSURL)
	case c.NATSURL == "":
		return errNoBroker
	}
	name := c.Name
	if name == "" {
		name = fleet.NameOf(nodeName())
	}
	if c.Folder != "" {
		if err := os.MkdirAll(c.Folder, 0o700); err != nil {
			return err
		}
	}
	folder, err := os.MkdirTemp(c.Folder, "spillway-generator-")
	if err != nil {
		return err
	}
	screen := newScreen(p.stderr)
	defer screen.end()
	group := lifecycle.New(p.log)
	evidence := false
	where := publicURL(string(c.NATSURL))
	screen.say("connecting to the broker at " + where)
	link, err := linkTo(p, group, c.Broker, "spillway rehearse join "+name)
	if err != nil {
		err = fmt.Errorf("%s is not the broker of the installation under test, or cannot be reached from here: %w", where, err)
	} else {
		evidence, err = fleet.Join(p.ctx, fleet.MemberConfig{Fleet: c.Fleet, Name: name, Folder: folder, Open: openWords,
			Limit: func(ctx context.Context, busiest int64) (*loadtest.Limit, error) {
				return ownLimit(ctx, screen, c.OwnLimit, loadtest.DefaultConnections, busiest)
			},
			Say: screen.say, Show: screen.show, Log: p.log}, link)
	}
	err = errors.Join(err, group.Stop())
	if evidence {
		screen.line("The leader has not got the record of what was sent; it is kept in " + folder)
		return err
	}
	if err == nil && p.ctx.Err() == nil { // not stopped before anybody led it
		screen.line("The leader has everything; its report is of all generators.")
	}
	return errors.Join(err, os.RemoveAll(folder))
}
