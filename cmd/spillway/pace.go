package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"text/tabwriter"
	"time"

	"spillway/cmd/spillway/internal/config"
	"spillway/deploy/onebox"
	"spillway/ledger"
	"spillway/ledger/payments"
	paymentsdb "spillway/ledger/payments/postgres"
)

// paceCommand looks at the pace of charging and changes it. All processes take
// from one pace in the database, so a change takes effect everywhere with the next
// claim, and a paused queue stays paused over restarts.
type paceCommand struct {
	Set    paceSetCommand    `cmd:"" default:"withargs" help:"Allow so many calls a second: spillway payments pace --rate 50."`
	Pause  pacePauseCommand  `cmd:"" help:"Charge nobody until 'resume'. Donations are taken all the same."`
	Resume paceResumeCommand `cmd:"" help:"Go on charging."`
	Status paceStatusCommand `cmd:"" help:"Show the pace and the queue."`
}

type paceSetCommand struct {
	config.Pace
	Rate     float64 `required:"" placeholder:"N" help:"Calls per second, above 0."`
	Endpoint string  `default:"${pace_endpoint}" placeholder:"NAME" help:"Endpoint of the processor (${default} charges); '*' for the account as a whole."`
}

type pacePauseCommand struct{ config.Pace }
type paceResumeCommand struct{ config.Pace }
type paceStatusCommand struct{ config.Pace }

// Run sets the pace.
func (c *paceSetCommand) Run(p *process) error {
	return withPace(p, c.Pace, func(ctx context.Context, db *paymentsdb.DB, accounts []string) error {
		book := db.Book(ledger.Live)
		for _, account := range accounts {
			if err := book.SetPace(ctx, account, c.Endpoint, c.Rate, operatorName()); err != nil {
				return err
			}
			if c.Endpoint == payments.EndpointAll {
				continue
			}
			// An account that allows less than its endpoint would hold it back unseen.
			if err := raiseAccount(ctx, book, account, c.Rate); err != nil {
				return err
			}
		}
		return printPace(ctx, p.stdout, db)
	})
}

// raiseAccount lets an account's bucket allow at least rate.
func raiseAccount(ctx context.Context, book *paymentsdb.Book, account string, rate float64) error {
	paces, err := book.Paces(ctx)
	if err != nil {
		return err
	}
	for _, pace := range paces {
		if pace.Account == account && pace.Endpoint == payments.EndpointAll && pace.PerSecond < rate {
			return book.SetPace(ctx, account, payments.EndpointAll, rate, operatorName())
		}
	}
	return nil
}

// Run pauses.
func (c *pacePauseCommand) Run(p *process) error { return setPaused(p, c.Pace, true) }

// Run resumes.
func (c *paceResumeCommand) Run(p *process) error { return setPaused(p, c.Pace, false) }

func setPaused(p *process, where config.Pace, paused bool) error {
	return withPace(p, where, func(ctx context.Context, db *paymentsdb.DB, accounts []string) error {
		book := db.Book(ledger.Live)
		change := book.Resume
		if paused {
			change = book.Pause
		}
		for _, account := range accounts {
			if err := change(ctx, account, endpointIntents, operatorName()); err != nil {
				return err
			}
		}
		return printPace(ctx, p.stdout, db)
	})
}

// Run shows the pace.
func (c *paceStatusCommand) Run(p *process) error {
	return withPace(p, c.Pace, func(ctx context.Context, db *paymentsdb.DB, _ []string) error { return printPace(ctx, p.stdout, db) })
}

// paceTimeout bounds one command: a few statements.
const paceTimeout = 15 * time.Second

// errNoAccount says that no payments process has ever used the database.
var errNoAccount = errors.New("nothing was ever charged from this database: start 'spillway payments' or 'spillway up' first")

// withPace finds the database and the accounts that have a pace there: one, unless
// somebody made more by hand.
func withPace(p *process, where config.Pace, work func(ctx context.Context, db *paymentsdb.DB, accounts []string) error) error {
	url := where.DatabaseURL.Reveal()
	if url == "" {
		run, err := onebox.ReadRun(where.Data)
		if err != nil {
			return fmt.Errorf("%w; name its database with --database-url", err)
		}
		url = run.DatabaseURL
	}
	db, err := paymentsdb.Open(paymentsdb.Config{URL: url, Application: "spillway payments pace"})
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(p.ctx, paceTimeout)
	defer cancel()
	paces, err := db.Book(ledger.Live).Paces(ctx)
	if err != nil {
		return err
	}
	var accounts []string
	for _, pace := range paces {
		if pace.Endpoint == endpointIntents {
			accounts = append(accounts, pace.Account)
		}
	}
	if len(accounts) == 0 {
		return errNoAccount
	}
	return work(ctx, db, accounts)
}

// printPace writes the pace and each book's queue.
func printPace(ctx context.Context, out io.Writer, db *paymentsdb.DB) error {
	paces, err := db.Book(ledger.Live).Paces(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ACCOUNT\tENDPOINT\tALLOWED/S\tNOW/S\tSTATE\tSET BY")
	account := ""
	for _, p := range paces {
		state := "running"
		switch {
		case p.Paused:
			state = "paused"
		case p.Current < p.PerSecond:
			state = "slowed by the processor at " + p.SlowedAt.UTC().Format(time.TimeOnly)
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f\t%.1f\t%s\t%s\n", p.Account, p.Endpoint, p.PerSecond, p.Current, state, p.ChangedBy)
		if p.Endpoint == endpointIntents {
			account = p.Account
		}
	}
	fmt.Fprintln(table, "\nBOOK\tTO EXPAND\tDUE\tCALLING\tWAIT FOR DONOR\tOLDEST DUE\tTOO LATE")
	for _, book := range ledger.Books {
		q, err := db.Book(book).Queue(ctx, account, endpointIntents)
		if err != nil {
			return err
		}
		oldest := "-"
		if !q.OldestDue.IsZero() {
			oldest = rounded(time.Since(q.OldestDue)).String()
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%s\t%d\n", book, q.Unexpanded, q.Due, q.Calling, q.RequiresAction, oldest, q.Late)
	}
	return table.Flush()
}

// operatorName is who changes the pace, for people who look at it later.
func operatorName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown-host"
	}
	u, err := user.Current()
	if err != nil {
		return "somebody at " + host
	}
	return u.Username + "@" + host
}
