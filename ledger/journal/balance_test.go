package journal

import (
	"errors"
	"math"
	"testing"
	"time"

	"spillway/ledger/money"
)

func TestBalanced(t *testing.T) {
	post := func(account string, currency money.Currency, minor int64) Posting {
		return Posting{Account: account, Currency: currency, AmountMinor: minor}
	}
	for name, c := range map[string]struct {
		postings []Posting
		want     error
	}{
		"balanced":       {[]Posting{post(Bank, "USD", 5), post(Processor, "USD", -5)}, nil},
		"two currencies": {[]Posting{post(Bank, "USD", 5), post(Bank, "JPY", 7), post(Processor, "USD", -5), post(Processor, "JPY", -7)}, nil},
		"many":           {[]Posting{post(Bank, "USD", 5), post(Suspense, "USD", -3), post(Processor, "USD", -2)}, nil},
		"off by one":     {[]Posting{post(Bank, "USD", 5), post(Processor, "USD", -4)}, ErrUnbalanced},
		"across":         {[]Posting{post(Bank, "USD", 5), post(Processor, "EUR", -5)}, ErrUnbalanced},
		"second is off":  {[]Posting{post(Bank, "USD", 5), post(Processor, "USD", -5), post(Bank, "EUR", 1), post(Processor, "EUR", -2)}, ErrUnbalanced},
		"too large":      {[]Posting{post(Bank, "USD", math.MaxInt64), post(Bank, "USD", 1), post(Processor, "USD", math.MinInt64)}, ErrUnbalanced},
		"nothing":        {nil, ErrMalformed},
		"one":            {[]Posting{post(Bank, "USD", 5)}, ErrMalformed},
		"zero":           {[]Posting{post(Bank, "USD", 5), post(Bank, "USD", 0), post(Processor, "USD", -5)}, ErrMalformed},
		"no account":     {[]Posting{post("", "USD", 5), post(Processor, "USD", -5)}, ErrMalformed},
		"no currency":    {[]Posting{post(Bank, "", 5), post(Processor, "", -5)}, ErrMalformed},
		"too many":       {make([]Posting, PostingsMax+1), ErrMalformed},
	} {
		if err := Balanced(&Entry{Ref: name, Postings: c.postings}); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAccounts(t *testing.T) {
	for _, account := range []string{Processor, Bank, OfflineReceived, DisputesHeld, FeesCovered, FeesProcessing, FeesDispute, OtherProcessor, Suspense, Gifts("a")} {
		if !KnownAccount(account) {
			t.Errorf("%s is not in the chart", account)
		}
	}
	for _, account := range []string{"", "gifts:", "gift:a", "Bank", "processor:"} {
		if KnownAccount(account) {
			t.Errorf("%q is in the chart", account)
		}
	}
	if slug, ok := CampaignOf(Gifts("river-school")); !ok || slug != "river-school" {
		t.Errorf("%q %t", slug, ok)
	}
	if _, ok := CampaignOf(Bank); ok {
		t.Error("the bank is a campaign")
	}
}

// TestNew_BothSides of the entries that are not a payment's.
func TestNew_BothSides(t *testing.T) {
	at := time.Date(2026, 11, 22, 13, 0, 0, 1999, time.FixedZone("", 3600))
	id := [16]byte{15: 0xab}
	for _, c := range []struct {
		entry         Entry
		ref           string
		debit, credit string
	}{
		{NewPayout("po_1", 700, "USD", at), "payout:po_1", Bank, Processor},
		{NewPayoutFailed("po_1", 700, "USD", at), "payout_failed:po_1", Processor, Bank},
		{NewProcessorOther("txn_1", 700, "USD", at), "other:txn_1", Processor, OtherProcessor},
		{NewOfflineGift(id, "shelter", 700, "USD", at, "ann", "a cheque"), "offline:000000000000000000000000000000ab", OfflineReceived, "gifts:shelter"},
		{NewCorrection(id, [16]byte{7}, Suspense, Gifts("shelter"), 700, "USD", at, "ann", "counted twice"), "correction:000000000000000000000000000000ab", Suspense, "gifts:shelter"},
	} {
		e := c.entry
		if err := Balanced(&e); err != nil {
			t.Error(err)
		}
		if e.Ref != c.ref || len(e.Postings) != 2 || e.Postings[0] != (Posting{c.debit, "USD", 700}) || e.Postings[1] != (Posting{c.credit, "USD", -700}) {
			t.Errorf("%+v", e)
		}
		if !e.OccurredAt.Equal(time.Date(2026, 11, 22, 12, 0, 0, 1000, time.UTC)) || e.OccurredAt.Location() != time.UTC {
			t.Errorf("%s is dated %s", e.Ref, e.OccurredAt)
		}
	}
}
