package broker

import (
	"context"

	"github.com/nats-io/nats.go"

	"spillway/campaigns"
	"spillway/campaigns/wire"
)

// HalfPublished is PublishSnapshot of a process that stands still after it has
// looked at what is there, until goOn is called. It tries once.
func HalfPublished(ctx context.Context, b *Broker, s *campaigns.Snapshot) (goOn func() error, err error) {
	parts := wire.SplitRows(s.Rows, partBytesMax)
	sequences, err := b.snapshotSequences(ctx, s.FrameHead, len(parts))
	return func() error { return b.storeSnapshot(ctx, s.FrameHead, parts, sequences) }, err
}

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

// EnvelopeEvery is the least time between two envelopes of a lane.
const EnvelopeEvery = envelopeEvery
