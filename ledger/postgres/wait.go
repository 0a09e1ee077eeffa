package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

var figuresSQL = statement("figures")

const (
	// figuresEvery is how often the queue's length is read, however many ask.
	figuresEvery = time.Second
	// figuresMaxAge is how long it is believed. The payments role counts it every few
	// seconds; when it is away, nobody knows.
	figuresMaxAge = time.Minute
	// expectedWaitMax bounds what donors are told: a token lives no longer.
	expectedWaitMax = 12 * time.Hour
)

// queueFigures is the queue as payments last counted it, all NULL before. Times are
// the database's clock.
type queueFigures struct {
	due                 pgtype.Int8
	perSecond           pgtype.Float8
	oldestAt, countedAt pgtype.Timestamptz
	now                 time.Time
}

// figuresCache is a book's figures, read once for all who ask within a second.
type figuresCache struct {
	mu      sync.Mutex
	figures queueFigures
	readAt  time.Time // this process's clock
}

func (c *figuresCache) read(ctx context.Context, pool *pgxpool.Pool) (queueFigures, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := time.Since(c.readAt); age < figuresEvery {
		f := c.figures
		f.now = f.now.Add(age)
		return f, nil
	}
	var f queueFigures
	err := pool.QueryRow(ctx, figuresSQL).Scan(&f.due, &f.perSecond, &f.oldestAt, &f.countedAt, &f.now)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return queueFigures{}, err
	}
	c.figures, c.readAt = f, time.Now()
	return f, nil
}

// expectedWait guesses how long a donation that waits since the given time waits
// still. The queue is taken as evenly long over the time in which it grew, and as
// served in the order of arrival: who came half-way has half of it in front.
func (f *queueFigures) expectedWait(since time.Time) time.Duration {
	if !f.countedAt.Valid || !f.oldestAt.Valid || f.perSecond.Float64 <= 0 || f.now.Sub(f.countedAt.Time) > figuresMaxAge {
		return 0
	}
	ahead := 1.0
	if grew := f.countedAt.Time.Sub(f.oldestAt.Time); grew > 0 {
		ahead = max(0, min(1, float64(since.Sub(f.oldestAt.Time))/float64(grew)))
	}
	seconds := ahead*float64(f.due.Int64)/f.perSecond.Float64 - f.now.Sub(f.countedAt.Time).Seconds()
	seconds = max(1, min(seconds, expectedWaitMax.Seconds()))
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}
