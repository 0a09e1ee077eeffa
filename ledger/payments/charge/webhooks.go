package charge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"spillway/ingest/bundle"
	"spillway/ledger"
	"spillway/ledger/payments"
)

const (
	// fetchMessages, fetchBytes and fetchWait bound one request to the broker. An
	// event is some 4 KiB; one transaction takes what one request brought.
	fetchMessages = 256
	fetchBytes    = 2 << 20
	fetchWait     = time.Second
)

// stream is a queue of messages that are handled in batches, each acknowledged once
// what it says is durable.
type stream struct {
	config Config
	source Source
	log    *slog.Logger
	// handle makes what messages say durable, however long it takes, and returns what
	// is to be said about each. Errors: the context's, and then nothing was said.
	handle  func(ctx context.Context, messages []Message) ([]word, error)
	ackLost func()
}

// word is the answer to a message: done, or come again after a delay.
type word struct{ again time.Duration }

// run handles the stream until ctx ends, and the batch in hand until work ends.
func (s *stream) run(ctx, work context.Context) {
	h := &held{config: s.config}
	beating, still := context.WithCancel(work)
	var beats sync.WaitGroup
	defer beats.Wait()
	defer still()
	beats.Go(func() { h.beat(beating) })
	loop(ctx, s.log, "fetch from "+s.source.Stream(), 0, func(ctx context.Context) (bool, error) {
		messages, err := s.source.Fetch(ctx, fetchMessages, fetchBytes, fetchWait)
		if len(messages) == 0 { // some may come together with an error
			return true, err
		}
		h.hold(messages)
		defer h.letGo()
		words, err := s.handle(work, messages)
		if err != nil { // work has ended: leave them to others
			for _, m := range messages {
				_ = m.Handle.Nak(0) // lost: the broker's patience does the same later
			}
			return true, err
		}
		for i, m := range messages {
			said := m.Handle.Ack
			if words[i].again > 0 {
				said = func() error { return m.Handle.Nak(words[i].again) }
			}
			if err := said(); err != nil {
				s.ackLost() // it comes again, as a repeat
			}
		}
		return true, nil
	})
}

// webhookLoop applies the events that the endpoint stored.
func (s *Service) webhookLoop(ctx, work context.Context) {
	first := s.desks[0]
	(&stream{
		config: s.config, source: s.deps.Webhooks, log: s.log, handle: s.webhooks, ackLost: func() { first.metrics.ackLost.Inc() },
	}).run(ctx, work)
}

// webhooks applies a batch of events, parks those whose donation is not there, and
// sets aside what cannot be read or booked.
func (s *Service) webhooks(ctx context.Context, messages []Message) ([]word, error) {
	words := make([]word, len(messages))
	var events []payments.Event
	of := map[string]deposited{} // by event; of a repeat the first
	for _, m := range messages {
		bodies, err := bundle.Split(m.Data)
		if err != nil {
			bodies = [][]byte{m.Data} // as a whole it is no event either
		}
		for i, body := range bodies {
			if len(bodies) == 1 {
				i = -1
			}
			d := deposited{m, body, i}
			e, err := s.deps.Processor.ParseEvent(body)
			if err != nil {
				if err := s.desks[0].setAside(ctx, s.rejected(d, ledger.ReasonMalformed, err.Error())); err != nil {
					return nil, err
				}
				s.desks[0].metrics.event(roadWebhook, "malformed")
				continue
			}
			if _, twice := of[e.ID]; twice {
				s.desks[0].metrics.event(roadWebhook, "duplicate")
				continue
			}
			of[e.ID] = d
			if e.Body == nil {
				e.Body = body
			}
			events = append(events, e)
		}
	}
	refused, err := s.handle(ctx, roadWebhook, events)
	if err != nil {
		return nil, err
	}
	if s.deps.Tracer.On() {
		ended := s.deps.Now()
		for i := range events {
			s.traceEvent(&events[i], of[events[i].ID].StoredAt, ended)
		}
	}
	for id, why := range refused {
		if err := s.desks[0].setAside(ctx, s.rejected(of[id], ledger.ReasonRefused, why)); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// deposited is an event as it was stored: one of those in a message.
type deposited struct {
	Message
	body  []byte
	place int // in the message, -1 for the whole of it
}

// rejected describes an event that is given up.
func (s *Service) rejected(d deposited, reason ledger.Reason, detail string) ledger.Rejected {
	return ledger.Rejected{
		Payload: d.body, Stream: s.deps.Webhooks.Stream(), Sequence: d.Sequence, Index: d.place, StoredAt: d.StoredAt, Reason: reason, Detail: detail,
	}
}
