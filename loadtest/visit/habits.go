package visit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Habits says how many visit beside the gifts of a source, and what a visit is like.
type Habits struct {
	// Look is the share of donors who look at the page before they give, 0..1.
	Look float64
	// PerGift is how many readers come for each gift and give nothing, up to PerGiftMax.
	PerGift float64
	// Day is the share that comes to the day's page in place of a campaign's.
	Day float64
	// Think is how long they look at the page, Stay how long they watch then: means of
	// an exponential spread that is cut at longest times the mean. 0 for the default.
	Think, Stay time.Duration
	// Stream and Poll are the shares that then hold the live stream or read the totals
	// every PollEvery; the others leave.
	Stream, Poll float64
	PollEvery    time.Duration // 0 for the default
	// Connections serve pages and polls; when all are busy requests wait, and the waiting
	// counts. Streams is the most at a time: each is a connection of its own. 0 for the defaults.
	Connections, Streams int
}

// Defaults and bounds of habits.
const (
	PerGiftMax         = 100
	DefaultThink       = 10 * time.Second
	DefaultStay        = 30 * time.Second
	DefaultPollEvery   = 5 * time.Second
	DefaultConnections = 64    // 6,000 pages/s at 10 ms each
	ConnectionsMax     = 10000 // as the gifts'
	DefaultStreams     = 2000  // leaves most of a usual limit of files to others
	StreamsMax         = 100_000
	// pollLeast keeps a poll from being an attack.
	pollLeast = 100 * time.Millisecond
	// longest cuts the exponential spread: one in 150 would stay longer.
	longest = 5
)

// ErrHabits says that nobody visits like this.
var ErrHabits = errors.New("bad visits")

// Any tells whether anybody visits at all.
func (h *Habits) Any() bool { return h.Look > 0 || h.PerGift > 0 }

// fill puts the defaults in and checks the rest.
func (h *Habits) fill() error {
	or := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	or(&h.Think, DefaultThink)
	or(&h.Stay, DefaultStay)
	or(&h.PollEvery, DefaultPollEvery)
	if h.Connections == 0 {
		h.Connections = DefaultConnections
	}
	if h.Streams == 0 {
		h.Streams = DefaultStreams
	}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrHabits))
	}
	for name, share := range map[string]float64{"look": h.Look, "day": h.Day, "stream": h.Stream, "poll": h.Poll, "stream and poll": h.Stream + h.Poll} {
		if !(share >= 0 && share <= 1) {
			bad("%s: %g, want 0 to 1", name, share)
		}
	}
	if !(h.PerGift >= 0 && h.PerGift <= PerGiftMax) {
		bad("readers for each gift: %g, want 0 to %d", h.PerGift, PerGiftMax)
	}
	if h.Think < 0 || h.Stay < 0 || h.PollEvery < pollLeast {
		bad("think %v, stay %v, poll every %v: want no negative time, and polls %v apart", h.Think, h.Stay, h.PollEvery, pollLeast)
	}
	if h.Connections < 1 || h.Connections > ConnectionsMax || h.Streams < 1 || h.Streams > StreamsMax {
		bad("%d connections, %d streams: want 1 to %d, 1 to %d", h.Connections, h.Streams, ConnectionsMax, StreamsMax)
	}
	return errors.Join(errs...)
}

// drawn is a time of the exponential spread around mean; u is 0..1.
func drawn(mean time.Duration, u float64) time.Duration {
	return time.Duration(min(-math.Log(1-u), longest) * float64(mean))
}
