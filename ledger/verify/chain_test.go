package verify

import (
	"fmt"
	"slices"
	"testing"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/journal"
)

// book appends a linked entry to the world's journal.
func (w *world) book(slot int32, e journal.Entry) {
	if w.heads == nil {
		w.heads = map[int32]campaigns.ChainHead{}
	}
	head := w.heads[slot]
	link := journal.Link{Slot: slot, N: head.N + 1, Prev: head.Hash}
	link.Hash = journal.Hash(link.Prev, slot, link.N, &e)
	w.heads[slot] = campaigns.ChainHead{N: link.N, Hash: link.Hash}
	w.links, w.entries = append(w.links, link), append(w.entries, e)
}

func capture(n int, campaign string, minor int64) journal.Entry {
	return journal.Entry{Kind: journal.Capture, Ref: fmt.Sprint("capture:ch_", n), OccurredAt: noon, Postings: []journal.Posting{
		{Account: journal.Processor, Currency: "USD", AmountMinor: minor}, {Account: journal.Gifts(campaign), Currency: "USD", AmountMinor: -minor},
	}}
}

// chained is a journal of two slots, with what their snapshots told of it.
func chained() *world {
	w := &world{first: 1}
	for n := range 4 {
		w.book(1, capture(n, "river", 100))
	}
	told := w.heads[1]
	w.book(1, capture(4, "river", 100))
	for n := range 2 {
		w.book(2, capture(10+n, "river", 100))
	}
	w.snapshots = []*campaigns.Snapshot{
		{FrameHead: campaigns.FrameHead{Book: ledger.Live, Slot: 1, Chain: told}},
		{FrameHead: campaigns.FrameHead{Book: ledger.Live, Slot: 2, Chain: w.heads[2]}},
		{FrameHead: campaigns.FrameHead{Book: ledger.Live, Slot: 3}},
	}
	return w
}

func TestChain_NoticesWhatWasDoneToTheJournal(t *testing.T) {
	cut := func(w *world, at, n int) {
		w.links, w.entries = slices.Delete(w.links, at, at+n), slices.Delete(w.entries, at, at+n)
	}
	for _, c := range []struct {
		name        string
		do          func(w *world)
		chain, told []string
	}{
		{"nothing", func(*world) {}, nil, nil},
		{"an amount was edited", func(w *world) {
			w.entries[1].Postings = slices.Clone(w.entries[1].Postings)
			w.entries[1].Postings[0].AmountMinor++
		}, []string{"slot 1 entry 2"}, nil},
		{"an account was edited", func(w *world) { w.entries[1] = capture(1, "hill", 100) }, []string{"slot 1 entry 2"}, nil},
		{"an entry was edited and hashed again", func(w *world) {
			w.entries[1] = capture(1, "hill", 100)
			w.links[1].Hash = journal.Hash(w.links[1].Prev, 1, 2, &w.entries[1])
		}, []string{"slot 1 entry 3"}, nil},
		{"one in the middle was taken out", func(w *world) { cut(w, 2, 1) }, []string{"slot 1 entry 4"}, nil},
		{"one was taken out and the rest renumbered", func(w *world) {
			cut(w, 2, 1)
			w.links[2].N, w.links[3].N = 3, 4
		}, []string{"slot 1 entry 3", "slot 1 entry 4", "slot 1 entry 4"}, []string{"slot 1 entry 4"}},
		{"the tail was cut off", func(w *world) { cut(w, 3, 2) }, []string{"slot 1 entry 3"}, []string{"slot 1 entry 4"}},
		{"the tail was cut off together with its head", func(w *world) {
			cut(w, 3, 2)
			w.heads[1] = campaigns.ChainHead{N: 3, Hash: w.links[2].Hash}
		}, nil, []string{"slot 1 entry 4"}},
		{"what nobody was told of was cut off with its head", func(w *world) { // nothing can tell
			cut(w, 4, 1)
			w.heads[1] = campaigns.ChainHead{N: 4, Hash: w.links[3].Hash}
		}, nil, nil},
		{"the whole slot was written anew", func(w *world) {
			anew := &world{}
			for n := range 5 {
				anew.book(1, capture(n, "hill", 100))
			}
			copy(w.links, anew.links)
			copy(w.entries, anew.entries)
			w.heads[1] = anew.heads[1]
		}, nil, []string{"slot 1 entry 4"}},
		{"a slot is gone", func(w *world) { cut(w, 5, 2); delete(w.heads, 2) }, nil, []string{"slot 2 entry 2"}},
		{"a head is gone", func(w *world) { delete(w.heads, 2) }, []string{"slot 2 entry 2"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := chained()
			c.do(w)
			report := w.run(t, Config{})
			for check, ids := range map[string][]string{"chain": c.chain, "chain-told": c.told} {
				want := Holds
				if ids != nil {
					want = Broken
				}
				wantResult(t, result(t, report, check), want, ids...)
			}
		})
	}
}

func TestRebuild_CountsWhatStandsAndWhatTheJournalOwes(t *testing.T) {
	one, two := gift("key-number-one-00"), gift("key-number-two-00") // river 300, school 200 each
	w := &world{first: 1, rows: []envelope.Donation{one, two}, failed: map[ingest.ID]bool{two.ID: true}, slots: []campaigns.SlotRow{
		{Campaign: "river", Currency: "USD", PledgedMinor: 340, RaisedMinor: 307, Donations: 2, Version: 3},
		{Campaign: "school", Currency: "USD", PledgedMinor: 200, RaisedMinor: 3, Donations: 1, Version: 1},
	}}
	w.book(1, capture(1, "river", 270))
	cheque := capture(2, "river", 50)
	cheque.Kind = journal.OfflineGift
	w.book(1, cheque)
	less := capture(3, "river", -10)
	less.Kind, less.Ref = journal.Correction, "correction:1"
	w.book(1, less)
	w.book(1, journal.Entry{Kind: journal.Correction, Ref: "refund_split:re_1", OccurredAt: noon, Postings: []journal.Posting{
		{Account: journal.Gifts("river"), Currency: "USD", AmountMinor: 3}, {Account: journal.Gifts("school"), Currency: "USD", AmountMinor: -3},
	}})
	wantResult(t, result(t, w.run(t, Config{Rebuild: true}), "rebuild"), Holds)
	w.failed = nil
	wantResult(t, result(t, w.run(t, Config{Rebuild: true}), "rebuild"), Broken, "river USD", "school USD")
	w.failed = map[ingest.ID]bool{two.ID: true}
	w.entries = w.entries[:2]
	wantResult(t, result(t, w.run(t, Config{Rebuild: true}), "rebuild"), Broken, "river USD", "school USD")
}
