package feed

import (
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/money"
)

// said builds the head of slot 1 of the live book.
func said(term, number, through int64) campaigns.FrameHead {
	return campaigns.FrameHead{Book: ledger.Live, Slot: 1, Epoch: 1, Term: term, Number: number, CountedThrough: at(through)}
}

func row(campaign string, donations, version int64) campaigns.SlotRow {
	return campaigns.SlotRow{Campaign: campaign, Currency: "USD", PledgedMinor: 100 * donations, Donations: donations, Version: version}
}

func frame(h campaigns.FrameHead, rows ...campaigns.SlotRow) *campaigns.Frame {
	return &campaigns.Frame{FrameHead: h, Rows: rows}
}

func snap(h campaigns.FrameHead, rows ...campaigns.SlotRow) *campaigns.Snapshot {
	return &campaigns.Snapshot{FrameHead: h, Rows: rows}
}

func of(h campaigns.FrameHead, change func(*campaigns.FrameHead)) campaigns.FrameHead {
	change(&h)
	return h
}

func closed(h campaigns.FrameHead) campaigns.FrameHead {
	return of(h, func(h *campaigns.FrameHead) { h.Closed = true })
}

func slotNumber(n int32, h campaigns.FrameHead) campaigns.FrameHead {
	return of(h, func(h *campaigns.FrameHead) { h.Slot = n })
}

// news is a frame or a snapshot and what must be so after it.
type news struct {
	frame     *campaigns.Frame
	snapshot  *campaigns.Snapshot
	verdict   Verdict
	asOf      int64 // 0: nothing claimed
	donations int64 // of campaign "a"
}

func TestState_FramesInOrder(t *testing.T) {
	cases := map[string][]news{
		"a slot is complete with its snapshot and the frames after it": {
			{snapshot: snap(said(1, 0, 500), row("a", 2, 2)), verdict: Joined, donations: 2},
			{frame: frame(said(1, 1, 10), row("a", 3, 3)), verdict: Applied, asOf: 10, donations: 3},
			{frame: frame(said(1, 2, 20)), verdict: Applied, asOf: 20, donations: 3},
		},
		"frames before the snapshot wait for it, their rows do not": {
			{frame: frame(said(1, 1, 10), row("a", 1, 1)), verdict: Gap, donations: 1},
			{frame: frame(said(1, 2, 20), row("a", 2, 2)), verdict: Held, donations: 2},
			{snapshot: snap(said(1, 0, 5)), verdict: Joined, asOf: 20, donations: 2},
		},
		"a frame that a snapshot covers already still makes its claim": {
			{snapshot: snap(said(1, 5, 500), row("a", 9, 9)), verdict: Joined, donations: 9},
			{frame: frame(said(1, 3, 30), row("a", 4, 4)), verdict: Repeated, asOf: 30, donations: 9},
			{frame: frame(said(1, 4, 40), row("a", 6, 6)), verdict: Repeated, asOf: 40, donations: 9},
		},
		"after a gap the slot stands still until a snapshot reaches it": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{frame: frame(said(1, 1, 10)), verdict: Applied, asOf: 10},
			{frame: frame(said(1, 4, 40), row("a", 1, 4)), verdict: Gap, asOf: 10, donations: 1},
			{snapshot: snap(said(1, 2, 20)), verdict: Short, asOf: 10, donations: 1},
			{frame: frame(said(1, 5, 50)), verdict: Held, asOf: 10, donations: 1},
			{snapshot: snap(said(1, 3, 30)), verdict: Joined, asOf: 50, donations: 1},
		},
		"a second gap needs a newer snapshot still": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{frame: frame(said(1, 3, 30)), verdict: Gap},
			{frame: frame(said(1, 7, 70)), verdict: Held},
			{snapshot: snap(said(1, 5, 50)), verdict: Short},
			{snapshot: snap(said(1, 6, 60)), verdict: Joined, asOf: 70},
		},
		"a snapshot beyond the frames heard closes the gap with their last claim": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{frame: frame(said(1, 3, 30)), verdict: Gap},
			{snapshot: snap(said(1, 9, 90)), verdict: Joined, asOf: 30},
			{frame: frame(said(1, 10, 100)), verdict: Applied, asOf: 100},
		},
		"repetitions change nothing": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{frame: frame(said(1, 1, 10), row("a", 1, 1)), verdict: Applied, asOf: 10, donations: 1},
			{frame: frame(said(1, 2, 20), row("a", 2, 2)), verdict: Applied, asOf: 20, donations: 2},
			{frame: frame(said(1, 1, 10), row("a", 1, 1)), verdict: Repeated, asOf: 20, donations: 2},
			{snapshot: snap(said(1, 0, 0)), verdict: Joined, asOf: 20, donations: 2},
		},
		"a lower term is ignored, rows and all": {
			{snapshot: snap(said(3, 0, 0), row("a", 5, 5)), verdict: Joined, donations: 5},
			{frame: frame(said(3, 1, 10)), verdict: Applied, asOf: 10, donations: 5},
			{frame: frame(said(2, 8, 80), row("a", 6, 6)), verdict: Ignored, asOf: 10, donations: 5},
			{snapshot: snap(said(2, 9, 90), row("a", 6, 6)), verdict: Ignored, asOf: 10, donations: 5},
		},
		"a new term stands still until its own snapshot": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{frame: frame(said(1, 1, 10)), verdict: Applied, asOf: 10},
			{frame: frame(said(2, 1, 20), row("a", 1, 1)), verdict: Gap, asOf: 10, donations: 1},
			{snapshot: snap(said(1, 1, 10)), verdict: Ignored, asOf: 10, donations: 1},
			{snapshot: snap(said(2, 0, 0), row("b", 1, 1)), verdict: Joined, asOf: 20, donations: 1},
		},
		"a slot that is not heard of yet holds everybody back": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{frame: frame(said(1, 1, 10)), verdict: Applied, asOf: 10},
			{snapshot: snap(slotNumber(2, said(1, 0, 500))), verdict: Joined, asOf: 10},
			{frame: frame(said(1, 2, 20)), verdict: Applied, asOf: 10},
			{frame: frame(slotNumber(2, said(1, 1, 15))), verdict: Applied, asOf: 15},
		},
		"a slot that stands still holds everybody back": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{snapshot: snap(slotNumber(2, said(1, 0, 0))), verdict: Joined},
			{frame: frame(said(1, 1, 10)), verdict: Applied},
			{frame: frame(slotNumber(2, said(1, 1, 11))), verdict: Applied, asOf: 10},
			{frame: frame(slotNumber(2, said(1, 3, 30))), verdict: Gap, asOf: 10},
			{frame: frame(said(1, 2, 20)), verdict: Applied, asOf: 11},
		},
		"a closed slot counts and holds nobody back": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{snapshot: snap(slotNumber(2, said(1, 0, 0))), verdict: Joined},
			{frame: frame(said(1, 1, 10), row("a", 1, 1)), verdict: Applied, donations: 1},
			{frame: frame(slotNumber(2, said(1, 1, 11))), verdict: Applied, asOf: 10, donations: 1},
			{frame: frame(closed(said(1, 2, 12))), verdict: Applied, asOf: 11, donations: 1},
			{frame: frame(slotNumber(2, said(1, 2, 30))), verdict: Applied, asOf: 30, donations: 1},
		},
		"a closing frame counts only when nothing before it is missing": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{snapshot: snap(slotNumber(2, said(1, 0, 0))), verdict: Joined},
			{frame: frame(said(1, 1, 10)), verdict: Applied},
			{frame: frame(slotNumber(2, said(1, 1, 20))), verdict: Applied, asOf: 10},
			{frame: frame(closed(said(1, 3, 12)), row("a", 1, 1)), verdict: Gap, asOf: 10, donations: 1},
			{frame: frame(slotNumber(2, said(1, 2, 30))), verdict: Applied, asOf: 10, donations: 1},
			{snapshot: snap(said(1, 2, 0)), verdict: Joined, asOf: 30, donations: 1},
		},
		"a slot closed long ago is known by its snapshot alone": {
			{snapshot: snap(closed(said(4, 7, 0)), row("a", 7, 7)), verdict: Joined, donations: 7},
			{snapshot: snap(slotNumber(2, said(1, 0, 0))), verdict: Joined, donations: 7},
			{frame: frame(slotNumber(2, said(1, 1, 20))), verdict: Applied, asOf: 20, donations: 7},
		},
		"a slot opened again holds back from its first frame on": {
			{snapshot: snap(closed(said(1, 0, 0)), row("a", 1, 1)), verdict: Joined, donations: 1},
			{snapshot: snap(slotNumber(2, said(1, 0, 0))), verdict: Joined, donations: 1},
			{frame: frame(slotNumber(2, said(1, 1, 20))), verdict: Applied, asOf: 20, donations: 1},
			{frame: frame(said(2, 1, 25)), verdict: Gap, asOf: 20, donations: 1},
			{frame: frame(slotNumber(2, said(1, 2, 30))), verdict: Applied, asOf: 20, donations: 1},
			{snapshot: snap(said(2, 0, 0)), verdict: Joined, asOf: 25, donations: 1},
		},
		"with every slot closed as_of stands": {
			{snapshot: snap(said(1, 0, 0)), verdict: Joined},
			{frame: frame(said(1, 1, 10)), verdict: Applied, asOf: 10},
			{frame: frame(closed(said(1, 2, 20))), verdict: Applied, asOf: 10},
		},
		"a frame of no book or without a number is ignored": {
			{frame: frame(of(said(1, 1, 10), func(h *campaigns.FrameHead) { h.Book = 9 }), row("a", 1, 1)), verdict: Ignored},
			{frame: frame(said(1, 0, 10), row("a", 1, 1)), verdict: Ignored},
		},
		"older rows never replace newer ones": {
			{snapshot: snap(said(1, 0, 0), row("a", 5, 5)), verdict: Joined, donations: 5},
			{frame: frame(said(1, 1, 10), row("a", 3, 3)), verdict: Applied, asOf: 10, donations: 5},
		},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) {
			s := NewState()
			for i, n := range steps {
				var v Verdict
				if n.frame != nil {
					v, _ = s.Apply(n.frame)
				} else {
					v, _ = s.Restore(n.snapshot)
				}
				if v != n.verdict {
					t.Errorf("step %d: %v, want %v", i, v, n.verdict)
				}
				want := time.Time{}
				if n.asOf != 0 {
					want = at(n.asOf)
				}
				if got := s.AsOf(ledger.Live); !got.Equal(want) {
					t.Errorf("step %d: as_of %v, want %v", i, got.UnixNano(), n.asOf)
				}
				if got := s.Total(ledger.Live, "a", "USD"); got.Donations != n.donations || got.PledgedMinor != 100*n.donations {
					t.Errorf("step %d: %+v, want %d donations", i, got, n.donations)
				}
			}
		})
	}
}

func TestState_TotalIsTheSumOfItsSlotsInOneCurrency(t *testing.T) {
	s := NewState()
	euro := row("a", 7, 1)
	euro.Currency = "EUR"
	refund := campaigns.SlotRow{Campaign: "a", Currency: "USD", RaisedMinor: -250, Version: 3}
	s.Restore(snap(said(1, 0, 0), row("a", 2, 2), euro, row("b", 1, 1)))
	s.Restore(snap(slotNumber(2, said(1, 0, 0)), refund))
	want := campaigns.Total{Campaign: "a", Currency: "USD", PledgedMinor: 200, RaisedMinor: -250, Donations: 2, Version: 5, Epoch: 1}
	if got := s.Total(ledger.Live, "a", "USD"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := s.Total(ledger.Rehearsal, "a", "USD"); got != (campaigns.Total{Campaign: "a", Currency: "USD"}) {
		t.Errorf("the other book has %+v", got)
	}
	if got := s.Total(ledger.Live, "nothing-yet", money.Currency("JPY")); got != (campaigns.Total{Campaign: "nothing-yet", Currency: "JPY", Epoch: 1}) {
		t.Errorf("a campaign without gifts has %+v", got)
	}
}

// A restored ledger knows less at first. Until it has replayed up to where the totals of
// before were complete, and every slot of before has spoken, it is behind them.
func TestState_AHigherEpochIsBehindUntilItIsAsComplete(t *testing.T) {
	s := NewState()
	second := func(h campaigns.FrameHead) campaigns.FrameHead {
		return of(h, func(h *campaigns.FrameHead) { h.Epoch = 2 })
	}
	want := func(when string, want bool) {
		t.Helper()
		if prior, behind := s.Behind(ledger.Live); behind != want || behind && prior != 1 {
			t.Errorf("%s: behind %v an epoch %d, want %v", when, behind, prior, want)
		}
	}
	want("nothing heard", false)
	for slot := int32(1); slot <= 2; slot++ {
		s.Restore(snap(slotNumber(slot, said(1, 0, 0)), row("a", 5, 5)))
		s.Apply(frame(slotNumber(slot, said(1, 1, 100))))
	}
	want("in one epoch", false)
	s.Restore(snap(second(said(1, 0, 0)), row("a", 2, 2)))
	want("nothing claimed", true)
	s.Apply(frame(second(said(1, 1, 200))))
	want("a slot of before has not spoken", true)
	s.Restore(snap(closed(slotNumber(2, second(said(1, 0, 0)))), row("a", 5, 5)))
	want("as complete as before", false)

	s.Apply(frame(of(said(1, 1, 150), func(h *campaigns.FrameHead) { h.Epoch = 3 }), row("a", 1, 1)))
	s.Restore(snap(of(said(1, 0, 0), func(h *campaigns.FrameHead) { h.Epoch = 3 })))
	s.Restore(snap(closed(slotNumber(2, of(said(1, 0, 0), func(h *campaigns.FrameHead) { h.Epoch = 3 })))))
	if prior, behind := s.Behind(ledger.Live); !behind || prior != 2 {
		t.Errorf("complete up to 150 of 200: behind %v an epoch %d", behind, prior)
	}
	s.Apply(frame(of(said(1, 2, 200), func(h *campaigns.FrameHead) { h.Epoch = 3 })))
	want("complete up to 200", false)
}

func TestState_HigherEpochStartsTheBookAnew(t *testing.T) {
	s := NewState()
	second := func(h campaigns.FrameHead) campaigns.FrameHead {
		return of(h, func(h *campaigns.FrameHead) { h.Epoch = 2 })
	}
	reading := func(v Verdict, reset bool) bool { return reset }
	if !reading(s.Restore(snap(said(9, 0, 0), row("a", 5, 5), row("b", 1, 1)))) {
		t.Error("the first news of a book does not say that all is new")
	}
	s.Apply(frame(said(9, 1, 100)))
	s.TakeChanged(ledger.Live, nil)
	if reading(s.Apply(frame(said(9, 2, 110)))) {
		t.Error("the same epoch started anew")
	}
	if v, reset := s.Apply(frame(second(said(1, 1, 40)), row("a", 2, 2))); v != Gap || !reset {
		t.Errorf("a higher epoch: %v, %v", v, reset)
	}
	if got := s.Total(ledger.Live, "a", "USD"); got.Donations != 2 || got.Epoch != 2 {
		t.Errorf("total %+v", got)
	}
	if got := s.AsOf(ledger.Live); !got.IsZero() {
		t.Errorf("as_of %v is a claim of the epoch before", got)
	}
	if got := s.TakeChanged(ledger.Live, nil); len(got) != 2 {
		t.Errorf("changed %q, want both campaigns", got)
	}
	s.Restore(snap(second(said(1, 0, 0))))
	if v, _ := s.Apply(frame(said(99, 1, 500), row("a", 9, 9))); v != Ignored {
		t.Errorf("a lower epoch with a higher term: %v", v)
	}
	if v, _ := s.Restore(snap(said(99, 1, 500), row("a", 9, 9))); v != Ignored {
		t.Errorf("its snapshot: %v", v)
	}
	if got := s.AsOf(ledger.Live); !got.Equal(at(40)) {
		t.Errorf("as_of %v", got)
	}
}
