package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"spillway/ledger"
)

// ErrTrimmed says that a stream no longer holds a message that was asked for.
var ErrTrimmed = errors.New("message is no longer in the stream")

// StreamState is where one shard's stream and its consumer stand.
type StreamState struct {
	First, Last uint64    // sequences; First = Last+1 when the stream is empty
	FirstAt     time.Time // broker time of the first stored message, zero when empty
	AckFloor    uint64    // every message up to it was acked by the ledger
	Pending     uint64    // messages not delivered yet
	Unacked     uint64    // messages delivered and not acked
	// Faults are the settings of stream and consumer that safety needs and that
	// are not so, in words.
	Faults []string
}

// Shards is the number of shards of each book.
func (b *Broker) Shards() int { return b.cfg.Shards }

// StreamState asks the broker. Errors: ErrUnavailable, ctx's.
func (b *Broker) StreamState(ctx context.Context, book ledger.Book, shard int) (StreamState, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	stream := Stream(book, shard)
	consumer, err := b.js.Consumer(ctx, stream, ledgerConsumer)
	if err != nil {
		return StreamState{}, fmt.Errorf("consumer of %s: %w", stream, unavailable(err))
	}
	info, err := b.streamInfo(ctx, stream)
	if err != nil {
		return StreamState{}, fmt.Errorf("stream %s: %w", stream, unavailable(err))
	}
	c := consumer.CachedInfo()
	state := StreamState{
		First: info.State.FirstSeq, Last: info.State.LastSeq, FirstAt: info.State.FirstTime,
		AckFloor: c.AckFloor.Stream, Pending: c.NumPending, Unacked: uint64(c.NumAckPending),
	}
	if info.State.Msgs == 0 {
		state.First, state.FirstAt = state.Last+1, time.Time{}
	}
	for _, err := range []error{
		checkStream(info.Config, b.donationStream(book, shard, 0)),
		checkConsumer(stream, c.Config),
	} {
		if err != nil {
			state.Faults = append(state.Faults, strings.TrimSuffix(err.Error(), ": "+ErrTopology.Error()))
		}
	}
	return state, nil
}

// ReadDonations visits the stored envelopes with sequences first..last in order,
// beside the ledger and without disturbing it. An error of visit ends the reading
// and is returned. Errors: ErrTrimmed when one of them is not there; ctx's.
func (b *Broker) ReadDonations(ctx context.Context, book ledger.Book, shard int, first, last uint64, visit func(sequence uint64, data []byte) error) error {
	if first > last {
		return nil
	}
	stream := Stream(book, shard)
	next := first
	missing := func() error { return fmt.Errorf("%s, message %d: %w", stream, next, ErrTrimmed) }
	t := &tail{b: b, stream: stream, cursor: first - 1,
		handle: func(sequence uint64, m *nats.Msg) error {
			if sequence != next {
				return missing()
			}
			if err := visit(sequence, m.Data); err != nil {
				return err
			}
			if next++; next > last {
				return errRead
			}
			return nil
		},
		idle: func() error { return missing() }, // everything was handed on, and last was not there
	}
	err := t.run(ctx)
	switch {
	case errors.Is(err, errRead):
		return nil
	case err == nil:
		return ctx.Err()
	}
	return err
}

// errRead ends a reading that is complete.
var errRead = errors.New("read")
