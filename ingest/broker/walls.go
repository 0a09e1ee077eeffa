package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"spillway/campaigns"
	"spillway/campaigns/wire"
)

// wallsAtOnce is how many walls are on their way at the same time. The broker keeps
// them in memory and syncs nothing: this hides the way there and back.
const wallsAtOnce = 64

// EnsureWalls makes the stream of walls when it is not there, and tells whether it
// holds nothing: then every wall has to be published. A single broker that is
// started again has lost it, as it may: walls are found again in the books.
// Errors: ErrTopology; ErrUnavailable, ctx's.
func (b *Broker) EnsureWalls(ctx context.Context) (fresh bool, err error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	want := b.wallsStream()
	have, err := b.streamInfo(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, createErr := b.js.CreateStream(ctx, want)
		if createErr == nil {
			return true, nil
		}
		if have, err = b.streamInfo(ctx, want.Name); err != nil { // another process may have been faster
			err = createErr
		}
	}
	if err != nil {
		return false, fmt.Errorf("stream %s: %w", want.Name, unavailable(ctx, err))
	}
	if wrong := wrongWalls(have.Config, want); len(wrong) > 0 {
		return false, fmt.Errorf("stream %s: %s: %w", want.Name, strings.Join(wrong, "; "), ErrTopology)
	}
	return have.State.Msgs == 0, nil
}

// wallsStream keeps the last wall of each campaign in memory, and lets the oldest go
// when there is no room: a page without a wall is a page.
func (b *Broker) wallsStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: wallsStream, Subjects: []string{wallSubject(">")},
		Storage: jetstream.MemoryStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		Replicas: b.cfg.Replicas, MaxBytes: wallsBytesMax, MaxMsgsPerSubject: 1, AllowDirect: true,
		Duplicates: duplicatesWindow,
	}
}

// wrongWalls names what would make the stream useless or harmful. Where it is kept
// is the operator's: on disk it costs syncs, and is safe.
func wrongWalls(have, want jetstream.StreamConfig) (wrong []string) {
	if strings.Join(have.Subjects, " ") != strings.Join(want.Subjects, " ") {
		wrong = append(wrong, "its subjects are "+strings.Join(have.Subjects, ", "))
	}
	if have.MaxMsgsPerSubject != 1 {
		wrong = append(wrong, fmt.Sprintf("max_msgs_per_subject is %d", have.MaxMsgsPerSubject))
	}
	if have.MaxBytes <= 0 {
		wrong = append(wrong, "max_bytes is not set")
	}
	return wrong
}

// PublishWalls returns once the broker has every wall. A campaign may be in it once.
// Whoever leads publishes alone: a wall of a lower version is stored like any other,
// and readers keep the highest. Errors: ErrUnavailable, some may be there; ctx's.
func (b *Broker) PublishWalls(ctx context.Context, walls []*campaigns.Wall) error {
	for _, w := range walls {
		if w.Campaign != campaigns.DayWall && !campaigns.ValidSlug(w.Campaign) {
			return fmt.Errorf("publish walls: %q is no campaign's slug", w.Campaign)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(wallsAtOnce)
	for _, w := range walls {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := b.publishNews(ctx, wallsStream, wallSubject(w.Campaign), wire.AppendWall(nil, w)); err != nil {
				return fmt.Errorf("publish wall of %s: %w", w.Campaign, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// WatchWalls calls handle for every wall that the broker holds, ready once after
// those, and then handle for every change, from one goroutine, until ctx ends. It
// goes on when the stream is lost and made anew: all walls come again then, and the
// highest version of each counts. While there is no stream it waits for one.
func (b *Broker) WatchWalls(ctx context.Context, handle func(*campaigns.Wall), ready func()) error {
	return b.watchLast(ctx, wallsStream, func(m *nats.Msg) error {
		w, err := wire.DecodeWall(m.Data)
		if err == nil {
			handle(w)
		}
		return err
	}, ready)
}
