package postgres

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"spillway/deploy/onebox/pgtest"
	"spillway/ledger"
	"spillway/ledger/journal"
	paymentsdb "spillway/ledger/payments/postgres"
	ledgerdb "spillway/ledger/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rig is a migrated database whose journal is written by those who write it.
type rig struct {
	*Journal
	url   string
	book  *paymentsdb.Book
	lease ledger.Lease
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{url: pgtest.URL(t)}
	recording, err := ledgerdb.Open(ledgerdb.Config{URL: r.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(recording.Close)
	if err := recording.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.lease, err = recording.Book(ledger.Live).Acquire(t.Context(), "test", time.Hour); err != nil {
		t.Fatal(err)
	}
	paying, err := paymentsdb.Open(paymentsdb.Config{URL: r.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(paying.Close)
	r.book = paying.Book(ledger.Live)
	db, err := Open(r.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	r.Journal = db.Book(ledger.Live)
	return r
}

func (r *rig) post(t *testing.T, entries ...journal.Entry) {
	t.Helper()
	if _, err := r.book.Post(t.Context(), r.lease, entries); err != nil {
		t.Fatal(err)
	}
}

// refs collects the refs of what is visited.
func refs(into *[]string) func(*journal.Entry) error {
	return func(e *journal.Entry) error {
		*into = append(*into, e.Ref)
		return nil
	}
}

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// gift is an offline gift; who gave it does not matter here.
func gift(id byte, campaign string, minutes int) journal.Entry {
	return journal.NewOfflineGift([16]byte{15: id}, campaign, 100+int64(id), "USD", at(minutes), "ann", "a cheque")
}

const giftRef = "offline:0000000000000000000000000000000"

func TestJournal_EntriesAsTheyWereBooked(t *testing.T) {
	r := newRig(t)
	booked := []journal.Entry{gift(1, "a", 0), gift(2, "b", 5), journal.NewPayout("po_1", 700, "JPY", at(10)), gift(3, "a", 20)}
	r.post(t, booked...)
	var got []journal.Entry
	err := r.Entries(t.Context(), at(0), at(20), func(e *journal.Entry) error {
		kept := *e
		kept.Postings = slices.Clone(e.Postings)
		got = append(got, kept)
		return nil
	})
	if err != nil || len(got) != 3 {
		t.Fatalf("%d entries in [since, until), want 3: %v", len(got), err)
	}
	for i := range got {
		// The chain's hash covers every field.
		if journal.Hash([32]byte{}, 1, 1, &got[i]) != journal.Hash([32]byte{}, 1, 1, &booked[i]) {
			t.Errorf("read %+v, booked %+v", got[i], booked[i])
		}
	}
}

func TestJournal_Campaign(t *testing.T) {
	r := newRig(t)
	r.post(t, gift(3, "a", 20), gift(1, "a", 0), gift(2, "ab", 5), journal.NewPayout("po_1", 700, "JPY", at(10)))
	for campaign, want := range map[string]string{"a": "1 3", "ab": "2", "": "1 2 3", "c": ""} {
		var got []string
		if err := r.Campaign(t.Context(), campaign, at(0), at(30), refs(&got)); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], giftRef)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("campaign %q: %v, want %s", campaign, got, want)
		}
	}
}

func TestJournal_Find(t *testing.T) {
	r := newRig(t)
	r.post(t, gift(1, "a", 0), gift(2, "b", 5))
	found, err := r.Find(t.Context(), []string{giftRef + "1", giftRef + "2", "capture:ch_1"})
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	for id, campaign := range map[string]string{"1": "a", "2": "b"} {
		if e := found[giftRef+id]; e == nil || e.Postings[1].Account != journal.Gifts(campaign) || e.Reason != "a cheque" {
			t.Errorf("%s: %+v", id, e)
		}
	}
}

// TestJournal_NewsComeOnce, from where the watch begins, and again from where a
// visitor gave up.
func TestJournal_NewsComeOnce(t *testing.T) {
	r := newRig(t)
	r.post(t, gift(1, "a", 0), gift(2, "a", 0))
	news := func(place map[int32]int64, since time.Time) (got []string) {
		t.Helper()
		if err := r.News(t.Context(), since, place, refs(&got)); err != nil {
			t.Fatal(err)
		}
		return got
	}
	place := map[int32]int64{}
	if got := news(place, time.Now().Add(-time.Hour)); len(got) != 2 || got[0] != giftRef+"1" {
		t.Fatalf("%v", got)
	}
	if got := news(place, noon); len(got) != 0 {
		t.Fatalf("%v come twice", got)
	}
	r.post(t, gift(3, "a", 0), gift(4, "a", 0), gift(5, "a", 0))
	enough := errors.New("enough")
	seen := 0
	err := r.News(t.Context(), noon, place, func(*journal.Entry) error {
		if seen++; seen == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || errors.Is(err, ledger.ErrUnavailable) {
		t.Fatal(err)
	}
	if got := news(place, noon); len(got) != 2 || got[0] != giftRef+"4" {
		t.Fatalf("after giving up at 4: %v", got)
	}
	late := map[int32]int64{}
	if got := news(late, time.Now().Add(time.Hour)); len(got) != 0 || !maps.Equal(late, place) {
		t.Fatalf("a watch that begins later reads %v", got)
	}
}

func TestJournal_ChangesNothing(t *testing.T) {
	r := newRig(t)
	if _, err := r.pool.Exec(t.Context(), "INSERT INTO chain_heads (slot, n, hash) VALUES (99, 1, '')"); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a write is not refused: %v", err)
	}
}

func TestJournal_AwayIsUnavailable(t *testing.T) {
	db, err := Open("postgres://nobody@127.0.0.1:1/none?connect_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Book(ledger.Live).News(context.Background(), noon, map[int32]int64{}, refs(new([]string))); !errors.Is(err, ledger.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := Open("postgres://user:secret@[broken"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
