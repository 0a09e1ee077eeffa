package charge

import (
	"context"
	"sync"
	"time"

	"spillway/ledger/backoff"
)

// heartbeatsPerWait is how often a held message is reported in one AckWait.
const heartbeatsPerWait = 3

// held reports fetched messages as in progress until they are let go, so that the
// broker does not give them to others while Postgres is away: for at most HoldMax,
// because another process may have one that is not.
type held struct {
	config Config

	mu       sync.Mutex
	messages []Message
	since    time.Time
}

func (h *held) hold(messages []Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages, h.since = messages, time.Now()
}

func (h *held) letGo() { h.hold(nil) }

// beat reports until ctx ends.
func (h *held) beat(ctx context.Context) {
	every := h.config.AckWait / heartbeatsPerWait
	for backoff.Pause(ctx, every) {
		h.mu.Lock()
		late := h.messages
		if age := time.Since(h.since); age < every/2 || age > h.config.HoldMax {
			late = nil
		}
		h.mu.Unlock()
		for _, m := range late {
			_ = m.Handle.InProgress() // lost: a redelivery is harmless
		}
	}
}
