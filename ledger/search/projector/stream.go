package projector

import (
	"context"

	"spillway/ingest"
	"spillway/ingest/envelope"
)

// stream looks at donations that were stored on the broker, and acknowledges them once
// they are searched.
func (f *follower) stream(ctx context.Context) (looked int, err error) {
	for i, shard := range f.shards {
		messages, err := shard.Fetch(ctx, fetchMessages, fetchBytes)
		if err != nil {
			return looked, err
		}
		n, err := f.settle(ctx, messages, f.floors[i])
		looked += n
		if err != nil {
			return looked, err
		}
	}
	return looked, nil
}

// settle looks at the messages' donations and answers the broker. floor is the
// ledger's, asked before: a donation below it that the ledger does not hold was set
// aside, and one above it is not recorded yet.
func (f *follower) settle(ctx context.Context, messages []Message, floor uint64) (looked int, err error) {
	if len(messages) == 0 {
		return 0, nil
	}
	var ids []ingest.ID
	ends := make([]int, len(messages)) // of each message's IDs
	for i, m := range messages {
		ids = append(ids, donations(m.Data)...)
		ends[i] = len(ids)
	}
	missing := make(map[ingest.ID]bool)
	for from := 0; from < len(ids); from += batchMost {
		r, err := f.refresh(ctx, ids[from:min(len(ids), from+batchMost)])
		if err != nil {
			for _, m := range messages {
				_ = m.Handle.Nak(retryLater) // one that does not arrive comes back by itself
			}
			return looked, err
		}
		for _, id := range r.Missing {
			missing[id] = true
		}
		for _, m := range messages {
			_ = m.Handle.InProgress() // likewise
		}
	}
	start := 0
	for i, m := range messages {
		waits := false
		for _, id := range ids[start:ends[i]] {
			waits = waits || missing[id] && m.Sequence > floor
		}
		start = ends[i]
		answer := m.Handle.Ack
		if waits {
			answer = func() error { return m.Handle.Nak(retryLater) }
		}
		if err := answer(); err != nil {
			f.log.Debug("an answer about a message was not sent; it comes again", "sequence", m.Sequence, "error", err)
		}
	}
	return len(ids), nil
}

// donations are the IDs that an envelope brings. What cannot be read was set aside by
// the ledger, and is nobody's to search.
func donations(data []byte) (ids []ingest.ID) {
	_, _ = envelope.Decode(data, func(_ int, r envelope.Record, _ []byte, err error) {
		if err == nil && r.Donation != nil {
			ids = append(ids, r.Donation.ID)
		}
	})
	return ids
}
