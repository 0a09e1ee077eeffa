package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"spillway/ingest/bundle"
)

const (
	// webhooksEvery is the least time between two messages of events: at most fifty
	// syncs a second go to what the processor waits seconds for, and the rest of the
	// disk to donors. Measured at 240 charges a second beside 5,000 donations (two
	// cores): one sync for each event trebled the donors' wait.
	webhooksEvery = 20 * time.Millisecond
	// gatheredBytesMax is when a message of events is full.
	gatheredBytesMax = 256 << 10
)

// gathering brings events together that arrive while the last ones were stored a
// moment ago.
type gathering struct {
	mu      sync.Mutex
	filling *gathered // nil for none
	sent    time.Time // when the last one left
}

// gathered is a message of events. The caller that began it sends it for all.
type gathered struct {
	events bundle.Bundle
	ids    []string
	full   chan struct{} // closed when it waits no longer
	done   chan struct{} // closed when err is known
	err    error
}

// PublishWebhook returns nil once the broker has the event on disk, alone or with
// others that arrive within webhooksEvery. The same event published again is a repeat
// to whoever reads. Errors: ErrUnavailable, it may be stored or not; ErrNotDurable,
// ErrNoProof, nothing was sent; ctx's, and then it may be stored or not.
func (b *Broker) PublishWebhook(ctx context.Context, eventID string, body []byte) error {
	want := b.webhooksStream(0)
	if err := b.depositable(eventID, body); err != nil {
		return fmt.Errorf("publish webhook: %w", err)
	}
	g, first, wait := b.gathering.join(eventID, body)
	if first {
		b.sendGathered(ctx, g, wait, func(ctx context.Context, id string) error {
			return b.deposit(ctx, want, id, g.events.Bytes())
		})
	}
	select {
	case <-g.done:
	case <-ctx.Done():
		return fmt.Errorf("publish webhook: %w", ctx.Err())
	}
	if g.err != nil {
		return fmt.Errorf("publish webhook: %w", g.err)
	}
	return nil
}

// join adds an event to the message that is filling. first tells that the caller
// began it, and has to send it after wait.
func (e *gathering) join(id string, body []byte) (g *gathered, first bool, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if g = e.filling; g != nil && len(g.events.Bytes())+len(body) > gatheredBytesMax {
		e.close(g)
		g = nil
	}
	if g == nil {
		g, first = &gathered{full: make(chan struct{}), done: make(chan struct{})}, true
		e.filling = g
		wait = time.Until(e.sent.Add(webhooksEvery))
	}
	if !slices.Contains(g.ids, id) { // the same event, sent twice at a time
		g.events.Add(body)
		g.ids = append(g.ids, id)
	}
	return g, first, wait
}

// close lets nobody join any more. e.mu is held.
func (e *gathering) close(g *gathered) {
	if e.filling == g {
		e.filling = nil
		e.sent = time.Now()
		close(g.full)
	}
}

// sendGathered sends g for everybody who joined it. That the caller's own ctx ends
// is no reason not to: the others wait.
func (b *Broker) sendGathered(ctx context.Context, g *gathered, wait time.Duration, deposit func(ctx context.Context, id string) error) {
	defer close(g.done)
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-g.full:
		}
	}
	b.gathering.mu.Lock()
	b.gathering.close(g)
	b.gathering.mu.Unlock()
	id := ""
	if len(g.ids) == 1 {
		id = g.ids[0] // several have no name in common; their marks are in the database
	}
	g.err = deposit(context.WithoutCancel(ctx), id)
}
