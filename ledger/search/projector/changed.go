package projector

import (
	"sync"

	"spillway/ingest"
)

// changedMax bounds donations whose change was heard of and not looked at: a second of
// the fastest processor. What comes beyond is found by the journal or the sweep.
const changedMax = 8192

// changed are donations to be looked at because something said so, each once.
type changed struct {
	mu  sync.Mutex
	ids map[ingest.ID]struct{}
}

func newChanged() *changed {
	return &changed{ids: make(map[ingest.ID]struct{})}
}

func (c *changed) add(ids [][16]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if len(c.ids) == changedMax {
			break
		}
		c.ids[id] = struct{}{}
	}
}

// take returns at most so many and forgets them.
func (c *changed) take(most int) []ingest.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]ingest.ID, 0, min(most, len(c.ids)))
	for id := range c.ids {
		if len(ids) == most {
			break
		}
		ids = append(ids, id)
		delete(c.ids, id)
	}
	return ids
}
