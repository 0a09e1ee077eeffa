package audit

import (
	"context"
	"strings"
	"testing"

	"spillway/ingest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// fee of every charge in these tests.
const fee = 7

// settle brings every gift of the world to its end: those below the minimum fail,
// row 3 is declined, and all others are charged, on both sides.
func (w *world) settle() {
	for _, d := range w.ledger.donations {
		switch {
		case d.AmountMinor < 50:
			w.fail(d)
			d.Payment.Reason = "refused"
		case d.ID == w.run.ID(row(3)):
			w.fail(d)
			w.ledger.charges = append(w.ledger.charges, Charge{ID: "ch_no", Donation: d.ID.String(), Currency: "USD", AmountMinor: d.AmountMinor})
		default:
			w.charge(d)
		}
	}
}

// charge charges a gift on both sides.
func (w *world) charge(d *Donation) {
	w.capture(d)
	w.ledger.charges = append(w.ledger.charges, Charge{ID: d.Payment.Charge, Intent: d.Payment.Intent, Donation: d.ID.String(), Currency: "USD",
		AmountMinor: d.AmountMinor, FeeMinor: fee, Succeeded: true})
	capture := w.entry(d, "capture", "processor:stripe", d.AmountMinor)
	for _, l := range d.Lines {
		capture.post("gifts:"+l.Campaign, -l.AmountMinor)
	}
	if d.FeeCoverMinor > 0 {
		capture.post("fees:covered", -d.FeeCoverMinor)
	}
	w.entry(d, "processing_fee", "processor:stripe", -fee).post("fees:processing", fee)
}

func (w *world) entry(d *Donation, kind, account string, minor int64) *Entry {
	e := &Entry{Donation: d.ID, Kind: kind, Ref: kind + ":" + d.Payment.Charge}
	e.post(account, minor)
	w.ledger.entries = append(w.ledger.entries, e)
	return e
}

// captureOf is the entry of a row's capture.
func (w *world) captureOf(ref gift.Ref) *Entry {
	for _, e := range w.ledger.entries {
		if e.Kind == "capture" && e.Donation == w.run.ID(ref) {
			return e
		}
	}
	w.t.Fatalf("%v was not captured", ref)
	return nil
}

func (e *Entry) post(account string, minor int64) {
	e.Accounts, e.Currencies, e.Amounts = append(e.Accounts, account), append(e.Currencies, "USD"), append(e.Amounts, minor)
}

// moneyAudit ends the record and judges it with the money.
func (w *world) moneyAudit() *Result {
	w.t.Helper()
	w.must(w.writer.End(record.End{At: w.now}))
	w.must(w.writer.Close())
	w.ledger.asOf = w.now.Add(w.skew)
	cfg := w.config()
	cfg.Processor, cfg.Alone = w.ledger, true
	r, err := Run(context.Background(), cfg)
	w.must(err)
	return r
}

// TestMoney_EachDoctoredThingIsCaught doctors one thing of a run whose money is right.
func TestMoney_EachDoctoredThingIsCaught(t *testing.T) {
	find := func(w *world, id ingest.ID) *Donation {
		for _, d := range w.ledger.donations {
			if d.ID == id {
				return d
			}
		}
		w.t.Fatalf("%s is not in the ledger", id)
		return nil
	}
	entry := func(w *world, kind string) *Entry {
		for _, e := range w.ledger.entries {
			if e.Kind == kind && e.Donation == w.run.ID(row(2)) {
				return e
			}
		}
		w.t.Fatalf("no %s", kind)
		return nil
	}
	charge := func(w *world) *Charge {
		for i := range w.ledger.charges {
			if w.ledger.charges[i].Donation == w.run.ID(row(2)).String() {
				return &w.ledger.charges[i]
			}
		}
		w.t.Fatal("no charge")
		return nil
	}
	for name, c := range map[string]struct {
		want   string
		doctor func(w *world)
	}{
		"all is well": {"", func(*world) {}},
		"given back on both sides": {"", func(w *world) {
			d := find(w, w.run.ID(row(2)))
			w.refund(d, 40)
			charge(w).RefundedMinor = 40
			w.entry(d, "refund", "processor:stripe", -40).post("gifts:"+d.Lines[0].Campaign, 40)
		}},
		"an entry that does not balance": {"I4", func(w *world) { entry(w, "processing_fee").Amounts[1]++ }},
		"an entry of nobody that does not balance": {"I4", func(w *world) {
			e := &Entry{Kind: "payout"}
			e.post("bank", 3)
			e.post("processor:stripe", -4)
			w.ledger.entries = append(w.ledger.entries, e)
		}},
		"a charge twice": {"I7 at most;I7 own books", func(w *world) {
			second := *charge(w)
			second.ID = "ch_second"
			w.ledger.charges = append(w.ledger.charges, second)
		}},
		"a capture twice": {"I7 at most;I7 own books;I5 raised = journal", func(w *world) {
			w.ledger.entries = append(w.ledger.entries, entry(w, "capture"))
		}},
		"a charge that the journal does not have": {"I7 own books;I5 raised = journal", func(w *world) {
			e := entry(w, "capture")
			e.Amounts = make([]int64, len(e.Amounts))
			e.Kind = "correction"
		}},
		"a charge that the processor does not have": {"I7 own books;I7 donors are told", func(w *world) { charge(w).Succeeded = false }},
		"another amount": {"I7 own books", func(w *world) { charge(w).AmountMinor++ }},
		"another amount on both sides": {"I7 own books", func(w *world) {
			charge(w).AmountMinor++
			e := entry(w, "capture")
			e.Amounts[0]++
			e.post("suspense:stripe", -1)
		}},
		"another fee":               {"I7 own books", func(w *world) { charge(w).FeeMinor++ }},
		"another currency":          {"I7 own books", func(w *world) { charge(w).Currency = "EUR" }},
		"given back and not booked": {"I7 own books", func(w *world) { charge(w).RefundedMinor = 5 }},
		"a failed gift was charged": {"I7 own books;I7 donors are told", func(w *world) {
			d := find(w, w.run.ID(row(3)))
			w.ledger.charges = append(w.ledger.charges, Charge{ID: "ch_3", Donation: d.ID.String(), Currency: "USD", AmountMinor: d.AmountMinor, Succeeded: true})
		}},
		"a gift is still due": {"I7 every donation came", func(w *world) {
			d := find(w, w.run.ID(row(3)))
			d.Payment = Payment{Status: "accepted"}
			s := w.ledger.slot(d.Lines[0].Campaign)
			s.Donations++
			s.PledgedMinor += d.Lines[0].AmountMinor
		}},
		"a small gift was charged": {"I7 gifts below", func(w *world) {
			d := find(w, w.run.ID(gift.Ref{Kind: gift.Closing, Number: 1}))
			d.Payment = Payment{}
			s := w.ledger.slot(d.Lines[0].Campaign)
			s.Donations++
			s.PledgedMinor += d.Lines[0].AmountMinor
			w.charge(d)
		}},
		"a declined gift is told as a success": {"I7 donors are told", func(w *world) {
			d := find(w, w.run.ID(row(3)))
			d.Payment = Payment{Status: "succeeded"}
			s := w.ledger.slot(d.Lines[0].Campaign)
			s.Donations++
			s.PledgedMinor += d.Lines[0].AmountMinor
		}},
		"a charged gift is told as canceled": {"I7 donors are told", func(w *world) {
			d := find(w, w.run.ID(row(2)))
			d.Payment.Status = "canceled"
			s := w.ledger.slot(d.Lines[0].Campaign)
			s.Donations--
			s.PledgedMinor -= d.Lines[0].AmountMinor
		}},
		"given back whole, and told as a success": {"I7 donors are told", func(w *world) {
			d := find(w, w.run.ID(row(2)))
			w.refund(d, 100)
			cover := d.AmountMinor - 100
			charge(w).RefundedMinor = d.AmountMinor
			e := w.entry(d, "refund", "processor:stripe", -d.AmountMinor)
			e.post("gifts:"+d.Lines[0].Campaign, 100)
			if cover > 0 {
				e.post("fees:covered", cover)
			}
		}},
		"given back whole, and told so": {"", func(w *world) {
			d := find(w, w.run.ID(row(2)))
			w.refund(d, 100)
			d.Payment.Status = "refunded"
			cover := d.AmountMinor - 100
			charge(w).RefundedMinor = d.AmountMinor
			e := w.entry(d, "refund", "processor:stripe", -d.AmountMinor)
			e.post("gifts:"+d.Lines[0].Campaign, 100)
			if cover > 0 {
				e.post("fees:covered", cover)
			}
		}},
		"told as given back, and nothing was": {"I7 donors are told", func(w *world) { find(w, w.run.ID(row(2))).Payment.Status = "refunded" }},
		"credited to another gift's campaign": {"I5 raised = journal", func(w *world) {
			e := entry(w, "capture")
			e.Accounts[1] = "gifts:" + w.slugs[school]
		}},
		"two gifts' captures are swapped": {"I5 raised = journal", func(w *world) {
			// Each campaign has what it should, and no gift does.
			one, other := entry(w, "capture"), w.captureOf(row(7))
			one.Accounts[1], other.Accounts[1] = other.Accounts[1], one.Accounts[1]
		}},
		"a capture of nobody's": {"I5 raised = journal", func(w *world) {
			e := w.entry(&Donation{ID: ingest.DeriveID([]byte("nobody"))}, "capture", "processor:stripe", 9)
			e.post("gifts:"+w.slugs[river], -9)
		}},
		"a refund taken twice from the totals": {"I5 raised = journal", func(w *world) {
			d := find(w, w.run.ID(row(2)))
			w.refund(d, 40)
			charge(w).RefundedMinor = 20
			w.entry(d, "refund", "processor:stripe", -20).post("gifts:"+d.Lines[0].Campaign, 20)
		}},
		"a good gift was refused": {"I7 gifts below", func(w *world) { find(w, w.run.ID(row(3))).Payment.Reason = "refused" }},
		"a charge of nobody": {"I7 own books", func(w *world) {
			w.ledger.charges = append(w.ledger.charges, Charge{ID: "ch_x", Currency: "USD", AmountMinor: 5, Succeeded: true})
		}},
		"a charge of a stranger": {"I7 own books", func(w *world) {
			w.ledger.charges = append(w.ledger.charges, Charge{ID: "ch_x", Donation: ingest.DeriveID([]byte("nobody")).String(), Currency: "USD", AmountMinor: 5, Succeeded: true})
		}},
		"a charge of a gift that was refused at the door": {"I7 own books", func(w *world) {
			w.ledger.charges = append(w.ledger.charges, Charge{ID: "ch_x", Donation: w.run.ID(gift.Ref{Kind: gift.Refused, Number: 1}).String(), Currency: "USD", AmountMinor: 5, Succeeded: true})
		}},
		"an entry of a gift that was refused at the door": {"I7 own books", func(w *world) {
			w.entry(&Donation{ID: w.run.ID(gift.Ref{Kind: gift.Refused, Number: 1})}, "processing_fee", "processor:stripe", -1).post("fees:processing", 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.goodRun()
			w.settle()
			c.doctor(w)
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, ";")
			}
			wantBroken(t, w.moneyAudit(), want...)
		})
	}
}

// TestMoney_WhatIsCreditedWronglyIsNamed names the donations, where the campaigns' sums
// are right.
func TestMoney_WhatIsCreditedWronglyIsNamed(t *testing.T) {
	w := newWorld(t)
	w.goodRun()
	w.settle()
	one, other := w.captureOf(row(2)), w.captureOf(row(7))
	one.Accounts[1], other.Accounts[1] = other.Accounts[1], one.Accounts[1]
	named := map[string]bool{}
	for _, v := range w.moneyAudit().booked.Violations {
		named[v.ID] = true
	}
	if len(named) != 2 || !named[one.Donation.String()] || !named[other.Donation.String()] {
		t.Errorf("named %v, want %s and %s", named, one.Donation, other.Donation)
	}
}

func TestMoney_SaysWhatBecameOfTheRun(t *testing.T) {
	w := newWorld(t)
	w.goodRun()
	w.settle()
	m := w.moneyAudit().Money
	if m == nil || m.Statuses["succeeded"] == 0 || m.Statuses["failed declined"] != 1 || m.Statuses["failed refused"] != m.TooSmallCount || m.TooSmallCount == 0 {
		t.Fatalf("%+v", m)
	}
	if len(m.TooSmall) != int(m.TooSmallCount) || m.TooSmall[0].AmountMinor >= 50 || m.TooSmall[0].Status != "failed" {
		t.Errorf("too small: %+v", m.TooSmall)
	}
	if len(m.Currencies) != 1 || m.Currencies[0].Processor != m.Currencies[0].Journal ||
		m.Currencies[0].Journal.Charges != m.Statuses["succeeded"] || m.Currencies[0].Journal.FeeMinor != fee*m.Statuses["succeeded"] {
		t.Errorf("%+v", *m.Currencies[0])
	}
	if m.Entries != 2*m.Statuses["succeeded"] {
		t.Errorf("%d entries", m.Entries)
	}
}
