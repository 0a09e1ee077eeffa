package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox"
	"spillway/loadtest/remove"
)

// rehearsalsGo removes what was rehearsed in a running installation, beside a gift that
// was given: before, nobody sees the one among the other; afterwards it is gone, and all
// that was given is there.
func rehearsalsGo(t *testing.T, dir string, run onebox.Run) {
	conn, err := pgx.Connect(t.Context(), run.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	count := func(sql string) (n int64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var slug string
	if err := conn.QueryRow(t.Context(), "SELECT min(campaign) FROM rehearsal.lines").Scan(&slug); err != nil {
		t.Fatal(err)
	}
	give(t, run.HTTPURL, "a-gift-beside-the-rehearsals-0001")
	// The sums, the leaders and the newest gifts of the day hold it, and nothing else.
	wantDay(t, run.HTTPURL, 1, 5000)
	for _, path := range []string{"/", "/v1/campaigns?limit=1000", "/v1/campaigns?search=rehearsal", "/v1/campaigns?search=friday", "/?q=rehearsal", "/v1/day", "/v1/day/gifts", "/v1/leaderboards", "/v1/leaderboards?by=donors", "/sitemap.xml"} {
		_, body, err := get(run.HTTPURL + path)
		if err != nil || strings.Contains(string(body), slug) || strings.Contains(string(body), "Rehearsal friday") {
			t.Errorf("%s shows a rehearsal, %v: %s", path, err, body)
		}
	}
	if n := count("SELECT (SELECT count(*) FROM search.search_donations) - (SELECT count(*) FROM spillway.donations)"); n > 0 {
		t.Errorf("the console searches %d donations that nobody gave", n)
	}

	eventually(t, func() error { // the statement of what was given
		c := launch(t, "reconcile", "campaign", "--data", dir)
		if status := c.wait(); status != 0 || strings.Contains(c.stdout.String(), slug) {
			t.Fatalf("the statement: status %d, %s%s", status, &c.stdout, &c.stderr)
		}
		if !strings.Contains(c.stdout.String(), demoCampaign) {
			return fmt.Errorf("the gift is not in the statement: %s", &c.stdout)
		}
		return nil
	})

	ask := func(args ...string) (int, *child) {
		c := launch(t, append([]string{"rehearse", "remove", "--data", dir}, args...)...)
		return c.wait(), c
	}
	rows := count("SELECT count(*) FROM rehearsal.donations")
	if status, c := ask("--dry-run"); status != 0 || !strings.Contains(strings.Join(strings.Fields(c.stdout.String()), " "), fmt.Sprintf("rehearsal.donations %d rows", rows)) || !strings.Contains(c.stdout.String(), "friday") {
		t.Errorf("a look: status %d, %s", status, &c.stdout)
	}
	if status, c := ask(); status != 2 || !strings.Contains(c.stderr.String(), "--yes") {
		t.Errorf("nobody was asked: status %d, %s", status, &c.stderr)
	}
	if status, c := ask("--run", "friday", "--yes"); status != 2 || !strings.Contains(c.stderr.String(), "monday") {
		t.Errorf("one run of some: status %d, %s", status, &c.stderr)
	}
	if n := count("SELECT count(*) FROM rehearsal.donations"); n != rows {
		t.Fatalf("%d donations are left of %d", n, rows)
	}
	status, c := ask("--yes")
	if status != 0 || !strings.Contains(c.stdout.String(), "Left of rehearsals: 0 rows, 0 messages") || !strings.Contains(c.stdout.String(), "Nothing else changed") || !strings.Contains(c.stdout.String(), "simulated processor keeps") {
		t.Fatalf("status %d, %s%s", status, &c.stdout, &c.stderr)
	}
	if n := count("SELECT (SELECT count(*) FROM rehearsal.donations) + (SELECT count(*) FROM rehearsal.entries) + (SELECT count(*) FROM search_rehearsal.search_donations) + (SELECT count(*) FROM campaigns.campaigns WHERE rehearsal)"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	wantDay(t, run.HTTPURL, 1, 5000)
	// A front-end that runs knows the campaign still, and that nothing was given to it.
	eventually(t, func() error {
		_, body, err := get(run.HTTPURL + "/v1/campaigns/" + slug + "/totals")
		var total struct{ Donations int64 }
		if err == nil {
			err = json.Unmarshal(body, &total)
		}
		if err == nil && total.Donations != 0 {
			err = fmt.Errorf("%d donations", total.Donations)
		}
		return err
	})
	if c := launch(t, "verify", "--deep", "--rebuild", "--drained", "--data", dir); c.wait() != 0 {
		t.Errorf("verify: %s%s", &c.stdout, &c.stderr)
	}
	// The next one finds a book to rehearse in.
	if status, report, c := rehearseOnce(t, "--data", dir, "--rate", "50", "--for", "1s", "--run", "sunday", "--watchers", "2"); status != 0 || !report.Holds {
		t.Errorf("a rehearsal afterwards: status %d, %q\n%s", status, report.Failures, &c.stderr)
	}
	if status, c := ask("--run", "sunday", "--yes"); status != 0 {
		t.Errorf("the last one: status %d, %s", status, &c.stderr)
	}
}

func TestRehearseRemove_WantsTheWord(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]error{"remove\n": nil, " remove \n": nil, "remove": nil, "yes\n": remove.ErrDeclined, "": remove.ErrDeclined, "\n": remove.ErrDeclined} {
		var shown bytes.Buffer
		if err := askToRemove(t.Context(), strings.NewReader(typed), &shown, &remove.Plan{}); !errors.Is(err, want) {
			t.Errorf("%q: %v", typed, err)
		}
		if !strings.Contains(shown.String(), "Write 'remove'") {
			t.Errorf("asked %q", shown.String())
		}
	}
}
