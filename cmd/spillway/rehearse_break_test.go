package main

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"spillway/loadtest/faults"
	"spillway/loadtest/trace"
)

func TestRehearse_RefusesToBreakWhatItDidNotStart(t *testing.T) {
	for arguments, reason := range map[string]string{
		"--target http://127.0.0.1:1 --break everything": "starts itself",
		"--data /nowhere --break everything":             "starts itself",
		"--database-url postgres://nowhere/x --roles":    "starts itself",
		"--break 20s":                                       "is none of",
		"--break 1s_kill_sshd":                              "did not start that; there are ingest, ledger-1, ledger-2, payments-1, payments-2, broker, postgres",
		"--break 1s_kill_ledger-3":                          "did not start that",
		"--break 1s_kill_processor":                         "did not start that",
		"--break 1s_kill_up;1s_kill_ledger":                 "there are up, postgres",
		"--break 1s_kill_up;1s_cut_postgres_for_1s":         "with --roles every role is one",
		"--charging off --break 1s_outage_processor_for_1s": "there is no processor",
		"--break 1s_clock_ledger_for_1s":                    "clocks cannot be moved",
	} {
		if runtime.GOOS != "linux" && !strings.Contains(reason, "itself") && !strings.Contains(reason, "none of") {
			continue
		}
		args := append([]string{"rehearse", "--rate", "1", "--for", "1s"}, strings.Fields(arguments)...)
		for i := range args {
			if strings.Contains(args[i], "_") {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
		}
		var out bytes.Buffer
		if status := run(args, nil, &out, &out); status != exitUsage || !strings.Contains(out.String(), reason) {
			t.Errorf("%s: status %d, %q, want %q", arguments, status, out.String(), reason)
		}
	}
}

// The plan is drawn over the run's expected length, from the seed that is told.
func TestRehearse_ThePlanIsToldAndRepeatable(t *testing.T) {
	c := rehearseRunCommand{Pace: 100}
	c.Break = "everything"
	if breaks, err := c.breaks(); !breaks || err != nil || c.Seed == 0 {
		t.Fatalf("breaks %v with seed %d, %v", breaks, c.Seed, err)
	}
	source, err := trace.NewProfile(trace.ProfileConfig{Rate: 1000, For: 10 * time.Second, Campaigns: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	rows := time.Duration(source.Rows()) * 10 * time.Millisecond
	if length := c.length(source); length != rows {
		t.Errorf("length %v, want %v to charge %d at 100/s", length, rows, source.Rows())
	}
	c.Charging = chargingOff
	if length := c.length(source); length != source.Span() {
		t.Errorf("length %v, want the sending's %v", length, source.Span())
	}
	cast := faults.Cast{May: map[faults.Action][]string{faults.Kill: {"ledger-1"}, faults.Pause: {"ledger-1"}, faults.Outage: {"processor"}}}
	events, err := c.plan.Schedule(c.Seed, cast, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	tellPlan(&told, &c.plan, c.Seed, events)
	for _, e := range events {
		if line := e.At.String() + "  " + e.String() + "\n"; !strings.Contains(told.String(), line) {
			t.Errorf("%q is not told in %q", line, told.String())
		}
	}
	bad := rehearseRunCommand{}
	bad.Break = "20s"
	if _, err := bad.breaks(); !errors.Is(err, faults.ErrPlan) {
		t.Errorf("%v", err)
	}
}
