package capacity

import (
	"math"
	"slices"
	"sync"
)

// How the knee is estimated: a trial at rate r holds with the probability
//
//	lapse + (1-2*lapse) / (1 + exp((ln r - ln knee)/width))
//
// which is one half at the knee, and falls from almost always to almost never within a
// few widths. Width is the installation's own noise, not known before, and lapse the
// trials that come out wrong by an accident of the machine. Every pair of knee and
// width on a grid is weighed by how well it explains all trials together; the estimate
// is the weighted median of the knee, and the interval holds its share of the weight
// with as much left out below as above. This is a logistic regression with flat priors
// (in ln rate), on a grid instead of by iteration, so that it always has an answer: with
// trials that all held below one rate and all broke above it too, where the usual fit
// runs away. Where the next rate depends on the trials before, the weights stay right,
// because only outcomes enter them.
const (
	// lapse: one trial in fifty.
	lapse = 0.02
	// widthLeast and widthMost bound the noise: a half per cent is finer than any trial
	// can tell, and beyond eight the rate has no knee worth a number.
	widthLeast = 0.005
	widthMost  = 0.08
	widths     = 7
	// gridStep is the distance of knees on the grid, a fifth of the best precision;
	// gridReach is how far beyond the trials it goes, so that a knee outside is seen.
	gridStep  = 0.002
	gridReach = 1.5
)

// Interval is where the knee lies, in donations per second.
type Interval struct {
	// Low and High hold it with Confidence, 0..1.
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Confidence float64 `json:"confidence"`
}

// wide is half the interval's width over its middle.
func (i Interval) wide() float64 { return math.Sqrt(i.High/i.Low) - 1 }

// knee is what trials say about where the knee is.
type knee struct {
	rates   []float64 // of the grid, rising
	weights []float64 // of each, sum 1
}

// tables hold the logarithms of the probabilities that a trial holds and that it breaks,
// for each width, by how many steps of the grid its rate lies above the knee.
type tables struct {
	held, broke [widths][2*stepsMost + 1]float64
}

// stepsMost is the distance, in steps, from which on a trial holds always or never but
// for lapses: a factor of three, 13 of the largest widths.
const stepsMost = 550

var likelihood = sync.OnceValue(func() *tables {
	t := new(tables)
	for w := range widths {
		width := widthLeast * math.Pow(widthMost/widthLeast, float64(w)/(widths-1))
		for i := range t.held[w] {
			holds := lapse + (1-2*lapse)/(1+math.Exp(float64(i-stepsMost)*gridStep/width))
			t.held[w][i], t.broke[w][i] = math.Log(holds), math.Log(1-holds)
		}
	}
	return t
})

// step is the place of a rate on the grid.
func step(rate float64) int { return int(math.Round(math.Log(rate) / gridStep)) }

// fit weighs the knees from low/gridReach to high*gridReach by the trials that are
// verdicts; at most bounds the grid from above. Rates count as those of the grid next to them.
func fit(trials []Trial, low, high, atMost float64) knee {
	first, last := step(low/gridReach), max(step(low/gridReach), step(min(high*gridReach, atMost)))
	table, n := likelihood(), last-first+1
	k := knee{rates: make([]float64, n), weights: make([]float64, n)}
	sums := make([][widths]float64, n)
	most := math.Inf(-1)
	for i := range sums {
		for j := range trials {
			by := &table.held
			switch trials[j].Verdict {
			case Held:
			case Broke:
				by = &table.broke
			default:
				continue
			}
			above := min(max(step(trials[j].Rate)-first-i, -stepsMost), stepsMost) + stepsMost
			for w := range widths {
				sums[i][w] += by[w][above]
			}
		}
		for _, sum := range sums[i] {
			most = max(most, sum)
		}
	}
	total := 0.0
	for i := range sums {
		for _, sum := range sums[i] {
			k.weights[i] += math.Exp(sum - most)
		}
		total += k.weights[i]
		k.rates[i] = math.Exp(float64(first+i) * gridStep)
	}
	for i := range k.weights {
		k.weights[i] /= total
	}
	return k
}

// at is the rate below which this part of the weight lies.
func (k *knee) at(part float64) float64 {
	sum := 0.0
	for i, w := range k.weights {
		sum += w
		if sum >= part {
			return k.rates[i]
		}
	}
	return k.rates[len(k.rates)-1]
}

// interval leaves out as much below as above.
func (k *knee) interval(confidence float64) Interval {
	return Interval{Low: k.at((1 - confidence) / 2), High: k.at((1 + confidence) / 2), Confidence: confidence}
}

// extremes are the lowest and the highest rate of the trials with these verdicts; 0, 0
// without any.
func extremes(trials []Trial, verdicts ...Verdict) (low, high float64) {
	for i := range trials {
		if t := &trials[i]; slices.Contains(verdicts, t.Verdict) {
			if low == 0 || t.Rate < low {
				low = t.Rate
			}
			high = max(high, t.Rate)
		}
	}
	return low, high
}
