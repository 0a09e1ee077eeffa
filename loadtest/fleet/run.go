package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"spillway/loadtest"
)

// each does something with every member at once. Errors name the member; a lost one's
// own reason comes first.
func (l *Leader) each(ctx context.Context, do func(context.Context, *member) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range l.members {
		group.Go(func() error {
			err := do(ctx, m)
			if err == nil || errors.Is(err, ErrLost) || ctx.Err() != nil {
				return err
			}
			if _, _, lost := m.now(); lost != nil {
				return lost
			}
			return fmt.Errorf("generator %q: %w", m.name, err)
		})
	}
	return group.Wait()
}

// Prepare gives every member its orders and waits until all are ready.
func (l *Leader) Prepare(ctx context.Context) error {
	return l.each(ctx, func(ctx context.Context, m *member) (err error) {
		if m.clock, err = l.clocks(ctx, m); err != nil {
			return err
		}
		orders := l.cfg.Orders
		orders.Share = m.share
		if _, err := l.ask(ctx, m, question{Do: order, Orders: &orders}); err != nil {
			return err
		}
		if orders.File != nil {
			if err := l.give(ctx, m, orders.File); err != nil {
				return err
			}
		}
		if _, err := l.ask(ctx, m, question{Do: prepare}); err != nil {
			return err
		}
		_, err = m.await(ctx, ready)
		return err
	})
}

// give sends the replayed file.
func (l *Leader) give(ctx context.Context, m *member, file *File) (err error) {
	f, err := os.Open(l.cfg.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	chunk := make([]byte, chunkBytes)
	for at := int64(0); at < file.Bytes; {
		n, err := f.ReadAt(chunk[:min(chunkBytes, file.Bytes-at)], at)
		if n == 0 {
			return fmt.Errorf("%s became shorter: %w", l.cfg.File, errors.Join(err, io.ErrUnexpectedEOF))
		}
		if _, err := l.ask(ctx, m, question{Do: put, Offset: at, Data: chunk[:n]}); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// Start tells every member when to begin.
func (l *Leader) Start(ctx context.Context) (time.Time, error) {
	l.started = time.Now().Add(startLead)
	err := l.each(ctx, func(ctx context.Context, m *member) error {
		m.beginsAt = l.started.UnixNano() + int64(m.clock.ahead())
		_, err := l.ask(ctx, m, question{Do: start, At: m.beginsAt})
		return err
	})
	return l.started, err
}

// Follow returns when every member has come to the end of its share.
func (l *Leader) Follow(ctx context.Context, stopped <-chan struct{}) error {
	return l.each(ctx, func(ctx context.Context, m *member) error {
		told := make(chan error, 1)
		following, done := context.WithCancel(ctx)
		go func() {
			select {
			case <-stopped:
				_, err := l.ask(following, m, question{Do: stop})
				told <- err
			case <-following.Done():
				told <- nil
			}
		}()
		_, err := m.await(ctx, ended)
		done()
		if untold := <-told; err == nil && untold != nil && !errors.Is(untold, context.Canceled) {
			l.cfg.Log.Warn("a generator ended before it heard that it should stop", "generator", m.name, "error", untold)
		}
		return err
	})
}

// Collect brings every member's record and tally, and lets it go.
func (l *Leader) Collect(ctx context.Context) ([]loadtest.Part, error) {
	parts := make([]loadtest.Part, len(l.members))
	err := l.each(ctx, func(ctx context.Context, m *member) error {
		part, err := l.collect(ctx, m)
		if err != nil {
			return err
		}
		parts[m.share.Index-1] = part
		return nil
	})
	if err != nil {
		return nil, err
	}
	return parts, l.each(ctx, func(ctx context.Context, m *member) error {
		l.release(ctx, m, "")
		return nil
	})
}

// Counts is what the members have done so far; each recent histogram is told once.
func (l *Leader) Counts() (all loadtest.Counts) {
	for _, m := range l.members {
		m.mu.Lock()
		all.Add(m.state.Counts)
		m.state.Counts.Recent = nil
		m.mu.Unlock()
	}
	return all
}
