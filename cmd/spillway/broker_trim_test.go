package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/pgtest"
	"spillway/ingest/broker"
	"spillway/ledger"
)

func TestTrimThrough_KeepsWhatMayBeNeeded(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	place := func(first, last, acknowledged uint64) broker.Place {
		return broker.Place{Position: ledger.Position{MadeAt: made, Sequence: acknowledged}, First: first, Last: last}
	}
	noted := func(sequence uint64) ledger.Position { return ledger.Position{MadeAt: made, Sequence: sequence} }
	for name, test := range map[string]struct {
		at      broker.Place
		noted   ledger.Position
		unknown bool
		old     uint64
		through uint64
		why     string
	}{
		"an empty stream":           {place(1, 0, 0), noted(0), false, 0, 0, "nothing is stored"},
		"emptied":                   {place(8, 7, 7), noted(7), false, 0, 0, "nothing is stored"},
		"no note":                   {place(1, 9, 9), noted(0), true, 9, 0, "no note"},
		"a note of an earlier life": {place(1, 9, 9), ledger.Position{MadeAt: made.Add(-time.Hour), Sequence: 5}, false, 9, 0, "made anew"},
		"age":                       {place(1, 9, 9), noted(9), false, 4, 4, "not old enough"},
		"nothing is old":            {place(1, 9, 9), noted(9), false, 0, 0, "not old enough"},
		"the backup":                {place(1, 9, 9), noted(3), false, 8, 3, "in the backup"},
		"the reader":                {place(1, 9, 2), noted(3), false, 8, 2, "its reader"},
		"the last":                  {place(1, 9, 9), noted(9), false, 9, 8, "always stays"},
		"what is gone already":      {place(6, 9, 9), noted(5), false, 9, 0, "in the backup"},
		"the only one":              {place(9, 9, 9), noted(9), false, 9, 0, "always stays"},
	} {
		through, why := trimThrough(test.at, test.noted, !test.unknown, test.old)
		if through != test.through || !strings.Contains(why, test.why) {
			t.Errorf("%s: through %d, %s; want %d, %s", name, through, why, test.through, test.why)
		}
	}
}

func TestBrokerTrim_AsksForWhatItMustKnow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "--no-backups"},
		{"--no-backups --backed-up-at 2026-11-23T02:00:00Z", "--no-backups"},
		{"--backed-up-at 2926-11-23T02:00:00Z", "has not been yet"},
		{"--no-backups --keep=-1h", "must not be negative"},
		{"--no-backups --data /nowhere", "--database-url"},
	} {
		var out bytes.Buffer
		if status := runSpillway(&out, append([]string{"broker", "trim"}, strings.Fields(test.args)...)...); status == 0 || !strings.Contains(out.String(), test.want) {
			t.Errorf("trim %s: %d %s", test.args, status, &out)
		}
	}
}

// Streams lose what is recorded and backed up, and nothing else is lost by it: books,
// totals and donors' states stay as they are, over a restart too, and who restores an
// older backup than that is told.
func TestBrokerTrim_LosesNothingThatIsRecorded(t *testing.T) {
	long(t)
	t.Parallel()
	cluster := pgtest.Private(t)
	address := cluster.Database(t)
	dir := dataFolder(t)
	up, run := startUp(t, dir, "--database-url", address, "--demo", "--pace", "1000")
	restore := cluster.Backup(t) // before anything is recorded
	var gifts []*holder
	for n := range 5 {
		gifts = append(gifts, donor(t, run.HTTPURL, fmt.Sprintf("given-before-the-trim-%d", n), fmt.Sprintf("ctoken_card_visa_%d", n)))
	}
	settled := func() {
		t.Helper()
		for _, h := range gifts {
			h.url = run.HTTPURL
			h.waits("succeeded")
		}
	}
	settled()

	removed := regexp.MustCompile(`(?m)^(DONATIONS_0|WEBHOOKS|COMMANDS) +(\d+) +(\d+) +(\d+) +(\d+) `)
	trim := func(args ...string) (all map[string]string, said string) {
		t.Helper()
		var out bytes.Buffer
		if status := runSpillway(&out, append([]string{"broker", "trim", "--data", dir}, args...)...); status != 0 {
			t.Fatalf("trim %v: %d %s", args, status, &out)
		}
		all = map[string]string{}
		for _, line := range removed.FindAllStringSubmatch(out.String(), -1) {
			all[line[1]] = line[4]
		}
		if len(all) != 3 {
			t.Fatalf("trim %v says %s", args, &out)
		}
		return all, out.String()
	}
	none := func(args ...string) {
		t.Helper()
		for stream, n := range firstOf(trim(args...)) {
			if n != "0" {
				t.Errorf("trim %v removes %s of %s", args, n, stream)
			}
		}
	}
	none("--no-backups")                // all is young
	none("--no-backups", "--keep", "0") // the demonstration's day is on
	eventually(t, func() error {        // everything acknowledged is noted within seconds
		if all := firstOf(trim("--no-backups", "--keep", "0", "--by-age", "--dry-run")); all["DONATIONS_0"] != "4" || all["WEBHOOKS"] == "0" {
			return fmt.Errorf("it would remove %v", all)
		}
		return nil
	})
	// Of what is noted in this hour nobody knows whether it was in the backup.
	none("--backed-up-at", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "--keep", "0", "--by-age")
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), "INSERT INTO spillway.stream_positions (stream, made_at, sequence, hour, noted_at) "+
		"SELECT stream, made_at, 2, hour - interval '3 hours', noted_at - interval '3 hours' FROM spillway.stream_positions WHERE stream = 'DONATIONS_0'")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	if all, said := trim("--backed-up-at", time.Now().Add(-2*time.Hour).UTC().Format(time.RFC3339), "--keep", "0", "--by-age"); all["DONATIONS_0"] != "2" || all["WEBHOOKS"] != "0" {
		t.Errorf("with a backup it removes %s", said)
	}
	if all, said := trim("--no-backups", "--keep", "0", "--by-age"); all["DONATIONS_0"] != "2" || all["WEBHOOKS"] == "0" || !strings.Contains(said, "bytes are free") {
		t.Errorf("without backups it removes %s", said)
	}
	none("--no-backups", "--keep", "0", "--by-age")

	wantVerified := func() {
		t.Helper()
		status, report := verifyOnce(t, "--deep", "--rebuild", "--drained", "--database-url", address, "--nats-url", run.NATSURL)
		wantHolds(t, status, report)
	}
	wantVerified()
	up.stop()
	up, run = startUp(t, dir, "--database-url", address, "--demo", "--pace", "1000")
	settled()
	wantMoney(t, run.HTTPURL, 25000, 25000)
	gifts = append(gifts, donor(t, run.HTTPURL, "given-after-the-trim", "ctoken_card_visa_9"))
	settled()
	// The same gift again is known from the books, though its message is gone.
	if again := donor(t, run.HTTPURL, "given-before-the-trim-0", "ctoken_card_visa_0"); again.gift.ID != gifts[0].gift.ID {
		t.Errorf("sent again it is %s, was %s", again.gift.ID, gifts[0].gift.ID)
	}
	wantMoney(t, run.HTTPURL, 30000, 30000)
	wantVerified()
	up.stop()
	cluster.Stop()

	restored := restore().At(t, address)
	var out bytes.Buffer
	if status := runSpillway(&out, "restore", "--data", dir, "--database-url", restored); status == 0 || !strings.Contains(out.String(), "are gone") || !strings.Contains(out.String(), "--accept-gap") {
		t.Errorf("restored from before the trim: %d %s", status, &out)
	}
}

func firstOf[A, B any](a A, _ B) A { return a }
