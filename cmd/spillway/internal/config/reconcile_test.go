package config

import (
	"errors"
	"testing"
	"time"
)

func TestReconcile_Span(t *testing.T) {
	now := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC) // the last of October in New York
	for _, c := range []struct {
		since, until, zone string
		wantSince, want    string // RFC 3339, UTC; "" for an error
	}{
		{"", "", "UTC", "2026-11-01T00:00:00Z", "2026-11-01T03:00:00Z"},
		{"", "", "America/New_York", "2026-10-31T04:00:00Z", "2026-11-01T03:00:00Z"},
		// The clocks go back on that day, which has 25 hours.
		{"2026-11-01", "2026-11-01", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		{"2026-10-01T08:00:00+02:00", "2026-10-01T09:00:00Z", "Europe/Berlin", "2026-10-01T06:00:00Z", "2026-10-01T09:00:00Z"},
		{"2026-11-02", "", "UTC", "", ""},
		{"yesterday", "", "UTC", "", ""},
		{"", "31.10.2026", "UTC", "", ""},
		{"", "", "Mars/Olympus", "", ""},
		{"", "", "", "", ""},
		{"", "", "Local", "", ""},
	} {
		since, until, _, err := Reconcile{Since: c.since, Until: c.until, Zone: c.zone}.Span(now)
		if c.want == "" {
			if !errors.Is(err, ErrSpan) {
				t.Errorf("%+v: %v, %v, %v", c, since, until, err)
			}
			continue
		}
		if got := since.UTC().Format(time.RFC3339); err != nil || got != c.wantSince || until.UTC().Format(time.RFC3339) != c.want {
			t.Errorf("%+v: %v, %v, %v", c, since.UTC(), until.UTC(), err)
		}
	}
}
