package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spillway/loadtest/capacity"
)

// TestCapacity_ARunningInstallation searches between rates that any machine holds: what
// is judged is the way, not the speed.
func TestCapacity_ARunningInstallation(t *testing.T) {
	dir := dataFolder(t)
	startUp(t, dir)
	file := filepath.Join(t.TempDir(), "capacity.json")
	c := launch(t, "rehearse", "capacity", "--data", dir, "--trial", "500ms", "--budget", "1m", "--start", "20", "--most", "40", "--ack-p99", "20s", "--staleness-p99", "20s",
		"--drain", "20s", "--campaigns", "3", "--watchers", "2", "--expect", "1000", "--day-at", "2026-12-01", "--json", file)
	status := c.wait()
	content, err := os.ReadFile(file)
	var report capacity.Report
	if err == nil {
		err = json.Unmarshal(content, &report)
	}
	if err != nil {
		t.Fatalf("status %d, %v: %s%s", status, err, &c.stdout, &c.stderr)
	}
	r := report.Result
	if status != exitFailed || report.Plan.Met || r.Rate < 20 || r.Rate > 40 || r.Limit != capacity.LimitAsked && r.Limit != capacity.LimitGenerator {
		t.Errorf("status %d, %s %g, plan %+v", status, r.Limit, r.Rate, report.Plan)
	}
	last := &r.Trials[len(r.Trials)-1]
	if r.Trials[0].Verdict != capacity.Warmed || len(last.Uses) == 0 || last.Attempts < 10 || last.AckP99 == 0 || last.StalenessP99 == 0 || len(last.Unproven) > 0 {
		t.Errorf("last trial %+v", last)
	}
	for _, text := range []string{"NOT ENOUGH", "your day needs 1,000", "Subject: Rate limit increase"} {
		if !strings.Contains(c.stdout.String(), text) {
			t.Errorf("the table does not say %q:\n%s", text, &c.stdout)
		}
	}
}

func TestCapacity_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"is no date":             {"--expect", "5", "--day-at", "tomorrow"},
		"--expect R":             {"--day-at", "2026-12-01"},
		"no such file":           {"--expect-replay", "no such file"},
		"above 0":                {"--expect", "5", "--headroom", "0"},
		"can't be used together": {"--expect", "5", "--expect-replay", "x"},
		"spillway up --data":     {"--data", t.TempDir()},
		"donations/s for":        {"--expect=-5"},
		"is not from 0% to 100%": {"--precision", "5"},
		"--target":               {"--database-url", "postgres://u:hunter2@127.0.0.1:1/d"},
	} {
		t.Run(want, func(t *testing.T) {
			child := launch(t, append([]string{"rehearse", "capacity"}, args...)...)
			if status, text := child.wait(), child.stderr.String(); status != exitUsage || !strings.Contains(text, want) {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
}
