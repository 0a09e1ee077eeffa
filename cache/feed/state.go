package feed

import (
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/money"
)

// Verdict is what became of a frame or a snapshot.
type Verdict uint8

// The verdicts.
const (
	Ignored  Verdict = iota // of a lower epoch or term, or of no book
	Repeated                // of the current term, and nothing in it was missing
	Applied                 // in order: its claim counts
	Gap                     // frames are missing before it: the slot stands still, read its snapshot
	Held                    // its slot stands still already: its rows count, its claim waits
	Joined                  // a snapshot that made its slot complete
	Short                   // a snapshot that ends before the gap does: read a newer one
)

var verdictNames = [...]string{"ignored", "repeated", "applied", "gap", "held", "joined", "short"}

// String names the verdict as metrics label it.
func (v Verdict) String() string { return verdictNames[v] }

// State is what the frames and snapshots seen so far add up to. It is a pure
// state machine: it reads no clock, does no I/O and starts nothing.
//
// Rows are absolute values that were committed, each with a version: they are
// merged from whatever brings them, the newer version winning, so that sums never
// go back. Only the claim (counted_through) needs order: it counts when every frame
// before it is held.
//
// A State belongs to one goroutine at a time.
type State struct {
	books map[ledger.Book]*book
}

type book struct {
	heard   bool
	epoch   int64
	slots   map[int32]*slot
	sums    map[key]sum
	changed map[string]struct{} // slugs since the last TakeChanged
	asOf    time.Time
	// floor is the greatest as_of of the epochs before, and prior the last of them that
	// had one: until this epoch is as far, it knows less than was known.
	floor time.Time
	prior int64
	// missing are slots of the epochs before that have not spoken in this one: a restore
	// has each of them published anew.
	missing map[int32]struct{}
}

// sum is the sum of one (campaign, currency) over the slots of a book.
type sum struct {
	pledged, raised, donations, version int64
}

// NewState returns a State that has heard nothing.
func NewState() *State {
	s := &State{books: map[ledger.Book]*book{}}
	for _, b := range ledger.Books {
		s.books[b] = &book{slots: map[int32]*slot{}, sums: map[key]sum{}, changed: map[string]struct{}{}, missing: map[int32]struct{}{}}
	}
	return s
}

// Apply takes in a frame. reset says that the book's epoch rose with it: every
// total of the book starts anew and every slot's snapshot must be read again.
// A frame whose slot is standing still afterwards has the verdict Gap or Held.
func (s *State) Apply(f *campaigns.Frame) (v Verdict, reset bool) {
	b, reset, ok := s.enter(&f.FrameHead)
	if !ok || f.Number < 1 {
		return Ignored, reset
	}
	sl, known := b.slots[f.Slot]
	if known && f.Term < sl.term {
		return Ignored, reset
	}
	if !known {
		sl = &slot{rows: map[key]campaigns.SlotRow{}}
		b.slots[f.Slot] = sl
	}
	fresh := !known || f.Term > sl.term
	if fresh {
		sl.begin(f.Term)
	}
	b.merge(sl, f.Rows)
	v = sl.hear(&f.FrameHead, fresh)
	b.advance()
	return v, reset
}

// Restore takes in a snapshot. reset is as in Apply. The verdict Short says that
// the slot still stands still.
func (s *State) Restore(sn *campaigns.Snapshot) (v Verdict, reset bool) {
	b, reset, ok := s.enter(&sn.FrameHead)
	if !ok || sn.Number < 0 {
		return Ignored, reset
	}
	sl, known := b.slots[sn.Slot]
	if known && sn.Term < sl.term {
		return Ignored, reset
	}
	if !known {
		sl = &slot{rows: map[key]campaigns.SlotRow{}}
		b.slots[sn.Slot] = sl
	}
	if !known || sn.Term > sl.term {
		sl.begin(sn.Term)
	}
	b.merge(sl, sn.Rows)
	v = Short
	if sl.join(&sn.FrameHead) {
		v = Joined
	}
	b.advance()
	return v, reset
}

// enter finds the head's book; ok is false when there is none or the epoch is
// lower than the book's.
func (s *State) enter(h *campaigns.FrameHead) (b *book, reset, ok bool) {
	b = s.books[h.Book]
	if b == nil || b.heard && h.Epoch < b.epoch {
		return nil, false, false
	}
	if !b.heard || h.Epoch > b.epoch {
		if b.asOf.After(b.floor) {
			b.floor, b.prior = b.asOf, b.epoch
		}
		b.heard, b.epoch, reset = true, h.Epoch, true
		for k := range b.sums {
			b.changed[k.campaign] = struct{}{}
		}
		for n := range b.slots {
			b.missing[n] = struct{}{}
		}
		clear(b.slots)
		clear(b.sums)
		// A claim of the epoch before says nothing of the restored ledger.
		b.asOf = time.Time{}
	}
	delete(b.missing, h.Slot)
	return b, reset, true
}

// merge takes in rows, the newer version winning.
func (b *book) merge(sl *slot, rows []campaigns.SlotRow) {
	for i := range rows {
		r := &rows[i]
		k := key{r.Campaign, r.Currency}
		old := sl.rows[k]
		if r.Version <= old.Version {
			continue
		}
		sl.rows[k] = *r
		t := b.sums[k]
		t.pledged += r.PledgedMinor - old.PledgedMinor
		t.raised += r.RaisedMinor - old.RaisedMinor
		t.donations += r.Donations - old.Donations
		t.version += r.Version - old.Version
		b.sums[k] = t
		b.changed[k.campaign] = struct{}{}
	}
}

// advance moves as_of to the least claim of the slots that are not closed. It
// never goes back: what was claimed once stays held. Without an open slot nobody
// claims anything, and it stands.
func (b *book) advance() {
	var least time.Time
	open := false
	for _, sl := range b.slots {
		if sl.closed {
			continue
		}
		if !open || sl.through.Before(least) {
			least = sl.through
		}
		open = true
	}
	b.asOf = later(b.asOf, least)
}

// SlotKey names a slot across books.
type SlotKey struct {
	Book ledger.Book
	Slot int32
}

// Total is the campaign's total in its currency; zero numbers when nothing was
// given to it. Version is 0 then.
func (s *State) Total(in ledger.Book, campaign string, currency money.Currency) campaigns.Total {
	t := campaigns.Total{Campaign: campaign, Currency: currency}
	b := s.books[in]
	if b == nil {
		return t
	}
	t.Epoch = b.epoch
	n := b.sums[key{campaign, currency}]
	t.PledgedMinor, t.RaisedMinor, t.Donations, t.Version = n.pledged, n.raised, n.donations, n.version
	return t
}

// Behind tells whether the book's epoch knows less than an epoch before did: some of its
// slots have not spoken yet, or its restored ledger has not replayed up to where the
// totals of before were complete. prior is the epoch of those. Nothing is behind where
// nothing was claimed before.
func (s *State) Behind(in ledger.Book) (prior int64, behind bool) {
	b := s.books[in]
	return b.prior, !b.floor.IsZero() && (len(b.missing) > 0 || b.asOf.Before(b.floor))
}

// AsOf is the time up to which the book's totals are complete; zero when nothing
// is claimed yet.
func (s *State) AsOf(in ledger.Book) time.Time { return s.books[in].asOf }

// TakeChanged appends the campaigns of the book whose sums changed since the last
// call, in no order, and forgets them.
func (s *State) TakeChanged(in ledger.Book, dst []string) []string {
	b := s.books[in]
	for slug := range b.changed {
		dst = append(dst, slug)
	}
	clear(b.changed)
	return dst
}

// MarkChanged has the campaign among those that TakeChanged returns next.
func (s *State) MarkChanged(in ledger.Book, campaign string) {
	s.books[in].changed[campaign] = struct{}{}
}

// Heard tells whether anything was heard of the book.
func (s *State) Heard(in ledger.Book) bool { return s.books[in].heard }

// Slots is the number of known slots of a book, closed ones included.
func (s *State) Slots(in ledger.Book) int { return len(s.books[in].slots) }

// Standing appends the slots of a book that wait for a snapshot, in no order.
func (s *State) Standing(in ledger.Book, dst []int32) []int32 {
	for n, sl := range s.books[in].slots {
		if sl.standing {
			dst = append(dst, n)
		}
	}
	return dst
}
