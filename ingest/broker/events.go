package broker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"spillway/campaigns"
	"spillway/campaigns/wire"
)

// PublishEvent returns once the broker has the giving day in this revision or a
// later one, as PublishCampaigns does. Errors: ErrUnavailable, ctx's.
func (b *Broker) PublishEvent(ctx context.Context, e *campaigns.Event) error {
	err := b.publishRevision(ctx, eventsStream, eventSubject(e.Slug), wire.AppendEvent(nil, e), func(stored []byte) bool {
		have, err := wire.DecodeEvent(stored)
		return err == nil && have.Revision >= e.Revision
	})
	if err != nil {
		return fmt.Errorf("event %s: %w", e.Slug, err)
	}
	return nil
}

// WatchEvents is WatchCampaigns for giving days. While a broker has no stream of
// them, it waits for one.
func (b *Broker) WatchEvents(ctx context.Context, handle func(*campaigns.Event), ready func()) error {
	return b.watchLast(ctx, eventsStream, func(m *nats.Msg) error {
		e, err := wire.DecodeEvent(m.Data)
		if err == nil {
			handle(e)
		}
		return err
	}, ready)
}
