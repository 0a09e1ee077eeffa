package audit

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// history is a small run as chance made it, and right in everything.
type history struct {
	*world
	rt *rapid.T
	// accepted are the donations that were acknowledged; sent all that were stored.
	accepted, stored []*Donation
	losers           int // conflicts of acknowledged contents
	refused          []gift.Ref
}

// newHistory plays between one and twenty donors, and brings their gifts to their end.
func newHistory(t *testing.T, rt *rapid.T) *history {
	h := &history{world: newWorld(t), rt: rt}
	h.at(11 * time.Second) // both campaigns are open
	for n := range rapid.Int64Range(1, 20).Draw(rt, "donors") {
		h.donor(n + 1)
		if rapid.IntRange(0, 2).Draw(rt, "looks") == 0 {
			h.see(1, probe, h.now)
		}
		h.now = h.now.Add(time.Duration(rapid.IntRange(0, 50).Draw(rt, "pause")) * time.Millisecond)
	}
	h.give(gift.Ref{Kind: gift.Repeat, Number: 1}, oneLine(probe, 900)) // one at least was acknowledged
	h.accepted = append(h.accepted, h.ledger.donations[len(h.ledger.donations)-1])
	h.stored = h.ledger.donations
	for _, d := range h.ledger.donations {
		h.end(d)
	}
	h.now = h.now.Add(time.Second)
	return h
}

// donor sends one gift, perhaps again, perhaps with other content under its key.
func (h *history) donor(n int64) {
	ref := gift.Ref{Kind: gift.Basket, Number: n}
	lines := oneLine(probe, rapid.Int64Range(1, 5000).Draw(h.rt, "amount"))
	if rapid.Bool().Draw(h.rt, "two lines") {
		lines = append(lines, record.Line{Campaign: opens, AmountMinor: rapid.Int64Range(1, 5000).Draw(h.rt, "other amount")})
	}
	switch rapid.IntRange(0, 6).Draw(h.rt, "answer") {
	case 0: // refused for certain
		h.send(ref, lines)
		h.answer(ref, rapid.SampledFrom([]int{404, 409, 422, 429}).Draw(h.rt, "code"))
		h.refused = append(h.refused, ref)
		return
	case 1: // never answered, never stored
		h.send(ref, lines)
		return
	case 2: // never answered, and stored
		h.send(ref, lines)
		h.store(ref, lines)
		h.answer(ref, 503)
		return
	case 3: // the answer was lost, and the second try's was not
		h.send(ref, lines)
		d := h.store(ref, lines)
		h.answer(ref, 503)
		h.send(ref, lines)
		h.answer(ref, 202)
		h.accepted = append(h.accepted, d)
		return
	}
	h.accepted = append(h.accepted, h.give(ref, lines))
	if rapid.IntRange(0, 3).Draw(h.rt, "other content") == 0 {
		ref.Variant = 1
		other := oneLine(probe, 5001)
		h.send(ref, other)
		code := rapid.SampledFrom([]int{202, 422}).Draw(h.rt, "its code")
		h.answer(ref, code)
		if code == 202 {
			h.ledger.conflicts = append(h.ledger.conflicts, h.conflict(ref, other))
			h.losers++
		}
	}
}

// end charges a gift, declines it, or gives some of it back.
func (h *history) end(d *Donation) {
	if d.AmountMinor < 50 {
		h.fail(d)
		d.Payment.Reason = "refused"
		return
	}
	what := rapid.IntRange(0, 4).Draw(h.rt, "end")
	if what == 0 {
		h.fail(d)
		h.ledger.charges = append(h.ledger.charges, Charge{ID: "ch_no", Donation: d.ID.String(), Currency: "USD", AmountMinor: d.AmountMinor})
		return
	}
	h.charge(d)
	if what > 1 {
		return
	}
	minor := rapid.Int64Range(1, d.Lines[0].AmountMinor).Draw(h.rt, "given back")
	h.refund(d, minor)
	h.chargeOf(d).RefundedMinor = minor
	h.entry(d, "refund", "processor:stripe", -minor).post("gifts:"+d.Lines[0].Campaign, minor)
	if minor == d.AmountMinor {
		d.Payment.Status = "refunded"
	}
}

// chargeOf is the charge of a donation that succeeded; nil when none did.
func (h *history) chargeOf(d *Donation) *Charge {
	for i := range h.ledger.charges {
		if c := &h.ledger.charges[i]; c.Donation == d.ID.String() && c.Succeeded {
			return c
		}
	}
	return nil
}

// entryOf is the donation's entry of that kind; nil when there is none.
func (h *history) entryOf(d *Donation, kind string) *Entry {
	for _, e := range h.ledger.entries {
		if e.Donation == d.ID && e.Kind == kind {
			return e
		}
	}
	return nil
}

// pick is any of the acknowledged donations that is as asked; nil when none is.
func (h *history) pick(is func(*Donation) bool) *Donation {
	var all []*Donation
	for _, d := range h.accepted {
		if is(d) {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return rapid.SampledFrom(all).Draw(h.rt, "whose")
}

func anyOne(*Donation) bool          { return true }
func (d *Donation) isCharged() bool  { return d.Payment.Charge != "" }
func (d *Donation) isDeclined() bool { return d.Payment.Reason == "declined" }

// lose takes a donation's row away.
func (h *history) lose(d *Donation) {
	h.ledger.donations = slices.DeleteFunc(slices.Clone(h.ledger.donations), func(o *Donation) bool { return o == d })
}

// unbook takes an entry away.
func (h *history) unbook(e *Entry) {
	h.ledger.entries = slices.DeleteFunc(slices.Clone(h.ledger.entries), func(o *Entry) bool { return o == e })
}

// harm breaks one thing. It returns the donation that has to be named, nil when the
// harm is to a sum; ok is false when the history has nothing to do it to.
type harm struct {
	name string
	do   func(h *history) (named *Donation, ok bool)
}

// to harms a donation of some kind, which has to be named.
func to(is func(*Donation) bool, do func(h *history, d *Donation)) func(*history) (*Donation, bool) {
	return func(h *history) (*Donation, bool) {
		d := h.pick(is)
		if d == nil {
			return nil, false
		}
		do(h, d)
		return d, true
	}
}

// sum harms something that no donation is behind.
func sum(do func(h *history)) func(*history) (*Donation, bool) {
	return func(h *history) (*Donation, bool) { do(h); return nil, true }
}

var harms = []harm{
	{"the broker lost it", to(func(d *Donation) bool { return !d.isCharged() }, func(h *history, d *Donation) {
		h.lose(d)
		if d.Payment.Pledged() {
			for _, l := range d.Lines {
				h.ledger.slot(l.Campaign).Donations--
				h.ledger.slot(l.Campaign).PledgedMinor -= l.AmountMinor
			}
		}
	})},
	{"the ledger lost it", to(anyOne, func(h *history, d *Donation) { h.lose(d) })},
	{"the processor lost it", to((*Donation).isCharged, func(h *history, d *Donation) { h.chargeOf(d).Succeeded = false })},
	{"the journal lost it", to((*Donation).isCharged, func(h *history, d *Donation) { h.unbook(h.entryOf(d, "capture")) })},
	{"the journal lost its fee", to((*Donation).isCharged, func(h *history, d *Donation) { h.unbook(h.entryOf(d, "processing_fee")) })},
	{"the journal lost its refund", to(func(d *Donation) bool { return d.Payment.RefundedMinor != nil }, func(h *history, d *Donation) { h.unbook(h.entryOf(d, "refund")) })},
	{"charged twice", to((*Donation).isCharged, func(h *history, d *Donation) {
		again := *h.chargeOf(d)
		again.ID += "again"
		h.ledger.charges = append(h.ledger.charges, again)
	})},
	{"charged a cent too much", to((*Donation).isCharged, func(h *history, d *Donation) { h.chargeOf(d).AmountMinor++ })},
	{"charged a hundredfold, and booked so", to((*Donation).isCharged, func(h *history, d *Donation) {
		e := h.entryOf(d, "capture")
		e.Amounts[0] *= 100
		e.post("suspense:stripe", -d.AmountMinor*99)
		h.chargeOf(d).AmountMinor *= 100
	})},
	{"charged in another currency", to((*Donation).isCharged, func(h *history, d *Donation) { h.chargeOf(d).Currency = "JPY" })},
	{"recorded twice", to(anyOne, func(h *history, d *Donation) { h.ledger.donations = append(slices.Clone(h.ledger.donations), d) })},
	{"credited to another campaign", to((*Donation).isCharged, func(h *history, d *Donation) {
		h.entryOf(d, "capture").Accounts[1] = "gifts:" + h.slugs[school]
	})},
	{"an entry off balance", to((*Donation).isCharged, func(h *history, d *Donation) { h.entryOf(d, "capture").Amounts[0]++ })},
	{"declined, and told as a success", to((*Donation).isDeclined, func(h *history, d *Donation) {
		d.Payment = Payment{Status: "succeeded"}
		for _, l := range d.Lines {
			h.ledger.slot(l.Campaign).Donations++
			h.ledger.slot(l.Campaign).PledgedMinor += l.AmountMinor
		}
	})},
	{"never came to an end", to((*Donation).isDeclined, func(h *history, d *Donation) {
		d.Payment = Payment{Status: "charging"}
		for _, l := range d.Lines {
			h.ledger.slot(l.Campaign).Donations++
			h.ledger.slot(l.Campaign).PledgedMinor += l.AmountMinor
		}
	})},
	{"its smallest line is gone", to(func(d *Donation) bool { return len(d.Lines) > 1 }, func(_ *history, d *Donation) { d.Lines = d.Lines[:1] })},
	{"a cent moved between its lines", to(func(d *Donation) bool { return len(d.Lines) > 1 }, func(_ *history, d *Donation) {
		d.Lines[0].AmountMinor++
		d.Lines[1].AmountMinor--
	})},
	{"its amount is another", to(anyOne, func(_ *history, d *Donation) { d.AmountMinor += 100 })},
	{"its fee is another", to(anyOne, func(_ *history, d *Donation) { d.FeeCoverMinor++ })},
	{"its donor is shown", to(anyOne, func(_ *history, d *Donation) { d.Anonymous = !d.Anonymous })},
	{"its content is another's", to(anyOne, func(_ *history, d *Donation) { d.Fingerprint[0] ^= 1 })},
	{"it came at another time", to(anyOne, func(_ *history, d *Donation) { shift(d, time.Hour) })},
	{"its donor is another", to(func(d *Donation) bool { return len(d.Sealed) > 0 }, func(h *history, d *Donation) {
		p := h.keys[d.ID]
		p.Name = "Somebody Else"
		h.keys[d.ID] = p
	})},
	{"its donor is in a log", to(func(d *Donation) bool { return len(d.Sealed) > 0 }, func(h *history, d *Donation) {
		p := h.keys[d.ID]
		h.log("ingest", "refused body="+p.Name+p.Email+p.Message)
	})},
	{"what was refused is recorded", func(h *history) (*Donation, bool) {
		if len(h.refused) == 0 {
			return nil, false
		}
		ref := rapid.SampledFrom(h.refused).Draw(h.rt, "refused")
		d := h.store(ref, oneLine(probe, 1))
		h.fail(d)
		return d, true
	}},
	{"what nobody sent is recorded", func(h *history) (*Donation, bool) {
		d := h.store(gift.Ref{Kind: gift.Repeat, Number: 999}, oneLine(probe, 1))
		h.fail(d)
		return d, true
	}},
	{"a conflict was never recorded", func(h *history) (*Donation, bool) {
		if h.losers == 0 {
			return nil, false
		}
		id := h.ledger.conflicts[0].ID
		h.ledger.conflicts = h.ledger.conflicts[1:]
		return &Donation{ID: id}, true
	}},
	{"a capture of nobody", func(h *history) (*Donation, bool) {
		d := &Donation{ID: ingest.DeriveID([]byte("nobody at all"))}
		h.entry(d, "capture", "processor:stripe", 1).post("gifts:"+h.slugs[probe], -1)
		return d, true
	}},
	{"a slot has a cent too many", sum(func(h *history) { h.ledger.slot(h.slugs[probe]).PledgedMinor++ })},
	{"a slot counts one too few", sum(func(h *history) { h.ledger.slot(h.slugs[probe]).Donations-- })},
	{"a slot has raised a cent too many", sum(func(h *history) { h.ledger.slot(h.slugs[probe]).RaisedMinor++ })},
	{"a slot is in another currency", sum(func(h *history) { h.ledger.slot(h.slugs[probe]).Currency = "JPY" })},
	{"a public total is a cent off", sum(func(h *history) { h.total(probe, func(t *Total) { t.PledgedMinor-- }) })},
	{"a public total raised a cent too many", sum(func(h *history) { h.total(probe, func(t *Total) { t.RaisedMinor++ }) })},
	{"a public total stands still", sum(func(h *history) { h.total(probe, func(t *Total) { t.AsOf = h.start }) })},
	{"a total went back", sum(func(h *history) {
		o := h.see(5, probe, h.now)
		o.Version--
		h.writer.Observation(o)
	})},
	{"a total promised what it did not hold", sum(func(h *history) {
		o := h.look(6, probe, h.now)
		o.Donations, o.PledgedMinor = -1, -1 // none, were none owed
		h.writer.Observation(o)
	})},
}

// TestHistories_ARightOneHolds raises no false alarm, whatever history chance makes.
func TestHistories_ARightOneHolds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt)
		r := h.moneyAudit()
		for _, c := range r.Checks {
			if c.Broken > 0 {
				rt.Errorf("a false alarm: %s (%s): %+v", c.Invariant, c.Claim, c.Violations)
			}
		}
	})
}

// TestHistories_OneHarmIsFound does one harm to a right history: it is found, and where
// it was done to a donation, that one is named.
func TestHistories_OneHarmIsFound(t *testing.T) {
	done := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt)
		harm := harms[rapid.IntRange(0, len(harms)-1).Draw(rt, "harm")]
		named, ok := harm.do(h)
		if !ok {
			return // nobody to do it to in this history
		}
		done[harm.name]++
		r := h.moneyAudit()
		if r.Holds() {
			rt.Fatalf("%s: it was not found", harm.name)
		}
		if named != nil && !names(r, named.ID) {
			rt.Errorf("%s: %s is not named: %+v", harm.name, named.ID, r.Checks)
		}
	})
	t.Logf("%d kinds of harm were done", len(done))
}

// TestHarms_EachIsDone does every one of them once, to the first history that allows it.
func TestHarms_EachIsDone(t *testing.T) {
	for _, harm := range harms {
		t.Run(harm.name, func(t *testing.T) {
			for seed := range 200 {
				tried := false
				history := rapid.Custom(func(rt *rapid.T) bool {
					h := newHistory(t, rt)
					named, ok := harm.do(h)
					if !ok {
						return false
					}
					tried = true
					r := h.moneyAudit()
					if r.Holds() || named != nil && !names(r, named.ID) {
						t.Errorf("seed %d: not found or not named: %+v", seed, r.Checks)
					}
					return true
				})
				history.Example(seed)
				if tried {
					return
				}
			}
			t.Error("no history allows it")
		})
	}
}

// names tells whether a violation names the donation.
func names(r *Result, id ingest.ID) bool {
	return slices.ContainsFunc(r.Checks, func(c *Check) bool {
		return slices.ContainsFunc(c.Violations, func(v Violation) bool { return v.ID == id.String() })
	})
}
