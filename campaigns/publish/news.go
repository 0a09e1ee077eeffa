package publish

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// news is one kind of what front-ends read, campaigns or giving days: what the
// database wants the broker to hold, and what it holds.
type news[T any] struct {
	what      string // in logs
	of        func(T) (slug string, revision int64)
	since     func(ctx context.Context, revision int64) ([]T, error)
	publish   func(ctx context.Context, all []T) error
	watch     func(ctx context.Context, handle func(T), ready func()) error
	raise     func(ctx context.Context, least int64) error
	published prometheus.Counter
	log       *slog.Logger

	mu    sync.Mutex
	held  map[string]int64 // slug -> revision of the last message that the broker holds
	ready chan struct{}    // closed when all of those were seen once
	once  sync.Once

	// Owned by whoever calls round.
	wanted   map[string]T // as the database has them
	revision int64        // up to which wanted is read
	compared bool         // the database's numbers were compared with the broker's
}

// begun prepares what n holds.
func (n *news[T]) begun() *news[T] {
	n.held, n.wanted, n.ready = map[string]int64{}, map[string]T{}, make(chan struct{})
	return n
}

// follow keeps held up to what the broker holds, in its order, until ctx ends: a lower
// revision that comes after a higher one has taken its place there.
func (n *news[T]) follow(ctx context.Context) {
	handle := func(v T) {
		slug, revision := n.of(v)
		n.mu.Lock()
		n.held[slug] = revision
		n.mu.Unlock()
	}
	for {
		err := n.watch(ctx, handle, func() { n.once.Do(func() { close(n.ready) }) })
		if ctx.Err() != nil {
			return
		}
		n.log.Warn("news of "+n.what+" stopped, reading again", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchPause):
		}
	}
}

// known tells whether what the broker holds was seen once.
func (n *news[T]) known() bool {
	select {
	case <-n.ready:
		return true
	default:
		return false
	}
}

// round reads what changed and publishes what the broker does not hold. After a
// failure it reads anew: the database may come back as an older one.
func (n *news[T]) round(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			n.revision, n.compared = 0, false
		}
	}()
	if n.revision == 0 {
		clear(n.wanted)
	}
	for {
		changed, err := n.since(ctx, n.revision)
		if err != nil {
			return err
		}
		if len(changed) == 0 {
			break
		}
		for _, v := range changed {
			slug, revision := n.of(v)
			n.wanted[slug] = v
			n.revision = max(n.revision, revision)
		}
	}
	if !n.compared {
		if err := n.compare(ctx); err != nil {
			return err
		}
		n.compared = true
	}
	missing := n.missing()
	if len(missing) == 0 {
		return nil
	}
	if err := n.publish(ctx, missing); err != nil {
		return err
	}
	n.published.Add(float64(len(missing)))
	n.mu.Lock()
	for _, v := range missing {
		slug, revision := n.of(v)
		n.held[slug] = max(n.held[slug], revision) // the watch will say so too
	}
	n.mu.Unlock()
	return nil
}

// missing lists, in order of change, that of which the broker holds an older revision
// or nothing.
func (n *news[T]) missing() []T {
	var missing []T
	n.mu.Lock()
	for slug, v := range n.wanted {
		_, revision := n.of(v)
		if held, ok := n.held[slug]; !ok || held < revision {
			missing = append(missing, v)
		}
	}
	n.mu.Unlock()
	slices.SortFunc(missing, func(a, b T) int {
		_, first := n.of(a)
		_, second := n.of(b)
		return int(first - second)
	})
	return missing
}

// compare looks whether the broker holds newer revisions than the database, which was
// restored from a backup then: what front-ends have stands until somebody changes it,
// and that change has to be numbered above it.
func (n *news[T]) compare(ctx context.Context) error {
	var newer int
	var highest int64
	n.mu.Lock()
	for slug, revision := range n.held {
		highest = max(highest, revision)
		v, ok := n.wanted[slug]
		if ok {
			if _, wanted := n.of(v); wanted >= revision {
				continue
			}
		}
		newer++
	}
	n.mu.Unlock()
	if highest <= n.revision {
		return nil
	}
	n.log.Warn("the broker holds newer "+n.what+" than the database: was it restored? later changes are numbered above them",
		"newer", newer, "broker_revision", highest, "database_revision", n.revision)
	return n.raise(ctx, highest)
}
