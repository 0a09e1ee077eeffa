package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/ledger"
	"spillway/loadtest"
)

// rehearseOnce runs the command to its end and reads its report.
func rehearseOnce(t *testing.T, args ...string) (int, loadtest.Report, *child) {
	t.Helper()
	return rehearseIn(t, nil, args...)
}

// rehearseIn is rehearseOnce with more of an environment.
func rehearseIn(t *testing.T, environment []string, args ...string) (int, loadtest.Report, *child) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	c := start(t, environment, nil, append([]string{"rehearse", "--json", file}, args...)...)
	status := c.wait()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("status %d, %v: %s%s", status, err, &c.stdout, &c.stderr)
	}
	var report loadtest.Report
	if err := json.Unmarshal(content, &report); err != nil {
		t.Fatal(err)
	}
	return status, report, c
}

func TestRehearse_APrivateInstallationIsMadeProvenAndRemoved(t *testing.T) {
	t.Parallel()
	temporary := filepath.Dir(dataFolder(t)) // open to the database's user
	// On macOS the cache is in the home folder.
	status, report, c := rehearseIn(t, []string{"TMPDIR=" + temporary, "XDG_CACHE_HOME=" + temporary, "HOME=" + temporary}, "--rate", "200", "--for", "2s", "--declines", "10%", "--storms", "500ms/2s")
	if status != 0 || !report.Holds || report.Sending.Accepted != 400 || !report.Audit.Sums.Complete {
		t.Errorf("status %d, %q, %+v", status, report.Failures, report.Sending)
	}
	m := report.Charging
	if m == nil || !m.Ended || m.Calls < 400 || m.Allowed != 250 || report.Audit.Money == nil {
		t.Fatalf("charging: %+v, money: %+v", m, report.Audit.Money)
	}
	if words := report.Audit.Money.Statuses; words["succeeded"] < 300 || words["failed declined"] == 0 || words["failed refused"] != report.Audit.Money.TooSmallCount {
		t.Errorf("what became of the donations: %v, %d too small", words, report.Audit.Money.TooSmallCount)
	}
	for _, text := range []string{"The proof holds", "400 rows", "I9"} {
		if !strings.Contains(c.stdout.String(), text) {
			t.Errorf("the table does not say %q:\n%s", text, &c.stdout)
		}
	}
	_, page, said := strings.Cut(strings.TrimSpace(c.stdout.String()), "\nReport: ")
	text, err := os.ReadFile(page)
	// Whether it kept up is the machine's matter.
	if proven := strings.Contains(string(text), "It holds") || strings.Contains(string(text), "The books hold"); !said || err != nil || !proven || !strings.HasPrefix(page, temporary) {
		t.Errorf("the page: %q, %v", page, err)
	}
	if s := report.Setting; s == nil || !s.Together || !strings.Contains(s.Command, "--declines 10%") || len(s.Versions) < 4 || report.Timeline == nil {
		t.Errorf("setting: %+v", s)
	}
	left, err := filepath.Glob(filepath.Join(temporary, "spillway-rehearsal-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestRehearse_FaultsAreReadAsPeopleWriteThem reads each flag's words.
func TestRehearse_FaultsAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]percent{"5%": 0.05, "0.05": 0.05, "0": 0, "100%": 1, "0.5%": 0.005, "101%": -1, "-1%": -1, "5": -1, "": -1, "NaN": -1, "x%": -1} {
		got := percent(-1)
		if err := got.UnmarshalText([]byte(text)); (err != nil) != (want < 0) || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]storms{"3s/30s": {3 * time.Second, 30 * time.Second}, "30s/3s": {}, "3s": {}, "": {}, "0s/3s": {}, "3/30": {}} {
		var got storms
		if err := got.UnmarshalText([]byte(text)); (err != nil) != (want == storms{}) || err == nil && got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]webhookFaults{
		"lost=3%,twice=5%,late=10%": {0.03, 0.05, 0.1}, "late=1": {late: 1}, "": {}, "lost": {}, "lost=3%,": {}, "never=3%": {},
	} {
		var got webhookFaults
		if err := got.UnmarshalText([]byte(text)); (err != nil) != (want == webhookFaults{}) || err == nil && got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// writeEvent writes an event of rows gifts to three campaigns over a second.
func writeEvent(t *testing.T, rows int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("offset_ms,campaign,amount_minor,currency\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d,school %d,%d,USD\n", i*1000/rows, i%3, 100+i)
	}
	path := filepath.Join(t.TempDir(), "event.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRehearse_ARunningInstallation(t *testing.T) {
	long(t)
	t.Parallel()
	dir := dataFolder(t)
	_, run := startUp(t, dir)
	event := writeEvent(t, 300)
	base := []string{"--data", dir, "--replay", event, "--run", "friday", "--watchers", "2"}

	status, report, _ := rehearseOnce(t, base...)
	if status != 0 || !report.Holds || report.Audit.Sums.LedgerRows != 300 || report.Target != run.HTTPURL {
		t.Fatalf("status %d, %q, %+v", status, report.Failures, report.Audit.Sums)
	}
	if _, err := os.Stat(filepath.Join(dir, recordsFolder, "friday"+recordSuffix)); err != nil {
		t.Error(err)
	}
	status, again, _ := rehearseOnce(t, base...)
	if status != 0 || again.Session != 2 || again.After != report.After || again.Before != report.After {
		t.Errorf("again: status %d, %d lines became %d", status, again.Before, again.After)
	}

	t.Run("again, with the page beside the record", func(t *testing.T) {
		named := []string{"--data", dir, "--replay", event, "--run", "tuesday", "--record", filepath.Join(t.TempDir(), "tuesday"), "--no-probes"}
		for session := range 2 {
			if status, report, c := rehearseOnce(t, named...); status != 0 || report.Session != session+1 {
				t.Fatalf("session %d: status %d, %q\n%s", session+1, status, report.Failures, &c.stderr)
			}
		}
	})

	t.Run("a killed generator resumes", func(t *testing.T) {
		slow := []string{"--data", dir, "--replay", event, "--run", "monday", "--speed", "0.2", "--no-probes"}
		c := launch(t, append([]string{"rehearse"}, slow...)...)
		record := filepath.Join(dir, recordsFolder, "monday"+recordSuffix)
		eventually(t, func() error { // rows are on file: some have left
			info, err := os.Stat(record)
			if err == nil && info.Size() < 4<<10 {
				err = fmt.Errorf("record of %d bytes", info.Size())
			}
			return err
		})
		if err := c.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.wait()
		status, report, _ := rehearseOnce(t, append(slow, "--resume")...)
		if status != 0 || !report.Holds || !report.Resumed || report.Skipped == 0 || report.Audit.Sums.LedgerRows != 300 || !report.Audit.Sums.Complete {
			t.Errorf("status %d, %q, skipped %d, %+v", status, report.Failures, report.Skipped, report.Audit.Sums)
		}
	})

	t.Run("the first signal drains and audits", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "report.json")
		c := launch(t, "rehearse", "--data", dir, "--rate", "100", "--for", "10m", "--run", "endless", "--campaigns", "5", "--json", file)
		eventually(t, func() error {
			info, err := os.Stat(filepath.Join(dir, recordsFolder, "endless"+recordSuffix))
			if err == nil && info.Size() < 16<<10 {
				err = fmt.Errorf("record of %d bytes", info.Size())
			}
			return err
		})
		c.stop()
		content, err := os.ReadFile(file)
		var report loadtest.Report
		if err == nil {
			err = json.Unmarshal(content, &report)
		}
		if err != nil || !report.Stopped || report.Sending.Accepted == 0 || report.Audit.Sums.Complete {
			t.Errorf("%v, %+v", err, report.Sending)
		}
	})

	t.Run("a damaged ledger is no proof", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), run.DatabaseURL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		table := pgx.Identifier{ledger.Rehearsal.Schema(), "slots"}.Sanitize()
		if _, err := conn.Exec(t.Context(), "UPDATE "+table+" SET pledged_minor = pledged_minor - 1 WHERE campaign LIKE 'friday-%school-0%'"); err != nil {
			t.Fatal(err)
		}
		status, report, c := rehearseOnce(t, append(base, "--resume")...)
		if status != exitFailed || report.Holds || !strings.Contains(c.stdout.String(), "THE PROOF DOES NOT HOLD") {
			t.Errorf("status %d, %q", status, report.Failures)
		}
	})
	t.Run("all of it goes, and nothing else", func(t *testing.T) { rehearsalsGo(t, dir, run) })
}

func TestRehearse_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	event, bad := writeEvent(t, 2), filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(bad, []byte("offset_ms,campaign,amount_minor,currency\n0,a,1,USD\n1,a,1.5,USD\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--rate", "5"}, "--for"},
		{[]string{"--replay", event, "--rate", "5"}, "goes without --rate"},
		{[]string{"--gifts", "5", "--rate", "5"}, "do not go together"},
		{[]string{"--replay", event, "--donors", "2", "--copies", "2"}, "do not go together"},
		{[]string{"--gifts", "5", "--for", "1s", "--donors", "2"}, "belong to --replay"},
		{[]string{"--gifts", "5", "--for", "1s", "--shape", "ramp"}, "belongs to --rate"},
		{[]string{"--rate", "5", "--for", "1s", "--speed", "3"}, "belong to --replay"},
		{[]string{"--replay", "no such file"}, "no such file"},
		{[]string{"--replay", bad}, "line 3"},
		{[]string{"--replay", event, "--speed", "0.0000001"}, "speed"},
		{[]string{"--replay", event, "--data", empty}, "spillway up --data"},
		{[]string{"--replay", event, "--data", empty, "--resume"}, "--run NAME"},
		{[]string{"--replay", event, "--target", "http://127.0.0.1:1", "--database-url", "postgres://u:hunter2@127.0.0.1:1/d"}, "--secrets"},
		{[]string{"--replay", event, "--database-url", "postgres://u:hunter2@127.0.0.1:1/d"}, "--target"},
		{[]string{"--replay", event, "--resume", "--record", filepath.Join(empty, "none")}, "none"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var out bytes.Buffer
			status := run(append([]string{"rehearse"}, c.args...), nil, &out, &out)
			if text := out.String(); status != exitUsage || !strings.Contains(text, c.want) || strings.Contains(text, "hunter2") {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
}
