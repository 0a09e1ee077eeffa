package charge

import (
	"context"
	"math"
	"time"
)

// figuresEvery is the pace of figures that cost a query.
const figuresEvery = 5 * time.Second

// figures asks how the queue stands, and says when it outlives its tokens.
func (d *desk) figures(ctx context.Context) (more bool, err error) {
	bounded, cancel := ask(ctx)
	defer cancel()
	q, err := d.book.Store.Queue(bounded, d.s.config.Account, endpointIntents)
	if err != nil {
		return false, err
	}
	d.queued.Store(q.Due)
	d.perSecond.Store(int64(math.Ceil(q.PerSecond)))
	m := d.metrics
	m.queueDue.Set(float64(q.Due))
	m.queueUnexpanded.Set(float64(q.Unexpanded))
	m.calling.Set(float64(q.Calling))
	m.requiresAction.Set(float64(q.RequiresAction))
	m.perSecond.Set(q.PerSecond)
	age := time.Duration(0)
	if !q.OldestDue.IsZero() {
		age = d.s.since(q.OldestDue)
	}
	m.oldestDue.Set(age.Seconds())
	m.queueLate.Set(float64(q.Late))
	if (q.Late > 0) != d.late {
		if d.late = q.Late > 0; d.late {
			d.log.Error("the queue outlives its tokens: donors will be asked for a card again unless the pace rises",
				"late", q.Late, "due", q.Due, "per_second", q.PerSecond, "first_expiry", q.EarliestExpiry)
		} else {
			d.log.Info("the queue ends before its tokens do again")
		}
	}
	return false, nil
}
