package postgres_test

import (
	"testing"
	"time"

	"spillway/ledger"
)

func TestPositions_TheFurtherNoteOfAnHourStays(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	made := time.Date(2026, 11, 23, 9, 0, 0, 123456789, time.UTC)
	note := func(positions ...ledger.Position) {
		t.Helper()
		if err := book.NotePositions(t.Context(), positions); err != nil {
			t.Fatal(err)
		}
	}
	want := func(before time.Time, sequences map[string]uint64) {
		t.Helper()
		got, err := book.Positions(t.Context(), before)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(sequences) {
			t.Errorf("%d notes before %v, want %d", len(got), before, len(sequences))
		}
		for stream, sequence := range sequences {
			if got[stream].Sequence != sequence || got[stream].Stream != stream {
				t.Errorf("%s before %v: %+v, want %d", stream, before, got[stream], sequence)
			}
		}
	}
	want(time.Time{}, nil)
	note(ledger.Position{Stream: "A", MadeAt: made, Sequence: 10}, ledger.Position{Stream: "B", MadeAt: made})
	note(ledger.Position{Stream: "A", MadeAt: made, Sequence: 20})
	note(ledger.Position{Stream: "A", MadeAt: made, Sequence: 15}) // another process, asked a moment before
	want(time.Time{}, map[string]uint64{"A": 20, "B": 0})
	if got, err := book.Positions(t.Context(), time.Time{}); err != nil || !got["A"].MadeAt.Equal(made.Truncate(time.Microsecond)) || got["A"].NotedAt.IsZero() {
		t.Errorf("%+v, %v", got["A"], err)
	}
	if other, err := db.Book(ledger.Rehearsal).Positions(t.Context(), time.Time{}); err != nil || len(other) != 0 {
		t.Errorf("the other book has %v, %v", other, err)
	}
	// The notes of earlier hours stay: they are for a loss that was noticed late.
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), "UPDATE stream_positions SET hour = hour - interval '3 hours', noted_at = noted_at - interval '3 hours'"); err != nil {
		t.Fatal(err)
	}
	note(ledger.Position{Stream: "A", MadeAt: made, Sequence: 99})
	want(time.Time{}, map[string]uint64{"A": 99, "B": 0})
	want(time.Now().Add(-time.Hour), map[string]uint64{"A": 20, "B": 0})
	want(time.Now().Add(-4*time.Hour), nil)
	// A stream that was made anew counts from one again.
	note(ledger.Position{Stream: "A", MadeAt: made.Add(time.Hour), Sequence: 3})
	want(time.Time{}, map[string]uint64{"A": 3, "B": 0})
}
