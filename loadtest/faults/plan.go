package faults

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrPlan says that a plan cannot be played as it is written.
var ErrPlan = errors.New("bad plan")

// Plan is what to break and when.
type Plan struct {
	// Seed draws what the plan leaves open; 0 has one drawn.
	Seed uint64 `json:"seed,omitempty" yaml:"seed,omitempty"`
	// Text is more steps, as Parse reads them: "20s kill ledger; everything".
	Text string `json:"plan,omitempty" yaml:"plan,omitempty"`
	// Steps are played at their times, whatever their order here.
	Steps []Step `json:"steps,omitempty" yaml:"steps,omitempty"`
}

// Step is one fault at a time, a ready plan, or one fault of several again and again.
type Step struct {
	// At counts from the first gift; a span has the moment drawn.
	At Span `json:"at,omitzero" yaml:"at,omitempty"`

	Fault `yaml:",inline"`

	// Ready is the name of a ready plan in place of everything else.
	Ready string `json:"ready,omitempty" yaml:"ready,omitempty"`

	// Every is the time from one to the next, each of which is one of OneOf. From and
	// Until bound them, from the beginning to the end of the run where not given.
	Every Span    `json:"every,omitzero" yaml:"every,omitempty"`
	From  Span    `json:"from,omitzero" yaml:"from,omitempty"`
	Until Span    `json:"until,omitzero" yaml:"until,omitempty"`
	OneOf []Fault `json:"one_of,omitempty" yaml:"one_of,omitempty"`
}

// Fault is what is broken, how and for how long.
type Fault struct {
	Do Action `json:"do,omitempty" yaml:"do,omitempty"`
	// What is a role, "ledger" for one of several, "broker", "postgres", "processor",
	// Any or Each.
	What string `json:"what,omitempty" yaml:"what,omitempty"`
	// For is how long: what was killed is started again then.
	For Span `json:"for,omitzero" yaml:"for,omitempty"`
	// By is how much later everything comes, each way, when it is Slow.
	By Span `json:"by,omitzero" yaml:"by,omitempty"`
	// To is how many bytes a second pass each way when it is Slow; 0 is as many as there are.
	To int64 `json:"to,omitempty" yaml:"to,omitempty"`
}

// Bounds of a plan.
const (
	// everyLeast keeps a plan from breaking faster than a role can start.
	everyLeast = time.Second
	// bytesLeast and bytesMost bound a slow network: less is cut, more is not slow.
	bytesLeast, bytesMost = 64, 10 << 30
	// byMost is the longest way there is: the moon and back is 2.6 s.
	byMost = 10 * time.Second
)

// String is the plan as Parse reads it.
func (p Plan) String() string {
	var all []string
	if p.Text != "" {
		all = append(all, p.Text)
	}
	for _, s := range p.Steps {
		all = append(all, s.String())
	}
	return strings.Join(all, "; ")
}

// String is the step as Parse reads it.
func (s Step) String() string {
	switch {
	case s.Ready != "":
		return s.Ready
	case s.Every.IsZero():
		return s.At.String() + " " + s.Fault.String()
	}
	text := "every " + s.Every.String()
	if !s.From.IsZero() {
		text += " from " + s.From.String()
	}
	if !s.Until.IsZero() {
		text += " until " + s.Until.String()
	}
	choices := make([]string, len(s.OneOf))
	for i, f := range s.OneOf {
		choices[i] = f.String()
	}
	return text + " one of " + strings.Join(choices, ", ")
}

// String is the fault as Parse reads it.
func (f Fault) String() string {
	text := string(f.Do) + " " + f.What
	if !f.By.IsZero() {
		text += " by " + f.By.String()
	}
	if f.To != 0 {
		text += " to " + strconv.FormatInt(f.To, 10) + "B/s"
	}
	if !f.For.IsZero() {
		text += " for " + f.For.String()
	}
	return text
}

// Empty tells whether the plan breaks nothing.
func (p *Plan) Empty() bool { return strings.TrimSpace(p.Text) == "" && len(p.Steps) == 0 }

// Mentions tells whether a fault of the plan is one of those, ready plans opened.
// Errors: those of Validate.
func (p *Plan) Mentions(is func(Fault) bool) (bool, error) {
	steps, err := p.all()
	if err != nil {
		return false, err
	}
	for _, s := range steps {
		if s.Ready != "" {
			for _, f := range ready[s.Ready](time.Hour) {
				if slicesAny(f, is) {
					return true, nil
				}
			}
		} else if slicesAny(s, is) {
			return true, nil
		}
	}
	return false, nil
}

func slicesAny(s Step, is func(Fault) bool) bool {
	for _, f := range s.OneOf {
		if is(f) {
			return true
		}
	}
	return s.Do != "" && is(s.Fault)
}

// Validate reports everything at once that no cast could play. Errors: ErrPlan.
func (p *Plan) Validate() error {
	_, err := p.all()
	return err
}

// all are the steps of both kinds, valid.
func (p *Plan) all() ([]Step, error) {
	steps, err := parseSteps(p.Text)
	if err != nil {
		return nil, err
	}
	steps = append(steps, p.Steps...)
	var errs []error
	for i := range steps {
		if err := steps[i].validate(); err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", steps[i].String(), err))
		}
	}
	return steps, errors.Join(errs...)
}

func (s *Step) validate() error {
	if s.Ready != "" {
		if _, known := ready[s.Ready]; !known {
			return fmt.Errorf("%q is no ready plan; there is everything: %w", s.Ready, ErrPlan)
		}
		if s.Do != "" || len(s.OneOf) > 0 || !s.Every.IsZero() {
			return fmt.Errorf("a ready plan stands alone: %w", ErrPlan)
		}
		return nil
	}
	if s.Every.IsZero() {
		if len(s.OneOf) > 0 || !s.From.IsZero() || !s.Until.IsZero() {
			return fmt.Errorf("one_of, from and until need every: %w", ErrPlan)
		}
		return s.Fault.validate()
	}
	switch {
	case s.Every.Least < everyLeast:
		return fmt.Errorf("every %v, want %s or more: %w", s.Every, short(everyLeast), ErrPlan)
	case s.From.Least != s.From.Most || s.Until.Least != s.Until.Most:
		return fmt.Errorf("from and until are single times: %w", ErrPlan)
	case s.Until != Span{} && s.Until.Least <= s.From.Least:
		return fmt.Errorf("it ends before it begins: %w", ErrPlan)
	case s.Do != "" || !s.At.IsZero():
		return fmt.Errorf("every takes one_of, and neither at nor do: %w", ErrPlan)
	case len(s.OneOf) == 0:
		return fmt.Errorf("every takes at least one of something: %w", ErrPlan)
	}
	for _, f := range s.OneOf {
		if f.What == Each {
			return fmt.Errorf("again and again takes any, not each: %w", ErrPlan)
		}
		if err := f.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fault) validate() error {
	if f.Do == "clock" {
		return fmt.Errorf("clocks cannot be moved: the roles read the machine's own: %w", ErrPlan)
	}
	is, known := actions[f.Do]
	switch {
	case !known:
		return fmt.Errorf("%q is none of %v: %w", f.Do, Actions(), ErrPlan)
	case f.What == "":
		return fmt.Errorf("say what to %s: %w", f.Do, ErrPlan)
	case is.lasts && f.For.Least <= 0:
		return fmt.Errorf("say for how long, such as for 15s: %w", ErrPlan)
	case !is.lasts && !is.at && !f.For.IsZero():
		return fmt.Errorf("%s takes no for: %w", f.Do, ErrPlan)
	case !is.by && (!f.By.IsZero() || f.To != 0):
		return fmt.Errorf("only slow takes by and to: %w", ErrPlan)
	case is.by && f.By.IsZero() && f.To == 0:
		return fmt.Errorf("say how slow, such as by 200ms or to 64KiB/s: %w", ErrPlan)
	case f.By.Most > byMost:
		return fmt.Errorf("by %v, want %s at most: %w", f.By, short(byMost), ErrPlan)
	case f.To != 0 && (f.To < bytesLeast || f.To > bytesMost):
		return fmt.Errorf("to %d B/s, want %d to %d: %w", f.To, bytesLeast, int64(bytesMost), ErrPlan)
	}
	return nil
}
