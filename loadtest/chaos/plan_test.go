//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/rig"
)

// smallPlan breaks a bit of everything: processes, sessions and networks, all at once.
const smallPlan = "500ms kill ledger-1 for 500ms; 1s cut ledger-2 for 1s; 1500ms kill postgres; 1500ms restart ingest; " +
	"2500ms pause broker for 500ms; 3s half-open broker for 500ms; 3s kill ledger-2"

// What operators do: a plan of faults in the command line, on an installation that the
// rehearsal starts, breaks and removes itself.
func TestRehearse_BreaksWhatItStarted(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of load: left out by -short")
	}
	t.Parallel() // it waits more than it works
	p, err := built()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: its folders are closed to Postgres' own user.
	dir, err := os.MkdirTemp("", "spillway-plan-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	document := filepath.Join(dir, "report.json")
	h, err := rig.Start(rig.Command{Name: "rehearse", Path: p.Spillway, Log: filepath.Join(dir, "log"), Env: []string{"TMPDIR=" + dir}, Args: []string{
		"rehearse", "--rate", "100", "--for", "4s", "--charging", "off", "--watchers", "4", "--no-probes", "--json", document,
		"--break", smallPlan, "--seed", "7"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), trialWait)
	defer cancel()
	if err := h.Wait(ctx); err != nil {
		t.Fatalf("%v; its output ends:\n%s", err, h.Tail())
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var report loadtest.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	if !report.Holds || report.Faults == nil || report.Faults.Seed != 7 || len(report.Faults.Deeds) != 7 {
		t.Fatalf("holds %v, faults %+v", report.Holds, report.Faults)
	}
	for _, d := range report.Faults.Deeds {
		if !d.Reached || d.Err != "" || d.BrokenAt < d.At || d.MendedAt < d.BrokenAt+d.For {
			t.Errorf("%+v", d)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "spillway-rig-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if family, err := rig.Family(dir); err != nil || len(family) != 0 {
		t.Errorf("processes %v are left, %v", family, err)
	}
	if before := report.Sending; before.UnknownAnswers == 0 && before.Deferred == 0 && before.Latency.Max < time.Second/2 {
		t.Errorf("no donor noticed a front-end that was started again and a broker that stood still: %+v", before)
	}
}
