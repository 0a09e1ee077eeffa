package verify

import (
	"testing"

	"pgregory.net/rapid"
)

func TestMarks_HoldWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Small numbers meet often; large ones lie in pages of their own.
		number := rapid.OneOf(rapid.Int64Range(0, 200), rapid.Int64Range(marksPageRows-3, marksPageRows+3), rapid.Int64Range(0, 1<<62))
		m, want := newMarks(), map[int64]bool{}
		for _, n := range rapid.SliceOf(number).Draw(t, "added") {
			m.add(n)
			want[n] = true
		}
		if m.count != int64(len(want)) {
			t.Fatalf("count %d, want %d", m.count, len(want))
		}
		for _, n := range append(rapid.SliceOf(number).Draw(t, "asked"), 0) {
			if m.has(n) != want[n] {
				t.Fatalf("has(%d) = %v", n, m.has(n))
			}
		}
		for n := range want {
			if !m.has(n) {
				t.Fatalf("lost %d", n)
			}
		}
	})
}
