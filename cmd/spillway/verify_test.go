package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"spillway/ledger/verify"
)

// verifyOnce runs the command and returns its exit status and report.
func verifyOnce(t *testing.T, args ...string) (int, verify.Report) {
	t.Helper()
	c := launch(t, append([]string{"verify", "--json"}, args...)...)
	status := c.wait()
	var report verify.Report
	if err := json.Unmarshal(c.stdout.Bytes(), &report); err != nil {
		t.Fatalf("status %d, %v: %s%s", status, err, &c.stdout, &c.stderr)
	}
	return status, report
}

// wantHolds checks that every check ran and holds.
func wantHolds(t *testing.T, status int, report verify.Report) {
	t.Helper()
	if status != verify.StatusHolds {
		t.Errorf("status %d", status)
	}
	for _, res := range report.Results {
		if res.Verdict != verify.Holds {
			t.Errorf("%s %s: %s %v %s", res.Check, res.Scope, res.Verdict, res.Findings, res.Reason)
		}
	}
}

// wantExamined checks that the checks looked at something.
func wantExamined(t *testing.T, report verify.Report, checks ...string) {
	t.Helper()
	for _, check := range checks {
		i := slices.IndexFunc(report.Results, func(r verify.Result) bool { return r.Check == check })
		if i < 0 || report.Results[i].Examined == 0 {
			t.Errorf("%s examined nothing", check)
		}
	}
}

func TestVerify_ARunningAndAStoppedInstallation(t *testing.T) {
	long(t)
	t.Parallel()
	dir := dataFolder(t)
	up, run := startUp(t, dir)
	var ids []string
	for _, key := range []string{"a-first-key-of-verify", "a-second-key-of-verify", "a-third-key-of-verify"} {
		ids = append(ids, give(t, run.HTTPURL, key).ID)
		give(t, run.HTTPURL, key) // a repetition is no second donation
	}
	wantTotal(t, run.HTTPURL, 3)
	t.Run("running", func(t *testing.T) {
		eventually(t, func() error { // the last ack leaves a moment after the total moved
			_, report := verifyOnce(t, "--data", dir)
			return named(report, "waiting", "")
		})
		status, report := verifyOnce(t, "--data", dir, "--deep", "--rebuild", "--drained")
		wantHolds(t, status, report)
		wantExamined(t, report, "recorded", "sent", "rebuild", "totals", "synced")
	})

	up.stop()
	t.Run("stopped", func(t *testing.T) {
		status, report := verifyOnce(t, "--data", dir, "--deep", "--rebuild", "--drained")
		wantHolds(t, status, report)
		wantExamined(t, report, "published") // a slot that is closed in order has published all
	})

	up, run = startUp(t, dir)
	t.Run("a donation that was lost", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), run.DatabaseURL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		for _, damage := range []string{
			"SET session_replication_role = replica", // past the triggers
			"DELETE FROM spillway.lines l USING spillway.donations d WHERE d.seq = l.donation_seq AND d.id = '" + ids[1] + "'",
			"DELETE FROM spillway.donations WHERE id = '" + ids[1] + "'",
			"UPDATE spillway.donations SET received_at = received_at - interval '1 second' WHERE id = '" + ids[2] + "'",
		} {
			if _, err := conn.Exec(t.Context(), damage); err != nil {
				t.Fatal(err)
			}
		}
		status, report := verifyOnce(t, "--data", dir)
		if status != verify.StatusBroken {
			t.Errorf("status %d", status)
		}
		for check, id := range map[string]string{"recorded": ids[1], "totals": demoCampaign + " USD"} {
			if err := named(report, check, id); err != nil {
				t.Error(err)
			}
		}
		_, report = verifyOnce(t, "--data", dir, "--deep", "--rebuild")
		for check, id := range map[string]string{"recorded": ids[1], "sent": ids[2], "rebuild": demoCampaign + " USD"} {
			if err := named(report, check, id); err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("without the broker", func(t *testing.T) {
		status, report := verifyOnce(t, "--database-url", run.DatabaseURL)
		if status != verify.StatusBroken { // of the damage above
			t.Errorf("status %d", status)
		}
		i := slices.IndexFunc(report.Results, func(r verify.Result) bool { return r.Check == "recorded" })
		if report.Results[i].Verdict != verify.Unchecked {
			t.Errorf("%+v", report.Results[i])
		}
	})
	up.stop()
}

// named is nil when a check of the live book names the offender; "" is none.
func named(report verify.Report, check, id string) error {
	for _, res := range report.Results {
		if res.Check != check || !strings.HasPrefix(res.Scope, "live") {
			continue
		}
		if id == "" && res.Offenders == 0 || slices.ContainsFunc(res.Findings, func(f verify.Finding) bool { return f.ID == id }) {
			return nil
		}
		return &wrongFindings{check, id, res}
	}
	return &wrongFindings{check: check, id: id}
}

type wrongFindings struct {
	check, id string
	result    verify.Result
}

func (e *wrongFindings) Error() string {
	b, _ := json.Marshal(e.result) // it came from JSON
	return e.check + " does not name " + e.id + ": " + string(b)
}

func TestVerify_SaysWhenItCannotLook(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--data", empty}, "spillway up"},
		{[]string{"--nats-url", "nats://127.0.0.1:1"}, "--database-url"},
		{[]string{"--database-url", "postgres://127.0.0.1:1/none?connect_timeout=2"}, "open the database"},
	} {
		var out bytes.Buffer
		if status := run(append([]string{"verify"}, c.args...), nil, &out, &out); status != verify.StatusUnchecked || !strings.Contains(out.String(), c.want) {
			t.Errorf("%q: status %d, said %q, not %q", c.args, status, &out, c.want)
		}
	}
}
