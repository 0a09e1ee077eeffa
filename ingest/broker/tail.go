package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// tailBatch is how many messages one pull request of a tail may bring; its
	// queue holds them all, so that none is dropped on the way in.
	tailBatch = 512
	// tailBytesMax bounds the bytes of one request: some parts of the largest kind.
	tailBytesMax = 16 << 20
	// tailExpires is how long a request waits; the next one follows at once.
	tailExpires = 30 * time.Second
	// tailHeartbeat is how often the broker says that nothing is there; silence
	// three times as long means that the consumer is gone.
	tailHeartbeat = time.Second
	tailSilence   = 3 * tailHeartbeat
	// tailInactive is when the broker forgets a consumer that nobody asks.
	tailInactive = 30 * time.Second
	// tailWaitMin doubles with every failure up to tailWaitMax.
	tailWaitMin = 50 * time.Millisecond
	tailWaitMax = 2 * time.Second
)

// tail reads one stream in order and goes on for ever: through lost connections,
// restarts, purges and a stream made anew. Each message is handed on once, unless
// the stream was made anew or lost its tail: then all of it comes again, because
// sequences say nothing any more.
//
// It is an ephemeral consumer without acks whose deliveries are numbered; a
// number that is missing, a heartbeat that tells of one that never came, or
// silence begins a new consumer behind the last message that was handed on.
type tail struct {
	b      *Broker
	stream string
	// handle is called for each message, in order. Its error ends the tail.
	handle func(sequence uint64, m *nats.Msg) error
	// idle, when set, is called whenever everything stored has been handed on.
	idle func() error

	cursor  uint64    // last sequence that was handed on
	created time.Time // of the stream that cursor is about
	goal    uint64    // last sequence of the stream when the session began
}

// errSession ends a session but not the tail.
var errSession = errors.New("reading interrupted")

// handlerError is an error of the tail's user.
type handlerError struct{ err error }

func (e handlerError) Error() string { return e.err.Error() }

// run reads until ctx ends, which is no error, or handle or idle returns one.
func (t *tail) run(ctx context.Context) error {
	wait, logged := tailWaitMin, ""
	for {
		before := t.cursor
		err := t.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if handler, ok := errors.AsType[handlerError](err); ok {
			return handler.err
		}
		if t.cursor != before {
			wait, logged = tailWaitMin, ""
		}
		if text := err.Error(); text != logged {
			logged = text
			t.b.log.Warn("stream is read again", "stream", t.stream, "after", t.cursor, "reason", err)
		}
		changed := t.b.link.changed()
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		wait = min(2*wait, tailWaitMax)
	}
}

// session lives as long as one consumer does.
func (t *tail) session(ctx context.Context) error {
	if err := t.locate(ctx); err != nil {
		return err
	}
	changed := t.b.link.changed()
	inbox := t.b.nc.NewInbox() + "."
	arrived := make(chan *nats.Msg, tailBatch+64) // a request's messages, and statuses
	sub, err := t.b.nc.ChanSubscribe(inbox+"*", arrived)
	if err != nil {
		return err
	}
	defer sub.Unsubscribe() // an error says that the connection is closed anyway
	name, pending, err := t.consumer(ctx)
	if err != nil {
		return err
	}
	defer t.forget(name)
	if pending == 0 {
		if err := t.reportIdle(); err != nil {
			return err
		}
	}
	return t.follow(ctx, name, inbox, arrived, changed)
}

// follow asks and takes until something is amiss.
func (t *tail) follow(ctx context.Context, name, inbox string, arrived <-chan *nats.Msg, changed <-chan struct{}) error {
	silence := time.NewTimer(tailSilence)
	defer silence.Stop()
	delivered := uint64(0) // the consumer's number of the last delivery
	request, left := 0, 0  // deliveries that the request under way may still bring
	for {
		if err := ctx.Err(); err != nil {
			return err // at once, however much has arrived
		}
		if left == 0 {
			request++
			left = tailBatch
			err := t.b.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+t.stream+"."+name,
				inbox+strconv.Itoa(request), pullRequest(tailBatch, tailBytesMax, tailExpires, tailHeartbeat))
			if err != nil {
				return err
			}
		}
		var m *nats.Msg
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			return fmt.Errorf("%w: connection lost", errSession)
		case <-silence.C:
			return fmt.Errorf("%w: the broker is silent", errSession)
		case m = <-arrived:
		}
		silence.Reset(tailSilence)
		if status := m.Header.Get("Status"); status != "" && m.Reply == "" {
			if status == "100" {
				if m.Header.Get("Nats-Last-Consumer") != strconv.FormatUint(delivered, 10) {
					return fmt.Errorf("%w: a delivery was lost", errSession)
				}
				if err := t.reportIdle(); err != nil {
					return err
				}
				continue
			}
			if m.Subject != inbox+strconv.Itoa(request) {
				continue // about an earlier request
			}
			if !served(status, m.Header.Get("Description")) {
				return fmt.Errorf("%w: %s %s", errSession, status, m.Header.Get("Description"))
			}
			left = 0
			continue
		}
		meta, err := m.Metadata()
		if err != nil {
			continue // not a delivery: nobody else knows the inbox
		}
		if meta.Sequence.Consumer != delivered+1 {
			return fmt.Errorf("%w: a delivery was lost", errSession)
		}
		delivered++
		left--
		if err := t.handle(meta.Sequence.Stream, m); err != nil {
			return handlerError{err}
		}
		t.cursor = meta.Sequence.Stream
		if meta.NumPending == 0 || t.cursor >= t.goal && t.goal > 0 {
			t.goal = 0
			if err := t.reportIdle(); err != nil {
				return err
			}
		}
	}
}

func (t *tail) reportIdle() error {
	if t.idle == nil {
		return nil
	}
	if err := t.idle(); err != nil {
		return handlerError{err}
	}
	return nil
}

// locate finds out whether the cursor still means anything.
func (t *tail) locate(ctx context.Context) error {
	ctx, cancel := t.b.within(ctx)
	defer cancel()
	info, err := t.b.streamInfo(ctx, t.stream)
	if err != nil {
		return err
	}
	if !t.created.IsZero() && (!info.Created.Equal(t.created) || info.State.LastSeq < t.cursor) {
		t.b.log.Warn("stream is another or lost its end: read from its start", "stream", t.stream)
		t.cursor = 0
	}
	t.created, t.goal = info.Created, info.State.LastSeq
	return nil
}

// consumer begins a new consumer behind the cursor.
func (t *tail) consumer(ctx context.Context) (name string, pending uint64, err error) {
	ctx, cancel := t.b.within(ctx)
	defer cancel()
	cfg := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: tailInactive,
	}
	if t.cursor > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, t.cursor+1
	}
	c, err := t.b.js.CreateConsumer(ctx, t.stream, cfg)
	if err != nil {
		return "", 0, err
	}
	return c.CachedInfo().Name, c.CachedInfo().NumPending, nil
}

// forget deletes a consumer that is of no use any more; where that fails the
// broker does it after tailInactive.
func (t *tail) forget(name string) {
	// Without waiting for the answer: nothing depends on it.
	_ = t.b.nc.Publish("$JS.API.CONSUMER.DELETE."+t.stream+"."+name, nil)
}

// served tells whether a status ends a pull request in order: its time is up, or
// its messages or bytes are.
func served(status, description string) bool {
	switch status {
	case "404", "408":
		return true
	case "409":
		return description == "Batch Completed" || description == "Message Size Exceeds MaxBytes"
	}
	return false
}

// pullRequest is JetStream's request for messages that waits until it is filled
// or expires, with a heartbeat in between.
func pullRequest(batch, bytesMax int, expires, heartbeat time.Duration) []byte {
	r := strconv.AppendInt([]byte(`{"batch":`), int64(batch), 10)
	r = strconv.AppendInt(append(r, `,"max_bytes":`...), int64(bytesMax), 10)
	r = strconv.AppendInt(append(r, `,"expires":`...), int64(expires), 10)
	r = strconv.AppendInt(append(r, `,"idle_heartbeat":`...), int64(heartbeat), 10)
	return append(r, '}')
}
