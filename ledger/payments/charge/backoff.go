package charge

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// Bounds of the wait between two tries of something that time heals.
const (
	backoffMin = 20 * time.Millisecond
	backoffMax = 2 * time.Second
)

// backoff counts tries and waits longer after each.
type backoff struct{ tries int }

// wait blocks for a random part of a time that doubles with each call, so that
// processes which failed together do not come back together. False when ctx ended.
func (b *backoff) wait(ctx context.Context) bool {
	d := backoffMax
	if b.tries < 7 { // 20 ms << 7 is beyond backoffMax
		d = min(d, backoffMin<<b.tries)
	}
	b.tries++
	return pause(ctx, d/2+rand.N(d/2))
}

// pause blocks for d. False when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
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

// jittered is d, give or take a fifth: what was put off together comes back apart.
func jittered(d time.Duration) time.Duration {
	if d < 5 {
		return d
	}
	return d - d/5 + rand.N(2*d/5)
}

// uuid writes an ID as logs and the public contract have it.
func uuid(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
