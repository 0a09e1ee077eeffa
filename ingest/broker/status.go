package broker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"spillway/campaigns/status"
)

const (
	// statusSubject carries reports of status. Core messages: the next one comes in a
	// second, and whoever hears none knows as much.
	statusSubject = "status.v1"
	// statusWaitingMax bounds reports that a console has not looked at: several seconds
	// of a hundred processes. What comes beyond is dropped.
	statusWaitingMax = 512
)

// PublishStatus tells every console how this process does. It does not wait and
// nobody is known to hear. Errors: status.Encode's; ErrUnavailable.
func (b *Broker) PublishStatus(_ context.Context, r *status.Report) error {
	data, err := status.Encode(r)
	if err != nil {
		return err
	}
	if err := b.nc.Publish(statusSubject, data); err != nil {
		return fmt.Errorf("publish status: %w: %w", ErrUnavailable, err)
	}
	return nil
}

// WatchStatus calls handle with what PublishStatus sends anywhere, until ctx ends; it
// does so from one goroutine, reports of one process in order. Reports are lost while
// the connection is. A message that is no report is left out, and logged.
func (b *Broker) WatchStatus(ctx context.Context, handle func(*status.Report)) error {
	messages := make(chan *nats.Msg, statusWaitingMax)
	sub, err := b.nc.ChanSubscribe(statusSubject, messages)
	if err != nil {
		return fmt.Errorf("watch status: %w", err)
	}
	defer sub.Unsubscribe() // an error says that the connection is closed anyway
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-messages:
			r, err := status.Decode(m.Data)
			if err != nil {
				b.log.Warn("a message is no report of status", "bytes", len(m.Data), "error", err)
				continue
			}
			handle(r)
		}
	}
}
