package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"spillway/deploy/onebox/pgtest"
	"spillway/ledger/payments"
	"spillway/loadtest/stripesim"
)

// chargesOf are the successful charges in the simulator's own books, by donation, and
// what was given back in all.
func chargesOf(t *testing.T, simulator string) (charges map[string]int, refundedMinor int64) {
	t.Helper()
	status, document, err := get(simulator + "/sim/books")
	if err != nil || status != http.StatusOK {
		t.Fatalf("the simulator's books: %d, %v", status, err)
	}
	books, err := stripesim.ReadBooks(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	charges = map[string]int{}
	for donation, all := range books.Charged() {
		charges[donation] = len(all)
	}
	for _, total := range books.Totals {
		refundedMinor += total.Refunded
	}
	return charges, refundedMinor
}

// The database is lost, and restored from a backup: every gift, charge, refund and wish
// of after the backup is there again, and the simulator was asked for no charge twice.
func TestRestore_EverythingIsBackAndNobodyIsChargedAgain(t *testing.T) {
	long(t)
	t.Parallel()
	cluster := pgtest.Private(t)
	address := cluster.Database(t)
	dir := dataFolder(t)
	at := func(url string) []string { return []string{"--database-url", url, "--demo", "--pace", "1000"} }
	up, run := startUp(t, dir, at(address)...)
	url := run.HTTPURL

	before := donor(t, url, "charged-before-the-backup", "ctoken_card_visa_1")
	before.waits(payments.StatusSucceeded)
	restore := cluster.Backup(t)

	after := donor(t, url, "charged-after-the-backup-1", "ctoken_card_visa_2")
	after.waits(payments.StatusSucceeded)
	second := donor(t, url, "paid-with-the-second-card", "ctoken_card_chargeDeclined")
	second.waits(payments.StatusFailed)
	second.anotherCard("the-second-card-of-a-donor", "ctoken_card_visa_3")
	second.waits(payments.StatusSucceeded)
	var out bytes.Buffer
	refund := func(h *holder) {
		t.Helper()
		out.Reset()
		if status := runSpillway(&out, "refund", h.gift.ID, "--actor", "ann", "--reason", "as agreed", "--data", dir); status != 0 {
			t.Fatalf("refund: %d %s", status, &out)
		}
		h.waits(payments.StatusRefunded)
	}
	refund(before)
	given := donor(t, url, "given-back-after-the-backup", "ctoken_card_visa_4")
	given.waits(payments.StatusSucceeded)
	refund(given)
	asked := donor(t, url, "canceled-after-the-backup", "ctoken_card_authenticationRequired")
	asked.waits(payments.StatusRequiresAction)
	asked.cancels()
	asked.waits(payments.StatusCanceled)
	wantMoney(t, url, 20000, 10000)
	charges, refunded := chargesOf(t, run.SimulatorURL)
	up.stop()
	cluster.Stop()

	restored := restore().At(t, address)
	// Whoever forgets to say that it was restored is told so, and nothing is charged.
	forgot := launch(t, append(upArgs(dir), at(restored)...)...)
	if status := forgot.wait(); status == 0 || !strings.Contains(forgot.stderr.String(), "spillway restore") {
		t.Fatalf("a database that lost its end is taken for whole: %d %s", status, &forgot.stderr)
	}
	for _, args := range [][]string{{"--dry-run"}, nil} {
		out.Reset()
		if status := runSpillway(&out, append([]string{"restore", "--data", dir, "--database-url", restored}, args...)...); status != 0 {
			t.Fatalf("restore %v: %d %s", args, status, &out)
		}
		if says := strings.Contains(out.String(), "Epoch 2 begins"); says != (args == nil) || !strings.Contains(out.String(), "DONATIONS_0") {
			t.Errorf("restore %v says %s", args, &out)
		}
	}

	up, run = startUp(t, dir, at(restored)...)
	url = run.HTTPURL
	for h, status := range map[*holder]string{
		before: payments.StatusRefunded, after: payments.StatusSucceeded, second: payments.StatusSucceeded, given: payments.StatusRefunded, asked: payments.StatusCanceled,
	} {
		h.url = url
		h.waits(status)
	}
	wantMoney(t, url, 20000, 10000)
	fresh := donor(t, url, "given-after-the-restore-1", "ctoken_card_visa_5")
	fresh.waits(payments.StatusSucceeded)
	wantMoney(t, url, 25000, 15000)
	now, refundedNow := chargesOf(t, run.SimulatorURL)
	for donation, n := range charges {
		if now[donation] != n || n != 1 {
			t.Errorf("donation %s was charged %d times, before the restore %d", donation, now[donation], n)
		}
	}
	if len(now) != len(charges)+1 || len(charges) != 4 || refundedNow != refunded || refunded != 10000 {
		t.Errorf("%d donations were charged and %d given back; before the restore %d and %d", len(now), refundedNow, len(charges), refunded)
	}
	eventually(t, func() error { // the commands are the last: each waits for its capture
		conn, err := pgx.Connect(t.Context(), restored)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.Background()) }()
		var done int
		err = conn.QueryRow(t.Context(), "SELECT count(*) FROM spillway.commands WHERE outcome = 'done'").Scan(&done)
		if err == nil && done != 2 {
			err = fmt.Errorf("%d commands are done of 2", done)
		}
		return err
	})
	status, report := verifyOnce(t, "--deep", "--rebuild", "--database-url", restored, "--nats-url", run.NATSURL)
	wantHolds(t, status, report)
	var totals struct{ Epoch int64 }
	if _, body, err := get(url + "/v1/campaigns/" + demoCampaign + "/totals"); err != nil || json.Unmarshal(body, &totals) != nil || totals.Epoch != 2 {
		t.Errorf("totals %s, %v", body, err)
	}
	up.stop()
}
