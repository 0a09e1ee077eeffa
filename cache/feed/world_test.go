package feed

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/money"
)

// world is a small honest ledger: donations stored by a broker, processes that
// fetch, commit, publish and die, a stream of frames, the last snapshot of every
// slot, and a reader. Time is a counter that every step moves.
type world struct {
	clock     int64
	donations []donation
	procs     []*process
	slots     map[int32]*dbSlot
	stream    []*campaigns.Frame
	snapshots map[int32]*campaigns.Snapshot

	state    *State
	cursor   int              // frames of stream delivered
	versions map[string]int64 // greatest seen by the reader
	asOf     time.Time        // likewise
}

type donation struct {
	stored   int64
	campaign string
	slot     int32 // that recorded it, 0 for none yet
	acked    bool
	fetched  bool // is in some process's hands
}

type dbSlot struct {
	rows map[string]campaigns.SlotRow
	term int64
	free bool // closed in order: may be leased again
}

type process struct {
	slot, number int64
	term         int64
	held         []int // fetched, not published
	committed    []int // those of held whose transaction is done
	dirty        map[string]campaigns.SlotRow
}

var worldCampaigns = []string{"a", "b", "c"}

func newWorld() *world {
	return &world{slots: map[int32]*dbSlot{}, snapshots: map[int32]*campaigns.Snapshot{},
		state: NewState(), versions: map[string]int64{}}
}

func at(clock int64) time.Time { return time.Unix(0, clock).UTC() }

func (w *world) donate(campaign string) {
	w.donations = append(w.donations, donation{stored: w.clock, campaign: campaign})
}

// head is what the process's next frame or its snapshot says of itself.
func (p *process) head(number int64) campaigns.FrameHead {
	return campaigns.FrameHead{Book: ledger.Live, Slot: int32(p.slot), Epoch: 1, Term: p.term, Number: number}
}

// open leases a slot, publishes its snapshot and its first frame, and only then
// lets the process fetch.
func (w *world) open(slot int32) {
	s := w.slots[slot]
	if s == nil {
		s = &dbSlot{rows: map[string]campaigns.SlotRow{}}
		w.slots[slot] = s
	}
	s.term, s.free = s.term+1, false
	p := &process{slot: int64(slot), term: s.term, dirty: map[string]campaigns.SlotRow{}}
	w.snapshot(p, false)
	w.tick(p, "stored")
	w.procs = append(w.procs, p)
}

func (w *world) fetch(p *process, n int) {
	for i := range w.donations {
		d := &w.donations[i]
		if n > 0 && !d.fetched && !d.acked {
			d.fetched = true
			p.held = append(p.held, i)
			n--
		}
	}
}

// commit records what was fetched; what is recorded already adds nothing.
func (w *world) commit(p *process) {
	for _, i := range p.held {
		if slices.Contains(p.committed, i) {
			continue
		}
		p.committed = append(p.committed, i)
		d := &w.donations[i]
		if d.slot != 0 {
			continue
		}
		d.slot = int32(p.slot)
		rows := w.slots[d.slot].rows
		r := rows[d.campaign]
		r.Campaign, r.Currency = d.campaign, "USD"
		r.PledgedMinor += 100
		r.Donations++
		r.Version++
		rows[d.campaign], p.dirty[d.campaign] = r, r
	}
}

// floor is the broker time of the first donation not acked, or now.
func (w *world) floor() int64 {
	for i := range w.donations {
		if !w.donations[i].acked {
			return w.donations[i].stored
		}
	}
	return w.clock
}

// tick publishes a frame. outcome is "stored", "lost" (its number is gone with it)
// or "unknown" (stored, but the process does not know and keeps its rows).
func (w *world) tick(p *process, outcome string) {
	through := w.floor()
	for _, i := range p.held {
		if !slices.Contains(p.committed, i) {
			through = min(through, w.donations[i].stored)
		}
	}
	p.number++
	f := &campaigns.Frame{FrameHead: p.head(p.number)}
	f.CountedThrough = at(through)
	for _, c := range slices.Sorted(maps.Keys(p.dirty)) {
		f.Rows = append(f.Rows, p.dirty[c])
	}
	if outcome != "lost" {
		w.stream = append(w.stream, f)
	}
	if outcome != "stored" {
		w.snapshot(p, false)
		return
	}
	clear(p.dirty)
	for _, i := range p.committed {
		w.donations[i].acked = true
	}
	p.held = slices.DeleteFunc(p.held, func(i int) bool { return slices.Contains(p.committed, i) })
	p.committed = nil
}

func (w *world) snapshot(p *process, closed bool) {
	sn := &campaigns.Snapshot{FrameHead: p.head(p.number)}
	sn.Closed = closed
	// A snapshot's own claim is nothing that a reader may use: make it a lie.
	sn.CountedThrough = at(w.clock + 1000)
	for _, c := range slices.Sorted(maps.Keys(w.slots[int32(p.slot)].rows)) {
		sn.Rows = append(sn.Rows, w.slots[int32(p.slot)].rows[c])
	}
	w.snapshots[sn.Slot] = sn
}

// end closes the process's slot in order, everything committed and published.
func (w *world) end(p *process) {
	w.commit(p)
	w.tick(p, "stored")
	w.finish(p)
}

// finish publishes the closing snapshot and frame of a term.
func (w *world) finish(p *process) {
	w.snapshot(p, true)
	through := w.floor()
	p.number++
	f := &campaigns.Frame{FrameHead: p.head(p.number)}
	f.Closed, f.CountedThrough = true, at(through)
	w.stream = append(w.stream, f)
	w.slots[int32(p.slot)].free = true
	w.forget(p)
}

func (w *world) forget(p *process) {
	w.procs = slices.DeleteFunc(w.procs, func(q *process) bool { return q == p })
}

// die loses everything in the process's memory; the broker delivers again what it
// had fetched.
func (w *world) die(p *process) {
	for _, i := range p.held {
		w.donations[i].fetched = false
	}
	w.forget(p)
}

// orphans are slots that nobody holds and that were not closed.
func (w *world) orphans() (slots []int32) {
	for _, n := range slices.Sorted(maps.Keys(w.slots)) {
		held := slices.ContainsFunc(w.procs, func(p *process) bool { return p.slot == int64(n) })
		if !w.slots[n].free && !held {
			slots = append(slots, n)
		}
	}
	return slots
}

// adopt takes over a dead process's slot: term up, snapshot, closing frame.
func (w *world) adopt(slot int32) {
	w.slots[slot].term++
	w.finish(&process{slot: int64(slot), term: w.slots[slot].term})
}

// deliver gives the reader the next frame of the stream.
func (w *world) deliver() {
	w.state.Apply(w.stream[w.cursor])
	w.cursor++
}

// mend reads the snapshots of slots that stand still.
func (w *world) mend() {
	for _, n := range w.state.Standing(ledger.Live, nil) {
		w.state.Restore(w.snapshots[n])
	}
}

// restart is a new front-end: all snapshots, then the frames that are kept.
func (w *world) restart(from int) {
	w.state, w.cursor = NewState(), from
	w.versions, w.asOf = map[string]int64{}, time.Time{}
	w.reread()
}

// reread is what a reader does before it goes on after a silence.
func (w *world) reread() {
	for _, n := range slices.Sorted(maps.Keys(w.snapshots)) {
		w.state.Restore(w.snapshots[n])
	}
}

// check holds the reader's view against the truth.
func (w *world) check(fail func(format string, args ...any)) {
	asOf := w.state.AsOf(ledger.Live)
	if asOf.Before(w.asOf) {
		fail("as_of went back from %d to %d", w.asOf.UnixNano(), asOf.UnixNano())
	}
	w.asOf = asOf
	for _, c := range worldCampaigns {
		total := w.state.Total(ledger.Live, c, "USD")
		if total.Version < w.versions[c] {
			fail("%s: version went back from %d to %d", c, w.versions[c], total.Version)
		}
		w.versions[c] = total.Version
		var claimed, recorded int64
		for _, d := range w.donations {
			if d.campaign != c {
				continue
			}
			if !asOf.IsZero() && d.stored < asOf.UnixNano() {
				claimed++
			}
			if d.slot != 0 {
				recorded++
			}
		}
		if total.Donations < claimed {
			fail("%s: as_of %d claims %d donations, %d are inside", c, asOf.UnixNano(), claimed, total.Donations)
		}
		if total.Donations > recorded || total.PledgedMinor != 100*total.Donations {
			fail("%s: %+v, recorded %d", c, total, recorded)
		}
	}
}

// settle ends all processes and brings the reader up to everything; then totals
// are exact and nothing that was stored is outside as_of.
func (w *world) settle(fail func(format string, args ...any)) {
	for len(w.procs) > 0 {
		w.die(w.procs[0])
	}
	for _, n := range w.orphans() {
		w.adopt(n)
	}
	w.clock++
	w.open(99)
	p := w.procs[0]
	w.fetch(p, len(w.donations))
	w.commit(p)
	w.tick(p, "stored")
	w.clock++
	w.tick(p, "stored")
	for w.cursor < len(w.stream) {
		w.deliver()
		w.mend()
		w.check(fail)
	}
	if got := w.state.AsOf(ledger.Live); got.UnixNano() != w.clock {
		fail("as_of is %v after everything was applied at %d", got.UnixNano(), w.clock)
	}
	want := map[string]int64{}
	for _, d := range w.donations {
		want[d.campaign]++
	}
	for _, c := range worldCampaigns {
		if got := w.state.Total(ledger.Live, c, money.Currency("USD")); got.Donations != want[c] {
			fail("%s: %d donations, want %d", c, got.Donations, want[c])
		}
	}
}

// choose draws one of all; it skips the step when there is none.
func choose[T any](t *rapid.T, all []T, label string) T {
	if len(all) == 0 {
		t.Skip("nothing to choose")
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(t, label)]
}

func (w *world) String() string {
	return fmt.Sprintf("clock %d, %d donations, %d processes, %d frames, %d delivered",
		w.clock, len(w.donations), len(w.procs), len(w.stream), w.cursor)
}
