package trace

import (
	"fmt"
	"math"
	"time"

	"spillway/ledger/money"
)

// Shape is how a synthetic load's rate changes over time.
type Shape string

// The shapes. Rate is what each reaches.
const (
	Steps Shape = "step"  // five steps of equal length, from a fifth of the rate to all of it
	Ramp  Shape = "ramp"  // from nothing to the rate, evenly
	Spike Shape = "spike" // a tenth of the rate, and the rate itself for the middle tenth of the time
	Soak  Shape = "soak"  // the rate, from beginning to end
)

// Shapes lists them all.
var Shapes = []Shape{Steps, Ramp, Spike, Soak}

// stepsCount is how many steps there are: enough to see where something bends.
const stepsCount = 5

// shapeBins is how finely a shape is told.
const shapeBins = 1000

// ShapeConfig describes a load of one shape.
type ShapeConfig struct {
	Shape Shape
	// Rate is the highest rate, in gifts per second, up to RateMax.
	Rate float64
	For  time.Duration
	// Campaigns is among how many; 0 means DefaultCampaigns.
	Campaigns int
	Currency  money.Currency // "" means USD
	Seed      uint64
}

// NewShape makes a load of one shape. Errors: ErrProfile.
func NewShape(c ShapeConfig) (Source, error) {
	if c.Campaigns == 0 {
		c.Campaigns = DefaultCampaigns
	}
	if !(c.Rate > 0 && c.Rate <= RateMax) || c.For <= 0 {
		return nil, fmt.Errorf("%g gifts per second for %v: not between 0 and %g: %w", c.Rate, c.For, float64(RateMax), ErrProfile)
	}
	weights, mean := make([]float64, shapeBins), 0.0
	for i := range weights {
		part := (float64(i) + 0.5) / shapeBins
		switch c.Shape {
		case Steps:
			weights[i] = math.Ceil(part*stepsCount) / stepsCount
		case Ramp:
			weights[i] = part
		case Spike:
			weights[i] = 0.1
			if part >= 0.45 && part < 0.55 {
				weights[i] = 1
			}
		case Soak:
			weights[i] = 1
		default:
			return nil, fmt.Errorf("shape %q: one of %v: %w", c.Shape, Shapes, ErrProfile)
		}
		mean += weights[i] / shapeBins
	}
	rows := int64(math.Round(mean * c.Rate * c.For.Seconds()))
	return newCurve(&curve{
		name: fmt.Sprintf("%s-to-%g-for-%v", c.Shape, c.Rate, c.For), seed: c.Seed, rows: rows, bin: c.For / shapeBins, amounts: dayAmounts, whole: dayWhole,
	}, fmt.Sprintf("shape/2 %s %v %v %d %s %d", c.Shape, c.Rate, c.For, c.Campaigns, c.Currency, c.Seed), weights, c.Campaigns, dayRankExponent, c.Currency)
}
