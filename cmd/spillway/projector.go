package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest/broker"
	"spillway/ingest/keyring"
	"spillway/ledger"
	searchdb "spillway/ledger/search/postgres"
	"spillway/ledger/search/projector"
)

// projectorStop is what the batch in hand gets when the process stops; one that is cut
// off is looked at again by whoever leads next.
const projectorStop = 10 * time.Second

// projectorDeps are what the projection that the console searches is kept with.
type projectorDeps struct {
	// broker is a connection of its own: what the projection reads of it never stands in
	// front of a donation.
	broker   *broker.Broker
	shards   int // of each book; 0 means 1
	database string
	// keys open what donors said of themselves: the front-ends' secrets.
	keys     *keyring.Keyring
	registry prometheus.Registerer
	log      *slog.Logger
}

// startProjector opens the projection, which is migrated already, and adds to the group
// what keeps it in step with the ledger. Of all processes that do, one leads each book.
// A database or broker that is away is waited for by the parts themselves. The store
// is for searches, and closed with the group.
func startProjector(ctx context.Context, group *lifecycle.Group, d projectorDeps) (*searchdb.Store, error) {
	db, err := searchdb.Open(searchdb.Config{URL: d.database, Keys: d.keys})
	if err != nil {
		return nil, err
	}
	group.Add("projection's database", quickStop, db.Close)
	var books []projector.Book
	for _, book := range ledger.Books {
		shards, closeSources := searchShards(d.broker, book, d.shards)
		group.Add(book.String()+" projection's sources", quickStop, closeSources)
		books = append(books, projector.Book{Book: book, Store: db.Store(book), Shards: shards})
	}
	service := projector.New(projector.Config{}, projector.Deps{
		Books: books, Streams: d.broker, Changes: d.broker, Walls: d.broker, Registerer: d.registry, Log: d.log.With("component", "projection"),
	})
	group.Go(ctx, "projection", projectorStop, service.Run)
	return db.Store(ledger.Live), nil
}

// searchShards are the shards of a book, as the projector wants them.
func searchShards(b *broker.Broker, book ledger.Book, count int) (shards []projector.Shard, closeAll func()) {
	var open []*broker.Source
	for shard := range max(1, count) {
		s := b.SearchSource(book, shard)
		open = append(open, s)
		shards = append(shards, searchShard{s, b, book, shard})
	}
	return shards, func() {
		for _, s := range open {
			s.Close()
		}
	}
}

// searchShard hands the broker's messages to the projector: two services that do not
// know each other.
type searchShard struct {
	*broker.Source
	broker *broker.Broker
	book   ledger.Book
	shard  int
}

func (s searchShard) Fetch(ctx context.Context, maxMessages, maxBytes int) ([]projector.Message, error) {
	fetched, err := s.Source.Fetch(ctx, maxMessages, maxBytes, 0)
	messages := make([]projector.Message, len(fetched))
	for i, m := range fetched {
		messages[i] = projector.Message{Data: m.Data, Sequence: m.Sequence, Handle: m}
	}
	return messages, err
}

func (s searchShard) Waiting(ctx context.Context) (int64, error) {
	lag, err := s.Source.Lag(ctx)
	return int64(lag.Pending) + int64(lag.AckPending), err // of one stream's messages
}

func (s searchShard) Standing(ctx context.Context) (projector.Standing, error) {
	at, err := s.broker.LedgerStanding(ctx, s.book, s.shard)
	return projector.Standing{AckFloor: at.AckFloor, Oldest: at.Oldest, StoredBytes: at.StoredBytes}, err
}
