package loadtest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"spillway/loadtest/faults"
)

// breaking is a plan being played beside a rehearsal.
type breaking struct {
	end    context.CancelFunc
	under  sync.WaitGroup
	record *faults.Record
}

// breakThings begins to play the plan, if there is one.
func (r *rehearsal) breakThings(ctx context.Context) {
	if r.deps.Break == nil {
		return
	}
	b := &breaking{}
	ctx, b.end = context.WithCancel(ctx)
	b.under.Go(func() { b.record = r.deps.Break(ctx, r.line.Mark) })
	r.breaking = b
}

// mendThings ends the plan and returns when everything works again: what is judged is
// judged then.
func (r *rehearsal) mendThings() {
	if r.breaking == nil {
		return
	}
	r.breaking.end()
	r.breaking.under.Wait()
	r.report.Faults = r.breaking.record
}

// writeFaults tells what was broken on purpose.
func (r *Report) writeFaults(w io.Writer) {
	if r.Faults == nil {
		return
	}
	fmt.Fprintf(w, "\nBroken on purpose, with seed %d:\n", r.Faults.Seed)
	for _, d := range r.Faults.Deeds {
		switch {
		case !d.Reached:
			fmt.Fprintf(w, "  %8s  %s: not reached\n", d.At.Round(time.Millisecond), d.Text)
		case d.Err != "":
			fmt.Fprintf(w, "  %8s  %s: %s\n", d.BrokenAt.Round(time.Millisecond), d.Text, d.Err)
		default:
			fmt.Fprintf(w, "  %8s  %s; works again at %s\n", d.BrokenAt.Round(time.Millisecond), d.Text, d.MendedAt.Round(time.Millisecond))
		}
	}
}
