package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ledger"
)

// searchConsumer is the durable consumer with which the projection of a book follows
// its shards, beside the ledger's and without disturbing it. An installation that
// never had a console has none.
const searchConsumer = "SEARCH"

// EnsureSearch makes the projection's consumers of both books that are not there; the
// streams must be. Errors: ErrTopology; ErrUnavailable, ctx's.
func (b *Broker) EnsureSearch(ctx context.Context) error {
	for _, book := range ledger.Books {
		for shard := range b.cfg.Shards {
			err := b.ensureConsumer(ctx, Stream(book, shard), searchConsumer)
			if errors.Is(err, ErrTopology) {
				return err
			}
			if err != nil {
				return fmt.Errorf("ensure search: %w: %w", ErrUnavailable, err)
			}
		}
	}
	return nil
}

// RestartSearch has the projection's consumers of a book begin again at the streams'
// starts, after the ledger was restored. Errors: as EnsureSearch's.
func (b *Broker) RestartSearch(ctx context.Context, book ledger.Book) error {
	for shard := range b.cfg.Shards {
		if err := b.dropSearch(ctx, Stream(book, shard)); err != nil {
			return fmt.Errorf("restart search of %s: %w", Stream(book, shard), err)
		}
	}
	return b.EnsureSearch(ctx)
}

func (b *Broker) dropSearch(ctx context.Context, stream string) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	err := b.js.DeleteConsumer(ctx, stream, searchConsumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return unavailable(ctx, err)
	}
	return nil
}

// SearchSource reads a shard for the projection.
func (b *Broker) SearchSource(book ledger.Book, shard int) *Source {
	return b.source(book, Stream(book, shard), searchConsumer)
}

// Standing is where the ledger stands on one shard, for those who follow it and give
// way to it.
type Standing struct {
	// AckFloor: every message up to it was recorded, or set aside, by the ledger.
	AckFloor uint64
	// Oldest is when the first message that the ledger has not acknowledged was stored;
	// zero when it has all.
	Oldest time.Time
	// StoredBytes is what the stream holds: its growth is what donors send.
	StoredBytes uint64
}

// LedgerStanding asks where the ledger stands on a shard. Errors: ErrUnavailable, ctx's.
func (b *Broker) LedgerStanding(ctx context.Context, book ledger.Book, shard int) (Standing, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	s := b.Source(book, shard)
	info, err := s.consumerInfo(ctx)
	if err != nil {
		return Standing{}, fmt.Errorf("where the ledger stands on %s: %w", s.stream, err)
	}
	at := Standing{AckFloor: info.AckFloor.Stream}
	if info.NumPending > 0 || info.NumAckPending > 0 {
		at.Oldest, err = s.storedAfter(ctx, info.AckFloor.Stream)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) { // or acknowledged and trimmed meanwhile
			return Standing{}, fmt.Errorf("where the ledger stands on %s: %w", s.stream, err)
		}
	}
	stream, err := b.streamInfo(ctx, s.stream)
	if err != nil {
		return Standing{}, fmt.Errorf("where the ledger stands on %s: %w", s.stream, unavailable(ctx, err))
	}
	at.StoredBytes = stream.State.Bytes
	return at, nil
}
