package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"spillway/deploy/bluegreen"
	"spillway/deploy/haproxy"
)

// bluegreenCommand moves donors from one version of the front-ends to another.
type bluegreenCommand struct {
	Socket   string        `default:"/run/haproxy/admin.sock" placeholder:"PATH" help:"HAProxy's administrators' socket, or host:port of one on TCP (${default})."`
	From     string        `required:"" placeholder:"COLOUR" help:"Colour that donors are at: of the servers named COLOUR-1, COLOUR-2, ..."`
	To       string        `required:"" placeholder:"COLOUR" help:"Colour that they are to move to."`
	Steps    []int         `default:"1,5,25,50,100" placeholder:"N,..." help:"Shares of the new colour, in hundredths (${default})."`
	Every    time.Duration `default:"30s" help:"How long each step is watched."`
	Errors   percent       `default:"0.1%" placeholder:"PERCENT" help:"Share of failed requests at the new colour that ends the move (${default})."`
	Slower   percent       `default:"50%" placeholder:"PERCENT" help:"How much its p99 of donating may be above the old one's; 5 ms where that is more (${default})."`
	Requests int64         `default:"100" help:"Least requests in a step to judge it by."`
	Check    string        `placeholder:"COMMAND" help:"Run before the first step and after each, by sh, with TO_SERVERS naming the new colour's servers; a status other than 0 ends the move."`
	Confirm  bool          `help:"Ask before every step but the first."`
}

// Help is shown by --help.
func (bluegreenCommand) Help() string {
	return `Both colours stand behind HAProxy, the new one with weight 0 (deploy/haproxy). Weights are moved by steps; after each the new colour's error share (tries that another server repeated count) and its p99 of donating are held against the levels, and the check is run. When a level breaks, a server goes down, the check fails, somebody says no, or Ctrl-C is pressed, donors are sent back to the old colour at once.

The proxy cannot see whether what is accepted arrives. The check can: a short rehearsal against each server of the new colour itself, before the first donor comes to it. TO_SERVERS holds their addresses, http://host:port, separated by blanks.

Exit status: 0 when all donors are at the new colour, 1 when they are at the old one again (the reason is said), 2 when nothing was moved, 3 when the weights could not be set back.

Killed in the middle, it leaves the weights of the last step; the same command goes through the steps again.

Examples:
    spillway bluegreen --from blue --to green
    spillway bluegreen --from blue --to green --steps 10,50,100 --every 2m --check 'for s in $TO_SERVERS; do spillway rehearse --target $s --rate 20 --for 5s --secrets ... --nats-url ... --database-url ... || exit; done'
    spillway bluegreen --from green --to blue --steps 100 --every 10s`
}

// exitStuck: neither colour was left in charge.
const exitStuck = 3

// Run moves.
func (c *bluegreenCommand) Run(p *process) error {
	cfg := bluegreen.Config{
		From: c.From, To: c.To, Steps: c.Steps, Every: c.Every, Errors: float64(c.Errors), Slower: float64(c.Slower), Requests: c.Requests,
		Say: func(format string, args ...any) {
			fmt.Fprintf(p.stdout, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
		},
	}
	if c.Check != "" {
		cfg.Check = func(ctx context.Context, servers []haproxy.Server) error { return c.check(ctx, p, servers) }
	}
	if c.Confirm {
		answers := bufio.NewScanner(os.Stdin)
		cfg.Confirm = func(_ context.Context, share int) error {
			fmt.Fprintf(p.stdout, "go on to %d %%? [y/N] ", share)
			if !answers.Scan() || !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answers.Text())), "y") {
				return errors.New("not confirmed")
			}
			return nil
		}
	}
	err := bluegreen.Move(p.ctx, haproxy.Socket{Address: c.Socket}, cfg)
	if err == nil {
		return nil
	}
	fmt.Fprintf(p.stderr, "spillway bluegreen: %v\n", err)
	switch {
	case errors.Is(err, bluegreen.ErrStuck):
		return exitStatus(exitStuck)
	case errors.Is(err, bluegreen.ErrReturned):
		return exitStatus(exitFailed)
	}
	return exitStatus(exitUsage)
}

// checkMost bounds one check: a verify of a large database takes minutes.
const checkMost = 30 * time.Minute

func (c *bluegreenCommand) check(ctx context.Context, p *process, servers []haproxy.Server) error {
	ctx, cancel := context.WithTimeout(ctx, checkMost)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", c.Check) //nolint:gosec // what the operator asked for
	command.Stdout, command.Stderr = p.stdout, p.stderr
	var urls []string
	for _, s := range servers {
		urls = append(urls, "http://"+s.Address)
	}
	command.Env = append(os.Environ(), "TO_SERVERS="+strings.Join(urls, " "))
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the check failed: %w", err)
	}
	return nil
}
