package audit

import (
	"time"

	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// clock bounds how far the target's clock is ahead of the generator's. A 202's
// accepted_at is the front-end's receive time, which lies between sending and
// reading the answer; thousands of them leave a narrow interval. It is assumed that
// front-ends and broker share a clock, as on one machine or with NTP they do.
type clock struct {
	inFlight  map[gift.Ref]time.Time // sent, answer not read yet
	low, high time.Duration
	samples   int64
	crossed   bool // no one offset explains all answers
}

// acceptedAtStep is the resolution of accepted_at: it is cut off, never rounded up.
const acceptedAtStep = time.Microsecond

func (c *clock) sent(a *record.Attempt) { c.inFlight[a.Ref] = a.Sent }

func (c *clock) answered(a *record.Answer) {
	sent, ok := c.inFlight[a.Ref]
	if !ok {
		return
	}
	delete(c.inFlight, a.Ref)
	if a.AcceptedAt.IsZero() {
		return
	}
	low, high := a.AcceptedAt.Sub(a.At), a.AcceptedAt.Add(acceptedAtStep).Sub(sent)
	if c.samples == 0 || low > c.low {
		c.low = low
	}
	if c.samples == 0 || high < c.high {
		c.high = high
	}
	c.samples++
}

// close ends the survey. Where a clock was set during the run, or front-ends
// disagree, the two bounds cross: then both are kept as far apart as they are.
func (c *clock) close() {
	c.inFlight = nil
	if c.low > c.high {
		c.crossed = true
		c.low, c.high = c.high, c.low
	}
}

// latest is the latest that the target's clock may have shown at the generator's t.
func (c *clock) latest(t time.Time) time.Time { return t.Add(c.high) }

// earliest is the earliest that the target's clock may have shown at the generator's t.
func (c *clock) earliest(t time.Time) time.Time { return t.Add(c.low) }
