package consumer

import (
	"context"
	"testing"
	"time"

	"spillway/ledger"
)

// marked is a shard that knows nothing but its watermark.
type marked struct {
	at    time.Time
	asked int
}

func (m *marked) Watermark(context.Context) (time.Time, error) { m.asked++; return m.at, nil }
func (m *marked) Lag(context.Context) (Lag, error)             { return Lag{}, nil }
func (m *marked) Fetch(context.Context, int, int, time.Duration) ([]Message, error) {
	return nil, nil
}

func TestRefresh_AFlightIsBoundByAYoungWatermark(t *testing.T) {
	source := &marked{at: time.Unix(100, 0)}
	c := &Consumer{config: Config{FrameEvery: time.Hour}, shards: []Shard{{Source: source}}}
	w := newWriter(ledger.Lease{})
	c.refresh(t.Context(), w)
	if f := w.depart(); !f.bound.Equal(source.at) {
		t.Errorf("bound by %v", f.bound)
	}
	source.at = time.Unix(200, 0)
	c.refresh(t.Context(), w)
	if f := w.depart(); source.asked != 1 || !f.bound.Equal(time.Unix(100, 0)) {
		t.Errorf("asked %d times within half a tick, bound by %v", source.asked, f.bound)
	}
	c.config.FrameEvery = 0 // every watermark is old
	c.refresh(t.Context(), w)
	if f := w.depart(); source.asked != 2 || !f.bound.Equal(time.Unix(200, 0)) {
		t.Errorf("asked %d times, bound by %v", source.asked, f.bound)
	}
	source.at = time.Unix(150, 0) // a watermark that went back is no news
	c.refresh(t.Context(), w)
	if f := w.depart(); !f.bound.Equal(time.Unix(200, 0)) {
		t.Errorf("bound by %v", f.bound)
	}
}

func TestUntilTick(t *testing.T) {
	const every = 50 * time.Millisecond
	at := func(ms float64) time.Time {
		return time.Unix(1_800_000_000, 0).Add(time.Duration(ms * float64(time.Millisecond)))
	}
	for _, c := range []struct {
		now  time.Time
		want time.Duration
	}{
		{at(0), every},
		{at(0.5), 49500 * time.Microsecond},
		{at(49.5), 500 * time.Microsecond},
		{at(50), every},
		{at(125), 25 * time.Millisecond},
	} {
		if got := untilTick(c.now, every); got != c.want {
			t.Errorf("at %v: %v, want %v", c.now, got, c.want)
		}
	}
}
