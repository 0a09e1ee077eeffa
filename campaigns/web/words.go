package web

import (
	"time"

	"spillway/campaigns"
)

// zone is the event's time zone; UTC when there is none, or none that is known here.
func zone(e *campaigns.Event) *time.Location {
	if e == nil || e.TimeZone == "" {
		return time.UTC
	}
	if loc, err := time.LoadLocation(e.TimeZone); err == nil {
		return loc
	}
	return time.UTC
}

// clock writes a time of day: "18:05:07 CET".
func clock(t time.Time, loc *time.Location) string { return t.In(loc).Format("15:04:05 MST") }

// moment writes a time in full: "Sunday 22 November 2026, 18:00 CET".
func moment(t time.Time, loc *time.Location) string {
	return t.In(loc).Format("Monday 2 January 2006, 15:04 MST")
}

// span writes when a giving day is: "Sunday 22 November 2026, 08:00 to 20:00 CET".
func span(start, end time.Time, loc *time.Location) string {
	switch {
	case start.IsZero() && end.IsZero():
		return ""
	case start.IsZero():
		return "Until " + moment(end, loc)
	case end.IsZero():
		return "From " + moment(start, loc)
	}
	s, e := start.In(loc), end.In(loc)
	// A day that ends at midnight ends on the day before, as people say it.
	last := e.Add(-time.Nanosecond)
	if s.YearDay() == last.YearDay() && s.Year() == last.Year() {
		if s.Hour() == 0 && s.Minute() == 0 && e.Hour() == 0 && e.Minute() == 0 {
			return s.Format("Monday 2 January 2006")
		}
		return s.Format("Monday 2 January 2006, 15:04") + " to " + e.Format("15:04 MST")
	}
	return s.Format("2 January 2006, 15:04") + " to " + moment(end, loc)
}

const day = 24 * time.Hour

// lasting writes a duration as people say it, rounded down, in its largest unit:
// "3 hours", "1 day", as scripts do after it. Below a minute it is "less than a minute".
func lasting(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return plural(int64(d/time.Minute), "minute", "minutes")
	case d < day:
		return plural(int64(d/time.Hour), "hour", "hours")
	}
	return plural(int64(d/day), "day", "days")
}

// until writes how long it is to t: "in 3 hours".
func until(t, now time.Time) string { return "in " + lasting(t.Sub(now)) }

// ago writes how long t is past: "3 minutes ago", "just now" below a minute and for a
// clock that runs ahead.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	if d < time.Minute {
		return "just now"
	}
	return lasting(d) + " ago"
}
