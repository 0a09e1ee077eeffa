package postgres_test

import (
	"errors"
	"testing"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/postgres"
)

// slotTold is what a lease's slot tells the world when it is published whole.
func slotTold(t testing.TB, book *postgres.Book, lease ledger.Lease) *campaigns.Snapshot {
	t.Helper()
	rows, chain, err := book.Slots(t.Context(), lease)
	if err != nil {
		t.Fatal(err)
	}
	return &campaigns.Snapshot{FrameHead: campaigns.FrameHead{Book: lease.Book, Slot: lease.Slot, Epoch: lease.Epoch, Term: lease.Term, Chain: chain}, Rows: rows}
}

func TestRestore_BeginsAnEpochInWhichEverySlotIsAdopted(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	if _, _, err := book.Record(t.Context(), lease, gifts("kept", 3, "harbour"), nil); err != nil {
		t.Fatal(err)
	}
	closed, err := book.Acquire(t.Context(), "closed in order", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Release(t.Context(), closed); err != nil {
		t.Fatal(err)
	}
	// The world knows of a slot that was made after the backup, and of a later epoch: this
	// is not the first restore from it.
	told := []*campaigns.Snapshot{
		{FrameHead: campaigns.FrameHead{Book: ledger.Live, Slot: 1, Epoch: 4, Term: 9}},
		{FrameHead: campaigns.FrameHead{Book: ledger.Live, Slot: 7, Epoch: 4, Term: 2}},
		{FrameHead: campaigns.FrameHead{Book: ledger.Rehearsal, Slot: 3, Epoch: 1, Term: 1}},
	}
	now := time.Now().UTC()
	if err := book.NotePositions(t.Context(), []ledger.Position{{Stream: "A", MadeAt: now, Sequence: 1}}); err != nil {
		t.Fatal(err)
	}
	done, err := db.Restore(t.Context(), postgres.Restore{LostSince: now.Add(-time.Hour), ReplayTo: now, Told: told, Forget: now.Add(-time.Hour)})
	if err != nil || done.Epoch != 5 {
		t.Fatalf("%+v, %v", done, err)
	}
	if notes, err := book.Positions(t.Context(), time.Time{}); err != nil || len(notes) != 0 {
		t.Errorf("notes of after the loss: %v, %v", notes, err)
	}
	// Whoever held a lease is fenced, at once.
	if _, _, err := book.Record(t.Context(), lease, gifts("too late", 1, "harbour"), nil); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("recorded under a lease of before: %v", err)
	}
	if err := book.Renew(t.Context(), lease, time.Minute); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("renewed a lease of before: %v", err)
	}
	adopted, err := book.AdoptLapsed(t.Context(), "adopter", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	terms := map[int32]int64{}
	for _, l := range adopted {
		terms[l.Slot] = l.Term
		if l.Epoch != 5 {
			t.Errorf("adopted under %+v", l)
		}
	}
	if len(terms) != 3 || terms[1] != 11 || terms[closed.Slot] != closed.Term+2 || terms[7] != 4 {
		t.Errorf("adopted with the terms %v", terms)
	}
	if other, err := db.Book(ledger.Rehearsal).AdoptLapsed(t.Context(), "adopter", time.Minute); err != nil || len(other) != 1 || other[0].Slot != 3 {
		t.Errorf("the other book's: %v, %v", other, err)
	}
	for _, b := range ledger.Books {
		if n := count(t, url, "SELECT count(*) FROM "+b.Schema()+".restores WHERE epoch = 5 AND look_before > restored_at AND lost_since < restored_at"); n != 1 {
			t.Errorf("%d restores are noted in the %s book", n, b)
		}
	}
	fresh, err := book.Acquire(t.Context(), "afterwards", time.Minute)
	if err != nil || fresh.Epoch != 5 {
		t.Fatalf("%+v, %v", fresh, err)
	}
	if _, _, err := book.Record(t.Context(), fresh, gifts("kept", 4, "harbour"), nil); err != nil {
		t.Fatal(err)
	}
	if n := count(t, url, "SELECT sum(donations) FROM slots"); n != 4 {
		t.Errorf("totals count %d of 4", n)
	}
	again, err := db.Restore(t.Context(), postgres.Restore{LostSince: now, ReplayTo: now})
	if err != nil || again.Epoch != 6 {
		t.Errorf("a second restore: %+v, %v", again, err)
	}
}

func TestBehind_KnowsADatabaseThatIsOlderThanWhatItTold(t *testing.T) {
	db, _ := open(t)
	book, lease := leased(t, db)
	for _, name := range []string{"first", "second"} {
		if _, _, err := book.Record(t.Context(), lease, gifts(name, 2, "harbour"), nil); err != nil {
			t.Fatal(err)
		}
	}
	told := slotTold(t, book, lease)
	of := func(change func(*campaigns.Snapshot)) *campaigns.Snapshot {
		s := *told
		s.Rows = append([]campaigns.SlotRow(nil), told.Rows...)
		change(&s)
		return &s
	}
	for name, c := range map[string]struct {
		told   *campaigns.Snapshot
		behind bool
	}{
		"what it holds":            {told, false},
		"what it held before":      {of(func(s *campaigns.Snapshot) { s.Rows[0].Version--; s.Rows[0].Donations -= 2 }), false},
		"a term of before":         {of(func(s *campaigns.Snapshot) { s.Term--; s.Rows = nil }), false},
		"a version that it lost":   {of(func(s *campaigns.Snapshot) { s.Rows[0].Version++ }), true},
		"a campaign that it lost":  {of(func(s *campaigns.Snapshot) { s.Rows[0].Campaign = "lighthouse" }), true},
		"a term that it lost":      {of(func(s *campaigns.Snapshot) { s.Term++ }), true},
		"a slot that it lost":      {of(func(s *campaigns.Snapshot) { s.Slot = 9 }), true},
		"an entry that it lost":    {of(func(s *campaigns.Snapshot) { s.Chain.N = 1 }), true},
		"an epoch that it lost":    {of(func(s *campaigns.Snapshot) { s.Epoch++ }), true},
		"more, in an epoch before": {of(func(s *campaigns.Snapshot) { s.Epoch--; s.Term += 5; s.Rows[0].Version += 5 }), false},
		"another book's":           {of(func(s *campaigns.Snapshot) { s.Book = ledger.Rehearsal; s.Term += 5 }), false},
	} {
		err := book.Behind(t.Context(), []*campaigns.Snapshot{told, c.told})
		if errors.Is(err, postgres.ErrBehind) != c.behind || err != nil && !c.behind {
			t.Errorf("%s: %v", name, err)
		}
	}
}
