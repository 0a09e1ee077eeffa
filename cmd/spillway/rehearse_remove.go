package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mattn/go-isatty"

	"spillway/cmd/spillway/internal/config"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/loadtest/remove"
)

// rehearseRemoveCommand removes rehearsals and proves that nothing else went.
type rehearseRemoveCommand struct {
	Data string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Data folder of 'spillway up' (${default}), running or stopped; not used with --database-url."`
	config.Broker
	config.Database
	Replicas int `default:"1" enum:"1,3,5" help:"Copies that the broker must keep of every stream."`

	RunName string `name:"run" env:"SPILLWAY_RUN" placeholder:"NAME" help:"Remove only when this is the one run that is there."`
	DryRun  bool   `help:"Say what would go, and remove nothing."`
	Yes     bool   `help:"Do not ask."`
}

// Help is shown by --help.
func (rehearseRemoveCommand) Help() string {
	return `Removes everything of rehearsals: their donations, payments, journal and totals, their campaigns, their messages on the broker, and what the console searches of them. It works beside live traffic: the ledger's and payments' hold on the rehearsals' book is taken from them, and the donors' book is not locked. It may be stopped at any moment, and run again.

The proof: the database's part is one transaction. It compares every row of every other table before and after, and is rolled back when a single one differs. On the broker each campaign must say itself that it is a rehearsal's, and every other stream must hold what it held. At the end nothing of a rehearsal may be left. Large databases take some minutes, because every other row is read twice.

All runs go together, because they share the journal's chains and the slots of totals; --run NAME is refused when there are others.

Exit status: 0 when everything of rehearsals is gone and nothing else, or nothing was there; 1 when something is left, or something else changed, which is named; 2 when it was not done.

Examples:
    spillway rehearse remove --dry-run
    spillway rehearse remove --data /srv/giving-day
    spillway rehearse remove --yes --nats-url nats://spillway:password@broker:4222 \
        --database-url postgres://owner:password@db/spillway`
}

// exitNotRemoved is the status when nothing was done.
const exitNotRemoved = exitStatus(2)

// Run removes; see Help for the exit status.
func (c *rehearseRemoveCommand) Run(p *process) error {
	group := lifecycle.New(p.log)
	report, err := c.remove(p, group)
	if stop := group.Stop(); stop != nil {
		p.log.Warn("stop what was started to remove", "error", stop)
	}
	return c.tell(p, report, err)
}

func (c *rehearseRemoveCommand) remove(p *process, group *lifecycle.Group) (*remove.Report, error) {
	// Finding an installation, running or stopped, is verify's.
	v := &verifyCommand{Data: c.Data, Broker: c.Broker, Database: c.Database, Replicas: c.Replicas}
	databaseURL, at, err := v.find(p, group)
	if err != nil {
		return nil, err
	}
	if at == nil {
		return nil, errNoBroker
	}
	at.Name = "spillway rehearse remove"
	b, shards, err := verifyBroker(p, group, *at)
	if err != nil {
		return nil, err
	}
	if shards == 0 {
		return nil, errors.New("the broker has no stream of donations: is it the right one?")
	}
	db, err := remove.Open(databaseURL)
	if err != nil {
		return nil, err
	}
	// Ctrl-C ends it between two steps or in the middle of one: what is not committed is
	// not done, and the next run does the rest.
	return remove.Run(p.ctx, remove.Config{Run: c.RunName, DryRun: c.DryRun}, remove.Deps{
		Database: db, Broker: b, Confirm: c.confirm(p), Progress: c.progress(p), Log: p.log,
	})
}

// confirm asks on a terminal; elsewhere --yes has to say it.
func (c *rehearseRemoveCommand) confirm(p *process) func(*remove.Plan) error {
	if c.Yes {
		return nil
	}
	return func(plan *remove.Plan) error {
		if !isatty.IsTerminal(os.Stdin.Fd()) {
			return fmt.Errorf("%w: --yes says that this is meant, --dry-run shows what it is", remove.ErrDeclined)
		}
		return askToRemove(p.ctx, os.Stdin, p.stderr, plan)
	}
}

// askToRemove shows the plan and wants a word for it.
func askToRemove(ctx context.Context, in io.Reader, out io.Writer, plan *remove.Plan) error {
	if err := plan.Write(out); err != nil {
		return err
	}
	if _, err := fmt.Fprint(out, "All of this is removed, and cannot be had again. Write 'remove' if that is meant: "); err != nil {
		return err
	}
	answers := make(chan string, 1)
	go func() { // ends with the process when nobody answers
		line, _ := bufio.NewReader(in).ReadString('\n') // what was not written is no word
		answers <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", remove.ErrDeclined, ctx.Err())
	case answer := <-answers:
		if answer != "remove" {
			return remove.ErrDeclined
		}
		return nil
	}
}

// progress tells the steps on a terminal, and is silent elsewhere.
func (c *rehearseRemoveCommand) progress(p *process) func(string) {
	if !isTerminal(p.stderr) {
		return nil
	}
	last := ""
	return func(step string) {
		if step != last {
			last = step
			fmt.Fprintln(p.stderr, step)
		}
	}
}

// tell prints what was done, and turns what went wrong into the exit status.
func (c *rehearseRemoveCommand) tell(p *process, report *remove.Report, failed error) error {
	var err error
	switch {
	case report == nil || report.Plan == nil:
	case c.DryRun && failed == nil:
		err = report.Plan.Write(p.stdout)
	case report.Epoch == 0: // nothing was done
	case report.Plan.Empty() && report.Proven:
		_, err = fmt.Fprintln(p.stdout, "Nothing of a rehearsal was there, and nothing is.")
	default:
		if err = report.Write(p.stdout); err == nil && report.Proven {
			_, err = io.WriteString(p.stdout, c.notes(report))
		}
	}
	if failed == nil {
		return err
	}
	fmt.Fprintf(p.stderr, "spillway rehearse remove: %v\n", failed)
	if errors.Is(failed, remove.ErrDiffers) || errors.Is(failed, remove.ErrLeft) {
		return exitStatus(exitFailed)
	}
	return exitNotRemoved
}

// notes are what the removal does not reach.
func (c *rehearseRemoveCommand) notes(report *remove.Report) string {
	text := "Front-ends that run go on answering at the removed campaigns' addresses, with nothing given to them, until they are started again.\n"
	if report.Booked() > 0 {
		text += "The simulated processor keeps the charges of what is gone: 'spillway reconcile', and payments processes that start within the next two hours, name them as missing in the journal.\n"
	}
	if c.DatabaseURL == "" {
		found, _ := filepath.Glob(filepath.Join(c.Data, recordsFolder, "*"+recordSuffix)) // the pattern is well-formed
		if len(found) > 0 {
			text += fmt.Sprintf("%d records of runs are kept in %s. They tell of donations that are gone: give the next run a name of its own.\n", len(found), filepath.Join(c.Data, recordsFolder))
		}
	}
	return text
}
