// Command spillway takes donations, records them and shows live totals: one
// binary, one sub-command per role, and `up` for all of them on one machine.
//
// Each role has a file of its own here that wires it, runs it and drains it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"spillway/cmd/spillway/internal/config"
)

const description = `Spillway takes donations during giving-day spikes: acknowledged on disk in milliseconds, recorded exactly once, totals live and honest about their age.

Start here:  spillway up

Every flag has an environment variable: --ops-listen is SPILLWAY_OPS_LISTEN. One that holds a secret may name a file instead: SPILLWAY_STRIPE_KEY_FILE.`

// commands are the command line. Each command's Run receives *process.
type commands struct {
	config.Logging

	Up        upCommand        `cmd:"" help:"Everything on one machine: broker, database, every role, a demo giving day."`
	Ingest    ingestCommand    `cmd:"" help:"A front-end: takes donations, shows totals. Needs the broker and the secrets."`
	Ledger    ledgerCommand    `cmd:"" help:"A ledger: records donations, publishes totals. Needs the broker and the database."`
	Payments  paymentsCommand  `cmd:"" help:"Charges cards at the pace the processor allows; its pace. Needs the broker and the database."`
	Admin     adminCommand     `cmd:"" help:"The organisers' console, and what it searches. Needs the broker, the database and the secrets."`
	User      userCommand      `cmd:"" help:"Who may use the console: add, list, shut out, reset; one-time links."`
	Migrate   migrateCommand   `cmd:"" help:"Bring the database's schema up to date."`
	Secrets   secretsCommand   `cmd:"" help:"Make a fresh secrets file."`
	Bluegreen bluegreenCommand `cmd:"" help:"Move donors from one version of the front-ends to another, and back when it misbehaves."`
	Route     routeCommand     `cmd:"" help:"Move campaigns between an older donation system and Spillway, and back, one by one."`
	Refund    refundCommand    `cmd:"" help:"Give a donation's money back, whole or in part. Asked twice, done once."`
	Gift      giftCommand      `cmd:"" help:"Book a gift that came by another road: a cheque, cash."`
	Correct   correctCommand   `cmd:"" help:"Move money between two accounts of the journal, by an entry of its own."`
	Reconcile reconcileCommand `cmd:"" help:"Hold the journal against the processor, to the minor unit; statements as CSV."`
	Search    searchCommand    `cmd:"" help:"The projection that the console searches: how old it is; make it anew."`
	Verify    verifyCommand    `cmd:"" help:"Check in the database and on the broker what must hold."`
	Restore   restoreCommand   `cmd:"" help:"After the database was restored from a backup: replay what it lacks; nobody is charged again."`
	Bench     benchCommand     `cmd:"" help:"Measure this machine against ceilings taken in the same run, and the project's bars."`
	Viewers   viewersCommand   `cmd:"" help:"Measure what thousands of live viewers cost, and how old the totals are that they see."`
	Stripesim stripesimCommand `cmd:"" help:"A stand-in for Stripe's API, with state, limits and faults, for rehearsals and tests."`
	Broker    brokerCommand    `cmd:"" help:"Where the streams are on the brokers: look, and change copies and shards while everything runs."`
	Rehearse  rehearseCommand  `cmd:"" help:"Replay a giving day and prove that nothing acknowledged was lost or counted twice."`
}

// process is what a command gets from the one that started it.
type process struct {
	// ctx ends at the first SIGINT or SIGTERM.
	ctx            context.Context
	stdout, stderr io.Writer
	log            *slog.Logger
	environment    []string
}

// Exit statuses.
const (
	exitFailed = 1 // the command did not do what it was asked to
	exitUsage  = 2 // it was not asked properly
	exitForced = 130
)

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)) }

// run is main with its surroundings as arguments; the exit status comes back.
func run(args, environment []string, stdout, stderr io.Writer) int {
	var cli commands
	status := -1 // until kong wants to exit, after printing help
	parser, err := kong.New(&cli,
		kong.Name("spillway"),
		kong.Description(description),
		kong.Vars{"data_default": config.DataDefault(), "pace_endpoint": endpointIntents},
		kong.Vars(capacityDefaults()),
		kong.DefaultEnvars(config.Prefix),
		kong.Resolvers(config.SecretFiles(environment)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: helpColumns}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { status = code }),
	)
	if err != nil {
		panic(err) // the grammar above is wrong, whatever the arguments
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	chosen, err := parser.Parse(args)
	if status >= 0 {
		return status
	}
	if err == nil {
		err = config.CheckEnvironment(parser.Model, environment)
	}
	if err != nil {
		fmt.Fprintf(stderr, "spillway: %v\n", err)
		return exitUsage
	}
	ctx, stop := interruptible(context.Background(), stderr)
	defer stop()
	p := &process{ctx: ctx, stdout: stdout, stderr: stderr, environment: environment, log: newLog(cli.Logging, chosen.Command(), stderr)}
	if err := chosen.Run(p); err != nil {
		var status exitStatus
		if errors.As(err, &status) {
			return int(status)
		}
		name, _, _ := strings.Cut(chosen.Command(), " <")
		fmt.Fprintf(stderr, "spillway %s: %v\n", name, err)
		return exitFailed
	}
	return 0
}

// helpColumns is the widest line of help.
const helpColumns = 110

// exitStatus is returned by a command that has already said everything.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// sameSignal is how soon after the first signal another counts as the same one: a
// supervisor (timeout(1) for one) may signal the process and then its group.
const sameSignal = 500 * time.Millisecond

// interruptible returns a context that ends with the first SIGINT, SIGTERM or, when
// the terminal is closed and nohup does not forbid it, SIGHUP. The second one ends the process at once: what was acknowledged is on disk, and the
// private Postgres is told to stop by the kernel or found at the next start.
func interruptible(ctx context.Context, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var first time.Time
		for {
			select {
			case <-done:
				return
			case <-signals:
				if first.IsZero() {
					first = time.Now()
					cancel()
				} else if time.Since(first) > sameSignal {
					fmt.Fprintln(stderr, "spillway: stopped without draining")
					os.Exit(exitForced)
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-ended
		cancel()
	}
}

// newLog writes a command's log lines to out as the flags say.
func newLog(cfg config.Logging, command string, out io.Writer) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case cfg.LogLevel != nil:
		level = *cfg.LogLevel
	case command == "up", strings.HasPrefix(command, "payments pace"), strings.HasPrefix(command, "refund"), strings.HasPrefix(command, "gift"), strings.HasPrefix(command, "correct"), strings.HasPrefix(command, "user"),
		strings.HasPrefix(command, "reconcile"), strings.HasPrefix(command, "search"):
		level = slog.LevelWarn
	}
	options := &slog.HandlerOptions{Level: level}
	asText := cfg.LogFormat == "text" || cfg.LogFormat == "auto" && isTerminal(out)
	if asText {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
