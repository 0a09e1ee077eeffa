package trace

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"time"

	"spillway/ledger/money"
)

// ProfileConfig describes a synthetic giving day: even arrivals, campaigns whose
// share falls with their rank, and amounts like those of real events.
type ProfileConfig struct {
	// Rate is how many gifts leave per second, up to RateMax.
	Rate float64
	// For is how long.
	For time.Duration
	// Campaigns is among how many; 0 means DefaultCampaigns, 1 sends every gift to one.
	Campaigns int
	// Currency of all; "" means USD.
	Currency money.Currency
	// Seed draws other campaigns and amounts.
	Seed uint64
}

// Bounds and defaults of a profile.
const (
	// DefaultCampaigns is the breadth of a real grants round (641 campaigns) in round numbers.
	DefaultCampaigns = 500
	CampaignsMax     = 100_000
	RateMax          = 1e6 // per second; beyond what one generator can send
	ProfileRowsMax   = 1 << 32
	// rankExponent is how fast a campaign's share falls with its rank: about
	// -1.05 in a real grants round, so -1.
	rankExponent = -1
)

// ErrProfile says that a profile cannot be.
var ErrProfile = errors.New("bad profile")

// amounts are quantiles of real gifts, in minor units of a currency with two
// digits: a day put together of a grants round and five marathons (226,320
// gifts). Between two of them the logarithm is linear; the last is a rare sponsor.
var amounts = []quantile{{0, 100}, {0.25, 475}, {0.5, 1000}, {0.75, 3000}, {0.95, 10000}, {0.99, 20500}, {0.9999, 500000}, {1, 2000000}}

// quantile says which part of all amounts is this or less.
type quantile struct{ part, minor float64 }

// Profile is a synthetic source. Its rows are made when they are asked for.
type Profile struct {
	config    ProfileConfig
	hash      [32]byte
	rows      int64
	shares    []float64 // cumulated share of the campaigns by rank
	campaigns []Campaign
}

var _ Source = (*Profile)(nil)

// NewProfile checks the settings and sums the profile up. Errors: ErrProfile.
func NewProfile(c ProfileConfig) (*Profile, error) {
	if c.Campaigns == 0 {
		c.Campaigns = DefaultCampaigns
	}
	if c.Currency == "" {
		c.Currency = "USD"
	}
	switch {
	case !(c.Rate > 0 && c.Rate <= RateMax):
		return nil, fmt.Errorf("%g gifts per second: not between 0 and %g: %w", c.Rate, float64(RateMax), ErrProfile)
	case c.For <= 0:
		return nil, fmt.Errorf("for %v: %w", c.For, ErrProfile)
	case c.Campaigns < 1 || c.Campaigns > CampaignsMax:
		return nil, fmt.Errorf("%d campaigns: not between 1 and %d: %w", c.Campaigns, CampaignsMax, ErrProfile)
	case !c.Currency.Valid():
		return nil, fmt.Errorf("currency %q: %w", c.Currency, ErrProfile)
	case c.Rate*c.For.Seconds() > ProfileRowsMax || c.Rate*c.For.Seconds() < 1:
		return nil, fmt.Errorf("%g gifts per second for %v: not between 1 and %d gifts: %w", c.Rate, c.For, int64(ProfileRowsMax), ErrProfile)
	}
	p := &Profile{config: c, rows: Rate(c.Rate).Due(c.For - 1)}
	p.hash = sha256.Sum256(fmt.Appendf(nil, "profile/1 %v %v %d %s %d", c.Rate, c.For, c.Campaigns, c.Currency, c.Seed))
	p.shares = make([]float64, c.Campaigns)
	sum := 0.0
	for i := range p.shares {
		sum += math.Pow(float64(i+1), rankExponent)
		p.shares[i] = sum
	}
	p.campaigns = make([]Campaign, c.Campaigns)
	for i := range p.campaigns {
		p.campaigns[i] = Campaign{Name: fmt.Sprintf("c%05d", i+1), Currency: c.Currency}
	}
	for n := int64(1); n <= p.rows; n++ {
		r := p.row(n)
		p.campaigns[r.Campaign].Rows++
		p.campaigns[r.Campaign].SumMinor += r.AmountMinor
	}
	return p, nil
}

// row makes the row with this number, from 1.
func (p *Profile) row(n int64) Row {
	h := mix(p.config.Seed ^ mix(uint64(n)))
	r := Row{Number: n, Planned: Rate(p.config.Rate).At(n - 1), AmountMinor: amountOf(amounts, unit(mix(h+1)), unit(mix(h+2)), profileWhole)}
	r.Campaign = int32(sort.SearchFloat64s(p.shares, unit(h)*p.shares[len(p.shares)-1]))
	return r
}

// profileWhole is the part of a profile's amounts from 5.00 on that is whole.
const profileWhole = 0.8

// wholeFrom is the least amount that is written without its cents, in minor units.
const wholeFrom = 500

// amountOf is the amount at quantile q of a table, between two of which the logarithm is
// linear. From 5.00 on the part whole of them, drawn by chance, is whole units, as
// donors give.
func amountOf(table []quantile, q, chance, whole float64) int64 {
	i := 1
	for table[i].part < q {
		i++
	}
	lo, hi := table[i-1], table[i]
	inside := (q - lo.part) / (hi.part - lo.part)
	minor := math.Exp(math.Log(lo.minor) + inside*(math.Log(hi.minor)-math.Log(lo.minor)))
	if minor >= wholeFrom && chance < whole {
		minor = math.Round(minor/100) * 100
	}
	return int64(minor)
}

// Name is the profile in words.
func (p *Profile) Name() string {
	return fmt.Sprintf("rate-%g-for-%v", p.config.Rate, p.config.For)
}

// Hash identifies the settings.
func (p *Profile) Hash() [32]byte { return p.hash }

// Campaigns lists the campaigns by rank.
func (p *Profile) Campaigns() []Campaign { return p.campaigns }

// Rows counts the gifts.
func (p *Profile) Rows() int64 { return p.rows }

// Span is the planned time of the last gift.
func (p *Profile) Span() time.Duration { return Rate(p.config.Rate).At(p.rows - 1) }

// Open starts at the first gift.
func (p *Profile) Open() (Stream, error) { return &madeStream{rows: p.rows, row: p.row}, nil }

// madeStream gives the rows of a source that makes each of them by its number.
type madeStream struct {
	rows  int64
	row   func(number int64) Row
	given int64
}

// Next fills rows.
func (s *madeStream) Next(rows []Row) (int, error) {
	n := 0
	for ; n < len(rows) && s.given < s.rows; n++ {
		s.given++
		rows[n] = s.row(s.given)
	}
	if n == 0 && len(rows) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close does nothing.
func (s *madeStream) Close() error { return nil }
