package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spillway/loadtest/capacity"
	"spillway/loadtest/trace"
)

// TestCapacity_ARunningInstallation searches between rates that any machine holds: what
// is judged is the way, not the speed.
func TestCapacity_ARunningInstallation(t *testing.T) {
	long(t)
	t.Parallel()
	dir := dataFolder(t)
	startUp(t, dir)
	file := filepath.Join(t.TempDir(), "capacity.json")
	c := launch(t, "rehearse", "capacity", "--data", dir, "--trial", "500ms", "--budget", "20s", "--precision", "50%", "--start", "20", "--most", "40", "--ack-p99", "20s", "--staleness-p99", "20s",
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
	if r.Limit == capacity.LimitUnknown { // the generator was late in every trial: this machine has no time for it now
		if status != exitUsage || !strings.Contains(c.stderr.String(), "nothing could be measured") {
			t.Errorf("status %d: %s", status, &c.stderr)
		}
		return
	}
	if status != exitFailed || report.Plan == nil || report.Plan.Met || r.Rate > 40 {
		t.Fatalf("status %d, %s %g, plan %+v", status, r.Limit, r.Rate, report.Plan)
	}
	stale := time.Duration(0)
	for i := range r.Trials {
		tr := &r.Trials[i]
		stale = max(stale, tr.StalenessP99)
		if (tr.Verdict == capacity.Warmed) != (i == 0) || len(tr.Uses) == 0 || tr.Attempts == 0 || tr.AckP99 == 0 || len(tr.Unproven) > 0 {
			t.Errorf("trial %+v", tr)
		}
	}
	if stale == 0 {
		t.Error("no trial knows how old totals were")
	}
	verdict := "Not enough: this stack holds"
	if r.AtLeast() {
		verdict = "Not shown: this stack holds at least"
	}
	page, err := os.ReadFile(filepath.Join(dir, recordsFolder, filepath.Base(strings.TrimSpace(c.stdout.String()[strings.LastIndex(c.stdout.String(), "Report: ")+len("Report: "):]))))
	if err != nil || !strings.Contains(string(page), verdict) {
		t.Errorf("the page: %v", err)
	}
	for _, text := range []string{strings.ToUpper(verdict[:strings.Index(verdict, ":")]), "your day needs 1,000", "Subject: Rate limit increase"} {
		if !strings.Contains(c.stdout.String(), text) {
			t.Errorf("the table does not say %q:\n%s", text, &c.stdout)
		}
	}
}

func TestCapacity_TakesItsLevelsFromAScenario(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "own.yaml")
	text := "name: own\narrivals: {replay: day.csv.gz, donors: 3}\ncampaigns: {count: 7, hot: 40%}\ndonors: {baskets: 10%}\n" +
		"levels: {ack_p99: 100ms, errors: 0%, staleness_p99: 3s, drain: 4s}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) *capacityCommand {
		c := &parsed(t, append([]string{"capacity"}, args...)...).Capacity
		if err := c.setUp(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := ask("--scenario", file)
	if want := (capacity.Levels{AckP99: 100 * time.Millisecond, StalenessP99: 3 * time.Second, Drain: 4 * time.Second}); c.levels() != want {
		t.Errorf("levels %+v, want %+v", c.levels(), want)
	}
	if c.Campaigns != 7 || c.mix != (trace.MixConfig{Hot: 0.4, Baskets: 0.1}) || c.Donors != 3 || c.ExpectReplay != filepath.Join(filepath.Dir(file), "day.csv.gz") {
		t.Errorf("%+v", c)
	}
	c = ask("--scenario", file, "--drain", "5s", "--errors", "1%", "--expect", "9", "--campaigns", "500")
	if c.Drain != 5*time.Second || c.AckP99 != 100*time.Millisecond || c.Errors != 0.01 || c.ExpectReplay != "" || c.Campaigns != 500 {
		t.Errorf("flags beside the file: %+v", c)
	}
	if c = ask(); c.levels() != capacity.DefaultLevels() {
		t.Errorf("without a scenario: %+v", c.levels())
	}
}

func TestCapacity_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"is no date":             {"--expect", "5", "--day-at", "tomorrow"},
		"--expect R":             {"--day-at", "2026-12-01"},
		"no such file":           {"--expect-replay", "no such file"},
		"no such scenario":       {"--scenario", "nothing"},
		"above 0":                {"--expect", "5", "--headroom", "0"},
		"can't be used together": {"--expect", "5", "--expect-replay", "x"},
		"spillway up --data":     {"--data", t.TempDir()},
		"donations/s for":        {"--expect=-5"},
		"is not from 0% to 100%": {"--precision", "5"},
		"--target":               {"--database-url", "postgres://u:hunter2@127.0.0.1:1/d"},
	} {
		t.Run(want, func(t *testing.T) {
			var out bytes.Buffer
			if status := run(append([]string{"rehearse", "capacity"}, args...), nil, &out, &out); status != exitUsage || !strings.Contains(out.String(), want) {
				t.Errorf("status %d: %s", status, &out)
			}
		})
	}
}
