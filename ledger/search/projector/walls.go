package projector

import (
	"context"
	"sync/atomic"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/search"
)

// watchedWalls remembers how often the broker was found without walls: the follower of
// one book finds out, and those of all have to publish theirs again.
type watchedWalls struct {
	Walls
	lost atomic.Int64
}

func (w *watchedWalls) EnsureWalls(ctx context.Context) (fresh bool, err error) {
	fresh, err = w.Walls.EnsureWalls(ctx)
	if fresh {
		w.lost.Add(1)
	}
	return fresh, err
}

// publish notes how old the projection is, and publishes the walls that have changed.
// The wall of the day comes last and always: with it, all others are complete up to
// its time.
func (f *follower) publish(ctx context.Context) error {
	began := time.Now()
	asOf, err := f.age(ctx)
	if err != nil {
		return err
	}
	if _, err := f.walls.EnsureWalls(ctx); err != nil {
		return err
	}
	if lost := f.walls.lost.Load(); lost != f.lost {
		f.lost, f.published = lost, 0
	}
	for {
		changed, err := f.store.ChangedWalls(ctx, f.published, wallsMost)
		if err != nil {
			return err
		}
		if err := f.publishSome(ctx, changed, asOf); err != nil {
			return err
		}
		if len(changed) < wallsMost {
			break
		}
	}
	if f.book == ledger.Live {
		if err := f.publishDay(ctx, asOf); err != nil {
			return err
		}
	}
	f.walledAt, f.wallsTook = time.Now(), time.Since(began)
	return nil
}

func (f *follower) publishSome(ctx context.Context, changed []search.ChangedWall, asOf time.Time) error {
	if len(changed) == 0 {
		return nil
	}
	slugs := make([]string, 0, len(changed))
	for _, w := range changed {
		if w.Campaign != campaigns.DayWall && campaigns.ValidSlug(w.Campaign) {
			slugs = append(slugs, w.Campaign)
		}
	}
	walls, err := f.store.Walls(ctx, slugs)
	if err != nil {
		return err
	}
	for _, w := range walls {
		w.AsOf = asOf
	}
	if err := f.walls.PublishWalls(ctx, walls); err != nil {
		return err
	}
	f.metrics.walls.Add(float64(len(walls)))
	f.published = changed[len(changed)-1].Version
	return nil
}

func (f *follower) publishDay(ctx context.Context, asOf time.Time) error {
	walls, err := f.store.Walls(ctx, []string{campaigns.DayWall})
	if err != nil {
		return err
	}
	if len(walls) == 0 {
		walls = []*campaigns.Wall{{Campaign: campaigns.DayWall}}
	}
	now, err := f.store.Now(ctx)
	if err != nil {
		return err
	}
	walls[0].AsOf, walls[0].Version = asOf, max(walls[0].Version, now.UnixMicro())
	f.metrics.walls.Inc()
	return f.walls.PublishWalls(ctx, walls)
}
