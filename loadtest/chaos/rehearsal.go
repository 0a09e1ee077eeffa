//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"spillway/loadtest"
	"spillway/loadtest/rig"
)

// Rehearsal is one run of the generator and its audit.
type Rehearsal struct {
	rig     *rig.Rig
	name    string // of the run: the same name repeats the same keys
	load    Load
	process *rig.Process
	starts  int
}

// Rehearse starts the generator against the rig, as a process of its own.
func Rehearse(r *rig.Rig, name string, load Load) (*Rehearsal, error) {
	h := &Rehearsal{rig: r, name: name, load: load}
	return h, h.start()
}

func (h *Rehearsal) start(more ...string) error {
	h.starts++
	args := append([]string{"rehearse", "--target", h.rig.URL(), "--run", h.name, "--record", h.record(), "--json", h.report(), "--logs", h.rig.LogPath("*")}, h.load.args()...)
	args = append(append(args, h.rig.Where()...), more...)
	if !h.rig.Private() {
		args = append(args, "--secrets", h.rig.Secrets())
	}
	p, err := h.rig.Begin(rig.Command{
		Name: "rehearse", Path: h.rig.Programs().Spillway, Args: args,
		Log: h.rig.LogPath("rehearse-" + h.name + "-" + strconv.Itoa(h.starts)),
	})
	h.process = p
	return err
}

func (h *Rehearsal) record() string { return filepath.Join(h.rig.Dir, "record-"+h.name) }
func (h *Rehearsal) report() string { return filepath.Join(h.rig.Dir, "report-"+h.name+".json") }

// Process is the generator's process.
func (h *Rehearsal) Process() *rig.Process { return h.process }

// Kill is kill -9 of the generator.
func (h *Rehearsal) Kill() error { return h.process.Kill() }

// Resume starts a killed generator again, to go on from its own record.
func (h *Rehearsal) Resume() error { return h.start("--resume") }

// Repeat starts an ended run once more, with the same keys.
func (h *Rehearsal) Repeat() error { return h.start() }

// Verdict is how a rehearsal ended.
type Verdict struct {
	ExitCode int
	Report   loadtest.Report
	Raw      json.RawMessage // the report as it was written
	Tail     string          // the end of the generator's output
}

// Holds tells whether the proof holds.
func (v *Verdict) Holds() bool { return v.ExitCode == 0 && v.Report.Holds }

// Broken lists the invariants that the audit found broken, such as "I1".
func (v *Verdict) Broken() []string {
	var broken []string
	if v.Report.Audit == nil {
		return nil
	}
	for _, c := range v.Report.Audit.Checks {
		if c.Broken > 0 && !slices.Contains(broken, c.Invariant) {
			broken = append(broken, c.Invariant)
		}
	}
	return broken
}

// ErrNoReport says that a rehearsal ended without a report: it neither proved nor
// disproved anything.
var ErrNoReport = errors.New("the rehearsal wrote no report")

// Wait waits for the end of the run and its audit. A failed proof is a verdict,
// not an error. Errors: the context's; ErrNoReport.
func (h *Rehearsal) Wait(ctx context.Context) (*Verdict, error) {
	select {
	case <-h.process.Done():
	case <-ctx.Done():
		return nil, fmt.Errorf("rehearsal %s: %w; its output ends:\n%s", h.name, ctx.Err(), h.process.Tail())
	}
	v := &Verdict{ExitCode: h.process.ExitCode(), Tail: h.process.Tail()}
	raw, err := os.ReadFile(h.report())
	if err != nil {
		return v, fmt.Errorf("%w (status %d): %w; its output ends:\n%s", ErrNoReport, v.ExitCode, err, v.Tail)
	}
	v.Raw = raw
	if err := json.Unmarshal(raw, &v.Report); err != nil {
		return v, fmt.Errorf("report of rehearsal %s: %w", h.name, err)
	}
	return v, nil
}
