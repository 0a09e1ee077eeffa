package main

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"spillway/ledger/payments"
)

// agrees waits until journal and processor agree, with no grace for what is on its
// way: nothing is, then. The time to come is in it, for a simulator whose clock was
// moved ahead.
func (d *day) agrees() string {
	d.t.Helper()
	var said string
	eventually(d.t, func() error {
		var status int
		if status, said = d.does("reconcile", "--grace", "1ns", "--until", time.Now().AddDate(0, 0, 7).UTC().Format(time.DateOnly)); status != 0 {
			return fmt.Errorf("exit status %d: %s", status, said)
		}
		return nil
	})
	return said
}

// table reads a statement, its heading apart; what was told beside it comes before or
// after, and is no CSV of as many columns.
func (d *day) table(said string) (rows []map[string]string) {
	d.t.Helper()
	lines := strings.Split(strings.TrimSpace(said), "\n")
	heading := strings.Split(lines[0], ",")
	for _, line := range lines[1:] {
		cells, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil {
			d.t.Fatalf("%q: %v", line, err)
		}
		if len(cells) != len(heading) {
			continue
		}
		row := map[string]string{}
		for i, cell := range cells {
			row[heading[i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}

// chargeOf is the charge that a donation was paid with.
func (d *day) chargeOf(h *holder) string {
	return d.ask("SELECT charge FROM spillway.payments WHERE donation_id = $1", h.gift.ID)
}

// The life of money on a day: gifts, refunds, disputes of every end, a payout, a
// cheque and a correction. All of it is in both books, and a cent that is in one of
// them alone is found.
func TestReconcile_ADayToTheCent(t *testing.T) {
	long(t)
	t.Parallel()
	d := openDay(t)
	a, b := demoCampaigns[0].slug, demoCampaigns[1].slug
	by := []string{"--actor", "ann", "--reason", "=HYPERLINK(1)"}

	kept, won, lost, back := d.basket("a-basket-that-is-kept-001"), d.basket("a-basket-disputed-and-won"), d.basket("a-basket-disputed-and-lost"), d.basket("a-basket-refunded-in-part")
	d.agrees()
	d.wants(0, "done", append([]string{"refund", back.gift.ID, "--line", a + "=10"}, by...)...)

	disputes := map[*holder]string{}
	for _, h := range []*holder{won, lost} {
		charge := d.chargeOf(h)
		disputes[h], _ = d.simulator("/sim/charges/" + charge + "/dispute")["dispute"].(string)
		h.waits(payments.StatusDisputed)
		if disputes[h] == "" {
			disputes[h] = d.ask("SELECT dispute FROM spillway.disputes WHERE charge IN ($1, '') AND donation_id = $2", charge, h.gift.ID)
		}
	}
	d.agrees()
	d.wants(exitFailed, "dispute", append([]string{"refund", won.gift.ID}, by...)...)
	d.simulator("/sim/disputes/" + disputes[won] + "/close?outcome=won")
	won.waits(payments.StatusSucceeded)
	d.simulator("/sim/disputes/" + disputes[lost] + "/close?outcome=lost")
	d.wantOwed(3*3000-1000, 3*2000)
	lost.waits(payments.StatusDisputed)
	d.agrees()

	// Cheques and corrections are no money at the processor.
	gift := append([]string{"gift", a, "--amount", "250", "--key", "cheque 1"}, by...)
	for range 2 {
		d.wants(0, "booked: offline:", gift...)
	}
	d.wants(exitFailed, "used for something else", append([]string{"gift", b, "--amount", "250", "--key", "cheque 1"}, by...)...)
	d.wants(exitFailed, "no campaign", append([]string{"gift", "nobody", "--amount", "1", "--key", "cheque 2"}, by...)...)
	d.wants(0, "booked: correction:", append([]string{"correct", "--debit", "gifts:" + a, "--credit", "gifts:" + b, "--amount", "50.00", "--currency", "USD", "--key", "t1"}, by...)...)
	d.wants(exitFailed, "chart of accounts", append([]string{"correct", "--debit", "gift:" + a, "--credit", "bank", "--amount", "5", "--currency", "USD", "--key", "t2"}, by...)...)
	d.wantOwed(3*3000-1000+25000-5000, 3*2000+5000)
	d.agrees()
	d.wants(0, `"differences": []`, "reconcile", "--json")

	rows := d.table(d.wants(0, "raised USD 280.00", "reconcile", "campaign", a, "--zone", "America/New_York", "--since", yesterday()))
	sums := map[string]int{}
	for _, row := range rows {
		if row["campaign"] != a || row["currency"] != "USD" {
			t.Errorf("a row of somebody else: %v", row)
		}
		if row["actor"] == "ann" && row["reason"] != "'=HYPERLINK(1)" {
			t.Errorf("a cell that a spreadsheet would carry out: %v", row)
		}
		sums[row["what"]]++
	}
	if sums["capture"] != 4 || sums["refund"] != 1 || sums["offline_gift"] != 1 || sums["correction"] != 1 || sums["dispute_lost"] != 1 {
		t.Errorf("rows of %s: %v", a, sums)
	}

	eventually(t, func() error { // payments compares by itself, from its start on
		_, body, err := get(d.run.OpsURL + "/metrics")
		if err != nil || !strings.Contains(string(body), "\nreconcile_passed_timestamp_seconds 1") || !strings.Contains(string(body), "\nreconcile_differences 0\n") {
			return fmt.Errorf("not compared yet, %v", err)
		}
		return nil
	})
	d.payout(kept)
	d.up.stop()
}

func yesterday() string { return time.Now().AddDate(0, 0, -1).UTC().Format(time.DateOnly) }

// payout has everything paid out and leads back from it to a gift.
func (d *day) payout(kept *holder) {
	d.t.Helper()
	d.simulator("/sim/clock?advance=49h")
	made, _ := d.simulator("/sim/payouts")["payouts"].([]any)
	if len(made) != 1 {
		d.t.Fatalf("payouts %v", made)
	}
	eventually(d.t, func() error {
		if n := d.ask("SELECT count(*)::text FROM spillway.entries WHERE ref = $1", fmt.Sprint("payout:", made[0])); n != "1" {
			return fmt.Errorf("payout %s is booked %s times", made[0], n)
		}
		return nil
	})
	said := d.agrees()
	if !strings.Contains(said, "payout") {
		d.t.Errorf("no payout in the comparison: %s", said)
	}
	found := 0
	for _, row := range d.table(d.wants(0, "1 payouts, 0 of them not explained", "reconcile", "payouts", "--until", time.Now().AddDate(0, 0, 7).UTC().Format(time.DateOnly))) {
		if row["payout"] != made[0] || row["campaign"] == "(unexplained)" {
			d.t.Errorf("a row of nothing: %v", row)
		}
		if row["donation_id"] == kept.gift.ID && row["what"] == "charge" {
			found++
		}
	}
	if found != 3 { // two campaigns and the covered fee
		d.t.Errorf("%d rows of a gift of three parts", found)
	}
}

// A payment that is in one book alone is named, whichever book it is.
func TestReconcile_FindsAPaymentMissingFromEitherSide(t *testing.T) {
	t.Parallel()
	d := openDay(t)
	kept := d.basket("a-basket-that-is-lost-in-1")
	d.agrees()
	compare := []string{"reconcile", "--grace", "1ns"}
	forged := d.simulator("/v1/payment_intents", "amount=700", "currency=usd", "confirm=true", "return_url="+url.QueryEscape("https://example.org"),
		"confirmation_token=ctoken_card_visa_forged", "automatic_payment_methods[enabled]=true")
	stranger, _ := forged["latest_charge"].(string)
	if stranger == "" {
		d.t.Fatalf("nothing was charged: %v", forged)
	}
	said := d.wants(exitFailed, "charge "+stranger+": missing_in_journal", compare...)
	if !strings.Contains(said, "7.00") {
		d.t.Errorf("without the amount: %s", said)
	}

	// The other way: an entry of money that the processor knows nothing of.
	d.forge("capture:ch_of_nobody")
	d.wants(exitFailed, "charge ch_of_nobody: missing_at_processor", compare...)

	// And an entry of a real one taken out.
	charge := d.chargeOf(kept)
	conn := d.connect()
	for _, sql := range []string{"ALTER TABLE spillway.entries DISABLE TRIGGER USER", "DELETE FROM spillway.entries WHERE ref = 'capture:" + charge + "'", "ALTER TABLE spillway.entries ENABLE TRIGGER USER"} {
		if _, err := conn.Exec(d.t.Context(), sql); err != nil {
			d.t.Fatalf("%s: %v", sql, err)
		}
	}
	said = d.wants(exitFailed, "charge "+charge+": missing_in_journal", compare...)
	if !strings.Contains(said, stranger) {
		d.t.Errorf("only one of two: %s", said)
	}
	// What cannot be compared is neither well nor broken.
	d.wants(int(exitNotCompared), "at \"simulator\"", "reconcile", "--stripe-key", "sk_test_of_somebody")
	d.wants(int(exitNotCompared), "--until", "reconcile", "--until", "soon")
	d.up.stop()
	d.wants(int(exitNotCompared), "--database-url", compare...)
}

// forge writes an entry behind the back of everything: a copy under another name.
func (d *day) forge(ref string) {
	d.t.Helper()
	conn := d.connect()
	for _, sql := range []string{"ALTER TABLE spillway.entries DISABLE TRIGGER USER",
		"INSERT INTO spillway.entries SELECT (jsonb_populate_record(e, jsonb_build_object('ref', '" + ref + "', 'n', 1000000))).* FROM spillway.entries e WHERE kind = 'capture' LIMIT 1",
		"ALTER TABLE spillway.entries ENABLE TRIGGER USER"} {
		if _, err := conn.Exec(d.t.Context(), sql); err != nil {
			d.t.Fatalf("%s: %v", sql, err)
		}
	}
}
