package consumer

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/money"
)

// writer is one tenure of a slot: the lease, the rows that changed and are not yet
// published, and the transactions that are under way. It ends with its lease; a
// later tenure is another writer, even of the same slot.
type writer struct {
	lease ledger.Lease

	mu    sync.Mutex
	over  bool
	ended chan struct{} // closed when over
	// asked is the latest watermark: everything acknowledged to donors before it
	// was recorded when it was asked for, at askedAt of the local clock or later.
	asked   time.Time
	askedAt time.Time
	flights map[*flight]struct{}
	dirty   map[rowKey]campaigns.SlotRow // newest row of each campaign, unpublished
	newsAt  time.Time                    // when a row was last added, or the tenure began; local clock
	number  int64                        // of the last frame that was tried
	claimed time.Time                    // CountedThrough of the last frame that was stored
	gap     bool                         // frame number may be missing: readers need a snapshot

	// snapshots makes one snapshot at a time, so that a later one is never
	// overwritten by an earlier one.
	snapshots sync.Mutex
}

type rowKey struct {
	campaign string
	currency money.Currency
}

// flight is a batch from before its first transaction until its rows are among the
// writer's dirty ones.
//
// While it is under way no frame may claim more than bound, the watermark that was
// asked for before it began. Whatever the flight records for the first time was in
// no message acknowledged before then, else it would have been recorded already; so
// all its messages were stored at bound or later, also those that other processes
// hold or acknowledge meanwhile.
type flight struct {
	bound time.Time
	// doubtful says that a transaction's answer was lost: it may have changed rows
	// that nobody returned. Only reading the settled slot tells.
	doubtful bool
	landed   bool
}

func newWriter(lease ledger.Lease) *writer {
	return &writer{lease: lease, ended: make(chan struct{}), flights: map[*flight]struct{}{}, dirty: map[rowKey]campaigns.SlotRow{}, newsAt: time.Now()}
}

// end says that the lease is lost or given back; it may be called repeatedly.
func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.over = true
		close(w.ended)
	}
}

// note ends the writer when err says that its lease was taken over, and returns err.
func (w *writer) note(err error) error {
	if errors.Is(err, ledger.ErrFenced) {
		w.end()
	}
	return err
}

func (w *writer) live() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.over
}

// asking notes that a watermark is asked for now.
func (w *writer) asking() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.askedAt = time.Now()
}

// knows tells whether the watermark, or one that is on its way, was asked for within
// age.
func (w *writer) knows(age time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.askedAt) < age
}

// learn takes a watermark.
func (w *writer) learn(asked time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = later(w.asked, asked)
}

// depart begins a flight, before its first transaction.
func (w *writer) depart() *flight {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &flight{bound: w.asked}
	w.flights[f] = struct{}{}
	return f
}

// carry takes rows that one of a flight's transactions returned, or whose
// publication failed. Of two rows of a campaign the newer one stays.
func (w *writer) carry(rows []campaigns.SlotRow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(rows)
}

func (w *writer) add(rows []campaigns.SlotRow) {
	if len(rows) > 0 {
		w.newsAt = time.Now()
	}
	for _, r := range rows {
		k := rowKey{r.Campaign, r.Currency}
		if r.Version > w.dirty[k].Version {
			w.dirty[k] = r
		}
	}
}

// land ends a flight: all its rows were carried. A doubtful one keeps its bound
// until resolve.
func (w *writer) land(f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.landed = true
	if !f.doubtful {
		delete(w.flights, f)
	}
}

// doubt notes that the outcome of one of the flight's transactions is not known.
func (w *writer) doubt(f *flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.doubtful = true
}

// news is what one tick publishes.
type news struct {
	rows    []campaigns.SlotRow
	through time.Time // what the last of its frames may claim
	doubts  []*flight // landed flights whose rows are not all known
}

// collect takes the unpublished rows, and says what may be claimed once they are
// published. asked must have been asked for before the call: a message acknowledged
// since then may have rows that are collected only next time.
func (w *writer) collect(asked time.Time) news {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = later(w.asked, asked)
	n := news{through: w.asked}
	for f := range w.flights {
		n.through = earlier(n.through, f.bound) // the own-held bound
		if f.landed {
			n.doubts = append(n.doubts, f)
		}
	}
	n.rows = make([]campaigns.SlotRow, 0, len(w.dirty))
	for _, r := range w.dirty {
		n.rows = append(n.rows, r)
	}
	clear(w.dirty)
	slices.SortFunc(n.rows, func(a, b campaigns.SlotRow) int {
		return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(a.Currency, b.Currency))
	})
	return n
}

// resolve ends doubtful flights with the rows of the whole slot, read after they
// had landed and settled.
func (w *writer) resolve(doubts []*flight, rows []campaigns.SlotRow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(rows)
	for _, f := range doubts {
		delete(w.flights, f)
	}
}

// attempt gives the next frame its number. Until stored is called readers may miss it.
func (w *writer) attempt() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.number++
	w.gap = true
	return w.number
}

// stored says that the last attempt is with the broker, and what it claimed.
func (w *writer) stored(claimed time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gap, w.claimed = false, claimed
}

// published returns the number of the last frame that was tried, what the last
// stored one claimed, and whether there may be a gap between them.
func (w *writer) published() (number int64, claimed time.Time, gap bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.number, w.claimed, w.gap
}

// restless tells whether there is something to publish before the idle frame's time.
func (w *writer) restless() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.dirty) > 0
}

// quiet tells whether there was no news for so long.
func (w *writer) quiet(now time.Time, after time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Sub(w.newsAt) >= after
}
