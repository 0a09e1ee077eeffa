package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"spillway/ledger/payments"
)

var (
	queueSQL        = statement("queue")
	queueDueSQL     = statement("queue_due")
	queueFiguresSQL = statement("queue_figures")
)

const (
	// countShare bounds what counting costs: it rests so many times as long as it
	// took. A queue of a million takes a quarter of a second to count.
	countShare = 20
	// countMax bounds how many attempts are counted of those that are not due: more
	// are a number without a meaning.
	countMax = 1_000_000
)

// figures are a book's queue as it was last counted.
type figures struct {
	mu    sync.Mutex
	state payments.QueueState
	fresh time.Time // until then it is not counted again; this process's clock
}

// Queue describes the queue: exactly, as of a moment ago. The longer it is, the
// longer ago. It also notes its length where donors' questions find it.
// Errors: ledger.ErrUnavailable.
func (b *Book) Queue(ctx context.Context, account, endpoint string) (payments.QueueState, error) {
	b.figures.mu.Lock()
	defer b.figures.mu.Unlock()
	started := time.Now()
	if started.Before(b.figures.fresh) {
		return b.figures.state, nil
	}
	state, err := b.countQueue(ctx, account, endpoint)
	if err != nil {
		return payments.QueueState{}, sorted("count the queue", err)
	}
	b.figures.state = state
	b.figures.fresh = time.Now().Add(countShare * time.Since(started))
	return state, nil
}

func (b *Book) countQueue(ctx context.Context, account, endpoint string) (payments.QueueState, error) {
	var (
		s        payments.QueueState
		recorded *time.Time
		minutes  []dueMinute
		now      time.Time
		pace     []payments.Pace
		err      error
	)
	if pace, err = b.Paces(ctx); err != nil {
		return s, err
	}
	s.PerSecond = perSecond(pace, account, endpoint)
	work := &pgx.Batch{}
	work.Queue(clockSQL+" + $1::interval", b.offset()).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	work.Queue(queueSQL, countMax).QueryRow(func(row pgx.Row) error {
		return row.Scan(&s.Unexpanded, &recorded, &s.Calling, &s.RequiresAction)
	})
	work.Queue(queueDueSQL).Query(func(rows pgx.Rows) error {
		minutes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m dueMinute, err error) {
			err = row.Scan(&m.minute, &m.count, &m.earliest, &m.oldest)
			return m, err
		})
		return err
	})
	if err := b.asks.SendBatch(ctx, work).Close(); err != nil {
		return s, err
	}
	if recorded != nil {
		s.OldestDue = recorded.Add(b.offset())
	}
	for i, m := range minutes {
		s.Due += m.count
		if i == 0 {
			s.EarliestExpiry = m.earliest
		}
		if s.OldestDue.IsZero() || m.oldest.Before(s.OldestDue) {
			s.OldestDue = m.oldest
		}
	}
	s.Late = late(minutes, now, s.PerSecond)
	var oldest *time.Time
	if !s.OldestDue.IsZero() {
		oldest = &s.OldestDue
	}
	_, err = b.asks.Exec(ctx, queueFiguresSQL, oldest, b.offset(), s.Due+s.Unexpanded, s.PerSecond)
	return s, err
}

// dueMinute are the due attempts whose tokens expire in one minute.
type dueMinute struct {
	minute   time.Time
	count    int64
	earliest time.Time // expiry
	oldest   time.Time // due since
}

// late is how many of the due attempts have their turn after their token's expiry,
// when they are called in the order of expiry at so many a second. A minute counts
// as its end.
func late(minutes []dueMinute, now time.Time, perSecond float64) (late int64) {
	ahead := int64(0)
	for _, m := range minutes {
		left := m.minute.Add(time.Minute).Sub(now).Seconds()
		inTime := max(0, int64(left*perSecond)) // calls that are made until then
		late += min(m.count, max(0, ahead+m.count-inTime))
		ahead += m.count
		if spoilt := ahead - inTime; spoilt > 0 {
			ahead = inTime // nobody calls for a token that is dead
		}
	}
	return late
}

// perSecond is what an endpoint gets: its own pace or its account's, whichever is
// less; 0 while one of them is paused.
func perSecond(paces []payments.Pace, account, endpoint string) float64 {
	rate := float64(endpointPerSecond)
	for _, p := range paces {
		if p.Account == account && p.Endpoint == endpoint {
			rate = p.Current
		}
	}
	for _, p := range paces {
		if p.Account != account || p.Endpoint != endpoint && p.Endpoint != payments.EndpointAll {
			continue
		}
		if rate = min(rate, p.Current); p.Paused {
			return 0
		}
	}
	return rate
}
