package trace

import "math/bits"

// strata deals the numbers 0 to n-1 out in an order that a seed draws, each once. What
// is drawn by such a number, with chance inside of it, has the quantiles that it should
// have to within one part in n, whatever the seed is: a day of a few thousand gifts is no
// sample that misses its rich donors, or has twice as many.
type strata struct {
	n, mask uint64
	shift   uint
	factors [strataRounds]uint64
	addends [strataRounds]uint64
}

// strataRounds are enough for neighbours to have nothing to do with each other.
const strataRounds = 4

// newStrata is for n of 1 or more.
func newStrata(n, seed uint64) *strata {
	width := uint(bits.Len64(n - 1))
	s := &strata{n: n, mask: 1<<width - 1, shift: width/2 + 1}
	for i := range s.factors {
		s.factors[i] = mix(seed+uint64(2*i)) | 1 // odd, so that no two numbers meet
		s.addends[i] = mix(seed + uint64(2*i+1))
	}
	return s
}

// at is the number that comes in this place, both from 0 to n-1.
func (s *strata) at(place uint64) uint64 {
	// A permutation of the next power of two; what falls outside of n goes on along its
	// cycle, which comes back inside after less than two steps in the mean.
	for {
		for i := range s.factors {
			place = (place*s.factors[i] + s.addends[i]) & s.mask
			place ^= place >> s.shift
		}
		if place < s.n {
			return place
		}
	}
}
