package capacity

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"spillway/loadtest/trace"
)

// Day is the day that is expected: how many donations come in each of its seconds.
type Day struct {
	Name string
	// Seconds has donations per second of the event, from its first second on. They are
	// not whole where an event was scaled.
	Seconds []float64
}

// DayMost bounds the length of a day: longer events come in days.
const DayMost = 14 * 24 * time.Hour

// ErrDay says that a day cannot be made of what was given.
var ErrDay = errors.New("no expected day")

// DayOf counts a recorded event, opened at its own speed, second by second, with so many
// times its donors. Errors: ErrDay, the source's.
func DayOf(source trace.Source, donors float64) (d *Day, err error) {
	if !(donors > 0) {
		return nil, fmt.Errorf("%g times the donors: %w", donors, ErrDay)
	}
	if source.Span() > DayMost {
		return nil, fmt.Errorf("%s lasts %v, longer than %v: %w", source.Name(), source.Span().Round(time.Hour), DayMost, ErrDay)
	}
	stream, err := source.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	name := source.Name()
	if donors != 1 {
		name = fmt.Sprintf("%s with %g times its donors", name, donors)
	}
	d = &Day{Name: name}
	rows := make([]trace.Row, 4096)
	for {
		n, err := stream.Next(rows)
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		for _, r := range rows[:n] {
			at := int(r.Planned / time.Second)
			if grow := at + 1 - len(d.Seconds); grow > 0 {
				d.Seconds = append(d.Seconds, make([]float64, grow)...)
			}
			d.Seconds[at] += donors
		}
	}
}

// Burst is a day of which only the peak is known: an even rate for a while, and nothing
// after it. Errors: ErrDay.
func Burst(perSecond float64, length time.Duration) (*Day, error) {
	if !(perSecond > 0) || length < time.Second || length > DayMost {
		return nil, fmt.Errorf("%g donations/s for %v: %w", perSecond, length, ErrDay)
	}
	return &Day{Name: fmt.Sprintf("%s donations/s for %v", rate(perSecond), length), Seconds: slices.Repeat([]float64{perSecond}, int(length/time.Second))}, nil
}

// All is how many donations the day has.
func (d *Day) All() (n float64) {
	for _, s := range d.Seconds {
		n += s
	}
	return n
}

// Peak is the busiest stretch of this many whole seconds: its mean rate in donations
// per second, and when it begins. A day that is shorter counts as if nothing came after.
func (d *Day) Peak(seconds int) (perSecond float64, at time.Duration) {
	sum, most := 0.0, 0.0
	for i, s := range d.Seconds {
		sum += s
		if i >= seconds {
			sum -= d.Seconds[i-seconds]
		}
		if sum > most {
			most, at = sum, time.Duration(max(0, i-seconds+1))*time.Second
		}
	}
	return most / float64(seconds), at
}
