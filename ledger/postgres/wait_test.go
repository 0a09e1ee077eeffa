package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

func TestExpectedWait(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) pgtype.Timestamptz { return pgtype.Timestamptz{Time: noon.Add(d), Valid: true} }
	queue := func(due int64, perSecond float64, oldest, counted, now time.Duration) queueFigures {
		return queueFigures{
			due: pgtype.Int8{Int64: due, Valid: true}, perSecond: pgtype.Float8{Float64: perSecond, Valid: true},
			oldestAt: at(oldest), countedAt: at(counted), now: noon.Add(now),
		}
	}
	for name, c := range map[string]struct {
		queue queueFigures
		since time.Duration
		want  time.Duration
	}{
		"nobody counted":       {queueFigures{now: noon}, 0, 0},
		"nobody waits":         {queueFigures{countedAt: at(0), perSecond: pgtype.Float8{Float64: 25, Valid: true}, now: noon}, 0, 0},
		"the newest":           {queue(9000, 25, -10*time.Minute, 0, 0), 0, 6 * time.Minute},
		"half-way":             {queue(9000, 25, -10*time.Minute, 0, 0), -5 * time.Minute, 3 * time.Minute},
		"the oldest":           {queue(9000, 25, -10*time.Minute, 0, 0), -10 * time.Minute, time.Second},
		"older than the count": {queue(9000, 25, -10*time.Minute, 0, 0), -20 * time.Minute, time.Second},
		"after the count":      {queue(9000, 25, -10*time.Minute, 0, 30*time.Second), 20 * time.Second, 330 * time.Second},
		"all at once":          {queue(50, 25, 0, 0, 0), 0, 2 * time.Second},
		"paused":               {queue(9000, 0, -10*time.Minute, 0, 0), 0, 0},
		"payments are away":    {queue(9000, 25, -10*time.Minute, 0, 2*time.Minute), 0, 0},
		"beyond a token":       {queue(1<<60, 25, -10*time.Minute, 0, 0), 0, 12 * time.Hour},
	} {
		if got := c.queue.expectedWait(noon.Add(c.since)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
