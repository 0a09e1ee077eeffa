package console

import (
	"context"
	"fmt"
	"sync"

	"spillway/campaigns/access"
)

// keptMax bounds the entries that wait for the database: people make few, and a crowd
// of programs must not fill the memory.
const keptMax = 1000

// kept are entries of the audit log that could not be written when they were made.
type kept struct {
	mu      sync.Mutex
	entries []access.Entry
}

// add is frame.Surroundings.Keep.
func (k *kept) add(e access.Entry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.entries) >= keptMax {
		return fmt.Errorf("keep an entry of the audit log: %w", access.ErrUnavailable)
	}
	k.entries = append(k.entries, e)
	return nil
}

// first is the oldest entry.
func (k *kept) first() (e access.Entry, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.entries) == 0 {
		return e, false
	}
	return k.entries[0], true
}

func (k *kept) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries = k.entries[1:]
}

// audit writes an entry, and does not wait for a database that is known to be away.
func (c *Console) audit(ctx context.Context, e access.Entry) error {
	if c.away.Load() {
		return access.ErrUnavailable
	}
	return c.deps.Store.Audit(ctx, e)
}

// writeKept writes what was kept, in order. One that was written and whose answer was
// lost is written again: twice is better than never.
func (c *Console) writeKept(ctx context.Context) {
	for {
		e, ok := c.kept.first()
		if !ok {
			return
		}
		if err := c.deps.Store.Audit(ctx, e); err != nil {
			if ctx.Err() == nil {
				c.log.Warn("entries of the audit log wait in memory", "err", err)
			}
			return
		}
		c.kept.drop()
	}
}
