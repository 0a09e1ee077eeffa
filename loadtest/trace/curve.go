package trace

import (
	"crypto/sha256"
	"fmt"
	"math"
	"sort"
	"time"

	"spillway/ledger/money"
)

// curveBinsMax bounds the steps of a curve: a day by the second fits.
const curveBinsMax = 1 << 17

// curve is a synthetic source whose rate changes over time: it is given as a weight
// for each bin of equal length. Gift i of n leaves at the moment by which its share of
// the weight has passed, so that rows are in order, each can be made by itself, and a
// bin gets its share to within one gift.
type curve struct {
	name      string
	hash      [32]byte
	seed      uint64
	rows      int64
	bin       time.Duration
	cumulated []float64 // weight up to the end of each bin
	shares    []float64 // cumulated popularity of the campaigns by rank
	amounts   []quantile
	strata    *strata // which part of the amounts each row's is from
	whole     float64 // part of the amounts from 5.00 on that is whole
	campaigns []Campaign
}

var _ Source = (*curve)(nil)

// newCurve sums the curve up; the hash is that of its settings. Errors: ErrProfile.
func newCurve(c *curve, settings string, weights []float64, campaigns int, exponent float64, currency money.Currency) (*curve, error) {
	if currency == "" {
		currency = "USD"
	}
	switch {
	case c.rows < 1 || c.rows > ProfileRowsMax:
		return nil, fmt.Errorf("%d gifts: not between 1 and %d: %w", c.rows, int64(ProfileRowsMax), ErrProfile)
	case len(weights) == 0 || len(weights) > curveBinsMax:
		return nil, fmt.Errorf("%d steps of %v: not between 1 and %d: %w", len(weights), c.bin, curveBinsMax, ErrProfile)
	case campaigns < 1 || campaigns > CampaignsMax:
		return nil, fmt.Errorf("%d campaigns: not between 1 and %d: %w", campaigns, CampaignsMax, ErrProfile)
	case !currency.Valid():
		return nil, fmt.Errorf("currency %q: %w", currency, ErrProfile)
	}
	c.hash = sha256.Sum256([]byte(settings))
	c.strata = newStrata(uint64(c.rows), c.seed)
	sum := 0.0
	for _, w := range weights {
		sum += w
		c.cumulated = append(c.cumulated, sum)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil, fmt.Errorf("a curve without gifts: %w", ErrProfile)
	}
	total := 0.0
	for i := range campaigns {
		total += math.Pow(float64(i+1), exponent)
		c.shares = append(c.shares, total)
		c.campaigns = append(c.campaigns, Campaign{Name: fmt.Sprintf("c%05d", i+1), Currency: currency})
	}
	for n := int64(1); n <= c.rows; n++ {
		r := c.row(n)
		c.campaigns[r.Campaign].Rows++
		c.campaigns[r.Campaign].SumMinor += r.AmountMinor
	}
	return c, nil
}

// row makes the row with this number, from 1.
func (c *curve) row(n int64) Row {
	h := mix(c.seed ^ mix(uint64(n)))
	amount := (float64(c.strata.at(uint64(n-1))) + unit(mix(h+1))) / float64(c.rows)
	r := Row{Number: n, AmountMinor: amountOf(c.amounts, amount, unit(mix(h+2)), c.whole)}
	r.Campaign = int32(sort.SearchFloat64s(c.shares, unit(h)*c.shares[len(c.shares)-1]))
	r.Planned = c.at((float64(n-1) + unit(mix(h+3))) / float64(c.rows))
	return r
}

// at is when this part of all weight has passed.
func (c *curve) at(part float64) time.Duration {
	target := part * c.cumulated[len(c.cumulated)-1]
	i := sort.SearchFloat64s(c.cumulated, target)
	before := 0.0
	if i > 0 {
		before = c.cumulated[i-1]
	}
	inside := 0.0
	if w := c.cumulated[i] - before; w > 0 {
		inside = (target - before) / w
	}
	return time.Duration((float64(i) + inside) * float64(c.bin))
}

// Name is the settings in words.
func (c *curve) Name() string { return c.name }

// Hash identifies the settings.
func (c *curve) Hash() [32]byte { return c.hash }

// Campaigns lists the campaigns by rank.
func (c *curve) Campaigns() []Campaign { return c.campaigns }

// Rows counts the gifts.
func (c *curve) Rows() int64 { return c.rows }

// Span is the planned time of the last gift.
func (c *curve) Span() time.Duration { return c.row(c.rows).Planned }

// Open starts at the first gift.
func (c *curve) Open() (Stream, error) { return &madeStream{rows: c.rows, row: c.row}, nil }
