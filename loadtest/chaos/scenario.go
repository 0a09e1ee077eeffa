//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/rig"
)

// Scenario is one fault, and how it meets a load.
type Scenario struct {
	Name  string // as in the test's name and the result's file
	Fault string // one sentence for a reader of the results
	// Load is what it takes: long enough that the fault falls into its middle.
	Load Load
	// Script starts the service and the load, hurts what the scenario is about, and
	// heals it. The rest of the load, the drain and the audit follow.
	Script func(t *Trial) []Step
	// Unverified says why verify is left out; "" runs it once the proof holds.
	Unverified string
	// Judge looks at more than the proof, once it holds; nil for no more. Its error
	// says what does not hold.
	Judge func(t *Trial, r *loadtest.Report) error
}

// Step is one thing that a scenario does.
type Step func(context.Context) error

// Trial is one run of a scenario.
type Trial struct {
	Rig       *rig.Rig
	Rehearsal *Rehearsal
	Load      Load
	Seed      uint64
	Notes     map[string]any // what the scenario measured besides
	Logf      func(format string, args ...any)
	faults    faults   // drawn from Seed
	verdict   *Verdict // of the newest rehearsal that ended
	accepted  int64    // by the front-end before the last restart of something
	raised    *raisedWatch
}

// Options say how a scenario is run.
type Options struct {
	Programs rig.Programs
	Load     *Load // instead of the scenario's own
	Seed     uint64
	Logf     func(format string, args ...any)
	Results  string // folder for a JSON document; "" for none
	Keep     string // folder that gets the rig's folder when the proof fails; "" for none
}

// Outcome is what a scenario came to.
type Outcome struct {
	Scenario  string          `json:"scenario"`
	Fault     string          `json:"fault"`
	Holds     bool            `json:"holds"`
	Why       string          `json:"why,omitempty"` // it does not hold
	Seed      uint64          `json:"seed,omitempty"`
	Seconds   float64         `json:"seconds"`
	Offered   string          `json:"offered"`
	Notes     map[string]any  `json:"notes,omitempty"`
	Rehearsal json.RawMessage `json:"rehearsal,omitempty"`
	// Verdict is nil when the scenario did not get as far.
	Verdict *Verdict `json:"-"`
}

// trialWait bounds a scenario beside its load: start, fault, drain, audit.
const trialWait = 20 * time.Minute

// Play runs the scenario in a rig of its own and judges it: the rehearsal's proof
// holds, and verify finds nothing. Errors are those of the rig; a proof that fails
// is an outcome.
func (s Scenario) Play(ctx context.Context, o Options) (*Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, trialWait+s.Load.For)
	defer cancel()
	r, err := rig.New(o.Programs)
	if err != nil {
		return nil, err
	}
	t := &Trial{Rig: r, Load: s.Load, Seed: o.Seed, faults: newFaults(o.Seed), Notes: map[string]any{}, Logf: o.Logf}
	if o.Load != nil {
		t.Load = *o.Load
	}
	began := time.Now()
	outcome := &Outcome{Scenario: s.Name, Fault: s.Fault, Seed: o.Seed, Notes: t.Notes, Offered: t.Load.String()}
	err = s.judge(ctx, t, outcome)
	outcome.Seconds = time.Since(began).Seconds()
	if err == nil && o.Results != "" {
		err = outcome.write(o.Results)
	}
	failed := err != nil || !outcome.Holds
	if failed && o.Keep != "" {
		return outcome, errors.Join(err, r.Close(true), os.MkdirAll(o.Keep, 0o755),
			os.Rename(r.Dir, filepath.Join(o.Keep, s.Name+"-"+filepath.Base(r.Dir))))
	}
	return outcome, errors.Join(err, r.Close(false))
}

func (s Scenario) judge(ctx context.Context, t *Trial, o *Outcome) error {
	err := t.do(ctx, s.Script(t))
	if err == nil {
		t.Logf("%s: healed; the rest of the load, the drain and the audit", s.Name)
		err = t.Settle(ctx)
	}
	if v := t.verdict; v != nil {
		o.Verdict, o.Rehearsal = v, v.Raw
	}
	if errors.Is(err, errBroken) {
		o.Why = err.Error()
		return nil
	}
	if errors.Is(err, errProof) {
		o.Why = fmt.Sprintf("the rehearsal's proof fails (status %d):\n%s", t.verdict.ExitCode, t.verdict.Tail)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if s.Unverified != "" {
		t.Logf("not verified: %s", s.Unverified)
	} else if err := t.Rig.Verify(ctx); err != nil {
		o.Why = fmt.Sprintf("verify finds something: %v", err)
		return nil
	}
	if s.Judge != nil {
		if err := s.Judge(t, &t.verdict.Report); err != nil {
			o.Why = err.Error()
			return nil
		}
	}
	o.Holds = true
	return nil
}

func (o *Outcome) write(dir string) error {
	document, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, o.Scenario+".json"), append(document, '\n'), 0o644)
}
