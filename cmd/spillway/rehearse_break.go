package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"spillway/loadtest/faults"
	"spillway/loadtest/trace"
)

// breakFlags say what a rehearsal breaks of what it started itself.
type breakFlags struct {
	Break string `placeholder:"PLAN" help:"What to break of the private installation while it runs, such as '20s kill ledger; 30s pause broker for 15s', or 'everything'; see below. Implies --roles, unless it names 'up'."`
	Seed  uint64 `placeholder:"N" help:"Draws the synthetic day and what the plan of --break leaves open: the same seed is the same day, broken in the same places. When not given 1, so that two rehearsals can be compared; with --break one is drawn and told."`
	Roles bool   `help:"Start the private installation as processes: a broker, Postgres, a front-end, two ledgers, two payments and a processor, in place of one 'spillway up'. Needs Linux."`

	plan faults.Plan
}

const breakHelp = `
Plans of --break: statements with ';' between them, each a time from the first gift (or a span, of which a moment is drawn) and what is done to what for how long.
    20s kill ledger-1 for 3s        kill -9; started again after 3 s, at once without it
    30s pause broker for 15s        every thread stands still
    40s restart payments            an orderly end and a new start; 'payments' is one of payments-1, payments-2
    50s cut ingest for 10s          nothing passes on its network, and no connection tells so
    60s slow postgres by 200ms to 64KiB/s for 10s
    70s half-open broker for 20s    its far ends are gone without a word
    80s reset payments-1            its connections; new ones too with 'for'
    90s outage processor for 20s    503 to everything; 'storm' is 429 to half
    10s..90s kill each for 0s..3s   every role, the broker and Postgres, in an order that is drawn
    every 20s..60s from 10s until 5m one of kill any, pause ledger for 15s
    everything                      each of them killed, more at random, a ledger paused longer than the broker waits, and an outage
Roles: ingest, ledger-1, ledger-2, payments-1, payments-2, broker, postgres, processor; or up and postgres. Only what the rehearsal started can be broken.

    spillway rehearse --rate 200 --for 1m --break '10s kill postgres for 3s; 20s pause ledger-1 for 15s'
    spillway rehearse --replay agdq2017-gifts.csv.gz --speed 8000 --pace 250 --break everything --seed 7`

var errBreakElsewhere = errors.New("--break and --roles are for an installation that the rehearsal starts itself: leave out --target, --data and --database-url")

// breaks tells whether the rehearsal runs on processes that it may break. Errors: the
// plan's own, and what does not go together.
func (c *rehearseRunCommand) breaks() (bool, error) {
	if c.Break != "" {
		plan, err := faults.Parse(c.Break)
		if err != nil {
			return false, fmt.Errorf("--break: %w", err)
		}
		c.plan.Steps = append(c.plan.Steps, plan.Steps...)
	}
	if c.plan.Empty() && !c.Roles {
		return false, nil
	}
	if c.Target != "" || c.Data != "" || c.DatabaseURL != "" {
		return false, errBreakElsewhere
	}
	if c.Seed == 0 {
		c.Seed = c.plan.Seed
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1<<32-1) + 1 //nolint:gosec // no secret, and short enough to be typed again
	}
	return true, nil
}

// withUp tells whether the plan is for `up` in one process.
func (c *rehearseRunCommand) withUp() (bool, error) {
	if c.Roles {
		return false, nil
	}
	return c.plan.Mentions(func(f faults.Fault) bool { return f.What == "up" })
}

// length is how long the run is expected to last: the sending, and the charging where
// that is waited for.
func (c *rehearseRunCommand) length(source trace.Source) time.Duration {
	length := source.Span()
	if c.Charging != chargingOff && c.Pace > 0 {
		length = max(length, time.Duration(float64(source.Rows())/float64(c.Pace)*float64(time.Second)))
	}
	return length
}

// tellPlan writes the plan in full, before it begins.
func tellPlan(w io.Writer, plan *faults.Plan, seed uint64, events []faults.Event) {
	fmt.Fprintf(w, "To be broken, with --seed %d of %q:\n", seed, plan.String())
	for _, e := range events {
		fmt.Fprintf(w, "  %9s  %s\n", e.At, &e)
	}
}

// player plays the drawn events on a stage, telling people and the line of time.
func player(plan *faults.Plan, seed uint64, events []faults.Event, stage faults.Stage, s *screen) func(context.Context, func(time.Time, string)) *faults.Record {
	return func(ctx context.Context, mark func(time.Time, string)) *faults.Record {
		record := faults.Play(ctx, events, stage, func(at time.Duration, text string) {
			mark(time.Now(), text)
			s.line(fmt.Sprintf("%9s  %s", at.Round(10*time.Millisecond), strings.ReplaceAll(text, "\n", " | ")))
		})
		record.Plan, record.Seed = plan.String(), seed
		return record
	}
}
