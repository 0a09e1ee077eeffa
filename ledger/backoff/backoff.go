// Package backoff is the wait between two tries of something that time heals.
//
// The one invariant: a wait ends with its context, and no two processes that failed
// together come back together.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of a wait: long enough that a dead server is not beaten, short enough that
// nobody waits for us after it came back.
const (
	least = 20 * time.Millisecond
	most  = 2 * time.Second
)

// Tries counts them and waits longer after each. The zero value has none.
type Tries struct{ n int }

// Count is how many waits there were since the zero value.
func (t *Tries) Count() int { return t.n }

// Wait blocks for a random part of a time that doubles with each call, from 10 ms to
// 2 s. False when ctx ended.
func (t *Tries) Wait(ctx context.Context) bool {
	d := most
	if t.n < 7 { // 20 ms << 7 is beyond most
		d = min(d, least<<t.n)
	}
	t.n++
	return Pause(ctx, d/2+rand.N(d/2))
}

// Pause blocks for d. False when ctx ended first.
func Pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
