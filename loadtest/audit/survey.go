package audit

import (
	"encoding/hex"
	"fmt"
	"time"

	"spillway/loadtest/gift"
	"spillway/loadtest/record"
)

// survey reads the record once: the run, its campaigns, the clocks, what watchers
// read, and what the generator found by itself.
func (a *auditor) survey() error {
	a.bySlug = map[string]int32{}
	a.clock.inFlight = map[gift.Ref]time.Time{}
	a.watch.init()
	header, torn, err := record.ScanRun(a.cfg.Record, a.cfg.Others, record.Visitor{
		Session: func(s record.Session) error {
			a.sessions++
			a.orphans = a.orphans || a.sessions == 1 && s.Before > 0
			// What was in flight when the last session ended is never answered.
			clear(a.clock.inFlight)
			a.watch.session()
			return nil
		},
		Campaign: func(i int32, c record.Campaign) error {
			if _, twice := a.bySlug[c.Slug]; twice {
				return fmt.Errorf("campaign %s twice: %w", c.Slug, ErrRecord)
			}
			a.bySlug[c.Slug] = i
			a.campaigns = append(a.campaigns, campaign{Campaign: c})
			return nil
		},
		Attempt: func(at *record.Attempt) error {
			a.attempts++
			a.clock.sent(at)
			for _, l := range at.Lines {
				if int(l.Campaign) >= len(a.campaigns) {
					return fmt.Errorf("%v names campaign %d of %d: %w", at.Ref, l.Campaign, len(a.campaigns), ErrRecord)
				}
			}
			return nil
		},
		Answer: func(an *record.Answer) error {
			a.clock.answered(an)
			if an.Outcome == record.Accepted && an.At.After(a.lastAnswer) {
				a.lastAnswer = an.At
			}
			return nil
		},
		Observation: func(o *record.Observation) error {
			if int(o.Campaign) >= len(a.campaigns) {
				return fmt.Errorf("observation of campaign %d of %d: %w", o.Campaign, len(a.campaigns), ErrRecord)
			}
			a.result.Counts.Observations++
			a.watch.observe(a, o)
			return nil
		},
		Finding: func(f record.Finding) error { return a.finding(f) },
	})
	if err != nil {
		return err
	}
	a.header = header
	a.result.Counts.TornBytes = torn
	a.clock.close()
	a.result.ClockLow, a.result.ClockHigh = a.clock.low, a.clock.high
	if a.clock.crossed {
		note := fmt.Sprintf("no one clock explains the answers (%v to %v ahead); judged by the more lenient end", a.clock.low, a.clock.high)
		a.result.truth.Note, a.result.edges.Note = note, note
	}
	a.watch.close()
	hash, err := hex.DecodeString(header.Hash)
	if err != nil || len(hash) != 32 {
		return fmt.Errorf("hash %q of the source: %w", header.Hash, ErrRecord)
	}
	a.run, err = gift.NewRun(header.Run, header.Source, [32]byte(hash))
	return err
}

// finding takes over what the generator checked while it ran.
func (a *auditor) finding(f record.Finding) error {
	for _, c := range a.result.Checks {
		if c.Invariant != f.Invariant {
			continue
		}
		c.Checked++
		if !f.Holds {
			c.fail(text(f.ID), text(f.Ref), "%s", f.Detail)
		}
		return nil
	}
	return fmt.Errorf("a finding about %q: %w", f.Invariant, ErrRecord)
}

// text is a string where a Stringer is asked for.
type text string

func (t text) String() string { return string(t) }
