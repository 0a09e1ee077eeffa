package postgres_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"spillway/ingest/envelope"
	"spillway/ledger"
)

func sortByID(donations []*envelope.Donation) []*envelope.Donation {
	return slices.SortedFunc(slices.Values(donations), func(a, b *envelope.Donation) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

func TestRecord_RedeliveredBatchAddsNothing(t *testing.T) {
	db, _ := open(t)
	book, lease := leased(t, db)
	var batch []*envelope.Donation
	for i := range 100 {
		batch = append(batch, gift(fmt.Sprint("key number ", i), "river-school", "harbour"))
	}
	rows, counts, err := book.Record(t.Context(), lease, sortByID(batch), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (ledger.Counts{New: 100}); counts != want {
		t.Errorf("first delivery: got %+v, want %+v", counts, want)
	}
	if len(rows) != 2 || rows[0].Campaign != "harbour" || rows[0].PledgedMinor != 100_000 || rows[0].Donations != 100 || rows[0].Version != 1 || rows[0].Currency != "USD" {
		t.Errorf("first delivery changed %+v", rows)
	}
	rows, counts, err = book.Record(t.Context(), lease, sortByID(batch), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (ledger.Counts{Repeats: 100}); counts != want || len(rows) != 0 {
		t.Errorf("redelivery: got %+v and rows %+v, want %+v and none", counts, rows, want)
	}
}
