package reconcile

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

func TestRun_ADayAgrees(t *testing.T) {
	w := aDay(t)
	r := w.run(w.today())
	if !r.OK() || len(r.Young) != 0 || len(r.OffMinor()) != 0 {
		t.Fatal(printed(t, r))
	}
	// 5 charges, 4 fees (one was free), 2 refunds, 2 disputes with 2 fees, 2 payouts, 1 other.
	if r.Objects != 18 {
		t.Errorf("%d objects, want 18", r.Objects)
	}
}

// TestRun_WhatIsRemovedFromEitherSideIsNamed takes away each entry and each balance
// transaction in turn, and changes each by a single minor unit.
func TestRun_WhatIsRemovedFromEitherSideIsNamed(t *testing.T) {
	whole := aDay(t)
	for i := range whole.entries {
		e := whole.entries[i]
		moves := slices.ContainsFunc(e.Postings, func(p journal.Posting) bool { return p.Account == journal.Processor })
		w := aDay(t)
		w.entries = slices.Delete(w.entries, i, i+1)
		r := w.run(w.today())
		if !moves {
			if !r.OK() {
				t.Errorf("%s moved nothing at the processor, and is missed there", e.Ref)
			}
			continue
		}
		want := objectOf(&e)
		if len(r.Differences) != 1 || r.Differences[0].Class != want.class || r.Differences[0].ID != want.id {
			t.Errorf("without %s: %s", e.Ref, printed(t, r))
		}
		for k := range e.Postings {
			if e.Postings[k].Account != journal.Processor {
				continue
			}
			w := aDay(t)
			w.entries[i].Postings[k].AmountMinor++
			r := w.run(w.today())
			if len(r.Differences) != 1 || r.Differences[0].ID != want.id || r.Differences[0].Kind() != "amount_differs" || r.OffMinor()[e.Postings[k].Currency] != 1 {
				t.Errorf("%s off by one: %s", e.Ref, printed(t, r))
			}
		}
	}
	for i := range whole.movements {
		m := whole.movements[i]
		w := aDay(t)
		w.movements = slices.Delete(w.movements, i, i+1)
		r := w.run(w.today())
		moves, n := movesOf(&m)
		if len(r.Differences) != n {
			t.Errorf("without %s: %s", m.ID, printed(t, r))
		}
		for _, move := range moves[:n] {
			if !slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.Class == move.class && d.ID == move.id && d.Currency == m.Currency }) {
				t.Errorf("without %s, %s %s is not named: %s", m.ID, move.class, move.id, printed(t, r))
			}
		}
	}
}

func TestDifference_SaysWhichSide(t *testing.T) {
	w := aDay(t)
	w.movements = slices.DeleteFunc(w.movements, func(m payments.Movement) bool { return m.Source == "ch_1" })
	w.entries = slices.DeleteFunc(w.entries, func(e journal.Entry) bool { return e.Ref == "capture:ch_2" })
	r := w.run(w.today())
	kinds := map[string]string{}
	for i := range r.Differences {
		d := &r.Differences[i]
		kinds[string(d.Class)+" "+d.ID] = d.Kind()
		if d.ID == "ch_1" && (d.Donation != [16]byte{0xd0, 1} || d.JournalMinor != 5150 || d.ProcessorMinor != 0 || d.Age != 2*time.Hour || !slices.Equal(d.Refs, []string{"capture:ch_1"})) {
			t.Errorf("%+v", d)
		}
	}
	if len(kinds) != 3 || kinds["charge ch_1"] != "missing_at_processor" || kinds["fee txn_1"] != "missing_at_processor" || kinds["charge ch_2"] != "missing_in_journal" {
		t.Errorf("%v", kinds)
	}
	text := printed(t, r)
	for _, want := range []string{"ch_1: missing_at_processor, journal 51.50, processor 0.00 USD", "donation d0010000-0000-0000-0000-000000000000", "ch_2: missing_in_journal", "txn_2"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "agree") {
		t.Error("a report with differences says that both sides agree")
	}
}

// TestReport_Days: what both sides agree on is on the processor's day, whatever our
// clock said; the rest is on each one's own day. Days begin in the event's zone.
func TestReport_Days(t *testing.T) {
	zone := time.FixedZone("UTC-6", -6*3600)
	midnight := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	w := newWorld(t)
	w.now = midnight.Add(-time.Second) // both of this one just after midnight, journal just before
	w.give("ch_1", "USD", 30, payments.Line{Campaign: "a", AmountMinor: 1000})
	config := Config{Since: midnight.Add(-time.Hour), Until: midnight.Add(time.Hour), Now: midnight.Add(24 * time.Hour), Zone: zone}
	r := w.run(config)
	want := []Day{
		{"2026-11-22", "USD", Charge, 1025, 1025, 1},
		{"2026-11-22", "USD", Fee, -30, -30, 1},
	}
	if !slices.Equal(r.Days, want) {
		t.Errorf("%+v, want %+v", r.Days, want)
	}
	w.movements[0].AmountMinor++
	r = w.run(config)
	want = []Day{
		{"2026-11-21", "USD", Charge, 1025, 0, 1},
		{"2026-11-22", "USD", Charge, 0, 1026, 1},
		{"2026-11-22", "USD", Fee, -30, -30, 1},
	}
	if !slices.Equal(r.Days, want) {
		t.Errorf("%+v, want %+v", r.Days, want)
	}
}

// TestRun_Edges: an object counts where it first moved, the clocks may differ by the
// slack, and what is young may be on its way.
func TestRun_Edges(t *testing.T) {
	w := newWorld(t)
	w.give("ch_1", "USD", 30, payments.Line{Campaign: "a", AmountMinor: 1000}) // journal at noon, processor a second later
	cut := noon.Add(time.Second)
	before, behind := w.today(), w.today()
	before.Until, behind.Since = cut, cut
	if r := w.run(before); !r.OK() || r.Objects != 2 {
		t.Errorf("charge in the first part: %d objects, %s", r.Objects, printed(t, r))
	}
	if r := w.run(behind); !r.OK() || r.Objects != 0 {
		t.Errorf("and in the second: %d objects, %s", r.Objects, printed(t, r))
	}

	w.entries = nil
	young := w.today()
	young.Now = noon.Add(time.Minute)
	if r := w.run(young); !r.OK() || len(r.Young) != 2 || !strings.Contains(printed(t, r), "on their way") {
		t.Errorf("%s", printed(t, r))
	}
	if r := w.run(w.today()); len(r.Differences) != 2 {
		t.Errorf("%s", printed(t, r))
	}
}

// endless is a processor whose list never ends.
type endless struct{ world }

func (endless) BalanceTransactions(context.Context, time.Time, time.Time, string) (payments.Page[payments.Movement], error) {
	return payments.Page[payments.Movement]{Next: "txn_1"}, nil
}

func TestRun_ListThatNeverEnds(t *testing.T) {
	w := aDay(t)
	if _, err := Run(context.Background(), w.today(), nil, endless{}); !errors.Is(err, ErrList) {
		t.Errorf("%v, want ErrList", err)
	}
}

func TestConfig_Validate(t *testing.T) {
	good := Config{Since: noon, Until: noon.Add(1), Now: noon}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no time":  func(c *Config) { c.Until = c.Since },
		"no now":   func(c *Config) { c.Now = time.Time{} },
		"grace":    func(c *Config) { c.Grace = -1 },
		"slack":    func(c *Config) { c.Slack = -1 },
		"no since": func(c *Config) { c.Since, c.Until = time.Time{}, time.Time{} },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestMovement_OverlappingPages: a list that grows while it is read repeats rows.
func TestMovement_OverlappingPages(t *testing.T) {
	w := aDay(t)
	c, err := New(w.today())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for i := range w.movements {
			if err := c.Movement(&w.movements[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range w.entries {
		if err := c.Entry(&w.entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	if r := c.Report(); !r.OK() {
		t.Error(printed(t, r))
	}
}

func TestClassOf(t *testing.T) {
	for _, c := range []struct {
		category, kind, source string
		want                   Class
	}{
		{"charge", "payment", "py_1", Charge},
		{"", "charge", "ch_1", Charge},
		{"refund", "payment_refund", "pyr_1", Refund},
		{"refund_failure", "refund_failure", "re_1", Refund},
		{"", "refund", "re_1", Refund},
		{"dispute", "adjustment", "dp_1", Dispute},
		{"dispute_reversal", "adjustment", "du_1", Dispute},
		{"", "adjustment", "dp_1", Dispute},
		{"", "adjustment", "adj_1", Other},
		{"payout", "payout", "po_1", Payout},
		{"payout_reversal", "payout_failure", "po_1", Payout},
		{"", "payout_cancel", "po_1", Payout},
		{"fee", "stripe_fee", "", Other},
		{"charge", "charge", "", Other},
		{"other_adjustment", "adjustment", "x", Other},
		{"", "a_type_of_next_year", "x_1", Other},
	} {
		if got := classOf(&payments.Movement{Category: c.category, Type: c.kind, Source: c.source}); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestFeeOf_LearnsWhatAnEventDidNotTell: a capture booked without its fee is a
// difference until the fact that follows from the list is applied.
func TestFeeOf_LearnsWhatAnEventDidNotTell(t *testing.T) {
	w := aDay(t)
	w.entries = slices.DeleteFunc(w.entries, func(e journal.Entry) bool { return e.Ref == "fee:txn_1" })
	p := w.paid["ch_1"]
	p.FeeKnown, p.FeeMinor, p.FeeCurrency = false, 0, ""
	w.paid["ch_1"] = p
	if r := w.run(w.today()); len(r.Differences) != 1 || r.Differences[0].Class != Fee {
		t.Fatal(printed(t, r))
	}
	for i := range w.movements {
		f, ok := FeeOf(&w.movements[i])
		if ok != (w.movements[i].Category == "charge") {
			t.Errorf("%s: %t", w.movements[i].Category, ok)
		}
		if ok {
			w.hear(f.Fee.Charge, f)
		}
	}
	if r := w.run(w.today()); !r.OK() {
		t.Fatal(printed(t, r))
	}
}

// TestOtherOf_FeesBesideTheAmount of a refund or a payout name no gift; what is a
// gift's is left to its payment.
func TestOtherOf_FeesBesideTheAmount(t *testing.T) {
	for _, c := range []struct {
		m    payments.Movement
		want int64
	}{
		{payments.Movement{ID: "txn_1", Category: "refund", Source: "re_1", AmountMinor: -500, FeeMinor: 20, Currency: "USD"}, -20},
		{payments.Movement{ID: "txn_1", Category: "fee", AmountMinor: -500, FeeMinor: 20, Currency: "USD"}, -520},
		{payments.Movement{ID: "txn_1", Category: "fee", AmountMinor: 20, FeeMinor: 20, Currency: "USD"}, 0},
		{payments.Movement{ID: "txn_1", Category: "charge", Source: "ch_1", AmountMinor: 500, FeeMinor: 20, Currency: "USD"}, 0},
		{payments.Movement{ID: "txn_1", Category: "dispute", Source: "dp_1", AmountMinor: -500, FeeMinor: 20, Currency: "USD"}, 0},
	} {
		e, ok := OtherOf(&c.m)
		if ok != (c.want != 0) {
			t.Errorf("%+v: %t", c.m, ok)
			continue
		}
		if ok && (e.Ref != "other:txn_1" || e.Postings[0].AmountMinor != c.want || journal.Balanced(&e) != nil) {
			t.Errorf("%+v: %+v", c.m, e)
		}
	}
}

// TestComparison_AnyOrder: an object counts where it first moved, also when a list
// tells the newest first.
func TestComparison_AnyOrder(t *testing.T) {
	w := newWorld(t)
	w.give("ch_1", "USD", 0, payments.Line{Campaign: "a", AmountMinor: 1000})
	w.now = noon.Add(10 * time.Minute)
	w.giveBack("ch_1", "re_1", 500, true)
	slices.Reverse(w.entries)
	w.movements = slices.DeleteFunc(w.movements, func(m payments.Movement) bool { return m.Category == "refund" })
	config := w.today()
	config.Until = noon.Add(10*time.Minute + 2*time.Second) // between the refund and its failure
	if r := w.run(config); len(r.Differences) != 1 || r.Differences[0].ID != "re_1" || !r.Differences[0].Since.Equal(noon.Add(10*time.Minute+time.Second)) {
		t.Error(printed(t, r))
	}
}

func TestObjectOf(t *testing.T) {
	for _, c := range []struct {
		kind journal.Kind
		ref  string
		want object
	}{
		{journal.Capture, "capture:ch_1", object{Charge, "ch_1"}},
		{journal.ProcessingFee, "fee:txn_1", object{Fee, "txn_1"}},
		{journal.RefundFailed, "refund_failed:re_1", object{Refund, "re_1"}},
		{journal.DisputeReversed, "dispute_reversed:dp_1", object{Dispute, "dp_1"}},
		{journal.DisputeFee, "dispute_fee:dp_1", object{DisputeFee, "dp_1"}},
		{journal.DisputeFee, "dispute_fee:dp_1:3000", object{DisputeFee, "dp_1"}},
		{journal.DisputeFeeReturned, "dispute_fee_returned:dp_1", object{DisputeFee, "dp_1"}},
		{journal.PayoutFailed, "payout_failed:po_1", object{Payout, "po_1"}},
		{journal.ProcessorOther, "other:txn_1", object{Other, "txn_1"}},
		{journal.Correction, "correction:ab", object{Correction, "correction:ab"}},
	} {
		if got := objectOf(&journal.Entry{Kind: c.kind, Ref: c.ref}); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.ref, got, c.want)
		}
	}
}
