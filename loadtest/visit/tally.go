package visit

import (
	"errors"
	"fmt"
	"maps"

	"spillway/loadtest/hdr"
)

// Tally is what the visits of one generator came to, for the one that reports for all.
// Its histograms are as hdr writes them; the Report has no spreads.
type Tally struct {
	Report   Report `json:"report"`
	Pages    string `json:"pages,omitempty"`
	Polls    string `json:"polls,omitempty"`
	Open     string `json:"open,omitempty"`
	Ages     string `json:"ages,omitempty"`
	Lateness string `json:"lateness,omitempty"`
	Waiting  string `json:"waiting,omitempty"`
}

// histograms are the journal's, each with its place in a tally; j.mu is held.
func (j *journal) histograms(t *Tally) []struct {
	of   histogram
	text *string
} {
	return []struct {
		of   histogram
		text *string
	}{{j.pages, &t.Pages}, {j.polls, &t.Polls}, {j.open, &t.Open}, {j.ages, &t.Ages}, {j.lateness, &t.Lateness}, {j.waitings, &t.Waiting}}
}

// Tally tells what visits came to, once Run has returned.
func (v *Visitors) Tally() (*Tally, error) {
	t := &Tally{Report: *v.Report()}
	r := &t.Report
	for _, s := range []*Spread{&r.Pages.Latency, &r.Polls.Latency, &r.Streams.Open, &r.Age, &r.Lateness, &r.Waiting} {
		*s = Spread{}
	}
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	for _, h := range v.log.histograms(t) {
		var err error
		if *h.text, err = hdr.Encode(h.of.Histogram); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Merge adds the visits of other generators to what Run of v came to, which has
// returned. Errors: hdr's; then the report counts for nothing.
func (v *Visitors) Merge(others ...*Tally) (*Report, error) {
	var errs []error
	v.log.with(func(*Report) {
		for _, t := range others {
			for i, h := range v.log.histograms(t) {
				if err := hdr.Merge(h.of.Histogram, *h.text, histogramDigits); err != nil {
					errs = append(errs, fmt.Errorf("histogram %d of visits: %w", i, err))
				}
			}
		}
	})
	r := v.Report()
	for _, t := range others {
		r.add(&t.Report)
	}
	return r, errors.Join(errs...)
}

// add adds the other's counts.
func (r *Report) add(o *Report) {
	r.Visits += o.Visits
	r.Donors += o.Donors
	r.Begun += o.Begun
	r.LeftOut += o.LeftOut
	r.Cut += o.Cut
	r.Pages.add(&o.Pages)
	r.Polls.add(&o.Polls)
	s, more := &r.Streams, &o.Streams
	s.Opened += more.Opened
	s.Refused = added(s.Refused, more.Refused)
	s.Failed += more.Failed
	s.Lost += more.Lost
	s.Full += more.Full
	s.Most += more.Most // at most: they need not have been open at the same moment
	s.Events += more.Events
	s.Bytes += more.Bytes
}

func (r *Requests) add(o *Requests) {
	r.OK += o.OK
	r.Refused = added(r.Refused, o.Refused)
	r.Failed += o.Failed
	r.Bytes += o.Bytes
}

// added is the sum of two counts by status.
func added(a, b map[int]int64) map[int]int64 {
	sum := maps.Clone(a)
	if sum == nil {
		sum = map[int]int64{}
	}
	for status, n := range b {
		sum[status] += n
	}
	return sum
}
