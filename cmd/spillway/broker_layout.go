package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/ingest/broker"
)

// brokerLayoutCommand shows where the streams are, and changes it. What it is to be is
// said on the command line alone: a role's environment must not move streams.
type brokerLayoutCommand struct {
	config.Broker
	Replicas int           `env:"-" placeholder:"N" help:"Have this many copies of every stream: 1, 3 or 5."`
	Shards   int           `env:"-" placeholder:"N" help:"Have streams for this many shards, more than there are."`
	Timeout  time.Duration `env:"-" default:"30m" placeholder:"TIME" help:"Longest time to wait for copies to be complete (${default})."`
}

// Help is shown by --help.
func (brokerLayoutCommand) Help() string {
	return `Without --replicas and --shards it only looks. Both may be changed while donations arrive; they wait while their stream is copied. A stream that is shown as paused takes nothing: the same command finishes. deploy/runbooks/change-replicas.md and change-shards.md say what comes before and after.

Exit status: 0 when every stream has all its copies, 1 when not.

Examples:
    spillway broker layout --nats-url nats://operator:password@broker-1:4222
    spillway broker layout --replicas 3 --nats-url ...
    spillway broker layout --shards 3 --nats-url ...`
}

// errNotWhole says that copies are missing or behind.
var errNotWhole = errors.New("not every stream has all of its copies")

// Run looks and changes.
func (c *brokerLayoutCommand) Run(p *process) error {
	if c.NATSURL == "" {
		return errNoBroker
	}
	if c.Replicas != 0 && c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		return fmt.Errorf("--replicas %d: 1, 3 or 5", c.Replicas)
	}
	ctx, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	topology := config.Topology{Shards: max(c.Shards, 1), Replicas: 1}
	b, err := c.connect(ctx, p, topology)
	if err != nil {
		return err
	}
	defer func() { logClose(p.log, b) }()
	before, err := b.Layouts(ctx)
	if err != nil {
		return err
	}
	if c.Shards > 0 {
		// New streams get as many copies as those that are there have.
		for _, l := range before {
			topology.Replicas = max(topology.Replicas, l.Replicas)
		}
		wide, err := c.connect(ctx, p, topology)
		if err != nil {
			return err
		}
		defer func() { logClose(p.log, wide) }()
		if err := wide.AddShards(ctx); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "Streams of %d shards are there. Now start ledgers, payments and consoles again with --shards %[1]d, and then front-ends.\n", c.Shards)
	}
	if c.Replicas > 0 {
		if err := b.SetReplicas(ctx, c.Replicas, func(stream string) {
			fmt.Fprintf(p.stdout, "%s: %d copies\n", stream, c.Replicas)
		}); err != nil {
			return err
		}
	}
	after, err := b.Layouts(ctx)
	if err != nil {
		return err
	}
	return writeLayouts(p.stdout, after)
}

func (c *brokerLayoutCommand) connect(ctx context.Context, p *process, t config.Topology) (*broker.Broker, error) {
	ctx, cancel := context.WithTimeout(ctx, orderConnect)
	defer cancel()
	return broker.Connect(ctx, as(broker.RoleOperator, brokerAt(c.Broker, t, nil, "spillway broker layout")), p.log)
}

// writeLayouts writes a table. Errors: errNotWhole, and the writer's.
func writeLayouts(out io.Writer, all []broker.Layout) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(table, format, args...)
		errs = append(errs, err)
	}
	line("stream\tcopies\tleader\tothers\tstored\tof\n")
	whole := true
	for _, l := range all {
		others := ""
		for i, c := range l.Copies {
			if i > 0 {
				others += ", "
			}
			others += c.Server
			if !c.Current {
				others += fmt.Sprintf(" (%d behind, silent for %v)", c.Behind, c.Silent.Round(time.Millisecond))
			}
		}
		state := fmt.Sprint(l.Replicas)
		if !l.Whole() {
			whole = false
			state += ", not complete"
		}
		if l.Paused {
			whole = false
			state += ", paused"
		}
		line("%s\t%s\t%s\t%s\t%d\t%d\n", l.Stream, state, l.Leader, others, l.Bytes, l.BytesMost)
	}
	errs = append(errs, table.Flush())
	if !whole {
		errs = append(errs, errNotWhole)
	}
	return errors.Join(errs...)
}
