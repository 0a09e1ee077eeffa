package broker

import "context"

// WaitingRequests is how many pull requests wait at a shard's consumer.
func WaitingRequests(ctx context.Context, b *Broker, stream string) (int, error) {
	c, err := b.js.Consumer(ctx, stream, ledgerConsumer)
	if err != nil {
		return 0, err
	}
	return c.CachedInfo().NumWaiting, nil
}
