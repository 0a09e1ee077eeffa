package loadtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/loadtest/machine"
	"spillway/loadtest/record"
)

// others are further generators in this process.
type others struct {
	cfg    Config // of the leader
	of     int
	folder string
	begins chan time.Time // one for each
	ready  sync.WaitGroup
	ended  sync.WaitGroup
	mu     sync.Mutex
	parts  []Part
	errs   error
	// spoil changes what is handed over; nil for not.
	spoil func([]Part) []Part
}

func (o *others) Prepare(ctx context.Context) error {
	o.begins, o.parts = make(chan time.Time, o.of), make([]Part, o.of-1)
	for i := range o.parts {
		o.ready.Add(1)
		o.ended.Go(func() {
			name := fmt.Sprintf("n%d", i+1)
			cfg := o.cfg
			cfg.Share, cfg.Name, cfg.Record = Share{Index: i + 1, Of: o.of}, name, filepath.Join(o.folder, name)
			var prepared sync.Once
			defer prepared.Do(o.ready.Done) // when it could not be
			tally, err := RunShare(ctx, nil, cfg, Deps{}, func(ctx context.Context, _ Demand) (time.Time, error) {
				prepared.Do(o.ready.Done)
				select {
				case at := <-o.begins:
					return at, nil
				case <-ctx.Done():
					return time.Time{}, ctx.Err()
				}
			})
			o.mu.Lock()
			defer o.mu.Unlock()
			o.parts[i] = Part{Name: name, Machine: machine.Here(), Record: record.Part{Path: cfg.Record}, Tally: tally}
			o.errs = errors.Join(o.errs, err)
		})
	}
	o.ready.Wait()
	return nil
}

func (o *others) Start(context.Context) (time.Time, error) {
	at := time.Now().Add(100 * time.Millisecond)
	for range o.parts {
		o.begins <- at
	}
	return at, nil
}

func (o *others) Follow(context.Context, <-chan struct{}) error { o.ended.Wait(); return o.errs }

func (o *others) Collect(context.Context) ([]Part, error) {
	if o.spoil != nil {
		return o.spoil(o.parts), nil
	}
	return o.parts, nil
}

func (o *others) Counts() Counts { return Counts{Sent: 1} }

// shareOut makes a run of so many generators.
func shareOut(t *testing.T, g *target, of int) (Config, *others) {
	t.Helper()
	cfg := g.config(t)
	o := &others{cfg: cfg, of: of, folder: t.TempDir()}
	cfg.Share = Share{Of: of}
	return cfg, o
}

func TestRun_SeveralGeneratorsAreOneRun(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	g.do = func(n int) deed { return []deed{behave, behave, behave, storeAnd503, tooFast}[n%5] }
	cfg, fleet := shareOut(t, g, 3)
	cfg.Probes = true
	deps := g.deps()
	deps.Fleet = fleet
	r := rehearse(t, cfg, deps)
	wantProof(t, r)
	s := r.Sending
	if s.Planned != 600 || s.Sent != 600 || s.Accepted != 600 || s.Latency.Count != 600 || s.Lateness.Count != 600 || !r.Audit.Sums.Complete {
		t.Errorf("%+v, %+v", s, r.Audit.Sums)
	}
	var rows, sent, accepted, latencies int64
	for i, n := range r.Generators {
		rows, sent, accepted, latencies = rows+n.Rows, sent+n.Sent, accepted+n.Accepted, latencies+n.Latency.Count
		if want := []string{LeaderName, "n1", "n2"}[i]; n.Name != want || n.Rows < 100 {
			t.Errorf("generator %d: %+v", i, n)
		}
	}
	if len(r.Generators) != 3 || rows != 600 || sent != 600 || accepted != 600 || latencies != 600 {
		t.Errorf("%d generators, %d rows, %d sent, %d accepted, %d latencies", len(r.Generators), rows, sent, accepted, latencies)
	}
	var planned, acked int64
	for _, p := range r.Timeline.Points {
		planned, acked = planned+p.Planned, acked+p.Accepted
	}
	if planned != 600 || acked != 600 {
		t.Errorf("the line has %d planned and %d accepted", planned, acked)
	}
	var text strings.Builder
	if err := r.WriteTable(&text); err != nil || !strings.Contains(text.String(), "3 generators began together") || !strings.Contains(text.String(), "n2") {
		t.Errorf("%v\n%s", err, &text)
	}
}

func TestRun_APartOfTheRecordsIsNoProof(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func([]Part) []Part
		want  string
	}{
		"one generator's part is missing": {func(p []Part) []Part { return p[:1] }, "together, the source has 600"},
		"its counts cannot be":            {func(p []Part) []Part { p[1].Tally.Sent++; return p }, `generator "n2"`},
		"its record is another one":       {func(p []Part) []Part { p[1].Record.Path = p[0].Record.Path; return p }, ""},
		"its record is gone":              {func(p []Part) []Part { p[1].Record.Path += "x"; return p }, "n2x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newTarget(t)
			cfg, fleet := shareOut(t, g, 3)
			fleet.spoil = c.spoil
			deps := g.deps()
			deps.Fleet = fleet
			r, err := Run(t.Context(), nil, cfg, deps)
			if c.want == "" { // the ledger has gifts that no record knows
				if err != nil || r.Holds {
					t.Errorf("%v: the proof holds", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestRun_SeveralGeneratorsBeginANewRun(t *testing.T) {
	t.Parallel()
	g := newTarget(t)
	cfg, fleet := shareOut(t, g, 2)
	alone := cfg
	alone.Share = Share{}
	wantProof(t, rehearse(t, alone, g.deps()))
	deps := g.deps()
	deps.Fleet = fleet
	if _, err := Run(t.Context(), nil, cfg, deps); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "--run") {
		t.Error(err)
	}
}

func TestLimit_SaysWhenThePlanNeedsMore(t *testing.T) {
	t.Parallel()
	l := &Limit{Rate: 1000}
	for busiest, want := range map[int64]int{1: 1, 700: 1, 1500: 2, 5000: 7} {
		if got := l.Generators(busiest); got != want {
			t.Errorf("%d/s: %d generators, want %d", busiest, got, want)
		}
	}
	few, many := Report{Limit: l, Busiest: 999}, Report{Limit: l, Busiest: 2001}
	if w := few.limitWarnings(); len(w) > 0 {
		t.Errorf("%q", w)
	}
	if w := many.limitWarnings(); len(w) != 1 || !strings.Contains(w[0], "--generators 3") || !strings.Contains(w[0], "2,001") {
		t.Errorf("%q", w)
	}
	if (*Limit)(nil).words(5) != "" || !(*Limit)(nil).Ample(1<<40) {
		t.Error("a limit that was not measured says something")
	}
}
