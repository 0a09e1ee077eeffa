package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spillway/loadtest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// TestRehearse_SeveralGeneratorsAreOneRun has two processes send one event.
func TestRehearse_SeveralGeneratorsAreOneRun(t *testing.T) {
	long(t)
	t.Parallel()
	dir := dataFolder(t)
	startUp(t, dir)
	event := writeEvent(t, 300)
	base := []string{"--data", dir, "--replay", event, "--generators", "2", "--watchers", "2"}

	member := launch(t, "rehearse", "join", "--data", dir, "--name", "north", "--own-limit", "on")
	status, report, leader := rehearseOnce(t, append(base, "--run", "friday", "--copies", "2")...)
	if status != 0 || !report.Holds {
		t.Fatalf("status %d, %q", status, report.Failures)
	}
	if status := member.wait(); status != 0 {
		t.Errorf("the member: status %d", status)
	}
	s := &report.Sending
	if s.Planned != 600 || s.Sent != 600 || s.Accepted != 600 || s.Latency.Count != 600 || s.Lateness.Count != 600 ||
		!report.Audit.Sums.Complete || report.Audit.Sums.LedgerRows != 600 {
		t.Errorf("%+v, %+v", s, report.Audit.Sums)
	}
	if len(report.Generators) != 2 || report.Generators[0].Name != loadtest.LeaderName || report.Generators[1].Name != "north" {
		t.Fatalf("generators: %+v", report.Generators)
	}
	kept := filepath.Join(dir, recordsFolder, "friday"+recordSuffix)
	seen := map[gift.Ref]bool{}
	for i, path := range []string{kept, kept + partInfix + "north"} {
		g, rows := &report.Generators[i], int64(0)
		if _, torn, err := record.Scan(path, record.Visitor{Attempt: func(a *record.Attempt) error {
			if a.Ref.Kind == gift.Row && a.Try == 1 {
				if seen[a.Ref] {
					t.Errorf("%v was sent by both", a.Ref)
				}
				seen[a.Ref] = true
				rows++
			}
			return nil
		}}); err != nil || torn > 0 {
			t.Errorf("%v, %d bytes torn", err, torn)
		}
		if rows != g.Sent || g.Sent != g.Rows || g.Latency.Count != g.Accepted || g.Accepted != g.Sent || rows < 200 {
			t.Errorf("%d rows in the record of %+v", rows, g)
		}
	}
	if len(seen) != 600 {
		t.Errorf("%d of 600 gifts were sent", len(seen))
	}
	north := &report.Generators[1]
	if north.Limit == nil || north.Limit.Rate <= 0 || north.Unsure <= 0 || north.Ahead.Abs() > north.Unsure { // one machine, one clock
		t.Errorf("limit %+v, clock %v ± %v ahead", north.Limit, north.Ahead, north.Unsure)
	}
	for _, text := range []string{"2 generators began together", "north", "The proof holds"} {
		if !strings.Contains(leader.stdout.String(), text) {
			t.Errorf("the table does not say %q:\n%s", text, &leader.stdout)
		}
	}

	t.Run("a killed one is named and nothing is proven", func(t *testing.T) {
		folder := t.TempDir()
		killed := launch(t, "rehearse", "join", "--data", dir, "--name", "south", "--folder", folder)
		leader := launch(t, append([]string{"rehearse", "--run", "monday", "--speed", "0.01"}, base...)...)
		eventually(t, func() error { // rows are on file: some have left
			found, err := filepath.Glob(filepath.Join(folder, "*", "record"))
			if err != nil || len(found) != 1 {
				return fmt.Errorf("records %v, %w", found, err)
			}
			rows := 0
			if _, _, err := record.Scan(found[0], record.Visitor{Attempt: func(*record.Attempt) error { rows++; return nil }}); err != nil || rows == 0 {
				return fmt.Errorf("%d rows, %w", rows, err)
			}
			return nil
		})
		if err := killed.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		status := leader.wait()
		if text := leader.stderr.String(); status != exitUsage || !strings.Contains(text, `generator "south"`) || !strings.Contains(text, "nothing is proven") ||
			strings.Contains(leader.stdout.String(), "proof holds") {
			t.Errorf("status %d: %s", status, text)
		}
		if _, err := os.Stat(filepath.Join(dir, recordsFolder, "monday"+recordSuffix+partInfix+"south")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a record of it: %v", err)
		}
	})

	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nobody comes":             {append([]string{"--run", "tuesday", "--join-within", "10ms"}, base...), "1 missing"},
		"a run of several, alone":  {[]string{"--data", dir, "--replay", event, "--run", "friday", "--copies", "2"}, "several generators"},
		"a run of several, resume": {append([]string{"--run", "friday", "--resume"}, base...), "in one go"},
		"with things that break":   {[]string{"--rate", "5", "--for", "1m", "--generators", "2", "--break", "10s kill ledger for 1s"}, "do not go together"},
		"too many":                 {[]string{"--data", dir, "--replay", event, "--generators", "1000"}, "1 to 64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2 := launch(t, append([]string{"rehearse"}, c.args...)...)
			if status, text := c2.wait(), c2.stderr.String(); status != exitUsage || !strings.Contains(text, c.want) {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
}

func TestJoin_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "--nats-url"},
		{[]string{"--data", t.TempDir()}, "spillway up --data"},
		{[]string{"--data", t.TempDir(), "--nats-url", "nats://u:hunter2@127.0.0.1:1"}, "do not go together"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			child := launch(t, append([]string{"rehearse", "join"}, c.args...)...)
			if status, text := child.wait(), child.stderr.String(); status != exitUsage || !strings.Contains(text, c.want) || strings.Contains(text, "hunter2") {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
}
