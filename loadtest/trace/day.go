package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"spillway/ledger/money"
)

// DayConfig describes a synthetic giving day.
type DayConfig struct {
	// Gifts is how many are given in all.
	Gifts int64
	// For is how long the day plays; an event of 24 hours is told in a minute as well.
	For time.Duration
	// Campaigns is among how many; 0 means DefaultCampaigns.
	Campaigns int
	// Currency of all; "" means USD.
	Currency money.Currency
	// Seed draws another day of the same kind.
	Seed uint64
}

// What a giving day looks like, as parts of it and multiples of its quiet rate: after
// what organisers publish, and chosen, not fitted by computation (see DESIGN.md).
const (
	dayOpening      = 0.02 // the first two of a hundred parts of the day:
	dayOpeningRate  = 6    // whoever waited for the opening gives at once
	dayDeadline     = 0.04 // the last four
	dayDeadlineRate = 7    // rise to this
	dayBursts       = 8    // broadcasts, matches announced, hosts who ask
	dayBurstRate    = 9    // the strongest; the others lie between a third of it and it
	dayBurstFall    = 0.008
	dayHours        = 2 // hours with a prize
	dayHourLength   = 1.0 / 24
	dayHourRate     = 2.5
	// dayDispersion is the variance of a second's gifts over their mean, beyond what
	// the curve itself does.
	dayDispersion = 4
	// dayRankExponent is how fast a campaign's share falls with its rank.
	dayRankExponent = -1.1
	dayWhole        = 0.95
)

// dayAmounts are quantiles of gifts on giving days, in minor units of a currency with
// two digits: half give 25 or less, one in a hundred more than 275, one in a
// million 200,000.
var dayAmounts = []quantile{{0, 100}, {0.05, 500}, {0.25, 1000}, {0.5, 2500}, {0.75, 5000}, {0.9, 10000}, {0.99, 27500}, {0.995, 60000}, {0.9999, 1000000}, {0.999999, 20000000}, {1, 20000000}}

// NewDay makes a synthetic giving day: a step at the opening, bursts that fall away
// exponentially, hours with a prize, a surge at the deadline; each second's rate is
// gamma-distributed around that, as donors are more uneven than chance. Errors: ErrProfile.
func NewDay(c DayConfig) (Source, error) {
	if c.Campaigns == 0 {
		c.Campaigns = DefaultCampaigns
	}
	if c.For < time.Second || c.For > curveBinsMax*time.Second {
		return nil, fmt.Errorf("a day of %v: not between 1s and %v: %w", c.For, curveBinsMax*time.Second, ErrProfile)
	}
	seconds := int(math.Ceil(c.For.Seconds()))
	// Not for secrets: the same seed has to draw the same day.
	chance := rand.New(rand.NewPCG(c.Seed, 0x646179)) //nolint:gosec // see above
	shape := dayShape(chance)
	weights, sum := make([]float64, seconds), 0.0
	for i := range weights {
		weights[i] = shape((float64(i) + 0.5) / float64(seconds))
		sum += weights[i]
	}
	for i, w := range weights {
		mean := w / sum * float64(c.Gifts)
		weights[i] = gamma(chance, mean/dayDispersion) * dayDispersion
	}
	return newCurve(&curve{
		name: fmt.Sprintf("day-%d-gifts-in-%v", c.Gifts, c.For), seed: c.Seed, rows: c.Gifts,
		bin: time.Duration(float64(c.For) / float64(seconds)), amounts: dayAmounts, whole: dayWhole,
	}, fmt.Sprintf("day/2 %d %v %d %s %d", c.Gifts, c.For, c.Campaigns, c.Currency, c.Seed), weights, c.Campaigns, dayRankExponent, c.Currency)
}

// dayShape draws a day's rate, as a function of the part of the day that has passed.
func dayShape(chance *rand.Rand) func(part float64) float64 {
	type burst struct{ at, rate float64 }
	var bursts []burst
	for range dayBursts {
		bursts = append(bursts, burst{dayOpening + chance.Float64()*(1-dayOpening-dayDeadline), dayBurstRate * (1.0/3 + chance.Float64()*2/3)})
	}
	var hours []float64
	for range dayHours {
		hours = append(hours, 0.1+chance.Float64()*0.8)
	}
	return func(part float64) float64 {
		rate := 1.0
		if part < dayOpening {
			rate += dayOpeningRate * (1 - part/dayOpening/2)
		}
		if left := 1 - part; left < dayDeadline {
			rate += dayDeadlineRate * (1 - left/dayDeadline)
		}
		for _, b := range bursts {
			if part >= b.at {
				rate += b.rate * math.Exp(-(part-b.at)/dayBurstFall)
			}
		}
		for _, h := range hours {
			if part >= h && part < h+dayHourLength {
				rate += dayHourRate
			}
		}
		return rate
	}
}

// gamma draws from the gamma distribution with this shape and scale 1 (Marsaglia and
// Tsang, ACM TOMS 26(3), 2000; shapes below 1 by their remark).
func gamma(chance *rand.Rand, shape float64) float64 {
	if shape <= 0 {
		return 0
	}
	if shape < 1 {
		return gamma(chance, shape+1) * math.Pow(chance.Float64(), 1/shape)
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := chance.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if u := chance.Float64(); math.Log(u) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
