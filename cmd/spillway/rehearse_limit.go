package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"spillway/cmd/spillway/internal/config"
	"spillway/loadtest"
	"spillway/loadtest/bare"
)

// limitCommand measures what this machine can send.
type limitCommand struct {
	Connections int   `default:"256" help:"Connections to the target."`
	Requests    int64 `default:"200000" placeholder:"N" help:"How many requests the measurement sends (${default}), up to 10,000,000."`
	JSON        bool  `name:"json" env:"SPILLWAY_REHEARSE_LIMIT_JSON" help:"Write the result as JSON."`
}

// Help is shown by --help.
func (limitCommand) Help() string {
	return `Sends gifts as fast as it can to a process on this machine that does nothing but answer, with everything that a rehearsal does for each: the record, the histograms, the check of the answer. That process takes its part of the machine, as an installation beside the generator does; with the target on another machine the limit is higher.

A rehearsal that asks for more than this measures its own lateness: share it with --generators.

Examples:
    spillway rehearse limit
    spillway rehearse limit --requests 1000000 --json`
}

// Run measures and prints.
func (c *limitCommand) Run(p *process) error {
	if c.Requests < 1 {
		return errors.New("--requests: at least one")
	}
	l, err := measureLimit(p.ctx, c.Connections, c.Requests)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(l)
	}
	_, err = fmt.Fprintln(p.stdout, l)
	return err
}

// ownLimit measures what this machine can send when that is worth it; nil otherwise.
func ownLimit(ctx context.Context, s *screen, when string, connections int, busiest int64) (*loadtest.Limit, error) {
	if when == "off" || when == "auto" && busiest < loadtest.LimitFrom {
		return nil, nil
	}
	s.say("measuring what this machine can send")
	return measureLimit(ctx, connections, 0)
}

func measureLimit(ctx context.Context, connections int, requests int64) (l *loadtest.Limit, err error) {
	target, end, err := startBare(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	return loadtest.MeasureLimit(ctx, target, connections, requests)
}

// startBare starts a target that only answers: this same program as a child, because the
// generator's own CPU is what is measured. It ends when end is called, or with us.
func startBare(ctx context.Context) (url string, end func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	child := exec.CommandContext(ctx, self, "rehearse", "bare")
	for _, kv := range os.Environ() { // what was set for us is not meant for it
		if !strings.HasPrefix(kv, config.Prefix+"_") {
			child.Env = append(child.Env, kv)
		}
	}
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := child.Start(); err != nil {
		return "", nil, err
	}
	end = func() error {
		err := errors.Join(in.Close(), child.Wait())
		if ctx.Err() != nil {
			return nil // it was killed with the measurement
		}
		return err
	}
	url, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("the target that only answers did not start: %w", err), end())
	}
	return strings.TrimSpace(url), end, nil
}

// bareCommand is the target that only answers. It ends when its standard input does.
type bareCommand struct{}

// Help is shown by --help.
func (bareCommand) Help() string {
	return `Answers every donation with 202 and keeps nothing, at an address that it prints, until its standard input ends.

Example:
    spillway rehearse bare`
}

// Run serves.
func (bareCommand) Run(p *process) error {
	ln, err := (&net.ListenConfig{}).Listen(p.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(p.ctx)
	defer stop()
	go func() { // it ends with the process: a read from standard input cannot be ended
		_, _ = io.Copy(io.Discard, os.Stdin) // an end is an end
		stop()
	}()
	if _, err := fmt.Fprintln(p.stdout, "http://"+ln.Addr().String()); err != nil {
		return errors.Join(err, ln.Close())
	}
	return bare.Serve(ctx, ln)
}
