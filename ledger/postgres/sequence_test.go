package postgres

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSequence_GivesEachNumberOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s sequence
		given, drawn := map[int64]bool{}, int64(0)
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 3*BlockSize)).Draw(t, "takes") {
			for range s.missing(n) {
				s.add(1 + drawn*BlockSize)
				drawn++
			}
			blocks, ok := s.take(n)
			if !ok {
				t.Fatalf("no %d numbers after adding what was missing", n)
			}
			got := 0
			for _, b := range blocks {
				for i := b.next; i < b.end; i++ {
					if given[i] || i < 1 || i > drawn*BlockSize {
						t.Fatalf("number %d given twice or never drawn", i)
					}
					given[i] = true
					got++
				}
			}
			if got != n {
				t.Fatalf("%d numbers instead of %d", got, n)
			}
		}
		if waste := drawn*BlockSize - int64(len(given)); waste >= 2*BlockSize {
			t.Fatalf("%d numbers drawn for nothing", waste)
		}
	})
}
