package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errAheadOfStream says that the consumer has acknowledged what the stream does
// not hold: the stream lost its tail, or was made anew under an old consumer.
// Sequences are then used twice, and the ack floor proves nothing.
var errAheadOfStream = errors.New("consumer is ahead of its stream: the stream lost messages")

// Watermark returns a time T by the broker's clock such that every message whose
// publication was acknowledged before T has been acked by the ledger.
//
// Why it is true. The ack floor is the greatest sequence up to which everything is
// acked; acks are never taken back and sequences only rise, so what is at or below a
// floor that was once seen is acked for good. Let T be the time that the broker
// writes into the consumer's info, and F the ack floor in it.
//
// Let M be the first stored message above F, and t the time it was stored. A message
// acknowledged to its publisher before t was stored before t, hence before M, hence
// has a lower sequence; being stored and below the first one above F, it is at or
// below F: acked. So t is true. It costs one question, two when this source has not
// fetched M itself, and is asked first where messages wait or are held.
//
// Where none are, there is no M, and L is asked for, the stream's last sequence, after
// the info came. A message acknowledged before T was stored before T, so its sequence
// is at most the last one at T, hence at most L. If F = L all of them are acked: T is
// true. That L is asked for after F and T is what makes it so; both asked at once would
// not do. F > L cannot be, F being a stored sequence of before: the stream lost some.
//
// It rests on the broker's clock not going back by more than messages lie apart, and on
// L being the leader's. An F of a leader that was deposed only makes t older.
//
// Errors: ErrUnavailable, ctx's, or that the consumer is ahead of its stream.
func (s *Source) Watermark(ctx context.Context) (time.Time, error) {
	ctx, cancel := s.b.within(ctx)
	defer cancel()
	at, err := s.watermark(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("watermark of %s: %w", s.stream, err)
	}
	return at, nil
}

func (s *Source) watermark(ctx context.Context) (time.Time, error) {
	now, err := s.standing(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if now.Pending > 0 || now.AckPending > 0 {
		at, err := s.storedAfter(ctx, now.Floor.Stream)
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return at, err
		}
		// What waited is gone, or the copy that was asked is behind: L will tell.
	}
	last, err := s.lastSequence(ctx)
	switch {
	case err != nil:
		return time.Time{}, err
	case now.Floor.Stream > last:
		return time.Time{}, errAheadOfStream
	case now.Floor.Stream == last:
		return now.At, nil
	}
	return s.storedAfter(ctx, now.Floor.Stream) // one came in between
}

// standing is where the ledger stands in a stream: what a watermark needs of a
// consumer's info. Reading all of it costs several times as much, and ledgers ask many
// times a second.
type standing struct {
	reply
	Floor struct {
		Stream uint64 `json:"stream_seq"`
	} `json:"ack_floor"`
	AckPending int       `json:"num_ack_pending"`
	Pending    uint64    `json:"num_pending"`
	At         time.Time `json:"ts"`
}

func (s *Source) standing(ctx context.Context) (now standing, err error) {
	err = s.b.question(ctx, s.infoAPI, &now)
	if err == nil && now.At.IsZero() {
		err = unavailable(ctx, errors.New("the broker does not say when it looked: nats-server 2.10 or newer is needed"))
	}
	return now, err
}

// lastSequence is that of the stream's last message.
func (s *Source) lastSequence(ctx context.Context) (uint64, error) {
	var info struct {
		reply
		State struct {
			Last uint64 `json:"last_seq"`
		} `json:"state"`
	}
	err := s.b.question(ctx, "$JS.API.STREAM.INFO."+s.stream, &info)
	return info.State.Last, err
}

// reply is what every answer of JetStream may have.
type reply struct {
	Error *jetstream.APIError `json:"error"`
}

func (r *reply) failed() error {
	if r.Error == nil {
		return nil
	}
	return r.Error
}

// question asks JetStream and reads what answer has members for. Errors:
// ErrUnavailable, ctx's.
func (b *Broker) question(ctx context.Context, subject string, answer interface{ failed() error }) error {
	m, err := b.nc.RequestWithContext(ctx, subject, nil)
	if err != nil {
		return unavailable(ctx, err)
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return unavailable(ctx, fmt.Errorf("the answer to %s: %w", subject, err))
	}
	if err := answer.failed(); err != nil {
		return unavailable(ctx, err)
	}
	return nil
}

// Lag is how far the ledger is behind on one shard.
type Lag struct {
	Pending     uint64 // envelopes not yet delivered to anybody
	AckPending  int    // envelopes delivered and not acked
	Redelivered int    // envelopes that are out for another time
	// Oldest is when the first envelope that is not acked was stored; zero when all are.
	Oldest time.Time
}

// Lag asks the broker. Errors: ErrUnavailable, ctx's.
func (s *Source) Lag(ctx context.Context) (Lag, error) {
	ctx, cancel := s.b.within(ctx)
	defer cancel()
	info, err := s.consumerInfo(ctx)
	if err != nil {
		return Lag{}, fmt.Errorf("lag of %s: %w", s.stream, err)
	}
	lag := Lag{Pending: info.NumPending, AckPending: info.NumAckPending, Redelivered: info.NumRedelivered}
	if lag.Pending == 0 && lag.AckPending == 0 {
		return lag, nil
	}
	lag.Oldest, err = s.storedAfter(ctx, info.AckFloor.Stream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = nil // acked and trimmed in the meantime
	}
	if err != nil {
		return Lag{}, fmt.Errorf("lag of %s: %w", s.stream, err)
	}
	return lag, nil
}

func (s *Source) consumerInfo(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	c, err := s.b.js.Consumer(ctx, s.stream, s.consumer) // asks for the info
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return c.CachedInfo(), nil
}

// storedAfter returns when the first stored message above floor was stored:
// from memory when this source has fetched it, else from the broker.
func (s *Source) storedAfter(ctx context.Context, floor uint64) (time.Time, error) {
	if at, ok := s.seen.at(floor + 1); ok {
		return at, nil
	}
	// The next message of the subject at or above the sequence, so that messages
	// trimmed or deleted in between do not matter. A replica that is behind
	// answers "none", never a later one.
	request, err := json.Marshal(struct {
		Sequence uint64 `json:"seq"`
		NextBy   string `json:"next_by_subj"`
	}{floor + 1, ">"})
	if err != nil {
		return time.Time{}, err
	}
	m, err := s.b.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+s.stream, request)
	if err != nil {
		return time.Time{}, unavailable(ctx, err)
	}
	if m.Header.Get("Status") == "404" {
		return time.Time{}, unavailable(ctx, jetstream.ErrMsgNotFound)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return time.Time{}, unavailable(ctx, errors.New("direct get: "+m.Header.Get("Description")))
	}
	return at, nil
}

// seenMax is how many deliveries' times are kept: as many as may be out at once.
const seenMax = ackPendingMax

// seenTimes remembers when fetched messages were stored, so that asking for the
// first unacked one needs no look at the broker's disk.
type seenTimes struct {
	mu    sync.Mutex
	times map[uint64]time.Time
	order []uint64 // ring of the sequences in times
	next  int
}

func (s *seenTimes) note(sequence uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = make(map[uint64]time.Time)
	}
	if _, known := s.times[sequence]; known {
		s.times[sequence] = at
		return
	}
	if len(s.order) < seenMax {
		s.order = append(s.order, sequence)
	} else {
		delete(s.times, s.order[s.next])
		s.order[s.next] = sequence
		s.next = (s.next + 1) % seenMax
	}
	s.times[sequence] = at
}

func (s *seenTimes) at(sequence uint64) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.times[sequence]
	return at, ok
}
