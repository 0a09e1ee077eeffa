package broker

import (
	"context"

	"github.com/nats-io/nats.go"
)

// WaitingRequests is how many pull requests wait at a shard's consumer.
func WaitingRequests(ctx context.Context, b *Broker, stream string) (int, error) {
	c, err := b.js.Consumer(ctx, stream, ledgerConsumer)
	if err != nil {
		return 0, err
	}
	return c.CachedInfo().NumWaiting, nil
}

// Gathered is how many of so many waiting questions go into one query.
func Gathered(waiting int) int {
	questions := make(chan *nats.Msg, waiting)
	for range waiting {
		questions <- &nats.Msg{}
	}
	return len(gatherQuestions(<-questions, questions))
}
