package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ledger"
	"spillway/ledger/backoff"
)

// Layout is where one stream is.
type Layout struct {
	Stream    string
	Replicas  int    // as it is set
	Leader    string // "" while nobody leads it, or on a server of no cluster
	Copies    []Copy // beside the leader's
	Bytes     uint64 // stored
	BytesMost int64  // that may be
	// Paused says that it stores nothing, because its copies are being changed.
	Paused bool
}

// Copy is one server's.
type Copy struct {
	Server string
	// Current says that it has all that the leader has; Behind how many entries it lacks.
	Current bool
	Behind  uint64
	// Silent is since when the leader has not heard of it.
	Silent time.Duration
}

// Whole tells whether as many copies as are set have everything.
func (l Layout) Whole() bool {
	if l.Replicas == 1 {
		return len(l.Copies) == 0
	}
	return l.Leader != "" && len(l.Copies) == l.Replicas-1 && !slices.ContainsFunc(l.Copies, func(c Copy) bool { return !c.Current })
}

// Layouts asks where every stream is, in order of names. Errors: ErrUnavailable, ctx's.
func (b *Broker) Layouts(ctx context.Context) ([]Layout, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	var all []Layout
	list := b.js.ListStreams(ctx)
	for info := range list.Info() {
		l := Layout{Stream: info.Config.Name, Replicas: info.Config.Replicas, Bytes: info.State.Bytes, BytesMost: info.Config.MaxBytes, Paused: info.Config.MaxMsgSize == pausedBytes}
		if c := info.Cluster; c != nil {
			l.Leader = c.Leader
			for _, r := range c.Replicas {
				l.Copies = append(l.Copies, Copy{Server: r.Name, Current: r.Current, Behind: r.Lag, Silent: r.Active})
			}
		}
		all = append(all, l)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list streams: %w", unavailable(ctx, err))
	}
	return all, nil
}

// SetReplicas sets how many copies the broker keeps of every stream of ours, one after the
// other, each waited for, so that no more than one stream is copied at a time. progress is
// told before each. It may be called again after an error: streams that are so already are
// left alone.
//
// A stream takes nothing while its copies change, and whoever publishes waits and asks
// again: a server that makes one copy into three may lose what it acknowledges meanwhile
// (nats-server 2.15.2, seen here in two runs of nine; ingest/DESIGN.md). Ended in the
// middle, one stream may be left so, until this is called again.
//
// Errors: ErrUnavailable; ctx's, when copies do not catch up; the broker's own, when it has
// no servers, or no zones, for so many.
func (b *Broker) SetReplicas(ctx context.Context, replicas int, progress func(stream string)) error {
	if replicas < 1 || replicas > ReplicasMax {
		return fmt.Errorf("%d replicas; 1 to %d are possible", replicas, ReplicasMax)
	}
	all, err := b.Layouts(ctx)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Replicas == replicas && !l.Paused {
			if err := b.awaitWhole(ctx, l.Stream); err != nil {
				return err
			}
			continue
		}
		progress(l.Stream)
		if err := b.changeReplicas(ctx, l.Stream, replicas); err != nil {
			return fmt.Errorf("%d copies of %s: %w", replicas, l.Stream, err)
		}
	}
	return nil
}

const (
	// pausedBytes is the largest message that a paused stream takes: none is so small.
	pausedBytes = 1
	// anyBytes is a stream's bound otherwise, the broker's "none".
	anyBytes = -1
)

// changeReplicas changes one stream's copies while it takes nothing.
func (b *Broker) changeReplicas(ctx context.Context, stream string, replicas int) error {
	takes := func(messageBytesMost int32) error {
		return b.updateStream(ctx, stream, func(c *jetstream.StreamConfig) { c.MaxMsgSize = messageBytesMost })
	}
	err := takes(pausedBytes)
	if err == nil {
		err = b.awaitSilence(ctx, stream)
	}
	if err == nil {
		err = b.updateStream(ctx, stream, func(c *jetstream.StreamConfig) { c.Replicas = replicas })
		if api := (*jetstream.APIError)(nil); errors.As(err, &api) {
			// A plain no, such as for want of servers: everything is as it was.
			return errors.Join(err, takes(anyBytes))
		}
	}
	if err == nil {
		err = b.awaitWhole(ctx, stream)
	}
	if err == nil {
		err = takes(anyBytes)
	}
	if err != nil {
		return fmt.Errorf("%w (it may take nothing until the same is asked for again)", err)
	}
	return nil
}

// awaitSilence waits until the stream's leader knows that it is paused, and what was
// on its way before is stored.
func (b *Broker) awaitSilence(ctx context.Context, stream string) error {
	last := uint64(0)
	for first := true; ; first = false {
		info, err := b.streamInfoWithin(ctx, stream)
		if err == nil && info.Config.MaxMsgSize == pausedBytes {
			if !first && info.State.LastSeq == last {
				return nil
			}
			last = info.State.LastSeq
		}
		if !backoff.Pause(ctx, layoutPoll) {
			return ctx.Err()
		}
	}
}

// layoutPoll is how often copies that catch up are looked at.
const layoutPoll = 200 * time.Millisecond

// awaitWhole waits until every copy of a stream is there.
func (b *Broker) awaitWhole(ctx context.Context, stream string) error {
	tick := time.NewTicker(layoutPoll)
	defer tick.Stop()
	for {
		all, err := b.Layouts(ctx)
		if err == nil {
			i := slices.IndexFunc(all, func(l Layout) bool { return l.Stream == stream })
			if i >= 0 && all[i].Whole() {
				return nil
			}
			err = fmt.Errorf("copies of %s are not complete yet", stream)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		case <-tick.C:
		}
	}
}

// ErrNoRoom says that existing streams hold too much to make room for more shards.
var ErrNoRoom = errors.New("no room for more shards")

// AddShards makes the streams of as many shards as Config says beside those that are there,
// of both books, while donations go on. The room of all shards together stays: each existing stream gets
// less of it, and never less than it needs. Nobody writes into the new ones before
// front-ends are told, and nobody reads them before ledgers are: tell ledgers first.
//
// Errors: ErrNoRoom, nothing was changed; ErrTopology when there are more;
// ErrUnavailable; ctx's.
func (b *Broker) AddShards(ctx context.Context) error {
	shards := b.cfg.Shards
	there, err := b.ShardsThere(ctx)
	if err != nil {
		return err
	}
	if shards < there {
		return fmt.Errorf("%d shards: there are %d, and what they hold is read by that number: %w", shards, there, ErrTopology)
	}
	storage, err := b.storageBytes(ctx)
	if err != nil {
		return err
	}
	// All are looked at before the first is changed.
	type narrow struct {
		stream    string
		bytesMost int64
	}
	var narrower []narrow
	for _, book := range ledger.Books {
		for shard := range there {
			info, err := b.streamInfoWithin(ctx, Stream(book, shard))
			if err != nil {
				return fmt.Errorf("stream %s: %w", Stream(book, shard), err)
			}
			most := b.donationStream(book, shard, storage).MaxBytes
			if info.Config.MaxBytes <= most {
				continue
			}
			// A bound below what is stored might make the broker remove some of it.
			if float64(info.State.Bytes) > float64(most)*fullPercent/100 {
				return fmt.Errorf("%w: %s holds %d bytes and would have room for %d; give the broker a larger max_file first", ErrNoRoom, Stream(book, shard), info.State.Bytes, most)
			}
			narrower = append(narrower, narrow{Stream(book, shard), most})
		}
	}
	for _, n := range narrower {
		if err := b.updateStream(ctx, n.stream, func(c *jetstream.StreamConfig) { c.MaxBytes = n.bytesMost }); err != nil {
			return fmt.Errorf("room of %s: %w", n.stream, err)
		}
	}
	return b.EnsureTopology(ctx)
}

// updateStream changes an existing stream's settings, and nothing else of them.
func (b *Broker) updateStream(ctx context.Context, stream string, change func(*jetstream.StreamConfig)) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	info, err := b.streamInfo(ctx, stream)
	if err != nil {
		return unavailable(ctx, err)
	}
	next := info.Config
	change(&next)
	if _, err := b.js.UpdateStream(ctx, next); err != nil {
		return unavailable(ctx, err)
	}
	return nil
}
