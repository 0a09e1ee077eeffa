package broker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"spillway/ledger/payments"
)

const (
	// changesSubject carries the IDs of donations whose state has changed, 16 bytes
	// each, one after the other. A core message: whoever does not hear it asks again
	// anyway, so nothing needs to be kept.
	changesSubject = "changes.v1"
	idBytes        = 16
	// changesPerMessage bounds one message to 16 KiB, far below any broker's limit.
	changesPerMessage = 1024
	// changesWaitingMax bounds messages that a reader has not looked at; what comes
	// beyond is dropped, and a waiting page asks again by itself within a second.
	changesWaitingMax = 1024
)

// PublishChanges tells every front-end which donations' states have changed for
// their donors; those without a change are left out. It is called after the
// commit, and does not wait. Nobody is known to hear: a change that is lost is
// seen at the next question. Errors: ErrUnavailable, a part may have been sent.
func (b *Broker) PublishChanges(_ context.Context, changed []payments.Outcome) error {
	data := make([]byte, 0, idBytes*min(len(changed), changesPerMessage))
	for i := range changed {
		if changed[i].Changed {
			data = append(data, changed[i].Donation[:]...)
		}
		if len(data) == idBytes*changesPerMessage || i == len(changed)-1 && len(data) > 0 {
			if err := b.nc.Publish(changesSubject, data); err != nil { // it copies data
				return fmt.Errorf("publish changes: %w: %w", ErrUnavailable, err)
			}
			data = data[:0]
		}
	}
	return nil
}

// WatchChanges calls changed with what PublishChanges sends anywhere, until ctx
// ends; it does so from one goroutine, in no order that matters. changed must not
// block, and not keep ids. Messages are lost while the connection is.
func (b *Broker) WatchChanges(ctx context.Context, changed func(ids [][16]byte)) error {
	messages := make(chan *nats.Msg, changesWaitingMax)
	sub, err := b.nc.ChanSubscribe(changesSubject, messages)
	if err != nil {
		return fmt.Errorf("watch changes: %w", err)
	}
	defer sub.Unsubscribe() // an error says that the connection is closed anyway
	ids := make([][16]byte, 0, changesPerMessage)
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-messages:
			ids = ids[:0]
			for data := m.Data; len(data) >= idBytes; data = data[idBytes:] {
				ids = append(ids, [16]byte(data))
			}
			if len(ids) > 0 {
				changed(ids)
			}
		}
	}
}
