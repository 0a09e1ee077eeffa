package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Span is a length of time, or from one to another of which one is drawn. Its text is
// "20s" or "20s..60s".
type Span struct{ Least, Most time.Duration }

// Exactly is a span of one length.
func Exactly(d time.Duration) Span { return Span{d, d} }

// spanMost bounds every time of a plan: no giving day is longer than three days, and
// sums of some of them stay far below what a Duration holds.
const spanMost = 72 * time.Hour

// IsZero tells whether nothing was said.
func (s Span) IsZero() bool { return s == Span{} }

// String is the span as plans say it.
func (s Span) String() string {
	if s.Least == s.Most {
		return short(s.Least)
	}
	return short(s.Least) + ".." + short(s.Most)
}

// short is a duration without the zeros that Go ends it with: 2m, not 2m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText writes it.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads it. Errors: ErrPlan.
func (s *Span) UnmarshalText(text []byte) error {
	least, most, isRange := strings.Cut(string(text), "..")
	if !isRange {
		most = least
	}
	var read Span
	for _, end := range []struct {
		text string
		to   *time.Duration
	}{{least, &read.Least}, {most, &read.Most}} {
		d, err := time.ParseDuration(end.text)
		if err != nil || d < 0 || d > spanMost {
			return fmt.Errorf("%q is no time such as 20s or 20s..60s, up to %s: %w", text, short(spanMost), ErrPlan)
		}
		*end.to = d
	}
	if read.Least > read.Most {
		return fmt.Errorf("%q ends before it begins: %w", text, ErrPlan)
	}
	*s = read
	return nil
}

// grain is what drawn times are rounded to, so that people can read and repeat them.
const grain = 10 * time.Millisecond

// draw is one length of the span.
func (s Span) draw(r *rand.Rand) time.Duration {
	if s.Most <= s.Least {
		return s.Least
	}
	return (s.Least + time.Duration(r.Int64N(int64(s.Most-s.Least)+1))).Round(grain)
}
