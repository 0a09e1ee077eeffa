package stripesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Faults are what goes wrong. Rates are of calls (or events) and in 0..1; which
// ones are hit follows from the seed. The zero value has no faults.
type Faults struct {
	// Outage is how every call to the API meets its end; none of it is carried out.
	Outage Outage `json:"outage"`

	// DeclineRate and AuthenticateRate are of first tries of cards that would work.
	DeclineRate      float64 `json:"decline_rate"`
	AuthenticateRate float64 `json:"authenticate_rate"`
	// TimeoutRate is of calls that change something, are carried out and never answered;
	// ResetRate of those whose answer ends in the middle by a reset connection.
	TimeoutRate float64 `json:"timeout_rate"`
	ResetRate   float64 `json:"reset_rate"`
	// ErrorRate is of calls that answer 500 and do nothing; ErrorAfterRate of those
	// that answer 500 and are carried out all the same. Both are remembered under
	// their idempotency key, as Stripe's are.
	ErrorRate      float64 `json:"error_rate"`
	ErrorAfterRate float64 `json:"error_after_rate"`
	// RateLimitRate is of calls refused by 429, whatever the limits: a storm.
	RateLimitRate float64 `json:"rate_limit_rate"`
	// DisputeRate is of captured charges. Of those disputes, DisputeWonRate and
	// DisputeLostRate are decided by themselves; the others stay open.
	DisputeRate     float64 `json:"dispute_rate"`
	DisputeWonRate  float64 `json:"dispute_won_rate"`
	DisputeLostRate float64 `json:"dispute_lost_rate"`

	// Donors is what those do who must authenticate, when nobody does it for them.
	Donors Donors `json:"donors"`
	// Webhooks is what happens to events on their way.
	Webhooks WebhookFaults `json:"webhooks"`
}

// Donors act by themselves after a while when After is set. Those who neither
// succeed nor fail never come back.
type Donors struct {
	After       Span    `json:"after"`
	SucceedRate float64 `json:"succeed_rate"`
	FailRate    float64 `json:"fail_rate"`
}

// WebhookFaults happen to events. Delay holds each back by up to twice itself;
// ReorderRate are held back by up to ReorderBy more, so that later ones overtake
// them; lost ones are never sent, and only listing the events shows them.
type WebhookFaults struct {
	LossRate      float64 `json:"loss_rate"`
	DuplicateRate float64 `json:"duplicate_rate"`
	ReorderRate   float64 `json:"reorder_rate"`
	ReorderBy     Span    `json:"reorder_by"`
	Delay         Span    `json:"delay"`
	// Paused holds all of them until it is taken away.
	Paused bool `json:"paused"`
}

// Outage is a way of not being there.
type Outage string

// The outages.
const (
	NoOutage     Outage = ""
	Unavailable  Outage = "unavailable" // 503
	Hanging      Outage = "hanging"     // connections are taken, and nothing is answered
	Disconnected Outage = "disconnected"
)

// Span is a time.Duration that JSON writes as "1.5s".
type Span time.Duration

// MarshalJSON writes the duration as Go does.
func (s Span) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).String()) }

// UnmarshalJSON reads a duration as Go writes it.
func (s *Span) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	*s = Span(d)
	return err
}

// Validate reports everything that is wrong at once.
func (f *Faults) Validate() error {
	var wrong []error
	for _, r := range []struct {
		name string
		rate float64
	}{
		{"decline", f.DeclineRate}, {"authenticate", f.AuthenticateRate}, {"timeout", f.TimeoutRate}, {"reset", f.ResetRate},
		{"error", f.ErrorRate}, {"error after", f.ErrorAfterRate}, {"rate limit", f.RateLimitRate}, {"dispute", f.DisputeRate},
		{"disputes won", f.DisputeWonRate}, {"disputes lost", f.DisputeLostRate}, {"disputes won or lost", f.DisputeWonRate + f.DisputeLostRate},
		{"donors who succeed", f.Donors.SucceedRate}, {"donors who fail", f.Donors.FailRate},
		{"donors who succeed or fail", f.Donors.SucceedRate + f.Donors.FailRate},
		{"webhook loss", f.Webhooks.LossRate}, {"webhook duplicate", f.Webhooks.DuplicateRate}, {"webhook reorder", f.Webhooks.ReorderRate},
	} {
		if !(r.rate >= 0 && r.rate <= 1) {
			wrong = append(wrong, fmt.Errorf("rate of %s is not between 0 and 1: %g", r.name, r.rate))
		}
	}
	for _, s := range []Span{f.Donors.After, f.Webhooks.Delay, f.Webhooks.ReorderBy} {
		if s < 0 {
			wrong = append(wrong, fmt.Errorf("a span of faults is negative: %s", time.Duration(s)))
		}
	}
	switch f.Outage {
	case NoOutage, Unavailable, Hanging, Disconnected:
	default:
		wrong = append(wrong, fmt.Errorf("unknown outage %q", f.Outage))
	}
	return errors.Join(wrong...)
}
