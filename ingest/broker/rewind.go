package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ledger"
)

// Place is where one consumer of a stream stands, asked in an order that makes it safe
// to keep: the stream first, so that a sequence is never told of a stream made later.
type Place struct {
	// Position is the last sequence up to which everything is acknowledged.
	ledger.Position
	First, Last uint64    // of the stream; First = Last+1 when nothing is stored
	FirstAt     time.Time // when the first stored message was stored; zero for none
	Bytes       uint64    // stored
	Now         time.Time // the broker's clock
	Waiting     int       // requests of readers that wait for messages
}

// Place asks where the source's stream and consumer stand. Errors: ErrUnavailable,
// ctx's.
func (s *Source) Place(ctx context.Context) (Place, error) {
	ctx, cancel := s.b.within(ctx)
	defer cancel()
	stream, err := s.b.streamInfo(ctx, s.stream)
	if err != nil {
		return Place{}, fmt.Errorf("ask where %s stands: %w", s.stream, unavailable(ctx, err))
	}
	info, err := s.consumerInfo(ctx)
	if err != nil {
		return Place{}, fmt.Errorf("ask where the reader of %s stands: %w", s.stream, err)
	}
	at := Place{
		Position: ledger.Position{Stream: s.stream, MadeAt: stream.Created, Sequence: info.AckFloor.Stream},
		First:    stream.State.FirstSeq, Last: stream.State.LastSeq, FirstAt: stream.State.FirstTime,
		Bytes: stream.State.Bytes,
		Now:   info.TimeStamp, Waiting: info.NumWaiting,
	}
	if stream.State.Msgs == 0 {
		at.First, at.FirstAt = at.Last+1, time.Time{}
	}
	return at, nil
}

// Rewind has the source's readers begin again with the sequence next, at least 1: what
// was acknowledged from there on is delivered once more. Nobody should be reading: what
// a reader holds at the moment is delivered to somebody else as well.
//
// The broker must be nats-server 2.14 or newer. Errors: ErrUnavailable, ctx's.
func (s *Source) Rewind(ctx context.Context, next uint64) error {
	ctx, cancel := s.b.within(ctx)
	defer cancel()
	if _, err := s.b.js.ResetConsumerToSequence(ctx, s.stream, s.consumer, max(1, next)); err != nil {
		if errors.Is(err, jetstream.ErrConsumerInvalidReset) {
			return fmt.Errorf("rewind the reader of %s: %w", s.stream, err)
		}
		return fmt.Errorf("rewind the reader of %s: %w", s.stream, unavailable(ctx, err))
	}
	return nil
}
