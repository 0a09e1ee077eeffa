package faults

import (
	"fmt"
	"strconv"
	"strings"
)

// Parse reads a plan in words: statements with ";" or line ends between them,
//
//	20s kill ledger
//	10s..90s kill each for 0s..3s
//	30s pause broker for 15s
//	60s outage processor for 20s
//	70s slow postgres by 200ms for 10s
//	every 20s..60s from 10s until 5m one of kill any, pause ledger for 15s
//	everything
//
// Errors: ErrPlan, with the statement and what is wrong in it.
func Parse(text string) (Plan, error) {
	steps, err := parseSteps(text)
	p := Plan{Steps: steps}
	if err == nil {
		err = p.Validate()
	}
	return p, err
}

// textMost bounds a plan's text: thousands of steps are a mistake.
const textMost = 64 << 10

func parseSteps(text string) (steps []Step, err error) {
	if len(text) > textMost {
		return nil, fmt.Errorf("%d bytes of plan, want %d at most: %w", len(text), textMost, ErrPlan)
	}
	for statement := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' || r == '\r' }) {
		words := words{left: strings.Fields(strings.ReplaceAll(strings.ReplaceAll(statement, ",", " , "), "|", " , "))}
		if len(words.left) == 0 {
			continue
		}
		step, err := words.step()
		if err == nil && len(words.left) > 0 {
			err = fmt.Errorf("%q is too much: %w", words.left[0], ErrPlan)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", strings.TrimSpace(statement), err)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// words are what is left of a statement.
type words struct{ left []string }

// next takes a word, "" at the end.
func (w *words) next() string {
	if len(w.left) == 0 {
		return ""
	}
	word := w.left[0]
	w.left = w.left[1:]
	return word
}

// take takes a word when it is the one.
func (w *words) take(word string) bool {
	if len(w.left) == 0 || w.left[0] != word {
		return false
	}
	w.left = w.left[1:]
	return true
}

func (w *words) span(to *Span) error { return to.UnmarshalText([]byte(w.next())) }

func (w *words) step() (s Step, err error) {
	if _, known := ready[w.left[0]]; known {
		return Step{Ready: w.next()}, nil
	}
	if w.take("every") {
		return w.every()
	}
	w.take("at")
	if err := w.span(&s.At); err != nil {
		return s, err
	}
	s.Fault, err = w.fault()
	return s, err
}

func (w *words) every() (s Step, err error) {
	err = w.span(&s.Every)
	for err == nil {
		switch {
		case w.take("from"):
			err = w.span(&s.From)
		case w.take("until"):
			err = w.span(&s.Until)
		default:
			w.take(",")
			if w.take("one") && !w.take("of") {
				return s, fmt.Errorf("one what? One of: %w", ErrPlan)
			}
			for again := true; again && err == nil; again = w.take(",") {
				var f Fault
				f, err = w.fault()
				s.OneOf = append(s.OneOf, f)
			}
			return s, err
		}
	}
	return s, err
}

func (w *words) fault() (f Fault, err error) {
	f.Do = Action(w.next())
	if f.Do == Kill {
		w.take("-9")
	}
	f.What = w.next()
	for err == nil {
		switch {
		case w.take("for"):
			err = w.span(&f.For)
		case w.take("by"):
			err = w.span(&f.By)
		case w.take("to"):
			f.To, err = parseRate(w.next())
		default:
			return f, nil
		}
	}
	return f, err
}

// parseRate reads bytes a second: 65536B/s, 64KiB/s, 1MiB/s.
func parseRate(text string) (int64, error) {
	number, found := strings.CutSuffix(text, "B/s")
	factor := int64(1)
	for suffix, times := range map[string]int64{"Ki": 1 << 10, "Mi": 1 << 20} {
		if less, is := strings.CutSuffix(number, suffix); is {
			number, factor = less, times
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !found || n < 1 || n > bytesMost/factor {
		return 0, fmt.Errorf("%q is no rate such as 64KiB/s: %w", text, ErrPlan)
	}
	return n * factor, nil
}
