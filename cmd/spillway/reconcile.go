package main

import (
	"context"
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // the event's time zone, on machines that have none

	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/deploy/onebox"
	"spillway/ledger"
	paymentsdb "spillway/ledger/payments/postgres"
	"spillway/ledger/reconcile"
	reconciledb "spillway/ledger/reconcile/postgres"
)

// reconcileCommand holds the journal against the processor, and writes statements.
type reconcileCommand struct {
	Compare  reconcileCompareCommand  `cmd:"" default:"withargs" help:"Compare; this is what 'spillway reconcile' alone does."`
	Campaign reconcileCampaignCommand `cmd:"" help:"A campaign's statement as CSV: what it was given and what went back."`
	Payouts  reconcilePayoutsCommand  `cmd:"" help:"From each payout to the gifts in it, as CSV."`
}

// Help is shown by --help.
func (reconcileCommand) Help() string { return reconcileHelp }

const reconcileHelp = `Holds every charge, fee, refund, dispute and payout at the processor against the journal, both ways and to the minor unit, by currency and day. Changes nothing. The database is found by --data or SPILLWAY_DATABASE_URL, the processor by SPILLWAY_STRIPE_KEY or --simulator.

Exit status: 0 when both agree; 1 when something differs, named with IDs and age; 2 when they could not be compared.

Examples:
    spillway reconcile
    spillway reconcile --since 2026-11-22 --until 2026-11-23 --zone America/New_York
    spillway reconcile --json | jq '.differences[] | {id, kind, donation}'
    spillway reconcile campaign river-school --since 2026-11-01 > river-school.csv
    spillway reconcile payouts --since 2026-11-01 > payouts.csv`

// exitNotCompared is the status when one side could not be read.
const exitNotCompared = exitStatus(2)

// listedProcessor says whose lists are read.
type listedProcessor struct {
	StripeKey config.Secret `env:"SPILLWAY_STRIPE_KEY" placeholder:"KEY" help:"Stripe's secret key, or a restricted one (rk_...) that may read balance transactions and payouts."`
	Simulator string        `placeholder:"URL" help:"The stand-in that charged, in place of Stripe; known of a running 'spillway up'."`
}

type reconcileCompareCommand struct {
	config.Reconcile
	listedProcessor
	JSON  bool          `name:"json" env:"-" help:"Write the report as JSON: amounts in minor units, every difference by its IDs."`
	Grace time.Duration `env:"-" default:"5m" placeholder:"TIME" help:"Differences that are younger may still be on their way, and are told apart (${default})."`
}

// Help is shown by --help.
func (reconcileCompareCommand) Help() string { return reconcileHelp }

// Run compares and prints; see Help for the exit status.
func (c *reconcileCompareCommand) Run(p *process) error {
	return withReports(p, c.Reconcile, func(r *reports) error {
		movements, err := r.processor(p, c.listedProcessor)
		if err != nil {
			return err
		}
		books := make([]reconcile.Journal, len(r.books))
		for i, book := range r.books {
			books[i] = r.db.Book(book)
		}
		report, err := reconcile.Run(p.ctx, reconcile.Config{Since: r.since, Until: r.until, Now: time.Now(), Zone: r.zone, Grace: c.Grace}, books, movements)
		if err != nil {
			return err
		}
		write := report.Print
		if c.JSON {
			write = report.WriteJSON
		}
		if err := write(p.stdout); err != nil {
			return err
		}
		if !report.OK() {
			return exitStatus(exitFailed)
		}
		return nil
	})
}

type reconcileCampaignCommand struct {
	Slug string `arg:"" optional:"" help:"The campaign; all of them without one."`
	config.Reconcile
}

// Help is shown by --help.
func (reconcileCampaignCommand) Help() string {
	return `Writes CSV to standard output, oldest first, days in the event's time zone, and the sums to standard error. It needs the database alone: --data or SPILLWAY_DATABASE_URL. Exit status 2 when it could not be read.

Example:
    spillway reconcile campaign river-school --since 2026-11-01 --zone America/New_York > river-school.csv`
}

// Run writes the statement.
func (c *reconcileCampaignCommand) Run(p *process) error {
	return withReports(p, c.Reconcile, func(r *reports) error {
		s := reconcile.NewCampaignStatement(p.stdout, c.Slug, r.zone)
		if err := r.db.Book(ledger.Live).Campaign(p.ctx, c.Slug, r.since, r.until, s.Entry); err != nil {
			return err
		}
		raised, err := s.Close()
		if err != nil {
			return err
		}
		return r.sums(p.stderr, raised)
	})
}

type reconcilePayoutsCommand struct {
	config.Reconcile
	listedProcessor
}

// Help is shown by --help.
func (reconcilePayoutsCommand) Help() string {
	return `Writes CSV to standard output: for each payout that was made in the time, each gift, refund and dispute that is in it, by campaign. The processor knows what is in automatic payouts alone; what is in others is not told. Exit status 1 when a payout is not explained to the minor unit, 2 when something could not be read. The processor is found by SPILLWAY_STRIPE_KEY or --simulator.

Example:
    spillway reconcile payouts --since 2026-11-01 --zone America/New_York > payouts.csv`
}

// Run writes the statement.
func (c *reconcilePayoutsCommand) Run(p *process) error {
	return withReports(p, c.Reconcile, func(r *reports) error {
		lists, err := r.processor(p, c.listedProcessor)
		if err != nil {
			return err
		}
		return r.payouts(p, lists)
	})
}

// reports is what a report is made with.
type reports struct {
	since, until time.Time
	zone         *time.Location
	database     string
	simulator    string // of a running `up`
	db           *reconciledb.DB
	group        *lifecycle.Group
	books        []ledger.Book // that the processor charges
}

// withReports finds the journal and works with it. What fails is told, with the exit
// status of what could not be compared.
func withReports(p *process, cfg config.Reconcile, work func(*reports) error) error {
	group := lifecycle.New(p.log)
	err := func() error {
		r := &reports{group: group, database: cfg.DatabaseURL.Reveal()}
		var err error
		if r.since, r.until, r.zone, err = cfg.Span(time.Now()); err != nil {
			return err
		}
		if r.database == "" {
			run, err := onebox.ReadRun(cfg.Data)
			if err != nil {
				return fmt.Errorf("%w; name its database with --database-url", err)
			}
			r.database, r.simulator = run.DatabaseURL, run.SimulatorURL
		}
		if r.db, err = reconciledb.Open(r.database); err != nil {
			return err
		}
		group.Add("journal", quickStop, r.db.Close)
		return work(r)
	}()
	err = errors.Join(err, group.Stop())
	var status exitStatus
	if err == nil || errors.As(err, &status) {
		return err
	}
	fmt.Fprintf(p.stderr, "spillway reconcile: %v\n", err)
	return exitNotCompared
}

// processor connects to whoever charged, within the pace, and refuses one whose money
// is not what the journal holds.
func (r *reports) processor(p *process, named listedProcessor) (pacedLists, error) {
	at := config.Processor{StripeKey: named.StripeKey, Simulator: named.Simulator, Pace: 1}
	if !at.Named() {
		at.Simulator = r.simulator
	}
	if !at.Named() {
		return pacedLists{}, config.ErrNoProcessor
	}
	if err := at.Check(); err != nil {
		return pacedLists{}, err
	}
	db, err := paymentsdb.Open(paymentsdb.Config{URL: r.database, Application: "spillway reconcile"})
	if err != nil {
		return pacedLists{}, err
	}
	r.group.Add("pace", quickStop, db.Close)
	book, account := db.Book(ledger.Live), accountOf(at)
	ctx, cancel := context.WithTimeout(p.ctx, orderConnect)
	defer cancel()
	paces, err := book.Paces(ctx)
	if err != nil {
		return pacedLists{}, err
	}
	if other := otherAccount(paces, account); other != "" {
		return pacedLists{}, fmt.Errorf("%w: at %q, and this is %q", errOtherAccount, other, account)
	}
	t := till{processor: at, log: p.log}
	client, err := t.client()
	if err != nil {
		return pacedLists{}, err
	}
	r.group.Add("processor's connections", quickStop, client.Close)
	r.books = t.books()
	return pacedLists{client, book, account}, nil
}
