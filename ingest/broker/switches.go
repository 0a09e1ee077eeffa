package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
	"spillway/campaigns/wire"
)

// Switches returns the switches as the broker holds them now, all on when nobody
// ever changed one. Errors: ErrUnavailable, ctx's.
func (b *Broker) Switches(ctx context.Context) (*campaigns.Switches, error) {
	s, _, err := b.switches(ctx)
	if err != nil {
		return nil, fmt.Errorf("read switches: %w", err)
	}
	return s, nil
}

// switches reads them with their sequence, 0 when there are none.
func (b *Broker) switches(ctx context.Context) (s *campaigns.Switches, sequence uint64, err error) {
	data, sequence, err := b.lastOf(ctx, switchesStream, switchesSubject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return &campaigns.Switches{}, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if s, err = wire.DecodeSwitches(data); err != nil {
		b.log.Error("switches cannot be read; they count as on until somebody sets them", "sequence", sequence, "error", err)
		return &campaigns.Switches{}, sequence, nil
	}
	return s, sequence, nil
}

// PublishSwitches returns once the broker has s; every front-end obeys it within a
// second. s.Revision is one above that of the switches which were changed into s, so
// that of two people who switch at once the second is told. The same s again is a
// repeat. Errors: campaigns.ErrOvertaken; ErrUnavailable, ctx's: it may be there or not.
func (b *Broker) PublishSwitches(ctx context.Context, s *campaigns.Switches) error {
	data := wire.AppendSwitches(nil, s)
	for {
		have, sequence, err := b.switches(ctx)
		if err != nil {
			return fmt.Errorf("publish switches: %w", err)
		}
		if have.Revision >= s.Revision {
			if string(wire.AppendSwitches(nil, have)) == string(data) {
				return nil
			}
			return fmt.Errorf("publish switches: revision %d is there: %w", have.Revision, campaigns.ErrOvertaken)
		}
		err = b.publishNews(ctx, switchesStream, switchesSubject, data, jetstream.WithExpectLastSequencePerSubject(sequence))
		if err == nil {
			return nil
		}
		if !overtaken(err) {
			return fmt.Errorf("publish switches: %w", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// WatchSwitches calls handle for the switches that the broker holds, ready once
// after that, and then handle for every change, from one goroutine, until ctx ends.
// The last that it was called with is what counts. While nobody ever changed a
// switch, handle is not called; while a broker has no stream of them, nor is ready.
func (b *Broker) WatchSwitches(ctx context.Context, handle func(*campaigns.Switches), ready func()) error {
	return b.watchLast(ctx, switchesStream, func(m *nats.Msg) error {
		s, err := wire.DecodeSwitches(m.Data)
		if err == nil {
			handle(s)
		}
		return err
	}, ready)
}
