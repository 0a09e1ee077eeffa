// Package remove removes rehearsals from an installation, whole, and proves that it
// removed nothing else.
//
// The one invariant: what is not a rehearsal's is bit for bit what it was. In the database
// the removal and the proof are one transaction, which is rolled back when a single row of
// any other table differs; on the broker every message that is removed stands in a place
// that is the rehearsals' alone, or says itself that it is a rehearsal's.
//
// The unit is the rehearsals' whole book: slots of totals and chains of the journal are
// shared by its runs. Each step may be repeated, so whoever was stopped in the middle
// begins again.
//
// No goroutines of its own.
package remove

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"spillway/ingest/broker"
)

var (
	// ErrRun says that one run was named and the book holds others.
	ErrRun = errors.New("the book holds other runs too")
	// ErrBusy says that a rehearsal is under way, or that its charges are.
	ErrBusy = errors.New("a rehearsal is under way")
	// ErrDiffers says that something else than rehearsals would have changed, or has.
	ErrDiffers = errors.New("something else than rehearsals differs")
	// ErrLeft says that something of a rehearsal is there still.
	ErrLeft = errors.New("something of a rehearsal is left")
	// ErrDeclined says that whoever was asked did not want it.
	ErrDeclined = errors.New("nothing was removed")
)

const (
	// quietFor is how long the ledger gets to record what it holds: what it was given is
	// delivered again after broker.AckWait, so a process that died is waited for once.
	quietFor = broker.AckWait + 10*time.Second
	// chargingFor is how long calls that the processor has been asked for get to be
	// answered and booked: a call is given up after 80 s.
	chargingFor = 2 * time.Minute
	// settleFor is how long processes that are under way get to notice that their slots
	// have ended: a lease is renewed every second.
	settleFor = 30 * time.Second
	// vacuumRows is how many rows a table has to lose, a megabyte or more, for its room to
	// be given back at once. A vacuum of each of some thirty tables takes seconds on a slow
	// disk; of a table that lost a fifth of its rows the server's own takes care in a minute.
	vacuumRows = 10_000
	// lookEvery is the pause between two looks.
	lookEvery = 250 * time.Millisecond
)

// Config says what is removed.
type Config struct {
	// Run is a run's name that has to be the only one in the book; "" removes all.
	Run string
	// DryRun looks, and removes nothing.
	DryRun bool
}

// Broker is what is asked of the broker; its methods are those of broker.Broker.
type Broker interface {
	Rehearsals(ctx context.Context, last int32, others []string) (broker.Rehearsals, error)
	Marks(ctx context.Context, slugs []string) (broker.Marks, error)
	PurgeRehearsals(ctx context.Context) error
	EndRehearsalSlots(ctx context.Context, last int32, epoch int64, now time.Time) error
	RemoveRehearsalCampaigns(ctx context.Context, slugs []string) error
}

// Deps is what a removal works with.
type Deps struct {
	Database *Database
	Broker   Broker
	// Confirm is shown what would go, and returns an error when it must not; nil for yes.
	Confirm func(*Plan) error
	// Progress is told each step; nil for nobody.
	Progress func(step string)
	Log      *slog.Logger // slog.Default when nil

	// before is called before each step; its error ends the removal, as a kill would.
	before func(step string) error
	// patience replaces quietFor when it is not zero.
	patience time.Duration
}

// The steps, in order. Streams go before the book, because the ledger records what is in
// them; campaigns last, because slots have them made anew.
const (
	stepCharging  = "take what is due out of the queue of charges"
	stepStreams   = "remove the messages of donors and people"
	stepBook      = "remove the rows, and compare all others"
	stepSlots     = "remove what was told of totals"
	stepCampaigns = "remove the campaigns from the broker"
	stepLeft      = "look for what is left"
	stepCompare   = "compare the other streams"
	stepSpace     = "give the room back"
)

// Run removes rehearsals and proves it; the report is there with an error too, as far as
// it came. Errors: ErrRun, ErrBusy, ErrDeclined, ErrOldSchema and ErrOwner, with nothing changed;
// ErrDiffers, with nothing of the database changed when it names tables; ErrLeft; those of
// database and broker. After any of them it may be run again.
func Run(ctx context.Context, config Config, deps Deps) (*Report, error) {
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	r := &removal{config: config, deps: deps, report: &Report{}}
	return r.report, r.run(ctx)
}

type removal struct {
	config Config
	deps   Deps
	report *Report
	slugs  []string // of the rehearsals' campaigns, wherever they were found
}

func (r *removal) run(ctx context.Context) error {
	plan, err := r.look(ctx)
	if err != nil {
		return err
	}
	r.report.Plan = plan
	if err := r.allowed(plan); err != nil {
		return err
	}
	if r.config.DryRun {
		return nil
	}
	if r.deps.Confirm != nil && !plan.Empty() {
		if err := r.deps.Confirm(plan); err != nil {
			return err
		}
	}
	if err := r.quiet(ctx); err != nil {
		return err
	}
	before, err := r.deps.Broker.Marks(ctx, r.slugs)
	if err != nil {
		return err
	}
	if err := r.remove(ctx); err != nil {
		return err
	}
	return r.compare(ctx, before)
}

// look finds what there is.
func (r *removal) look(ctx context.Context) (*Plan, error) {
	plan, err := r.deps.Database.Look(ctx)
	if err != nil {
		return nil, err
	}
	if plan.Broker, err = r.deps.Broker.Rehearsals(ctx, plan.lastSlot, plan.Campaigns); err != nil {
		return nil, err
	}
	r.slugs = slices.Concat(plan.Campaigns, plan.Broker.Campaigns)
	slices.Sort(r.slugs)
	r.slugs = slices.Compact(r.slugs)
	return plan, nil
}

// allowed refuses one run of several.
func (r *removal) allowed(plan *Plan) error {
	if r.config.Run == "" {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(plan.Runs), func(name string) bool { return name == r.config.Run })
	if len(others) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s. Runs share the journal's chains and the slots of totals, so one cannot be taken out of them without rewriting what the others are proven by; leave out --run to remove all", ErrRun, strings.Join(others, ", "))
}

// step tells what comes next.
func (r *removal) step(name string) error {
	if r.deps.Progress != nil {
		r.deps.Progress(name)
	}
	if r.deps.before != nil {
		return r.deps.before(name)
	}
	return nil
}

// quiet waits until the ledger holds no donation in its hands: it would record it after
// everything else is gone. Where no process holds a slot nobody does.
func (r *removal) quiet(ctx context.Context) error {
	deadline := time.Now().Add(cmp.Or(r.deps.patience, quietFor))
	for {
		held, err := r.deps.Database.Holders(ctx)
		if err != nil || len(held) == 0 {
			return err
		}
		at, err := r.deps.Broker.Rehearsals(ctx, 0, nil)
		if err != nil {
			return err
		}
		if at.Unacked == 0 && at.Pending == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %d messages of donors wait for the ledger and %d are in its hands (%s); stop the rehearsal, then run this again", ErrBusy, at.Pending, at.Unacked, strings.Join(held, ", "))
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lookEvery):
		return nil
	}
}

// remove does the steps, and the last ones again until nothing is left: processes that
// are under way may have had a word on their lips.
func (r *removal) remove(ctx context.Context) error {
	if err := r.step(stepCharging); err != nil {
		return err
	}
	if err := r.stopCharging(ctx); err != nil {
		return err
	}
	if err := r.step(stepStreams); err != nil {
		return err
	}
	if err := r.deps.Broker.PurgeRehearsals(ctx); err != nil {
		return err
	}
	if err := r.step(stepBook); err != nil {
		return err
	}
	if err := r.deps.Database.remove(ctx, r.report, r.deps.Progress); err != nil {
		return err
	}
	r.slugs = slices.Concat(r.slugs, r.report.removed)
	slices.Sort(r.slugs)
	r.slugs = slices.Compact(r.slugs)
	deadline := time.Now().Add(settleFor)
	for {
		if err := r.step(stepSlots); err != nil {
			return err
		}
		if err := r.deps.Broker.EndRehearsalSlots(ctx, r.report.LastSlot, r.report.Epoch, time.Now()); err != nil {
			return err
		}
		if err := r.step(stepCampaigns); err != nil {
			return err
		}
		if err := r.removeCampaigns(ctx); err != nil {
			return err
		}
		if err := r.step(stepLeft); err != nil {
			return err
		}
		left, again, err := r.left(ctx)
		if err != nil || left == "" {
			return err
		}
		if !again || time.Now().After(deadline) {
			return fmt.Errorf("%w: %s; if a rehearsal still runs, stop it, then run this again", ErrLeft, left)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// stopCharging ends the charging of rehearsals: what the queue holds is not called any
// more, and what was called is waited for, because it is booked afterwards.
func (r *removal) stopCharging(ctx context.Context) error {
	if err := r.deps.Database.unqueue(ctx); err != nil {
		return err
	}
	deadline := time.Now().Add(cmp.Or(r.deps.patience, chargingFor))
	for {
		calls, err := r.deps.Database.calls(ctx)
		if err != nil || calls == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errCalls(calls)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func errCalls(calls int64) error {
	return fmt.Errorf("%w: the processor was asked for %d charges and has not answered; run this again when it has", ErrBusy, calls)
}

// removeCampaigns removes from the broker the campaigns that the database does not have.
func (r *removal) removeCampaigns(ctx context.Context) error {
	kept, err := r.deps.Database.known(ctx, r.slugs)
	if err != nil {
		return err
	}
	return r.deps.Broker.RemoveRehearsalCampaigns(ctx, slices.DeleteFunc(slices.Clone(r.slugs), func(slug string) bool { return slices.Contains(kept, slug) }))
}

// left says what of a rehearsal is there, "" for nothing, and whether it may be news that
// were on their way, which are removed again.
func (r *removal) left(ctx context.Context) (left string, again bool, err error) {
	at, err := r.deps.Broker.Rehearsals(ctx, r.report.LastSlot, r.slugs)
	if err != nil {
		return "", false, err
	}
	plan, err := r.deps.Database.Look(ctx)
	if err != nil {
		return "", false, err
	}
	r.report.Left, again = Left{}, true
	for _, t := range plan.Tables {
		r.report.Left.Rows += t.Rows
		if t.Rows > 0 {
			left, again = fmt.Sprintf("%d rows of %s", t.Rows, t.Name), false
		}
	}
	r.report.Left.Rows += int64(len(plan.Campaigns))
	r.report.Left.Messages = at.Donations + at.Commands + at.News + uint64(len(at.Campaigns)+len(at.Walls))
	switch {
	case left != "":
	case len(plan.Campaigns) > 0:
		left, again = "campaign "+plan.Campaigns[0], false
	case at.Donations+at.Commands > 0:
		left, again = fmt.Sprintf("%d messages of donors and %d of people", at.Donations, at.Commands), false
	case at.News > 0:
		left = fmt.Sprintf("%d messages about totals", at.News)
	case len(at.Campaigns) > 0:
		left = "campaign " + at.Campaigns[0] + " on the broker"
	case len(at.Walls) > 0:
		left = "the wall of " + at.Walls[0]
	}
	return left, again, nil
}

// compare holds the other streams against what they were.
func (r *removal) compare(ctx context.Context, before broker.Marks) error {
	if err := r.step(stepCompare); err != nil {
		return err
	}
	after, err := r.deps.Broker.Marks(ctx, r.slugs)
	if err != nil {
		return err
	}
	r.report.Streams = len(before.Streams)
	if lost := before.Lost(after, time.Now()); len(lost) > 0 {
		return fmt.Errorf("%w: %s; another process may have done that: look at its log", ErrDiffers, strings.Join(lost, "; "))
	}
	r.report.Proven = true
	if err := r.step(stepSpace); err != nil {
		return err
	}
	if err := r.deps.Database.vacuum(ctx, r.report.Removed, vacuumRows); err != nil {
		r.deps.Log.Warn("the room of the removed rows is not given back at once", "error", err)
	}
	return nil
}
