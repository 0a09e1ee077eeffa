package trace

import (
	"testing"

	"pgregory.net/rapid"
)

func TestStrata_DealEachNumberOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 5000).Draw(t, "n")
		s := newStrata(n, rapid.Uint64().Draw(t, "seed"))
		seen := make([]bool, n)
		for place := range n {
			number := s.at(place)
			if number >= n || seen[number] {
				t.Fatalf("place %d has %d of %d, again or beyond", place, number, n)
			}
			seen[number] = true
		}
	})
}

// The rich ones do not all come in the morning: each tenth of the places has about a
// tenth of the highest tenth of the numbers.
func TestStrata_AreMixed(t *testing.T) {
	t.Parallel()
	const n = 10_000
	for seed := range uint64(50) {
		s := newStrata(n, seed)
		var tenths [10]int
		for place := range uint64(n) {
			if s.at(place) >= n-n/10 {
				tenths[place*10/n]++
			}
		}
		for i, got := range tenths {
			if got < 40 || got > 160 { // 100 expected, six standard deviations
				t.Errorf("seed %d: tenth %d has %d of the %d highest", seed, i, got, n/10)
			}
		}
	}
}
