package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"spillway/campaigns"
	"spillway/campaigns/wire"
)

// campaignsAtOnce is how many campaigns are published side by side: the broker
// syncs each by itself, and this hides the way there and back.
const campaignsAtOnce = 16

// PublishCampaign is PublishCampaigns for one.
func (b *Broker) PublishCampaign(ctx context.Context, c *campaigns.Campaign) error {
	return b.PublishCampaigns(ctx, []*campaigns.Campaign{c})
}

// PublishCampaigns returns once the broker has each campaign in this revision or
// a later one. Any number of processes may publish: a campaign never goes back,
// and one that the broker has already is not sent again. Slugs may not repeat.
// Errors: ErrUnavailable, ctx's.
func (b *Broker) PublishCampaigns(ctx context.Context, all []*campaigns.Campaign) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(campaignsAtOnce)
	for _, c := range all {
		group.Go(func() error {
			if err := b.publishCampaign(ctx, c); err != nil {
				return fmt.Errorf("campaign %s: %w", c.Slug, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (b *Broker) publishCampaign(ctx context.Context, c *campaigns.Campaign) error {
	return b.publishRevision(ctx, campaignsStream, campaignSubject(c.Slug), wire.AppendCampaign(nil, c), func(stored []byte) bool {
		have, err := wire.DecodeCampaign(stored)
		return err == nil && have.Revision >= c.Revision
	})
}

// publishRevision stores data as the last of its subject unless what is there is as
// new, which asNew tells. One that cannot be read is replaced.
func (b *Broker) publishRevision(ctx context.Context, stream, subject string, data []byte, asNew func(stored []byte) bool) error {
	for {
		stored, sequence, err := b.lastOf(ctx, stream, subject)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
		if err == nil && asNew(stored) {
			return nil
		}
		err = b.publishNews(ctx, stream, subject, data, jetstream.WithExpectLastSequencePerSubject(sequence))
		if !overtaken(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// Another process was faster: look again whose is later.
	}
}

// WatchCampaigns calls handle for every campaign that the broker holds, ready
// once after those, and then handle for every change, from one goroutine, until
// ctx ends. A campaign may come again unchanged, or in an older revision.
func (b *Broker) WatchCampaigns(ctx context.Context, handle func(*campaigns.Campaign), ready func()) error {
	return b.watchLast(ctx, campaignsStream, func(m *nats.Msg) error {
		c, err := wire.DecodeCampaign(m.Data)
		if err == nil {
			handle(c)
		}
		return err
	}, ready)
}

// watchLast follows a stream that keeps the last message of each subject: take is
// called for all that are kept, ready once after those, then take for each new one.
// What take cannot read is logged and left out.
func (b *Broker) watchLast(ctx context.Context, stream string, take func(*nats.Msg) error, ready func()) error {
	caughtUp := false
	t := &tail{b: b, stream: stream,
		handle: func(sequence uint64, m *nats.Msg) error {
			if err := take(m); err != nil {
				b.log.Error("message of news cannot be read", "subject", m.Subject, "sequence", sequence, "error", err)
			}
			return nil
		},
		idle: func() error {
			if !caughtUp {
				caughtUp = true
				ready()
			}
			return nil
		},
	}
	return t.run(ctx)
}
