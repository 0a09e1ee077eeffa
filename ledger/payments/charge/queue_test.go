package charge_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"spillway/ledger/payments/charge"
)

// queue is a stream of messages, each delivered once.
type queue struct {
	mu       sync.Mutex
	messages []charge.Message
	acked    map[string]int
	nacked   map[string][]time.Duration
	progress int
	sequence uint64
}

func newQueue() *queue { return &queue{acked: map[string]int{}, nacked: map[string][]time.Duration{}} }

func (q *queue) push(bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, body := range bodies {
		q.sequence++
		q.messages = append(q.messages, charge.Message{
			Data: []byte(body), Sequence: q.sequence, StoredAt: time.Now(), Deliveries: 1, Handle: &handle{q, body},
		})
	}
}

func (q *queue) acks(body string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acked[body]
}

func (q *queue) Stream() string { return "QUEUE" }

func (q *queue) Fetch(ctx context.Context, most, _ int, wait time.Duration) ([]charge.Message, error) {
	for deadline := time.Now().Add(min(wait, 20*time.Millisecond)); ; {
		q.mu.Lock()
		n := min(most, len(q.messages))
		got := slices.Clone(q.messages[:n])
		q.messages = q.messages[n:]
		q.mu.Unlock()
		if n > 0 || time.Now().After(deadline) {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

type handle struct {
	q    *queue
	body string
}

func (h *handle) note(do func()) error {
	h.q.mu.Lock()
	defer h.q.mu.Unlock()
	do()
	return nil
}

func (h *handle) Ack() error { return h.note(func() { h.q.acked[h.body]++ }) }
func (h *handle) Nak(d time.Duration) error {
	return h.note(func() { h.q.nacked[h.body] = append(h.q.nacked[h.body], d) })
}
func (h *handle) InProgress() error { return h.note(func() { h.q.progress++ }) }
