package config

import (
	"errors"
	"fmt"
	"time"
)

// Reconcile is what the commands have in common that hold the journal against the
// processor, and that write statements.
type Reconcile struct {
	Data string `default:"${data_default}" placeholder:"DIR" type:"path" help:"Data folder of a running 'spillway up' (${default}); not used with --database-url."`
	Database
	Since string `env:"-" placeholder:"TIME" help:"From then on: 2026-11-22, midnight in --zone, or 2026-11-22T08:00:00Z. Today's midnight unless told otherwise."`
	Until string `env:"-" placeholder:"TIME" help:"Up to then, and not then itself; a day alone is meant with all of it. Now unless told otherwise."`
	Zone  string `default:"UTC" placeholder:"ZONE" help:"The event's time zone, in which days begin, such as America/New_York."`
}

// ErrSpan says that a span of time cannot be read.
var ErrSpan = errors.New("not a span of time")

// Span reads Since and Until. Errors: ErrSpan.
func (r Reconcile) Span(now time.Time) (since, until time.Time, zone *time.Location, err error) {
	bad := func(flag, why string) (time.Time, time.Time, *time.Location, error) {
		return time.Time{}, time.Time{}, nil, fmt.Errorf("%w: %s %s", ErrSpan, flag, why)
	}
	if zone, err = time.LoadLocation(r.Zone); err != nil || r.Zone == "" || r.Zone == "Local" {
		return bad("--zone", "is no time zone such as Europe/Berlin")
	}
	// days are added by the calendar: one of them may have 23 hours.
	read := func(text string, days int) (time.Time, error) {
		if t, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
			return t.AddDate(0, 0, days), nil
		}
		return time.Parse(time.RFC3339, text)
	}
	year, month, day := now.In(zone).Date()
	since, until = time.Date(year, month, day, 0, 0, 0, 0, zone), now
	if r.Since != "" {
		if since, err = read(r.Since, 0); err != nil {
			return bad("--since", "is neither 2026-11-22 nor 2026-11-22T08:00:00Z")
		}
	}
	if r.Until != "" {
		if until, err = read(r.Until, 1); err != nil {
			return bad("--until", "is neither 2026-11-22 nor 2026-11-22T08:00:00Z")
		}
	}
	if !since.Before(until) {
		return bad("--since", "is not before --until")
	}
	return since, until, zone, nil
}
