package charge_test

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"

	"spillway/ledger/payments"
	"spillway/ledger/payments/charge"
)

// processor is one in memory that remembers what was charged by whom, and the
// first answer to each attempt.
type processor struct {
	mu      sync.Mutex
	charges map[[16]byte]int // that took money, by donation
	answers map[string]payments.Answer
	intents map[string]payments.IntentStatus
	calls   int
	// answer, when set, is asked first; false leaves it to the card.
	answer func(c *payments.Charge) (payments.Answer, bool)
	looks  int
	blind  int // so many looks find nothing out
	events []payments.Event
	listed []payments.Fact
	parse  map[string]payments.Event // by body
}

func newProcessor() *processor {
	return &processor{charges: map[[16]byte]int{}, answers: map[string]payments.Answer{}, intents: map[string]payments.IntentStatus{}, parse: map[string]payments.Event{}}
}

func (s *processor) charged(donation [16]byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.charges[donation]
}

func (s *processor) status(donation [16]byte) payments.IntentStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.intents[fmt.Sprintf("pi_%x", donation[:2])]
}

func (s *processor) Params(c *payments.Charge) []byte {
	if c.Token == "odd" {
		return nil
	}
	return fmt.Appendf(nil, "amount=%d&token=%s", c.AmountMinor, c.Token)
}

func (s *processor) Charge(ctx context.Context, c *payments.Charge) payments.Answer {
	s.mu.Lock()
	answer := s.answer
	s.calls++
	s.mu.Unlock()
	if answer != nil {
		if a, ok := answer(c); ok {
			return a
		}
	}
	if ctx.Err() != nil {
		return payments.Answer{Kind: payments.Unknown, Detail: "stopped"}
	}
	a := s.carryOut(c)
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	return a
}

// carryOut does what a call asks, once for each idempotency key.
func (s *processor) carryOut(c *payments.Charge) payments.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprintf("%x/%d/%s", c.Donation, c.AttemptNo, c.Params)
	if a, again := s.answers[key]; again {
		return a
	}
	intent := c.Intent
	if intent == "" {
		intent = fmt.Sprintf("pi_%x", c.Donation[:2])
	}
	seen := &payments.IntentSeen{ID: intent, Status: payments.IntentSucceeded, AmountMinor: c.AmountMinor, Currency: c.Currency, Charge: fmt.Sprintf("ch_%x_%d", c.Donation[:2], c.AttemptNo)}
	switch c.Token {
	case "decline":
		seen.Status, seen.Decline, seen.Charge, seen.AmountMinor = payments.IntentRequiresPaymentMethod, payments.DeclineFunds, "", 0
	case "3ds":
		seen.Status, seen.ClientSecret, seen.Charge, seen.AmountMinor = payments.IntentRequiresAction, "secret", "", 0
	default:
		s.charges[c.Donation]++
	}
	s.intents[intent] = seen.Status
	s.answers[key] = payments.Answer{Intent: seen}
	return s.answers[key]
}

func (s *processor) Look(_ context.Context, c *payments.Charge) payments.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.looks <= s.blind {
		return payments.Answer{Kind: payments.Unknown, Detail: "timeout"}
	}
	for key, a := range s.answers {
		if key == fmt.Sprintf("%x/%d/%s", c.Donation, c.AttemptNo, c.Params) {
			return a
		}
	}
	return payments.Answer{Kind: payments.Retry, Detail: charge.LookedNothing}
}

func (s *processor) CancelIntent(_ context.Context, intent string, _ [16]byte) payments.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intents[intent] != payments.IntentSucceeded {
		s.intents[intent] = payments.IntentCanceled
	}
	return payments.Answer{Intent: &payments.IntentSeen{ID: intent, Status: s.intents[intent], Currency: "USD"}}
}

func (s *processor) Refund(_ context.Context, r *payments.RefundDue) payments.Answer {
	if r.AmountMinor > 1000 {
		return payments.Answer{Kind: payments.Definite, Detail: "charge_already_refunded"}
	}
	return payments.Answer{Refund: &payments.RefundSeen{
		ID: fmt.Sprintf("re_%x", r.Refund[:2]), Charge: r.Charge, AmountMinor: r.AmountMinor, Currency: r.Currency, Status: payments.RefundSucceeded,
	}}
}

func (s *processor) LookRefund(context.Context, *payments.RefundDue) payments.Answer {
	return payments.Answer{Kind: payments.Retry, Detail: charge.LookedNothing}
}

func (s *processor) ParseEvent(body []byte) (payments.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.parse[string(body)]
	if !ok {
		return payments.Event{}, fmt.Errorf("not an event")
	}
	e.Facts = slices.Clone(e.Facts)
	return e, nil
}

func (s *processor) Intents(context.Context, time.Time, time.Time, string) (payments.Page[payments.Fact], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return payments.Page[payments.Fact]{Rows: slices.Clone(s.listed)}, nil
}

func (s *processor) Events(_ context.Context, since, until time.Time, _ string) (page payments.Page[payments.Event], err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if !e.CreatedAt.Before(since) && e.CreatedAt.Before(until) {
			e.Facts = slices.Clone(e.Facts)
			page.Rows = append(page.Rows, e)
		}
	}
	return page, nil
}
