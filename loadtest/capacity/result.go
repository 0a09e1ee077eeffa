package capacity

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Limit says what ended the search.
type Limit string

// The limits.
const (
	LimitTarget    Limit = "target"    // the knee is the installation's
	LimitGenerator Limit = "generator" // the installation holds at least this
	LimitAsked     Limit = "asked"     // it holds the most that was asked for
	LimitNone      Limit = "none held" // it did not hold the least rate that was tried
	LimitUnknown   Limit = "unknown"   // the generator fell short in every trial
)

// Result is what a search found. Durations are in nanoseconds, rates per second.
type Result struct {
	Levels Levels `json:"levels"`
	Limit  Limit  `json:"limit"`
	// Rate is the knee, at which every second trial holds; where the limit is not the
	// target's, the highest rate that was seen to hold.
	Rate float64 `json:"rate"`
	// Knee is where the knee lies; nil where the limit is not the target's.
	Knee *Interval `json:"knee,omitempty"`
	// Sure is the rate to plan with: the interval's lower end, or Rate without one.
	Sure float64 `json:"sure"`
	// Method says in words how the interval was made.
	Method string `json:"method"`
	// Precise tells whether the interval is as narrow as was asked for.
	Precise bool `json:"precise"`
	// Spent tells that the time budget ended the search.
	Spent bool          `json:"budget_spent"`
	Took  time.Duration `json:"took_ns"`
	// GeneratorHeld is the highest rate that the generator offered as planned, and
	// GeneratorWhy how it fell short of more; "" when it never did.
	GeneratorHeld float64 `json:"generator_held"`
	GeneratorWhy  string  `json:"generator_why,omitempty"`
	// Cause is what gave way first; nil when nothing did.
	Cause  *Cause  `json:"gave_way,omitempty"`
	Trials []Trial `json:"trials"`
}

// method is Result.Method.
const method = "logistic curve over the logarithm of the rate, fitted to whether each trial held (one in fifty by accident), every knee weighed by how well it explains all trials"

func (s *search) result() (*Result, error) {
	r := &Result{Levels: s.Levels, Method: method, Spent: s.spent, Took: s.elapsed(), Trials: s.trials}
	for i := range s.trials {
		t := &s.trials[i]
		if t.Verdict == Held || t.Verdict == Broke {
			r.GeneratorHeld = max(r.GeneratorHeld, t.Rate)
		}
	}
	if i := s.lowest(Late); i >= 0 {
		r.GeneratorWhy = s.trials[i].Why
		if u, _ := nearest(s.trials[i].Uses); u != nil {
			r.GeneratorWhy += fmt.Sprintf("; nearest its limit then: %s, %.0f %% in use", u.Name, 100*u.Share)
		}
	}
	_, held := extremes(s.trials, Held)
	broke, _ := extremes(s.trials, Broke)
	switch {
	case held == 0 && broke == 0:
		r.Limit = LimitUnknown
		return r, ErrNothing
	case held == 0:
		r.Limit = LimitNone
	default:
		k, above := s.fit()
		within := k.interval(s.Confidence)
		r.Rate, r.Precise = k.at(0.5), within.wide() <= s.Precision
		if above {
			r.Rate = s.surely()
			r.Limit = LimitAsked
			if s.ceiling() < s.Most || held < s.Most {
				r.Limit = LimitGenerator
			}
			r.Sure = r.Rate
		} else {
			r.Limit, r.Knee, r.Sure = LimitTarget, &within, within.Low
		}
	}
	if r.Limit == LimitTarget || r.Limit == LimitNone {
		r.Cause = s.cause(r.Rate)
	}
	return r, nil
}

// surely is the highest rate at which no more trials broke than held, there and below.
func (s *search) surely() (rate float64) {
	for i := range s.trials {
		at := s.trials[i].Rate
		if s.trials[i].Verdict != Held || at < rate {
			continue
		}
		held, broke := 0, 0
		for k := range s.trials {
			switch t := &s.trials[k]; {
			case t.Verdict == Held && t.Rate >= at:
				held++
			case t.Verdict == Broke && t.Rate <= at:
				broke++
			}
		}
		if held >= broke {
			rate = at
		}
	}
	return rate
}

// lowest is the index of the trial with the lowest rate of a verdict, -1 without any.
func (s *search) lowest(v Verdict) int {
	found := -1
	for i := range s.trials {
		if s.trials[i].Verdict == v && (found < 0 || s.trials[i].Rate < s.trials[found].Rate) {
			found = i
		}
	}
	return found
}

// Cause is what gave way first, in the trial that broke nearest above the knee.
type Cause struct {
	Trial    string   `json:"trial"`
	Rate     float64  `json:"rate"`
	Breaches []Breach `json:"breaches"` // the earliest first
	// Nearest is the resource that was nearest its limit in that trial; nil when none
	// was measured. Others follow it in order of their share.
	Nearest *Use  `json:"nearest,omitempty"`
	Others  []Use `json:"others,omitempty"`
	// Reasons are the front-ends' own refusals.
	Reasons map[string]int64 `json:"reasons,omitempty"`
}

// cause looks at the trial that broke nearest above the knee, or the lowest of all.
func (s *search) cause(knee float64) *Cause {
	found := -1
	for i := range s.trials {
		if s.trials[i].Verdict != Broke {
			continue
		}
		if found < 0 {
			found = i
			continue
		}
		this, best := s.trials[i].Rate, s.trials[found].Rate
		if this >= knee && (best < knee || this < best) || this < knee && best < knee && this > best {
			found = i
		}
	}
	if found < 0 {
		return nil
	}
	t := &s.trials[found]
	c := &Cause{Trial: t.Name, Rate: t.Rate, Breaches: t.Breaches, Reasons: t.Reasons}
	c.Nearest, c.Others = nearest(t.Uses)
	return c
}

// nearest is the resource nearest its limit, nil without any, and the others in order.
func nearest(uses []Use) (*Use, []Use) {
	others := slices.Clone(uses)
	slices.SortStableFunc(others, func(a, b Use) int { return cmp.Compare(b.Share, a.Share) })
	i := slices.IndexFunc(others, func(u Use) bool { return !u.Part })
	if i < 0 {
		return nil, others
	}
	found := others[i]
	return &found, slices.Delete(others, i, i+1)
}

// AtLeast tells whether the installation was not asked for more than Rate and held that:
// it may hold more.
func (r *Result) AtLeast() bool { return r.Limit == LimitGenerator || r.Limit == LimitAsked }

// Sentence says what was found, in one line.
func (r *Result) Sentence() string {
	switch r.Limit {
	case LimitTarget:
		return fmt.Sprintf("this stack holds %s donations/s: the knee is between %s and %s with %.0f %% confidence", rate(r.Rate), rate(r.Knee.Low), rate(r.Knee.High), 100*r.Knee.Confidence)
	case LimitGenerator:
		if r.GeneratorWhy == "" {
			return fmt.Sprintf("this stack holds at least %s donations/s: the search ended before it gave way", rate(r.Rate))
		}
		return fmt.Sprintf("this stack holds at least %s donations/s: the generator is the limit (%s)", rate(r.Rate), r.GeneratorWhy)
	case LimitAsked:
		return fmt.Sprintf("this stack holds at least %s donations/s, the most that was asked for", rate(r.Rate))
	case LimitUnknown:
		return "nothing could be measured: no trial says anything about this stack"
	}
	return "this stack held none of the rates that were tried"
}
