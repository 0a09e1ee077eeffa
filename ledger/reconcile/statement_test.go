package reconcile

import (
	"encoding/csv"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

// readTable reads CSV back: rows as column to cell.
func readTable(t *testing.T, text string) []map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var table []map[string]string
	for _, row := range rows[1:] {
		cells := map[string]string{}
		for i, column := range rows[0] {
			cells[column] = row[i]
		}
		table = append(table, cells)
	}
	return table
}

// minor reads a decimal of a column that may be empty.
func minor(t *testing.T, cell string) int64 {
	t.Helper()
	if cell == "" {
		return 0
	}
	n, err := strconv.ParseInt(strings.Replace(cell, ".", "", 1), 10, 64)
	if err != nil || n <= 0 {
		t.Fatalf("%q is no amount", cell)
	}
	return n
}

func TestCampaignStatement(t *testing.T) {
	w := aDay(t)
	w.entries = append(w.entries, journal.NewOfflineGift([16]byte{7}, "food-bank", 4200, "USD", noon.Add(time.Minute), "ann", "a cheque"))
	var text strings.Builder
	s := NewCampaignStatement(&text, "food-bank", time.FixedZone("UTC+13", 13*3600))
	for i := range w.entries {
		if err := s.Entry(&w.entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	raised, err := s.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"day,time,campaign,what,reference,donation_id,currency,received,given_back,actor,reason",
		"2026-11-23,01:00:00+13:00,food-bank,capture,capture:ch_1,d0010000-0000-0000-0000-000000000000,USD,1.25,,,",
		"2026-11-23,01:00:01+13:00,food-bank,capture,capture:ch_2,d0020000-0000-0000-0000-000000000000,USD,10.00,,,",
		"2026-11-23,01:00:04+13:00,food-bank,capture,capture:ch_5,d0050000-0000-0000-0000-000000000000,USD,20.00,,,",
		"2026-11-23,01:00:06+13:00,food-bank,refund,refund:re_1,d0010000-0000-0000-0000-000000000000,USD,,0.61,,",
		"2026-11-23,01:00:07+13:00,food-bank,refund,refund:re_2,d0020000-0000-0000-0000-000000000000,USD,,10.00,,",
		"2026-11-23,01:00:08+13:00,food-bank,refund_failed,refund_failed:re_2,d0020000-0000-0000-0000-000000000000,USD,10.00,,,",
		"2026-11-23,01:00:12+13:00,food-bank,dispute_lost,dispute_lost:dp_2,d0050000-0000-0000-0000-000000000000,USD,,20.00,,",
		"2026-11-23,01:01:00+13:00,food-bank,offline_gift,offline:07000000000000000000000000000000,,USD,42.00,,ann,a cheque",
		"",
	}, "\n")
	if text.String() != want {
		t.Errorf("%s, want\n%s", text.String(), want)
	}
	if !maps.Equal(raised, map[money.Currency]int64{"USD": 125 + 1000 - 61 + 4200}) {
		t.Errorf("raised %v", raised)
	}
}

// TestCampaignStatement_AddsUpToTheJournal, over all campaigns.
func TestCampaignStatement_AddsUpToTheJournal(t *testing.T) {
	w := aDay(t)
	var text strings.Builder
	s := NewCampaignStatement(&text, "", nil)
	want := map[money.Currency]int64{}
	for i := range w.entries {
		if err := s.Entry(&w.entries[i]); err != nil {
			t.Fatal(err)
		}
		for _, p := range w.entries[i].Postings {
			if _, ok := journal.CampaignOf(p.Account); ok {
				want[p.Currency] -= p.AmountMinor
			}
		}
	}
	raised, err := s.Close()
	if err != nil || !maps.Equal(raised, want) {
		t.Errorf("raised %v, want %v, %v", raised, want, err)
	}
	sums := map[money.Currency]int64{}
	for _, row := range readTable(t, text.String()) {
		sums[money.Currency(row["currency"])] += minor(t, row["received"]) - minor(t, row["given_back"])
	}
	if !maps.Equal(sums, want) {
		t.Errorf("rows sum to %v, want %v", sums, want)
	}
}

// TestPayoutStatement_LeadsToTheGifts: the rows of a payout sum to its amount, and
// those of a charge to its parts.
func TestPayoutStatement_LeadsToTheGifts(t *testing.T) {
	w := aDay(t)
	byRef := map[string]*journal.Entry{}
	for i := range w.entries {
		byRef[w.entries[i].Ref] = &w.entries[i]
	}
	var inIt []payments.Movement
	total := int64(0)
	for _, m := range w.movements {
		if m.Currency == "USD" && m.Source != "po_1" {
			inIt = append(inIt, m)
			total += m.NetMinor
		}
	}
	p := payments.PayoutSeen{ID: "po_9", AmountMinor: total, Currency: "USD", ArrivesAt: noon.Add(48 * time.Hour)}
	inIt = append(inIt, payments.Movement{ID: "txn_99", Type: "payout", Category: "payout", Source: "po_9", AmountMinor: -total, Currency: "USD", CreatedAt: noon})
	write := func() (string, int64) {
		t.Helper()
		var text strings.Builder
		s := NewPayoutStatement(&text, nil)
		left, err := s.Payout(&p, inIt, func(ref string) *journal.Entry { return byRef[ref] })
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return text.String(), left
	}
	text, left := write()
	if left != 0 {
		t.Errorf("%d are left of the payout", left)
	}
	rows := readTable(t, text)
	sum := int64(0)
	parts := map[string]int64{}
	for _, row := range rows {
		sum += minor(t, row["received"]) - minor(t, row["given_back"]) - minor(t, row["fee"]) + minor(t, row["fee_returned"])
		parts[row["source"]+" "+row["campaign"]] += minor(t, row["received"]) - minor(t, row["given_back"])
		if row["payout"] != "po_9" || row["arrives"] != "2026-11-24" {
			t.Errorf("%v", row)
		}
	}
	if sum != total {
		t.Errorf("rows sum to %d, want %d\n%s", sum, total, text)
	}
	for part, want := range map[string]int64{
		"ch_1 river-school": 5000, "ch_1 food-bank": 125, "ch_1 (covered fee)": 25, "re_2 food-bank": 0, "re_1 food-bank": -61,
		"dp_1 ": 0, "dp_2 ": -2025, " ": -200,
	} {
		if got, ok := parts[part]; !ok || got != want {
			t.Errorf("%q comes to %d, want %d\n%s", part, got, want, text)
		}
	}
	if _, is := parts["po_9 "]; is {
		t.Error("the payout is in itself")
	}

	// What our books do not know is said.
	delete(byRef, "capture:ch_2")
	if text, left = write(); left != 0 || !strings.Contains(text, unexplained) {
		t.Errorf("left %d\n%s", left, text)
	}
	p.AmountMinor++
	if _, left = write(); left != 1 {
		t.Errorf("%d are left of a payout that is one more than its parts", left)
	}
}

// TestStatement_NoCellIsAFormula: slugs, actors and reasons are people's.
func TestStatement_NoCellIsAFormula(t *testing.T) {
	for _, evil := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"} {
		var text strings.Builder
		s := NewCampaignStatement(&text, "", nil)
		e := journal.NewOfflineGift([16]byte{7}, evil, 4200, "USD", noon, evil, evil)
		if err := s.Entry(&e); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for column, cell := range readTable(t, text.String())[0] {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("%s is %q", column, cell)
			}
		}
	}
	if got := neutral("a=b"); got != "a=b" {
		t.Errorf("a plain cell became %q", got)
	}
}

func TestStatement_ErrorsOfWritingAreTold(t *testing.T) {
	s := NewCampaignStatement(full{}, "", nil)
	e := journal.NewOfflineGift([16]byte{7}, "a", 4200, "USD", noon, "", "")
	if err := s.Entry(&e); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Close(); err == nil {
		t.Error("a statement that could not be written is said to be written")
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errNoRoom }

var errNoRoom = errors.New("no room")
