package record

import (
	"fmt"
	"time"
)

// Part is the record of one of several generators that sent one run together.
type Part struct {
	Path string
	// Ahead is how far that generator's clock is ahead of the first one's. Its times
	// are read as the first one's clock would have shown them.
	Ahead time.Duration
	// Unsure is how wrong Ahead may be, either way. An attempt is read at the earliest
	// moment that it can have left, everything else at the latest that it can have come,
	// so that what is held against these times is never held too strictly.
	Unsure time.Duration
}

// ScanRun reads the records of one run as if one generator had written them: all of
// the first, then all of each other one. The first is the leader's: its header is
// returned, and its campaigns are the run's. The others hold the same campaigns under
// the same indices, or the first few of them; theirs are compared and not visited.
// torn counts the bytes cut off at the ends of all parts; one that was cut within its
// header adds nothing. Attempts of one ref are in order when one part holds them all.
//
// Errors: ErrOther when a part is of another run, of other rows or of other campaigns;
// those of Scan. What was visited before an error counts for nothing.
func ScanRun(first string, others []Part, v Visitor) (h Header, torn int64, err error) {
	var campaigns []Campaign
	visit := v.Campaign
	v.Campaign = func(i int32, c Campaign) error {
		if len(others) > 0 {
			campaigns = append(campaigns, c)
		}
		if visit == nil {
			return nil
		}
		return visit(i, c)
	}
	if h, torn, err = Scan(first, v); err != nil {
		return h, torn, err
	}
	for _, p := range others {
		other := v.shifted(-p.Ahead, p.Unsure)
		other.Campaign = func(i int32, c Campaign) error {
			if int(i) >= len(campaigns) {
				return fmt.Errorf("campaign %d is %s, the run has %d campaigns: %w", i, c.Slug, len(campaigns), ErrOther)
			}
			if !campaigns[i].same(&c) {
				return fmt.Errorf("campaign %d is %s, in the run it is %s: %w", i, c.Slug, campaigns[i].Slug, ErrOther)
			}
			return nil
		}
		_, cut, err := scanPart(p.Path, h, other)
		if err != nil {
			return h, torn, err
		}
		torn += cut
	}
	return h, torn, nil
}

// scanPart scans a part whose header must be of the run before anything is visited.
func scanPart(path string, run Header, v Visitor) (Header, int64, error) {
	h, _, torn, err := scanHeaded(path, v, func(h Header) error {
		if !h.sameRun(run) {
			return fmt.Errorf("it says run %q of %s (%.12s), %d copies: %w", h.Run, h.Source, h.Hash, h.Copies, ErrOther)
		}
		return nil
	})
	return h, torn, err
}

// sameRun tells whether both are of one run over the same rows. Probes may differ: one
// generator sends them for all.
func (h Header) sameRun(other Header) bool {
	h.Probes = other.Probes
	return h == other
}

func (c *Campaign) same(o *Campaign) bool {
	return c.Slug == o.Slug && c.Name == o.Name && c.Currency == o.Currency && c.Rows == o.Rows && c.SumMinor == o.SumMinor &&
		c.StartsAt.Equal(o.StartsAt) && c.EndsAt.Equal(o.EndsAt) && c.Absent == o.Absent
}

// shifted visits the same with the generator's own times moved by d, attempts by unsure
// less and the rest by unsure more. Times that the target said stay, and so do those
// that are not there.
func (v Visitor) shifted(d, unsure time.Duration) Visitor {
	if d == 0 && unsure == 0 {
		return v
	}
	moved := func(t time.Time, by time.Duration) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Add(by)
	}
	move := func(t time.Time) time.Time { return moved(t, d+unsure) }
	s := v
	if v.Session != nil {
		s.Session = func(e Session) error { e.StartedAt = move(e.StartedAt); return v.Session(e) }
	}
	if v.Attempt != nil {
		s.Attempt = func(e *Attempt) error { e.Sent = moved(e.Sent, d-unsure); return v.Attempt(e) }
	}
	if v.Answer != nil {
		s.Answer = func(e *Answer) error { e.At = move(e.At); return v.Answer(e) }
	}
	if v.Observation != nil {
		s.Observation = func(e *Observation) error { e.At = move(e.At); return v.Observation(e) }
	}
	if v.Finding != nil {
		s.Finding = func(e Finding) error { e.At = move(e.At); return v.Finding(e) }
	}
	if v.End != nil {
		s.End = func(e End) error { e.At = move(e.At); return v.End(e) }
	}
	return s
}
