package payments

import (
	"math/bits"
	"slices"
)

// allocation says what all refunds and lost disputes of the captured charge took
// from where. It is a function of the set of them, whatever order they came in, so
// that the books end up the same: an entry's postings are the difference between the
// allocation before it and after it.
type allocation struct {
	refunded, lost []int64 // by line
	cover          int64   // of the covered fee
	excess         int64   // beyond the gift: on the suspense account
}

// allocate computes the payment's allocation: first what commands asked of each
// line, then the rest of the refunds pro rata, then lost disputes pro rata.
func allocate(p *Payment) allocation {
	a := allocation{refunded: make([]int64, len(p.Lines)), lost: make([]int64, len(p.Lines))}
	if p.Charge == "" {
		return a
	}
	var unsplit, lost int64
	for i := range p.Refunds {
		r := &p.Refunds[i]
		if !p.isMain(r.Charge) || !r.Status.standing() {
			continue
		}
		rest := r.AmountMinor
		if len(r.Lines) == len(p.Lines) && len(r.Lines) > 0 {
			for l, asked := range r.Lines {
				took := min(asked, p.Lines[l].AmountMinor-a.refunded[l])
				a.refunded[l] += took
				rest -= took
				unsplit += asked - took
				rest -= asked - took
			}
			took := min(rest, p.FeeCoverMinor-a.cover)
			a.cover += took
			rest -= took
		}
		unsplit += rest
	}
	for i := range p.Disputes {
		if d := &p.Disputes[i]; p.isMain(d.Charge) && d.Status == DisputeLost {
			lost += d.AmountMinor
		}
	}
	a.take(p, unsplit, a.refunded)
	a.take(p, lost, a.lost)
	return a
}

// take spreads minor over what is left of the lines and the covered fee; what they
// cannot bear is excess.
func (a *allocation) take(p *Payment, minor int64, lines []int64) {
	if minor == 0 {
		return
	}
	left := a.left(p)
	parts := apportion(minor, left)
	for l := range lines {
		lines[l] += parts[l]
		minor -= parts[l]
	}
	a.cover += parts[len(lines)]
	a.excess += minor - parts[len(lines)]
}

// left is what is left of each line, and of the covered fee as the last one.
func (a *allocation) left(p *Payment) []int64 {
	left := make([]int64, len(p.Lines)+1)
	for l := range p.Lines {
		left[l] = p.Lines[l].AmountMinor - a.refunded[l] - a.lost[l]
	}
	left[len(p.Lines)] = p.FeeCoverMinor - a.cover
	return left
}

// taken is what the allocation took of a line in all.
func (a *allocation) taken(line int) int64 { return a.refunded[line] + a.lost[line] }

// apportion splits minor >= 0 pro rata by weights >= 0, by largest remainder, the
// earlier one first among equals. No part exceeds its weight; when minor exceeds
// their sum, each part is its weight.
func apportion(minor int64, weights []int64) []int64 {
	parts := make([]int64, len(weights))
	var total int64
	for _, w := range weights {
		total += w
	}
	if minor >= total {
		copy(parts, weights)
		return parts
	}
	if minor <= 0 {
		return parts
	}
	remainders := make([]uint64, len(weights))
	order := make([]int, len(weights))
	rest := minor
	for i, w := range weights {
		// minor < total, so the quotient is below w: Div64 cannot overflow.
		hi, lo := bits.Mul64(uint64(minor), uint64(w))
		quotient, remainder := bits.Div64(hi, lo, uint64(total))
		parts[i], remainders[i], order[i] = int64(quotient), remainder, i
		rest -= int64(quotient)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case remainders[a] > remainders[b]:
			return -1
		case remainders[a] < remainders[b]:
			return 1
		}
		return 0
	})
	// rest is the sum of the remainders over total, so it is less than the number of
	// those that are not zero, and none of them is raised above its weight.
	for _, i := range order[:rest] {
		parts[i]++
	}
	return parts
}

// Split says how a refund of amountMinor is spread over the payment's lines: pro rata
// to what is left of them, by largest remainder. The rest up to amountMinor is of the
// covered fee. A whole refund, of Refundable, takes all that is left of each line.
func Split(p Payment, amountMinor int64) []int64 {
	a := allocate(&p)
	return apportion(max(amountMinor, 0), a.left(&p))[:len(p.Lines)]
}
