package charge

import (
	"testing"
	"time"
)

// Making attempts leaves the database to recording while the queue is long enough.
func TestRest_OfALongQueueIsLonger(t *testing.T) {
	for _, c := range []struct {
		name              string
		queued, perSecond int64
		want              time.Duration
	}{
		{"empty", 0, 25, time.Second},
		{"nothing known yet", 0, 0, time.Second},
		{"a minute's worth", 250 * 60, 250, time.Second},
		{"more than that", 250*60 + 1, 250, 19 * time.Second},
		{"paused, and few", ampleLeast, 0, time.Second},
		{"paused, and many", ampleLeast + 1, 0, 19 * time.Second},
	} {
		var d desk
		d.queued.Store(c.queued)
		d.perSecond.Store(c.perSecond)
		if got := d.rest(time.Second); got != c.want {
			t.Errorf("%s: rests %v, want %v", c.name, got, c.want)
		}
	}
}
