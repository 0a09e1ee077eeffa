//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/loadtest/rig"
)

// raisedPoll is how often an open page is looked at: four times as often as a reload.
const raisedPoll = 250 * time.Millisecond

// raisedNote is where the watch leaves what it saw.
const raisedNote = "raised_watched"

// RaisedWatched is what somebody saw who never took the eyes off the pages.
type RaisedWatched struct {
	Campaigns int   `json:"campaigns"`
	Looks     int64 `json:"looks"`
	Back      int64 `json:"went_back"`        // looks that showed less than the one before
	Worst     int64 `json:"worst_back_minor"` // by how much
	StaleMost int64 `json:"lag_ms_most"`
	Epochs    int   `json:"epochs"`
}

// raisedWatch looks at what campaigns have raised, over and over: nothing is refunded in a
// rehearsal, so it never goes down.
type raisedWatch struct {
	rig   *rig.Rig
	slugs []string

	seen   RaisedWatched
	last   map[string]int64
	epochs map[int64]bool

	stop func()
	done sync.WaitGroup
}

// WatchRaised watches from here on what the campaigns of the load have raised, as the
// front-end tells it; Raised ends that.
func (t *Trial) WatchRaised(ctx context.Context) error {
	conn, err := rehearsalBook(ctx, t.Rig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	rows, err := conn.Query(ctx, "SELECT DISTINCT campaign FROM lines ORDER BY 1 LIMIT 20")
	if err != nil {
		return err
	}
	w := &raisedWatch{rig: t.Rig, last: map[string]int64{}, epochs: map[int64]bool{}}
	if w.slugs, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	w.seen.Campaigns = len(w.slugs)
	t.Logf("watch what %d campaigns have raised", len(w.slugs))
	ctx, w.stop = context.WithCancel(ctx)
	w.done.Go(func() { w.run(ctx) })
	t.raised = w
	return nil
}

// Raised ends the watch, and the scenario when something that was raised went back.
func (t *Trial) Raised(context.Context) error {
	w := t.raised
	w.stop()
	w.done.Wait()
	w.seen.Epochs = len(w.epochs)
	t.Notes[raisedNote] = w.seen
	t.Logf("watched: %+v", w.seen)
	if w.seen.Back > 0 || w.seen.Looks == 0 {
		return fmt.Errorf("%w: open pages showed less than before: %+v", errBroken, w.seen)
	}
	return nil
}

func (w *raisedWatch) run(ctx context.Context) {
	tick := time.NewTicker(raisedPoll)
	defer tick.Stop()
	for {
		for _, slug := range w.slugs {
			w.look(ctx, slug)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look looks at one page; one that cannot be had shows nothing new.
func (w *raisedWatch) look(ctx context.Context, slug string) {
	document, err := rig.Get(ctx, w.rig.URL()+"/v1/campaigns/"+slug+"/totals")
	var total struct {
		RaisedMinor int64 `json:"raised_minor"`
		Epoch       int64 `json:"epoch"`
		LagMillis   int64 `json:"lag_ms"`
	}
	if err != nil || json.Unmarshal(document, &total) != nil {
		return
	}
	w.seen.Looks++
	w.epochs[total.Epoch] = true
	w.seen.StaleMost = max(w.seen.StaleMost, total.LagMillis)
	if back := w.last[slug] - total.RaisedMinor; back > 0 {
		w.seen.Back++
		w.seen.Worst = max(w.seen.Worst, back)
	}
	w.last[slug] = total.RaisedMinor
}
