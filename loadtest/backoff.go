package loadtest

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of the pause before an attempt is repeated.
const (
	backoffLeast = 50 * time.Millisecond
	backoffMost  = 2 * time.Second
	// retryAfterMost bounds what a target may ask for.
	retryAfterMost = 30 * time.Second
)

// backoff is the pause after the try with this number, from 1: twice as long each
// time, half of it by chance so that those refused together do not come back
// together, and no shorter than the target asked for.
func backoff(try int, retryAfter time.Duration, random func() float64) time.Duration {
	pause := backoffMost
	if try < 10 {
		pause = min(backoffMost, backoffLeast<<(try-1))
	}
	pause = pause/2 + time.Duration(random()*float64(pause/2))
	if retryAfter > 0 {
		pause += min(retryAfter, retryAfterMost)
	}
	return pause
}

func chance() float64 { return rand.Float64() }

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
