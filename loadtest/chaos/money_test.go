//go:build linux

package chaos

import (
	"errors"
	"strings"
	"testing"

	"spillway/loadtest/stripesim"
)

// agreed are two books of one gift that was charged and one that was not.
func agreed() (*journalSide, *stripesim.Books) {
	return &journalSide{
			paid: map[string]paid{
				"gift-1": {status: "succeeded", intent: "pi_1", charge: "ch_1", minor: 1000},
				"gift-2": {status: "failed", intent: "pi_2", minor: 30},
			},
			entries: map[string]booking{
				"capture:ch_1": {currency: "USD", minor: 1000, donation: "gift-1"},
				"fee:txn_1":    {currency: "USD", minor: -59, donation: "gift-1"},
			},
			currency: map[string]int64{"usd": 941},
		}, &stripesim.Books{
			Charges: []stripesim.ChargeLine{
				{ID: "ch_1", Intent: "pi_1", Donation: "gift-1", Amount: 1000, Currency: "usd", Status: "succeeded"},
				{ID: "ch_2", Intent: "pi_2", Donation: "gift-2", Amount: 30, Currency: "usd", Status: "failed"},
			},
			Transactions: []stripesim.TransactionLine{
				{ID: "txn_1", Type: "charge", Source: "ch_1", Amount: 1000, Fee: 59, Net: 941, Currency: "usd"},
			},
		}
}

func TestMoney_EveryDisagreementIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*journalSide, *stripesim.Books)
		want   string // a part of what is said; "" for agreement
	}{
		"none": {func(*journalSide, *stripesim.Books) {}, ""},
		"charged twice": {func(_ *journalSide, b *stripesim.Books) {
			again := b.Charges[0]
			again.ID = "ch_3"
			b.Charges = append(b.Charges, again)
		}, "charged 2 times"},
		"a charge without an entry": {func(j *journalSide, _ *stripesim.Books) { delete(j.entries, "capture:ch_1") }, "not in the journal"},
		"an entry without a charge": {func(j *journalSide, _ *stripesim.Books) {
			j.entries["capture:ch_9"] = booking{currency: "USD", minor: 5, donation: "gift-2"}
		}, "2 captures in the journal, 1 charges"},
		"a cent more": {func(j *journalSide, _ *stripesim.Books) {
			j.entries["capture:ch_1"] = booking{currency: "USD", minor: 1001, donation: "gift-1"}
		}, "is booked as 1001"},
		"another currency": {func(j *journalSide, _ *stripesim.Books) {
			j.entries["capture:ch_1"] = booking{currency: "EUR", minor: 1000, donation: "gift-1"}
		}, "EUR"},
		"another gift's": {func(j *journalSide, _ *stripesim.Books) {
			j.entries["capture:ch_1"] = booking{currency: "USD", minor: 1000, donation: "gift-2"}
		}, "of gift-2"},
		"told it failed": {func(j *journalSide, _ *stripesim.Books) {
			j.paid["gift-1"] = paid{status: "failed", intent: "pi_1", minor: 1000}
		}, "gift-1 is failed"},
		"told it succeeded": {func(j *journalSide, _ *stripesim.Books) {
			j.paid["gift-2"] = paid{status: "succeeded", intent: "pi_2", charge: "ch_2", minor: 30}
		}, "which the processor does not know"},
		"nobody's": {func(j *journalSide, _ *stripesim.Books) { delete(j.paid, "gift-1") }, "nobody recorded"},
		"the fee is a cent less": {func(j *journalSide, _ *stripesim.Books) {
			j.entries["fee:txn_1"] = booking{currency: "USD", minor: -58, donation: "gift-1"}
		}, "booked as 58"},
		"the balance differs":          {func(j *journalSide, _ *stripesim.Books) { j.currency["usd"]++ }, "the processor holds 941, by the journal 942"},
		"a currency that only we have": {func(j *journalSide, _ *stripesim.Books) { j.currency["eur"] = 5 }, "eur: the processor holds 0"},
		"a currency that we have not": {func(_ *journalSide, b *stripesim.Books) {
			b.Transactions = append(b.Transactions, stripesim.TransactionLine{ID: "txn_2", Type: "adjustment", Net: 5, Currency: "eur"})
		}, "the journal has none"},
	} {
		t.Run(name, func(t *testing.T) {
			j, books := agreed()
			c.change(j, books)
			_, wrong := j.compare(books, false)
			err := wrong.err()
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, errMoney) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; it does not say %q", err, c.want)
			}
		})
	}
}

// A fee that is to be learnt later is no disagreement then, and one that is wrong is.
func TestMoney_FeesMayComeLater(t *testing.T) {
	j, books := agreed()
	delete(j.entries, "fee:txn_1")
	j.currency["usd"] = 1000
	sums, wrong := j.compare(books, true)
	if err := wrong.err(); err != nil || sums.FeesUnknown != 1 {
		t.Errorf("%d fees unknown, %v", sums.FeesUnknown, err)
	}
	if _, wrong = j.compare(books, false); wrong.err() == nil {
		t.Error("a fee that is not booked is no disagreement")
	}
	j.entries["fee:txn_1"] = booking{currency: "USD", minor: -60}
	if _, wrong = j.compare(books, true); wrong.err() == nil {
		t.Error("a wrong fee is no disagreement")
	}
}
