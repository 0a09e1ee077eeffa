package main

import (
	"context"
	"time"

	"spillway/ingest/broker"
	"spillway/ledger/consumer"
	"spillway/ledger/payments/charge"
)

// applied tells up to when everything on a book's shards, and every event of the
// processor, was applied: the earliest of their watermarks. Commands are left out: one
// that was asked for before a restore waits for what the others bring.
func applied(shards []consumer.Shard, webhooks *broker.Source) func(ctx context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		least, err := webhooks.Watermark(ctx)
		if err != nil {
			return time.Time{}, err
		}
		for _, s := range shards {
			through, err := s.Source.Watermark(ctx)
			if err != nil {
				return time.Time{}, err
			}
			if through.Before(least) {
				least = through
			}
		}
		return least, nil
	}
}

// bounded are shards whose watermark is no later than what a recovery lets frames claim.
func bounded(shards []consumer.Shard, r *charge.Recovery) []consumer.Shard {
	out := make([]consumer.Shard, len(shards))
	for i, s := range shards {
		out[i] = consumer.Shard{Stream: s.Stream, Source: boundedSource{s.Source, r}}
	}
	return out
}

type boundedSource struct {
	consumer.Source
	recovery *charge.Recovery
}

func (s boundedSource) Watermark(ctx context.Context) (time.Time, error) {
	through, err := s.Source.Watermark(ctx)
	return s.recovery.Bound(through), err
}
