package consumer

import (
	"context"
	"errors"
	"time"

	"spillway/ingest/envelope"
	"spillway/ledger"
	"spillway/ledger/backoff"
)

// settlement is the settling of one batch: everything in it is recorded or set
// aside, durably, and then its messages are acknowledged.
type settlement struct {
	c      *Consumer
	parts  []part  // by lane
	batch  *batch  // of all of them
	writer *writer // whose lease the batch is recorded under
	flight *flight // of this batch with writer
}

// run settles the batch however long it takes. Errors: the context's, and then
// nothing was acknowledged.
func (s *settlement) run(ctx context.Context) error {
	c, b := s.c, s.batch
	began := time.Now()
	if err := s.quarantine(ctx, b.rejected); err != nil {
		return err
	}
	if len(b.donations) > 0 {
		if err := s.record(ctx, b.donations, b.repeats); err != nil {
			return err
		}
	}
	if err := s.request(ctx, b.requests); err != nil {
		return err
	}
	if s.flight != nil {
		s.writer.land(s.flight)
	}
	for _, m := range b.messages {
		if err := m.Handle.Ack(); err != nil {
			c.metrics.ackFailures.Inc() // it will come again, as a repeat
		}
	}
	ended := time.Now()
	c.metrics.settled(b, ended.Sub(began))
	for _, p := range s.parts {
		p.lane.trace(p.batch, began, ended)
	}
	return nil
}

// record records donations and their repeats in one transaction, or, when the data
// is at fault, in as many as it takes to find the culprits and set them aside.
func (s *settlement) record(ctx context.Context, donations, repeats []*envelope.Donation) error {
	refused, err := s.try(ctx, donations, repeats)
	if err != nil || refused == nil {
		return err
	}
	if len(donations) > 1 {
		left, leftRepeats, right, rightRepeats := halve(donations, repeats)
		if err := s.record(ctx, left, leftRepeats); err != nil {
			return err
		}
		return s.record(ctx, right, rightRepeats)
	}
	culprit := s.rejection(func(r envelope.Record) bool {
		return r.Donation != nil && r.Donation.ID == donations[0].ID && r.Donation.Fingerprint == donations[0].Fingerprint
	})
	culprit.Reason, culprit.Detail = refused.reason, refused.detail
	if err := s.quarantine(ctx, []ledger.Rejected{culprit}); err != nil {
		return err
	}
	for _, p := range s.parts {
		p.batch.untrace(donations[0].ID)
	}
	if len(repeats) > 0 { // with the first gone, the second is the first
		return s.record(ctx, repeats[:1], repeats[1:])
	}
	return nil
}

// rejection describes the first record that matches as it came.
func (s *settlement) rejection(matches func(envelope.Record) bool) (r ledger.Rejected) {
	for _, p := range s.parts {
		if r = p.batch.rejection(p.lane.shard.Stream, matches); r.Payload != nil {
			break
		}
	}
	return r
}

// refusal says why a batch can never be recorded.
type refusal struct {
	reason ledger.Reason
	detail string
}

// try records once, in the sense of the ledger: what time heals is tried until it
// is healed. Errors: the context's.
func (s *settlement) try(ctx context.Context, donations, repeats []*envelope.Donation) (*refusal, error) {
	c := s.c
	var retry backoff.Tries
	var since time.Time // of the first failure
	for {
		if err := s.depart(ctx); err != nil {
			return nil, err
		}
		rows, counts, err := c.store.Record(ctx, s.writer.lease, donations, repeats)
		var poison *ledger.PoisonError
		switch {
		case err == nil:
			s.writer.carry(rows)
			c.metrics.recorded(counts)
			if !since.IsZero() {
				c.log.Info("recording goes on", "streams", streams(s.parts), "tries", retry.Count(), "after", time.Since(since).Round(time.Millisecond))
			}
			return nil, nil
		case errors.Is(err, ledger.ErrFenced):
			s.writer.end()
			continue // under the next lease
		case errors.As(err, &poison):
			return &refusal{ledger.ReasonRefused, poison.Err.Error()}, nil
		}
		// It may have been recorded: the answer was lost with the connection.
		s.writer.doubt(s.flight)
		c.metrics.recordFailures.Inc()
		if since.IsZero() {
			since = time.Now()
			c.log.Warn("recording stands still", "streams", streams(s.parts), "error", err)
		}
		if !errors.Is(err, ledger.ErrUnavailable) && retry.Count()+1 >= c.config.UnknownTries {
			c.log.Error("a failure without a name: looking for its cause in the data", "streams", streams(s.parts), "donations", len(donations), "error", err)
			return &refusal{ledger.ReasonUnknown, "see the log"}, nil
		}
		if !retry.Wait(ctx) {
			return nil, ctx.Err()
		}
	}
}

// request stores donors' further wishes for the payments role, after the donations
// that they may be about. They move no total, so no lease is asked. Dying before
// the acknowledgement means another delivery, which finds them stored.
//
// When the data is at fault the culprits are found by halving and set aside.
// Errors: the context's.
func (s *settlement) request(ctx context.Context, requests []*envelope.Request) error {
	if len(requests) == 0 {
		return nil
	}
	refused, err := s.tryRequests(ctx, requests)
	if err != nil || refused == nil {
		return err
	}
	if half := len(requests) / 2; half > 0 {
		if err := s.request(ctx, requests[:half]); err != nil {
			return err
		}
		return s.request(ctx, requests[half:])
	}
	culprit := s.rejection(func(r envelope.Record) bool {
		return r.Request != nil && *r.Request == *requests[0]
	})
	culprit.Reason, culprit.Detail = refused.reason, refused.detail
	return s.quarantine(ctx, []ledger.Rejected{culprit})
}

// tryRequests stores requests, in the sense of the ledger: what time heals is
// tried until it is healed. Errors: the context's.
func (s *settlement) tryRequests(ctx context.Context, requests []*envelope.Request) (*refusal, error) {
	c := s.c
	for retry := (backoff.Tries{}); ; {
		err := c.store.Request(ctx, requests)
		var poison *ledger.PoisonError
		switch {
		case err == nil:
			return nil, nil
		case errors.As(err, &poison):
			return &refusal{ledger.ReasonRefused, poison.Err.Error()}, nil
		}
		c.metrics.recordFailures.Inc()
		if retry.Count() == 0 {
			c.log.Warn("donors' requests stand still", "streams", streams(s.parts), "error", err)
		}
		if !errors.Is(err, ledger.ErrUnavailable) && retry.Count()+1 >= c.config.UnknownTries {
			c.log.Error("a failure without a name: looking for its cause in the data", "streams", streams(s.parts), "requests", len(requests), "error", err)
			return &refusal{ledger.ReasonUnknown, "see the log"}, nil
		}
		if !retry.Wait(ctx) {
			return nil, ctx.Err()
		}
	}
}

// depart makes sure that the batch is in flight with a writer that is live. A
// flight of a writer that has ended needs no landing: whoever adopted its slot
// published all that the flight may have changed.
func (s *settlement) depart(ctx context.Context) error {
	if s.writer != nil && s.writer.live() {
		return nil
	}
	w, err := s.c.writer(ctx)
	if err != nil {
		return err
	}
	s.c.refresh(ctx, w)
	s.writer, s.flight = w, w.depart()
	return nil
}

// quarantine sets records aside, however long it takes. Errors: the context's.
func (s *settlement) quarantine(ctx context.Context, rejected []ledger.Rejected) error {
	if len(rejected) == 0 {
		return nil
	}
	c := s.c
	for retry := (backoff.Tries{}); ; {
		err := c.store.Quarantine(ctx, rejected)
		if err == nil {
			break
		}
		if retry.Count() == 0 {
			c.log.Warn("quarantine stands still", "streams", streams(s.parts), "error", err)
		}
		if !retry.Wait(ctx) {
			return ctx.Err()
		}
	}
	for i := range rejected {
		r := &rejected[i]
		c.metrics.quarantined.WithLabelValues(string(r.Reason)).Inc()
		c.log.Error("record set aside", "stream", r.Stream, "sequence", r.Sequence, "index", r.Index, "reason", r.Reason, "detail", r.Detail)
	}
	return nil
}
