package console

import (
	"context"
	"errors"
	"sync"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/access/credential"
)

const (
	// freshFor is how long a session is not asked for again: what was ended elsewhere
	// is refused within it.
	freshFor = time.Second
	// rememberedFor is how long a session or key is taken for what it was while the
	// database does not answer. Nothing can be ended there meanwhile; it only bounds
	// for how long a shift goes on without it.
	rememberedFor = 15 * time.Minute
	// rememberedMax bounds the memory: organisers are tens.
	rememberedMax = 4096
	// recallTimeout is what the database gets to answer before memory does.
	recallTimeout = 2 * time.Second
)

// remembered is what the console knows of sessions and keys without asking. Only what
// was found is kept, never what was not.
type remembered struct {
	sessions memory[access.Live]
	keys     memory[heldKey]
}

func newRemembered() *remembered { return &remembered{} }

func (r *remembered) sweep(now time.Time) {
	r.sessions.sweep(now)
	r.keys.sweep(now)
}

type memory[V any] struct {
	mu   sync.Mutex
	held map[credential.Sum]recollection[V]
}

type recollection[V any] struct {
	value V
	read  time.Time
}

func (m *memory[V]) get(sum credential.Sum) (recollection[V], bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.held[sum]
	return e, ok
}

func (m *memory[V]) put(sum credential.Sum, v V, read time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		m.held = map[credential.Sum]recollection[V]{}
	}
	if _, there := m.held[sum]; !there && len(m.held) >= rememberedMax {
		for old := range m.held { // in no order: it is asked for again
			delete(m.held, old)
			break
		}
	}
	m.held[sum] = recollection[V]{v, read}
}

// update replaces a value without making it newer; one that was forgotten stays so.
func (m *memory[V]) update(sum credential.Sum, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.held[sum]; ok {
		e.value = v
		m.held[sum] = e
	}
}

func (m *memory[V]) forget(sum credential.Sum) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.held, sum)
}

func (m *memory[V]) sweep(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for sum, e := range m.held {
		if now.Sub(e.read) > rememberedFor {
			delete(m.held, sum)
		}
	}
}

// recall returns what is known under sum: fresh from memory, else from the database,
// else, while that does not answer, from memory again. Errors: access.ErrUnknown,
// access.ErrUnavailable.
func recall[V any](ctx context.Context, c *Console, sum credential.Sum, m *memory[V], load func(context.Context) (V, error)) (V, error) {
	now := c.now()
	e, there := m.get(sum)
	usable := there && now.Sub(e.read) <= rememberedFor
	if there && now.Sub(e.read) < freshFor || usable && c.away.Load() {
		return e.value, nil
	}
	ctx, cancel := context.WithTimeout(ctx, recallTimeout)
	defer cancel()
	v, err := load(ctx)
	switch {
	case err == nil:
		m.put(sum, v, now)
		return v, nil
	case errors.Is(err, access.ErrUnknown):
		m.forget(sum)
		return v, err
	case usable && errors.Is(err, access.ErrUnavailable):
		c.databaseAway(true)
		return e.value, nil
	}
	return v, err
}
