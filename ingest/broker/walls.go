package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	"spillway/campaigns/wire"
)

// wallsAtOnce is how many walls are on their way at the same time: at 2 to 10 KiB each
// a megabyte or two, and the way there and back is paid once for all of them.
const wallsAtOnce = 256

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
	for chunk := range slices.Chunk(walls, wallsAtOnce) {
		if err := b.publishChunk(ctx, chunk); err != nil {
			return fmt.Errorf("publish walls: %w", err)
		}
	}
	return nil
}

// publishChunk sends at most wallsAtOnce walls and waits for all answers. None is sent
// again here: whoever publishes does so with the next news.
func (b *Broker) publishChunk(ctx context.Context, walls []*campaigns.Wall) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	inbox := b.nc.NewInbox() + "."
	answers := make(chan *nats.Msg, wallsAtOnce)
	sub, err := b.nc.ChanSubscribe(inbox+"*", answers)
	if err != nil {
		return unavailable(ctx, err)
	}
	defer sub.Unsubscribe() // an error says that the connection is closed anyway
	var data []byte
	for i, w := range walls {
		data = wire.AppendWall(data[:0], w)
		// It copies data.
		if err := b.nc.PublishRequest(wallSubject(w.Campaign), inbox+strconv.Itoa(i), data); err != nil {
			return unavailable(ctx, err)
		}
	}
	for range walls {
		select {
		case <-ctx.Done():
			return unavailable(ctx, ctx.Err())
		case m := <-answers:
			var ack pubAck
			if err := json.Unmarshal(m.Data, &ack); err != nil || ack.Error != nil || ack.Stream != wallsStream {
				return fmt.Errorf("%w: answer %q", ErrUnavailable, m.Data) // empty when there is no stream
			}
		}
	}
	return nil
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
