package broker

import (
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"spillway/ingest/envelope"
)

// outgoing is an envelope on its way: filling, then waiting for a place in flight,
// then with the broker, then settled.
//
// Until it leaves the lane's queue it belongs to the lane's mutex; from then on
// to the lane's goroutine; once done is closed its err is read by every waiter,
// and the last who lets go puts it back for reuse.
type outgoing struct {
	data     []byte
	count    int // records: donations and, rarely, requests
	joinedAt time.Time

	// msg is what goes to the broker; kept for its header's memory.
	msg        nats.Msg
	token      uint64    // last element of the reply subject
	leftAt     time.Time // when it was first sent
	sentAt     time.Time // when it was last sent
	retryAt    time.Time // zero unless the broker had nobody to take it
	generation uint64    // of the connection it was sent on

	done chan struct{}
	err  error
	refs atomic.Int32 // waiters, and one for the lane
}

// messageIDHeader lets the broker drop a lane's own retry.
const (
	messageIDHeader      = "Nats-Msg-Id"
	expectedStreamHeader = "Nats-Expected-Stream"
)

func (p *Publisher) newOutgoing(stream string) *outgoing {
	o := p.envelopes.Get().(*outgoing)
	id := newEnvelopeID()
	o.data = envelope.AppendHeader(o.data[:0], envelope.Header{ID: id, Node: p.cfg.Node})
	o.count, o.err = 0, nil
	o.joinedAt, o.leftAt, o.sentAt, o.retryAt = time.Now(), time.Time{}, time.Time{}, time.Time{}
	o.done = make(chan struct{})
	o.refs.Store(1)
	if o.msg.Header == nil {
		o.msg.Header = nats.Header{messageIDHeader: {""}, expectedStreamHeader: {""}}
	}
	o.msg.Header[messageIDHeader][0] = hex.EncodeToString(id[:])
	o.msg.Header[expectedStreamHeader][0] = stream
	return o
}

// release lets go of one reference.
func (p *Publisher) release(o *outgoing) {
	if o.refs.Add(-1) == 0 {
		p.envelopes.Put(o)
	}
}
