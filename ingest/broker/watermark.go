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
// Why it is true. Let T be the time that the broker writes into the consumer's
// info, L the stream's last sequence asked for after that answer came, and F the
// consumer's ack floor asked for after L was known. A message acknowledged to its
// publisher before T was stored before T, so its sequence is at most the last one
// at T, and as sequences only rise, at most L. The ack floor is the greatest
// sequence up to which everything is acked, and acks are never taken back. If
// F >= L, every such message is at or below F: acked. Otherwise let M be the
// first stored message above F, and t the time it was stored. A message
// acknowledged before t was stored before t, hence before M, hence has a lower
// sequence; being stored and below the first one above F, it is at or below F:
// acked. So T and t are both true, and the lesser is returned. The order of the
// three questions is what makes it so; two asked at once would not do.
//
// It rests on the broker's clock not going back by more than messages lie apart,
// and on the stream's answer being the leader's.
//
// Errors: ErrUnavailable, ctx's, or that the consumer is ahead of its stream.
func (s *Source) Watermark(ctx context.Context) (time.Time, error) {
	ctx, cancel := s.b.within(ctx)
	defer cancel()
	fail := func(err error) (time.Time, error) {
		return time.Time{}, fmt.Errorf("watermark of %s: %w", s.stream, err)
	}
	first, err := s.consumerInfo(ctx)
	if err != nil {
		return fail(err)
	}
	last, err := s.lastSequence(ctx)
	if err != nil {
		return fail(err)
	}
	second, err := s.consumerInfo(ctx)
	if err != nil {
		return fail(err)
	}
	asked, floor := first.TimeStamp, second.AckFloor.Stream
	if floor >= last {
		if floor > last { // messages came in between, or else
			if last, err = s.lastSequence(ctx); err != nil {
				return fail(err)
			}
			if floor > last {
				return fail(errAheadOfStream)
			}
		}
		return asked, nil
	}
	stored, err := s.storedAfter(ctx, floor)
	if err != nil {
		return fail(err)
	}
	if stored.Before(asked) {
		return stored, nil
	}
	return asked, nil
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

func (s *Source) lastSequence(ctx context.Context) (uint64, error) {
	info, err := s.b.streamInfo(ctx, s.stream)
	if err != nil {
		return 0, unavailable(ctx, err)
	}
	return info.State.LastSeq, nil
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
