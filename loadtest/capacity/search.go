package capacity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Bounds and defaults of a search.
const (
	// DefaultStart is low enough for a laptop to hold, and six doublings from what one
	// machine was ever seen to hold.
	DefaultStart = 500.0
	// DefaultLeast is where halving ends: what holds less needs no search.
	DefaultLeast = 1.0
	// DefaultMost is beyond what one generator can send.
	DefaultMost = 500_000.0
	// DefaultPrecision is half the interval's width: a day's peak is not known better.
	DefaultPrecision = 0.05
	// DefaultConfidence is that of the interval.
	DefaultConfidence = 0.95
	// DefaultBudget is a coffee: some twenty trials of ten seconds.
	DefaultBudget = 5 * time.Minute
	// trialsMost bounds a search whatever the budget is.
	trialsMost = 200
	// trialsTypical is how many trials a search takes, for the time that is left.
	trialsTypical = 22
	// confirmations is how many trials decide, by majority, about a first step that
	// does not hold: everything after it rests on it.
	confirmations = 3
	// borderPart is how near to the knee a trial counts as a repeat at the border, and
	// borderLeast how many there are at least on each side.
	borderPart  = 0.15
	borderLeast = 2
)

// Config is one search.
type Config struct {
	Levels Levels
	// Start is the first rate, and Least and Most bound the rates, in donations per
	// second; 0 for the defaults.
	Start, Least, Most float64
	// Precision is half the width of the interval, as a part of the knee, at which the
	// search ends; 0 for DefaultPrecision.
	Precision float64
	// Confidence of the interval, 0..1; 0 for DefaultConfidence.
	Confidence float64
	// Budget is when no further trial is begun that would not end in it; 0 for
	// DefaultBudget.
	Budget time.Duration
	// Now is the clock; nil for time.Now.
	Now func() time.Time
	// Show is told before each trial and after it; nil for nobody.
	Show func(Progress)
}

// Progress is the state of a search.
type Progress struct {
	// Stage is what is done, in words.
	Stage string
	// Trials were made, the warm-up included.
	Trials int
	// Rate is that of the trial that begins, Last the one that ended; one of both is
	// zero or nil.
	Rate float64
	Last *Trial
	// Left is about how long the search will still take.
	Left time.Duration
}

var (
	// ErrConfig says that a search cannot be started as it was asked for.
	ErrConfig = errors.New("bad capacity search")
	// ErrUnproven says that a trial lost or changed a donation: that comes before any rate.
	ErrUnproven = errors.New("the proof does not hold")
	// ErrNothing says that the budget ended before a trial said anything.
	ErrNothing = errors.New("nothing could be measured")
)

func (c *Config) fill() error {
	or := func(v *float64, to float64) {
		if *v == 0 {
			*v = to
		}
	}
	or(&c.Start, DefaultStart)
	or(&c.Least, DefaultLeast)
	or(&c.Most, DefaultMost)
	or(&c.Precision, DefaultPrecision)
	or(&c.Confidence, DefaultConfidence)
	if c.Budget == 0 {
		c.Budget = DefaultBudget
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Show == nil {
		c.Show = func(Progress) {}
	}
	l := c.Levels
	switch {
	case !(c.Least > 0 && c.Least <= c.Start && c.Start <= c.Most):
		return fmt.Errorf("rates from %g to %g, beginning at %g: want 0 < least <= start <= most: %w", c.Least, c.Most, c.Start, ErrConfig)
	case !(c.Precision >= 2*gridStep && c.Precision < 1):
		return fmt.Errorf("precision %g, want %g to 1: %w", c.Precision, 2*gridStep, ErrConfig)
	case !(c.Confidence >= 0.5 && c.Confidence < 1):
		return fmt.Errorf("confidence %g, want 0.5 to 1: %w", c.Confidence, ErrConfig)
	case l.AckP99 <= 0 || l.StalenessP99 <= 0 || l.Drain <= 0 || !(l.ErrorShare >= 0 && l.ErrorShare < 1) || c.Budget < 0:
		return fmt.Errorf("levels %+v within %v: %w", l, c.Budget, ErrConfig)
	}
	return nil
}

// search is one under way.
type search struct {
	Config
	measure Measure
	begun   time.Time
	stage   string
	trials  []Trial
	longest time.Duration // of the trials
	spent   bool          // the budget is
}

// errSpent ends a search: no further trial fits.
var errSpent = errors.New("the time budget is spent")

// Search finds the knee. When ctx ends, or the budget does, it is judged by the trials
// made so far.
//
// Errors: ErrConfig; ErrUnproven, with the result so far; ErrNothing; Measure's.
func Search(ctx context.Context, c Config, measure Measure) (*Result, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	s := &search{Config: c, measure: measure, begun: c.Now()}
	err := s.run(ctx)
	switch {
	case errors.Is(err, errSpent):
		s.spent, err = true, nil
	case err != nil && ctx.Err() != nil && !errors.Is(err, ErrUnproven):
		err = nil // told to stop: what is known counts
	}
	if err != nil && !errors.Is(err, ErrUnproven) {
		return nil, err
	}
	result, none := s.result()
	return result, errors.Join(err, none)
}

func (s *search) run(ctx context.Context) error {
	s.stage = "warming up"
	if _, err := s.try(ctx, s.Start); err != nil {
		return err
	}
	if err := s.grow(ctx); err != nil {
		return err
	}
	return s.close(ctx)
}

// try makes a trial; the first is the warm-up.
func (s *search) try(ctx context.Context, rate float64) (Verdict, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if len(s.trials) >= trialsMost || len(s.trials) > 0 && s.elapsed()+s.longest > s.Budget {
		return "", errSpent
	}
	s.Show(Progress{Stage: s.stage, Trials: len(s.trials), Rate: rate, Left: s.left()})
	begun := s.Now()
	t, err := s.measure(ctx, rate)
	if err != nil {
		return "", fmt.Errorf("trial at %.0f/s: %w", rate, err)
	}
	t.Rate, t.Wall = rate, s.Now().Sub(begun)
	s.longest = max(s.longest, t.Wall)
	if len(s.trials) == 0 {
		t.Verdict = Warmed
	} else {
		s.Levels.judge(&t)
	}
	s.trials = append(s.trials, t)
	s.Show(Progress{Stage: s.stage, Trials: len(s.trials), Last: &t, Left: s.left()})
	if len(t.Unproven) > 0 {
		return t.Verdict, fmt.Errorf("trial at %.0f/s, run %s: %s: %w", rate, t.Name, t.Unproven[0], ErrUnproven)
	}
	return t.Verdict, nil
}

func (s *search) elapsed() time.Duration { return s.Now().Sub(s.begun) }

// left is about how long it will still take.
func (s *search) left() time.Duration {
	left := max(0, s.Budget-s.elapsed())
	if n := len(s.trials); n > 0 {
		left = min(left, time.Duration(max(1, trialsTypical-n))*s.elapsed()/time.Duration(n))
	}
	return left
}

// grow doubles the rate until it does not hold, and halves it when not even the first
// does.
func (s *search) grow(ctx context.Context) error {
	s.stage = "growing"
	rate, grown := s.Start, false
	for {
		verdict, err := s.decide(ctx, rate)
		switch {
		case err != nil:
			return err
		case verdict == Held && rate >= s.Most:
			return nil
		case verdict == Held:
			if low, _ := extremes(s.trials, Broke, Late); low > 0 && !grown {
				return nil // it was halved down to here
			}
			grown = true
			rate = min(2*rate, s.Most)
		case grown || rate <= s.Least:
			return nil
		default:
			rate = max(rate/2, s.Least)
		}
	}
}

// decide tries a rate once when it holds, and otherwise until most trials agree.
func (s *search) decide(ctx context.Context, rate float64) (Verdict, error) {
	counts := map[Verdict]int{}
	for i := 1; ; i++ {
		verdict, err := s.try(ctx, rate)
		if err != nil {
			return "", err
		}
		counts[verdict]++
		if i == 1 && verdict == Held || counts[verdict] > confirmations/2 {
			return verdict, nil
		}
		if i == confirmations { // one of each
			return Late, nil
		}
	}
}

// close narrows the interval: at first every trial halves what is left, where the weight
// of the knees has its middle; then trials repeat on both sides of the border.
func (s *search) close(ctx context.Context) error {
	for turn := 0; ; turn++ {
		low, _ := extremes(s.trials, Held)
		if low == 0 {
			return nil // nothing held
		}
		k, above := s.fit()
		within := k.interval(s.Confidence)
		if within.wide() <= s.Precision && (above || s.bordered(k.at(0.5))) {
			return nil
		}
		s.stage = "closing in"
		rate := k.at(0.5)
		if quarter := math.Sqrt(k.at(0.75)/k.at(0.25)) - 1; quarter < s.Precision {
			s.stage = "repeating at the border"
			// A little outside of the middle half, below and above in turn: there a trial
			// tells both where the knee is and how wide.
			rate = k.at([2]float64{0.2, 0.8}[turn%2])
		}
		rate = min(max(rate, s.Least), s.Most)
		if _, err := s.try(ctx, rate); err != nil {
			return err
		}
	}
}

// bordered tells whether there were trials enough on both sides of a rate, near to it.
func (s *search) bordered(at float64) bool {
	below, above := 0, 0
	for i := range s.trials {
		t := &s.trials[i]
		switch {
		case t.Verdict != Held && t.Verdict != Broke || math.Abs(t.Rate/at-1) > borderPart:
		case t.Rate <= at:
			below++
		default:
			above++
		}
	}
	return below >= borderLeast && above >= borderLeast
}

// ceiling is the rate from which on the generator cannot tell, or which is the most
// asked for; the most when neither is known. A rate at which it was late once and not
// late more often is within its reach.
func (s *search) ceiling() float64 {
	ceiling := s.Most
	for i := range s.trials {
		if s.trials[i].Verdict != Late || s.trials[i].Rate >= ceiling {
			continue
		}
		// Later than half of the trials within a step of this rate, and above.
		late, fine := 0, 0
		for k := range s.trials {
			t := &s.trials[k]
			switch near := t.Rate >= s.trials[i].Rate*(1-gridStep); {
			case near && t.Verdict == Late:
				late++
			case near && (t.Verdict == Held || t.Verdict == Broke):
				fine++
			}
		}
		if late > fine {
			ceiling = s.trials[i].Rate
		}
	}
	return ceiling
}

// fit weighs the knees; above tells that they may lie beyond the ceiling, so that
// nothing is known but a least rate.
func (s *search) fit() (k knee, above bool) {
	ceiling := s.ceiling()
	_, held := extremes(s.trials, Held)
	broke, _ := extremes(s.trials, Broke)
	// The knee is about where trials begin to break and cease to hold.
	low, high := held, held
	if broke > 0 {
		low, high = min(held, broke), max(held, broke)
	}
	if broke > 0 && broke < ceiling {
		free := fit(s.trials, low, high, math.Inf(1))
		if free.interval(s.Confidence).High < ceiling {
			return free, false
		}
	}
	// Up to the ceiling, or to the last rate that held where that is higher.
	return fit(s.trials, low, high*2, max(ceiling, held)), true
}
