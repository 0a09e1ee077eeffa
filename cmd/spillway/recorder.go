package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	campaignsdb "spillway/campaigns/postgres"
	"spillway/campaigns/publish"
	"spillway/cmd/spillway/internal/lifecycle"
	"spillway/ingest"
	"spillway/ingest/broker"
	"spillway/ledger"
	"spillway/ledger/consumer"
	"spillway/ledger/payments/charge"
	paymentsdb "spillway/ledger/payments/postgres"
	ledgerdb "spillway/ledger/postgres"
)

// recorderStop is longer than a consumer's own bound for the batch in hand, the
// last frame and the release of its slot.
const recorderStop = 20 * time.Second

// recorder is what `ledger` and `up` run to record donations: a consumer per book,
// the answers about donations, and the news of campaigns.
type recorder struct {
	broker   broker.Config
	database string
	registry prometheus.Registerer
	log      *slog.Logger
	traces   *tracing
	// idle leaves recording to other processes; everything else is done.
	idle bool

	// published is nil once front-ends can know every campaign; start sets it.
	published func() error
	// link is the connection that start makes.
	link *broker.Broker
}

// say tells a person what was started.
func (r *recorder) say() string {
	if r.idle {
		return "left to processes beside this one"
	}
	return "records"
}

// start wires the recorder and adds its parts to the group. A database that is
// away is waited for by the parts themselves.
func (r *recorder) start(ctx context.Context, group *lifecycle.Group) error {
	db, err := ledgerdb.Open(ledgerdb.Config{URL: r.database})
	if err != nil {
		return err
	}
	group.Add("ledger database", quickStop, db.Close)
	group.Go(ctx, "ledger's rights", quickStop, func(ctx context.Context) error { return sayRights(ctx, db, r.log) })
	campaigns, err := campaignsdb.Open(campaignsdb.Config{URL: r.database})
	if err != nil {
		return err
	}
	group.Add("campaigns database", quickStop, campaigns.Close)
	b, err := connect(ctx, group, r.broker, r.log)
	if err != nil {
		return err
	}
	r.link = b
	news := publish.New(publish.Config{}, campaigns, b, r.log, r.registry)
	r.published = news.Published
	group.Go(ctx, "news of campaigns", quickStop, news.Run)
	group.Go(ctx, "states of donations", quickStop, func(ctx context.Context) error {
		return b.ServeDonations(ctx, func(ctx context.Context, ids []ingest.ID) (map[ingest.ID]ledger.State, error) {
			return states(ctx, db, ids)
		})
	})
	if r.idle {
		return nil
	}
	restores, err := paymentsdb.Open(paymentsdb.Config{URL: r.database, Application: "spillway ledger"})
	if err != nil {
		return err
	}
	group.Add("restores' database", quickStop, restores.Close)
	var consumers []*consumer.Consumer
	var recoveries []*charge.Recovery
	for _, book := range ledger.Books {
		shards, read, closeSources := sources(b, book, r.broker.Shards)
		group.Add(book.String()+" sources", quickStop, closeSources)
		recovery := charge.WatchRecovery(restores.Book(book), r.log.With("book", book.String()))
		recoveries = append(recoveries, recovery)
		shards = bounded(shards, recovery)
		group.Go(ctx, book.String()+" positions", quickStop, func(ctx context.Context) error {
			if err := awaitSound(ctx, db, b, r.log); err != nil {
				return err
			}
			return notePositions(ctx, db.Book(book), r.log, read...)
		})
		c, err := consumer.New(consumer.Config{}, consumer.Deps{
			Book: book, Shards: shards, Store: db.Book(book), Frames: b, Tracer: r.traces.of(ledgerService), Registerer: r.registry, Log: r.log,
		})
		if err != nil {
			return err
		}
		consumers = append(consumers, c)
	}
	group.Go(ctx, "recovery", quickStop, func(ctx context.Context) error { return runAll(ctx, recoveries...) })
	// One part, so that with a broker in trouble the books use up their time together.
	group.Go(ctx, "ledger", recorderStop, func(ctx context.Context) error {
		if err := awaitSound(ctx, db, b, r.log); err != nil {
			return err
		}
		return runAll(ctx, consumers...)
	})
	return nil
}

// runAll runs parts that stop at the same time, and all when one fails.
func runAll[R interface{ Run(context.Context) error }](ctx context.Context, parts ...R) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		g.Go(func() error {
			if err := p.Run(ctx); err != nil || ctx.Err() != nil {
				return err
			}
			return lifecycle.ErrEnded
		})
	}
	return g.Wait()
}

// sources are the shards of a book, as the consumer wants them.
func sources(b *broker.Broker, book ledger.Book, count int) (shards []consumer.Shard, open []*broker.Source, closeAll func()) {
	for shard := range max(1, count) {
		s := b.Source(book, shard)
		open = append(open, s)
		shards = append(shards, consumer.Shard{Stream: s.Stream(), Source: source{s}})
	}
	return shards, open, func() {
		for _, s := range open {
			s.Close()
		}
	}
}

// source hands the broker's messages to the consumer: two services that do not
// know each other.
type source struct{ *broker.Source }

func (s source) Fetch(ctx context.Context, maxMessages, maxBytes int, wait time.Duration) ([]consumer.Message, error) {
	fetched, err := s.Source.Fetch(ctx, maxMessages, maxBytes, wait)
	messages := make([]consumer.Message, len(fetched))
	for i, m := range fetched {
		messages[i] = consumer.Message{Data: m.Data, Sequence: m.Sequence, StoredAt: m.StoredAt, Deliveries: m.Deliveries, Handle: m}
	}
	return messages, err
}

func (s source) Lag(ctx context.Context) (consumer.Lag, error) {
	lag, err := s.Source.Lag(ctx)
	return consumer.Lag{Waiting: lag.Pending, Held: uint64(lag.AckPending), Oldest: lag.Oldest}, err
}

// states asks the ledger for donations, whose IDs are plain bytes there.
func states(ctx context.Context, db *ledgerdb.DB, ids []ingest.ID) (map[ingest.ID]ledger.State, error) {
	plain := make([][16]byte, len(ids))
	for i, id := range ids {
		plain[i] = id
	}
	found, err := db.States(ctx, plain)
	if err != nil {
		return nil, err
	}
	byID := make(map[ingest.ID]ledger.State, len(found))
	for id, s := range found {
		byID[id] = s
	}
	return byID, nil
}
