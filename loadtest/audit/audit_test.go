package audit

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

func TestRun_AGoodRunHolds(t *testing.T) {
	for name, skew := range map[string]time.Duration{"one clock": 0, "target ahead": time.Hour, "target behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.skew = skew
			if skew != 0 { // hours are on the target's clock; they are another test's matter
				w.goodRows()
			} else {
				w.goodRun()
			}
			r := w.audit()
			wantBroken(t, r)
			if r.ClockLow > skew || r.ClockHigh < skew || r.ClockHigh-r.ClockLow > trip+time.Millisecond {
				t.Errorf("clock between %v and %v ahead, is %v", r.ClockLow, r.ClockHigh, skew)
			}
			if skew != 0 {
				return
			}
			for _, c := range r.Checks {
				if c.Verdict() != Holds {
					t.Errorf("%s %s: %s", c.Invariant, c.Claim, c.Verdict())
				}
			}
			want := Counts{Keys: 22, Accepted: 13, Refused: 7, Unknown: 2, UnknownRecorded: 1}
			got := r.Counts
			if got.OpenedFields == 0 || got.Observations != 7 {
				t.Errorf("counts %+v", got)
			}
			got.OpenedFields, got.Observations = 0, 0
			if got != want {
				t.Errorf("counts %+v, want %+v", got, want)
			}
			if (r.Sums != Sums{SourceRows: 8, SourceMinor: 800, LedgerRows: 8, LedgerMinor: 800, PublicRows: 8, PublicMinor: 800, PledgedRows: 8, PledgedMinor: 800, Complete: true}) {
				t.Errorf("sums %+v", r.Sums)
			}
			if text, err := json.Marshal(r); err != nil || !strings.Contains(string(text), `"verdict":"holds"`) {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}

// goodRows is a run of rows only.
func (w *world) goodRows() {
	for n := int64(1); n <= 8; n++ {
		w.give(row(n), oneLine(river+int32(n/7), 100))
		w.see(1, river, w.now.Add(w.skew))
	}
}

// TestRun_EachDoctoredThingIsCaught breaks one thing at a time in a run that is
// good otherwise. want names the checks that must speak, and no other may.
func TestRun_EachDoctoredThingIsCaught(t *testing.T) {
	ref := func(kind gift.Kind, n int64, variant uint8) gift.Ref {
		return gift.Ref{Kind: kind, Number: n, Variant: variant}
	}
	find := func(w *world, r gift.Ref) *Donation {
		for _, d := range w.ledger.donations {
			if d.ID == w.run.ID(r) {
				return d
			}
		}
		w.t.Fatalf("%v is not in the ledger", r)
		return nil
	}
	remove := func(w *world, r gift.Ref, slots bool) {
		d := find(w, r)
		kept := w.ledger.donations[:0]
		for _, o := range w.ledger.donations {
			if o != d {
				kept = append(kept, o)
			}
		}
		w.ledger.donations = kept
		if slots {
			for _, l := range d.Lines {
				s := w.ledger.slot(l.Campaign)
				s.Donations--
				s.PledgedMinor -= l.AmountMinor
			}
		}
	}
	field := func(change func(d *Donation)) func(w *world) { return func(w *world) { change(find(w, row(2))) } }
	for name, c := range map[string]struct {
		want   string // checks, separated by ';'
		doctor func(w *world)
	}{
		// I1
		"an acknowledged probe is lost":        {"I1", func(w *world) { remove(w, ref(gift.Closing, 1, 0), true) }},
		"an acknowledged row is lost":          {"I1;I5 source;I6 every", func(w *world) { lostRow(w, remove) }},
		"a row is lost and slots still count":  {"I1;I5 pledged;I5 source", func(w *world) { remove(w, row(2), false) }},
		"a row is there twice":                 {"I1;I5 pledged;I5 source", func(w *world) { w.ledger.donations = append(w.ledger.donations, find(w, row(2))) }},
		"amount":                               {"I1", field(func(d *Donation) { d.AmountMinor++ })},
		"sum of lines":                         {"I1", field(func(d *Donation) { d.LinesMinor-- })},
		"fee":                                  {"I1", field(func(d *Donation) { d.FeeCoverMinor++ })},
		"currency":                             {"I1", field(func(d *Donation) { d.Currency = "EUR" })},
		"anonymous":                            {"I1", field(func(d *Donation) { d.Anonymous = !d.Anonymous })},
		"hide_amount":                          {"I1", field(func(d *Donation) { d.HideAmount = !d.HideAmount })},
		"token":                                {"I1", field(func(d *Donation) { d.ConfirmationToken += "x" })},
		"token of another variant is the same": {"", func(w *world) { otherToken(w, find(w, ref(gift.Basket, 1, 0))) }},
		"token expiry":                         {"I1", field(func(d *Donation) { d.TokenExpiresAt = d.TokenExpiresAt.Add(time.Second) })},
		"receive time of one attempt":          {"I1", field(func(d *Donation) { shift(d, time.Microsecond) })},
		"receive time of several":              {"I1", func(w *world) { shift(find(w, row(6)), time.Second) }},
		"receive time before it was sent":      {"I1", func(w *world) { shift(find(w, row(6)), -time.Second) }},
		"fingerprint":                          {"I1", field(func(d *Donation) { d.Fingerprint[3]++ })},
		"line amount":                          {"I1;I5 pledged;I5 source", field(func(d *Donation) { d.Lines[0].AmountMinor++ })},
		"line moved to another campaign":       {"I1;I5 pledged;I5 source", field(func(d *Donation) { d.Lines[0].Campaign = d.Lines[0].Campaign[:len(d.Lines[0].Campaign)-5] + "school" })},
		"line moved out of the run":            {"I1;I5 pledged;I5 source", field(func(d *Donation) { d.Lines[0].Campaign = "elsewhere" })},
		"sealed fields of somebody else":       {"I1", func(w *world) { swapSealed(w) }},
		"sealed fields gone":                   {"I1", func(w *world) { named(w, true).Sealed = nil }},
		"sealed fields out of nothing":         {"I1", func(w *world) { named(w, false).Sealed = []byte("x") }},
		"an answer that is not of the contract": {"I1", func(w *world) {
			w.must(w.writer.Finding(record.Finding{Invariant: "I1", Ref: "row 3", Detail: "amount"}))
		}},

		// I2
		"a donation that nobody sent": {"I2", func(w *world) { w.store(ref(gift.Repeat, 99, 0), oneLine(probe, 9)) }},
		"a slug that the run does not have": {"I2", func(w *world) {
			d := w.store(ref(gift.Repeat, 98, 0), oneLine(probe, 9))
			w.ledger.slot(d.Lines[0].Campaign).Donations--
			w.ledger.slot(d.Lines[0].Campaign).PledgedMinor -= 9
			d.Lines[0].Campaign = w.run.SlugPrefix() + "ghost"
		}},
		"an unknown one twice":                {"I2;I5 pledged", func(w *world) { w.ledger.donations = append(w.ledger.donations, find(w, ref(gift.Repeat, 2, 0))) }},
		"an unknown one with another content": {"I2", func(w *world) { find(w, ref(gift.Repeat, 2, 0)).Fingerprint[0]++ }},
		"an unknown one with another field":   {"I2", func(w *world) { find(w, ref(gift.Repeat, 2, 0)).FeeCoverMinor++ }},
		"a conflict that nobody sent": {"I2", func(w *world) {
			w.ledger.conflicts = append(w.ledger.conflicts, w.conflict(ref(gift.Conflict, 1, 1), oneLine(probe, 77)))
		}},

		// I3
		"a 404 is recorded": {"I3;I5 pledged", func(w *world) { w.store(ref(gift.Refused, 1, 0), oneLine(nowhere, 5)) }},
		"a 409 is recorded": {"I3", func(w *world) {
			w.at(10 * time.Second)
			w.store(ref(gift.Opening, 1, 0), oneLine(opens, 3))
			w.at(12 * time.Second)
		}},
		"a 429 alone is recorded": {"I3;I5 pledged", func(w *world) { w.store(ref(gift.Refused, 5, 0), oneLine(nowhere, 5)) }},
		"a 404 is recorded elsewhere": {"I3", func(w *world) {
			w.store(ref(gift.Refused, 1, 0), oneLine(nowhere, 5)).Lines[0].Campaign = "else"
			clear2(w)
		}},
		"the refused content counts": {"I3;I8;I5 pledged", func(w *world) { refusedWon(w, find, remove) }},
		"a refused content conflicts": {"I3", func(w *world) {
			w.ledger.conflicts = append(w.ledger.conflicts, w.conflict(ref(gift.Conflict, 1, 1), oneLine(probe, 51)))
		}},
		"a refusal that was accepted": {"I3", func(w *world) {
			w.must(w.writer.Finding(record.Finding{Invariant: "I3", Ref: "refused 1", Detail: "202"}))
		}},

		// I5
		"a slot counts one more":     {"I5 pledged", func(w *world) { w.ledger.slot(w.slugs[school]).Donations++ }},
		"a slot lost a cent":         {"I5 pledged", func(w *world) { w.ledger.slot(w.slugs[river]).PledgedMinor-- }},
		"a slot of no campaign":      {"I5 pledged", func(w *world) { w.ledger.slot(w.run.SlugPrefix() + "ghost").Donations = 1 }},
		"a public total is off":      {"I5 pledged", func(w *world) { w.total(river, func(t *Total) { t.PledgedMinor++ }) }},
		"a public count is off":      {"I5 pledged", func(w *world) { w.total(probe, func(t *Total) { t.Donations-- }) }},
		"a public currency is wrong": {"I5 pledged", func(w *world) { w.total(probe, func(t *Total) { t.Currency = "EUR" }) }},

		// What became of being paid.
		"a gift failed": {"", func(w *world) { w.fail(find(w, row(2))); w.see(1, river, w.now) }},
		"a gift failed, and slots count it": {"I5 pledged", func(w *world) {
			w.fail(find(w, row(2)))
			w.ledger.slot(w.slugs[river]).Donations++
			w.ledger.slot(w.slugs[river]).PledgedMinor += 100
		}},
		"a gift failed once, and totals went back twice": {"I6 never go back;I6 every", func(w *world) {
			w.see(1, river, w.now)
			w.fail(find(w, row(2)))
			w.see(1, river, w.now)
			o := w.see(1, river, w.now)
			o.Donations, o.PledgedMinor, o.Version, o.AsOf = o.Donations-1, o.PledgedMinor-100, o.Version+1, w.now
			w.writer.Observation(o)
		}},
		"a gift was missed before it failed": {"I6 every", func(w *world) {
			o := w.look(4, river, w.now)
			o.Donations, o.PledgedMinor = 5, 500
			w.writer.Observation(o)
			w.at(20 * time.Second)
			w.fail(find(w, row(2)))
		}},
		"a gift was missed after it failed": {"", func(w *world) {
			w.fail(find(w, row(2)))
			o := w.look(4, river, w.now)
			w.writer.Observation(o)
		}},
		"two gifts were missed after one failed": {"I6 every", func(w *world) {
			w.fail(find(w, row(2)))
			o := w.look(4, river, w.now)
			o.Donations, o.PledgedMinor = 4, 400
			w.writer.Observation(o)
		}},
		"a gift failed, and is pledged again": {"", func(w *world) {
			d := find(w, row(2))
			w.fail(d)
			w.see(1, river, w.now)
			d.Payment.Status = "accepted"
			w.ledger.slot(w.slugs[river]).Donations++
			w.ledger.slot(w.slugs[river]).PledgedMinor += 100
			w.ledger.slot(w.slugs[river]).Version++
			w.see(1, river, w.now)
		}},
		"a gift was charged":                       {"", func(w *world) { w.capture(find(w, row(2))) }},
		"a gift was charged and partly given back": {"", func(w *world) { d := find(w, row(2)); w.capture(d); w.refund(d, 40) }},
		"a capture that no slot has":               {"I5 raised", func(w *world) { find(w, row(2)).Payment.Charge = "ch_2" }},
		"a slot has raised a cent too many":        {"I5 raised", func(w *world) { w.ledger.slot(w.slugs[river]).RaisedMinor++ }},
		"the public total raised a cent too many":  {"I5 raised", func(w *world) { w.total(river, func(t *Total) { t.RaisedMinor++ }) }},

		// I6
		"a version goes back": {"I6 never go back", func(w *world) { o := w.see(2, school, w.now); o.Version--; w.writer.Observation(o) }},
		"as_of goes back": {"I6 never go back", func(w *world) {
			o := w.see(2, school, w.now)
			o.AsOf = o.AsOf.Add(-time.Second)
			w.writer.Observation(o)
		}},
		"as_of of a heartbeat goes back": {"I6 never go back", func(w *world) {
			o := w.see(2, school, w.now)
			o.AgesOnly = true
			o.AsOf = o.AsOf.Add(-time.Second)
			w.writer.Observation(o)
		}},
		"one version, two numbers": {"I6 never go back;I6 never show", func(w *world) { o := w.see(2, school, w.now); o.Donations++; w.writer.Observation(o) }},
		"numbers go back": {"I6 never go back", func(w *world) {
			o := w.see(7, school, w.start)
			o.Donations--
			o.Version++
			w.writer.Observation(o)
		}},
		"back on another connection is no matter": {"", func(w *world) {
			o := w.look(2, school, w.start)
			o.Connection, o.Version, o.AsOf = 3, 1, w.start
			w.writer.Observation(o)
		}},
		"as_of promises a donation too many": {"I6 every", func(w *world) {
			o := w.see(4, school, w.now)
			o.Connection, o.Donations, o.PledgedMinor, o.Version = 5, 1, 100, 1
			w.writer.Observation(o)
		}},
		"as_of promises a cent too many": {"I6 every", func(w *world) {
			o := w.see(4, school, w.now)
			o.Connection, o.PledgedMinor, o.Version = 5, 199, 1
			w.writer.Observation(o)
		}},
		"a heartbeat promises too much": {"I6 every", func(w *world) {
			o := w.see(4, school, w.now)
			o.Connection, o.Donations, o.PledgedMinor, o.Version, o.AsOf = 5, 1, 100, 1, w.start
			w.writer.Observation(o)
			o.AgesOnly, o.AsOf = true, w.now
			w.writer.Observation(o)
		}},
		"totals are older than the last answer": {"I6 drained", func(w *world) { w.total(river, func(t *Total) { t.AsOf = w.start }) }},

		"a total shows what was not sent yet": {"I6 never show", func(w *world) {
			o := w.look(8, probe, w.start)
			o.At = w.start.Add(time.Millisecond) // before any probe left
			w.writer.Observation(o)
		}},
		"a total shows a cent more than was sent": {"I6 never show", func(w *world) {
			o := w.look(8, school, w.start)
			o.PledgedMinor++
			w.writer.Observation(o)
		}},
		"a total shows what was sent and never answered": {"", func(w *world) {
			o := w.look(8, probe, w.start)
			o.Donations, o.PledgedMinor = o.Donations+1, o.PledgedMinor+9 // the one that was never stored
			w.writer.Observation(o)
		}},

		// I8
		"a loser without a conflict": {"I8", func(w *world) { w.ledger.conflicts = nil }},
		"a conflict with itself": {"I8", func(w *world) {
			w.ledger.conflicts = append(w.ledger.conflicts, w.conflict(ref(gift.Basket, 1, 0), oneLine(probe, 5)))
		}},
		"a conflict without a first": {"I1;I8", func(w *world) { remove(w, ref(gift.Conflict, 2, 0), true) }},
		"answers that disagree": {"I8", func(w *world) {
			w.must(w.writer.Finding(record.Finding{Invariant: "I8", Ref: "repeat 1", Detail: "token"}))
		}},

		// I9
		"received before the opening":     {"I9 every;I1", func(w *world) { shift(find(w, ref(gift.Opening, 2, 0)), -2*time.Second) }},
		"received at the end":             {"I9 every;I1", func(w *world) { shift(find(w, ref(gift.Closing, 1, 0)), time.Second-trip/2) }},
		"refused while open":              {"I9 answers", func(w *world) { w.refuseOpen() }},
		"accepted while closed":           {"I9 answers;I1", func(w *world) { w.acceptClosed() }},
		"a campaign opened before it was": {"I9 every;I1", func(w *world) { shift(find(w, row(1)), -3*time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.goodRun()
			c.doctor(w)
			var want []string
			if c.want != "" {
				want = strings.Split(c.want, ";")
			}
			wantBroken(t, w.audit(), want...)
		})
	}
}

// fail makes a gift fail now, as a right ledger would.
func (w *world) fail(d *Donation) {
	d.Payment = Payment{Status: "failed", Reason: "declined", FellAt: w.now.Add(w.skew), Falls: 1}
	for _, l := range d.Lines {
		s := w.ledger.slot(l.Campaign)
		s.Donations--
		s.PledgedMinor -= l.AmountMinor
		s.Version++
	}
}

// capture charges a gift.
func (w *world) capture(d *Donation) {
	d.Payment = Payment{Status: "succeeded", Intent: "pi_" + d.ID.String(), Charge: "ch_" + d.ID.String(), CapturedMinor: d.AmountMinor}
	for _, l := range d.Lines {
		s := w.ledger.slot(l.Campaign)
		s.RaisedMinor += l.AmountMinor
		s.Version++
	}
}

// refund gives a part of a gift's first line back.
func (w *world) refund(d *Donation, minor int64) {
	d.Payment.RefundedMinor = []int64{minor}
	s := w.ledger.slot(d.Lines[0].Campaign)
	s.RaisedMinor -= minor
	s.Version++
}

// lostRow loses a row from rows and slots alike, as a broker that forgot it would;
// watchers had seen it counted before.
func lostRow(w *world, remove func(*world, gift.Ref, bool)) {
	remove(w, row(2), true)
	w.see(9, river, w.now)
}

func shift(d *Donation, by time.Duration) {
	d.ReceivedAt = d.ReceivedAt.Add(by)
	d.TokenExpiresAt = d.ReceivedAt.Add(ingest.TokenLife)
}

// clear2 drops what store counted for the campaign that does not exist.
func clear2(w *world) { delete(w.ledger.slots, w.slugs[nowhere]) }

func otherToken(w *world, d *Donation) {
	g := w.run.Make(gift.Ref{Kind: gift.Basket, Number: 1, Variant: 1}, "USD", d.Lines)
	d.ConfirmationToken = g.Donation.Payment.ConfirmationToken
}

// named returns a stored row that has sealed fields, or one that has none.
func named(w *world, sealed bool) *Donation {
	for _, d := range w.ledger.donations {
		if (len(d.Sealed) > 0) == sealed {
			return d
		}
	}
	if sealed {
		w.t.Fatal("no donation has sealed fields")
	}
	for n := int64(100); ; n++ { // give until one is nameless
		ref := gift.Ref{Kind: gift.Repeat, Number: n}
		if d := w.give(ref, oneLine(probe, 1)); len(d.Sealed) == 0 {
			return d
		}
	}
}

func swapSealed(w *world) {
	d := named(w, true)
	p := w.keys[d.ID]
	p.Name += "x"
	w.keys[d.ID] = p
}

// refusedWon lets the content that was refused be the one that counts.
func refusedWon(w *world, find func(*world, gift.Ref) *Donation, _ func(*world, gift.Ref, bool)) {
	d := find(w, gift.Ref{Kind: gift.Conflict, Number: 1})
	d.Fingerprint = w.conflict(gift.Ref{Kind: gift.Conflict, Number: 1, Variant: 1}, oneLine(probe, 51)).Fingerprint
	d.Lines[0].AmountMinor = 51
}

func (w *world) total(campaign int, change func(*Total)) {
	w.ledger.doctor = func(slug string, t *Total) {
		if slug == w.slugs[campaign] {
			change(t)
		}
	}
}

func (w *world) refuseOpen() {
	ref := gift.Ref{Kind: gift.Opening, Number: 50}
	w.at(11 * time.Second)
	w.send(ref, oneLine(opens, 3))
	w.answer(ref, 409)
}

// acceptClosed answers 202 after the end, while the row says it came in time.
func (w *world) acceptClosed() {
	ref := gift.Ref{Kind: gift.Closing, Number: 50}
	w.at(10*time.Second + 20*time.Millisecond)
	w.send(ref, oneLine(closes, 3))
	d := w.store(ref, oneLine(closes, 3))
	w.answer(ref, 202)
	w.at(12 * time.Second)
	d.ReceivedAt = w.start.Add(9 * time.Second) // a lie that the field check tells too
	d.TokenExpiresAt = d.ReceivedAt.Add(ingest.TokenLife)
}

func TestRun_NothingCheckedIsNotCalledGood(t *testing.T) {
	w := newWorld(t)
	w.logs = nil
	r := w.audit()
	for _, c := range r.Checks {
		if c.Invariant != "I5" && c.Invariant != "I6" && c.Verdict() != Untested {
			t.Errorf("%s: %s of nothing", c.Invariant, c.Verdict())
		}
	}
	if r.Sums.Complete {
		t.Error("a source of which nothing was sent is complete")
	}
}

func TestRun_AnUnfinishedSourceIsNotCompared(t *testing.T) {
	w := newWorld(t)
	w.give(row(1), oneLine(river, 100))
	r := w.audit()
	wantBroken(t, r)
	if r.Sums.Complete || r.source.Verdict() != Untested {
		t.Errorf("complete %v, sums of the source %s", r.Sums.Complete, r.source.Verdict())
	}
}

func TestRun_WithoutTotalsOrKeysSaysSo(t *testing.T) {
	w := newWorld(t)
	w.goodRun()
	w.must(w.writer.Close())
	cfg := w.config()
	cfg.Totals, cfg.Keys = nil, nil
	r, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Counts.OpenedFields != 0 || r.Sums.PublicRows != -1 || r.totals.Note == "" || r.agree.Verdict() != Untested {
		t.Errorf("%+v %+v", r.Counts, r.totals)
	}
	wantBroken(t, r)
}

func TestRun_TotalsThatMoveAreReadAgain(t *testing.T) {
	w := newWorld(t)
	w.goodRun()
	reads := 0
	w.total(river, func(tt *Total) {
		if reads++; reads == 1 {
			tt.Donations-- // the news of the last one was still under way
		}
	})
	wantBroken(t, w.audit())
	if reads < 2 {
		t.Errorf("read %d times", reads)
	}
}

// While gifts are being charged some fail between any two readings: a total that says
// what was true in between is right, and one that was never true is not.
func TestRun_TotalsMayFollowGiftsThatFailMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		charged bool
		doctor  func(*Total)
		want    string
	}{
		"true in between":          {false, func(*Total) {}, ""},
		"all was charged":          {true, func(*Total) {}, "I5 pledged"},
		"one too few":              {false, func(t *Total) { t.Donations = 0 }, "I5 pledged"},
		"one too many":             {false, func(t *Total) { t.Donations += 6 }, "I5 pledged"},
		"a minor unit too few":     {false, func(t *Total) { t.PledgedMinor = 99 }, "I5 pledged"},
		"more than was ever given": {false, func(t *Total) { t.PledgedMinor += 1000 }, "I5 pledged"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.goodRows()
			fails := int64(0)
			w.total(river, func(tt *Total) {
				if fails++; fails <= settleTries { // after the rows were read, and before the total
					for _, d := range w.ledger.donations {
						if d.ID == w.run.ID(row(fails)) {
							w.fail(d)
						}
					}
				}
				s := w.ledger.slot2(w.slugs[river])
				tt.Donations, tt.PledgedMinor = s.Donations, s.PledgedMinor
				c.doctor(tt)
			})
			w.must(w.writer.End(record.End{At: w.now}))
			w.must(w.writer.Close())
			w.ledger.asOf = w.now.Add(w.skew)
			cfg := w.config()
			cfg.Charged = c.charged
			r, err := Run(context.Background(), cfg)
			w.must(err)
			var want []string
			if c.want != "" {
				want = append(want, c.want)
			}
			wantBroken(t, r, want...)
			if fails != settleTries {
				t.Errorf("the total was read %d times", fails)
			}
		})
	}
}

func TestRun_ErrorsAreReturned(t *testing.T) {
	w := newWorld(t)
	w.goodRun()
	w.must(w.writer.Close())
	sentinel := errors.New("gone")
	w.ledger.fail = sentinel
	if _, err := Run(context.Background(), w.config()); !errors.Is(err, sentinel) {
		t.Errorf("ledger gone: %v", err)
	}
	cfg := w.config()
	cfg.Open = func(context.Context) (Ledger, func(), error) { return nil, nil, sentinel }
	if _, err := Run(context.Background(), cfg); !errors.Is(err, sentinel) {
		t.Errorf("ledger does not open: %v", err)
	}
	cfg.Record += "x"
	if _, err := Run(context.Background(), cfg); err == nil {
		t.Error("no record, no error")
	}
}

func TestRun_ARecordThatContradictsItselfIsAnError(t *testing.T) {
	for name, write := range map[string]func(w *world){
		"answered, never sent":   func(w *world) { w.answer(row(1), 202) },
		"more answers than sent": func(w *world) { w.send(row(1), oneLine(river, 1)); w.answer(row(1), 202); w.answer(row(1), 202) },
		"two contents":           func(w *world) { w.send(row(1), oneLine(river, 1)); w.send(row(1), oneLine(river, 2)) },
		"campaign out of range":  func(w *world) { w.send(row(1), oneLine(99, 1)) },
		"unknown invariant":      func(w *world) { w.must(w.writer.Finding(record.Finding{Invariant: "I99"})) },
		"observation of nothing": func(w *world) { w.writer.Observation(&record.Observation{Campaign: 99}) },
	} {
		w := newWorld(t)
		write(w)
		w.must(w.writer.Close())
		if _, err := Run(context.Background(), w.config()); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestViolations_AreBoundedAndCounted(t *testing.T) {
	w := newWorld(t)
	for n := int64(1); n <= 3*ViolationsListed; n++ {
		w.send(row(n), oneLine(river, 1))
		w.answer(row(n), 202)
	}
	r := w.audit()
	if r.stored.Broken != 3*ViolationsListed || len(r.stored.Violations) != ViolationsListed {
		t.Errorf("%d broken, %d listed", r.stored.Broken, len(r.stored.Violations))
	}
}

func TestPartitions_CoverEveryIDOnce(t *testing.T) {
	for _, parts := range []int{1, 2, 8, 1 << 16} {
		var next [2]byte
		for i := range parts {
			from, to := partRange(i, parts)
			if from[0] != next[0] || from[1] != next[1] || partOf(from, parts) != i || partOf(to, parts) != i {
				t.Fatalf("part %d of %d is %v to %v", i, parts, from, to)
			}
			n := (int(to[0])<<8 | int(to[1])) + 1
			next = [2]byte{byte(n >> 8), byte(n)}
		}
		if next != [2]byte{} {
			t.Fatalf("%d parts end at %v", parts, next)
		}
	}
}

func TestWatch_ThinsWhatItCannotKeep(t *testing.T) {
	w := &watch{}
	w.init()
	for range 3 * ObservationsMax {
		w.claim(1, claim{})
	}
	if w.held >= ObservationsMax || w.held != len(w.claims[1]) || w.stride < 4 {
		t.Errorf("%d held, %d kept, stride %d", w.held, len(w.claims[1]), w.stride)
	}
}
