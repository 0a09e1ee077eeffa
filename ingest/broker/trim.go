package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// LastBefore returns the number of the newest stored message from first to last that
// was stored before t, 0 for none. Messages are stored in order of time, but for what a
// broker's clock was set back by. Some thirty reads. Errors: ErrUnavailable, ctx's.
func (s *Source) LastBefore(ctx context.Context, t time.Time, first, last uint64) (uint64, error) {
	newest, first := uint64(0), max(first, 1)
	for first <= last {
		middle := first + (last-first)/2
		m, err := s.b.storedFrom(ctx, s.stream, middle)
		gone := errors.Is(err, jetstream.ErrMsgNotFound)
		switch {
		case err != nil && !gone:
			return 0, fmt.Errorf("read %d of %s: %w", middle, s.stream, err)
		case gone || m.sequence > last || !m.storedAt.Before(t):
			last = middle - 1
		default:
			newest, first = m.sequence, m.sequence+1
		}
	}
	return newest, nil
}

// Trim removes the messages up to and with the number through, for good: the caller
// knows that they are recorded, and in a backup. What a reader of the stream has not
// acknowledged stays, as does the last message: from when on a stream is whole is read
// off its first. Numbers go on. It returns where the source stands afterwards.
//
// Errors: ErrUnread, nothing was removed; ErrUnavailable, ctx's.
func (s *Source) Trim(ctx context.Context, through uint64) (Place, error) {
	at, err := s.Place(ctx)
	if err != nil {
		return Place{}, err
	}
	if through < at.First {
		return at, nil
	}
	read, err := s.readByAll(ctx)
	if err != nil {
		return Place{}, err
	}
	if through > read || through >= at.Last {
		return Place{}, fmt.Errorf("trim %s through %d: %w: acknowledged through %d, the last is %d", s.stream, through, ErrUnread, read, at.Last)
	}
	asking, cancel := s.b.within(ctx)
	defer cancel()
	stream, err := s.b.js.Stream(asking, s.stream)
	if err == nil {
		err = stream.Purge(asking, jetstream.WithPurgeSequence(through+1))
	}
	if err != nil {
		return Place{}, fmt.Errorf("trim %s: %w", s.stream, unavailable(asking, err))
	}
	after, err := s.Place(ctx)
	if err == nil && (after.First != through+1 || after.Last < at.Last || !after.MadeAt.Equal(at.MadeAt)) {
		err = fmt.Errorf("trim %s through %d: it held %d to %d and holds %d to %d", s.stream, through, at.First, at.Last, after.First, after.Last)
	}
	return after, err
}

// ErrUnread says that a stream was to lose what somebody has not read, or all it holds.
var ErrUnread = errors.New("not everybody has read that far")

// readByAll is the number up to which every durable reader of the stream has
// acknowledged everything: the source's own, and whoever else reads there.
func (s *Source) readByAll(ctx context.Context) (uint64, error) {
	ctx, cancel := s.b.within(ctx)
	defer cancel()
	own, err := s.consumerInfo(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask where the reader of %s stands: %w", s.stream, err)
	}
	least := own.AckFloor.Stream
	stream, err := s.b.js.Stream(ctx, s.stream)
	if err != nil {
		return 0, fmt.Errorf("ask who reads %s: %w", s.stream, unavailable(ctx, err))
	}
	all := stream.ListConsumers(ctx)
	for info := range all.Info() {
		if info.Config.Durable != "" && info.Config.AckPolicy != jetstream.AckNonePolicy {
			least = min(least, info.AckFloor.Stream)
		}
	}
	if err := all.Err(); err != nil {
		return 0, fmt.Errorf("ask who reads %s: %w", s.stream, unavailable(ctx, err))
	}
	return least, nil
}
