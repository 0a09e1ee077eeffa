package audit

import (
	"encoding/hex"
	"path/filepath"
	"testing"
	"time"

	"spillway/loadtest/record"
)

// split goes on in the record of another generator, whose clock is ahead.
func (w *world) split(ahead time.Duration) record.Part {
	w.t.Helper()
	w.must(w.writer.End(record.End{At: w.now}))
	w.must(w.writer.Close())
	part := record.Part{Path: filepath.Join(w.t.TempDir(), "other"), Ahead: ahead}
	hash := [32]byte{7}
	var err error
	w.writer, err = record.Open(part.Path, record.Header{Run: "world", Source: "day.csv", Hash: hex.EncodeToString(hash[:]), Copies: 1}, record.Visitor{})
	w.must(err)
	_, err = w.writer.Campaigns([]record.Campaign{
		{Slug: w.slugs[river], Name: "river", Currency: "USD", Rows: 6, SumMinor: 6 * 100, StartsAt: w.start.Add(-2 * time.Hour)},
		{Slug: w.slugs[school], Name: "school", Currency: "USD", Rows: 2, SumMinor: 2 * 100, StartsAt: w.start.Add(-2 * time.Hour)},
	})
	w.must(err)
	w.must(w.writer.Session(record.Session{StartedAt: w.start.Add(ahead)}))
	w.now = w.now.Add(ahead)
	w.skew = -ahead // the target keeps the first one's clock
	return part
}

// judgeParts closes the record that is open and audits it with the others.
func (w *world) judgeParts(others ...record.Part) *Result {
	w.t.Helper()
	w.must(w.writer.End(record.End{At: w.now}))
	w.must(w.writer.Close())
	w.ledger.asOf = w.now.Add(w.skew)
	cfg := w.config()
	cfg.Others = others
	r, err := Run(w.t.Context(), cfg)
	w.must(err)
	return r
}

func TestRun_SeveralGeneratorsAreOneRun(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"one clock": 0, "the other ahead": time.Hour, "the other behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for n := int64(1); n <= 4; n++ {
				w.give(row(n), oneLine(river, 100))
			}
			part := w.split(ahead)
			for n := int64(5); n <= 8; n++ {
				w.give(row(n), oneLine(river+int32(n/7), 100))
			}
			r := w.judgeParts(part)
			wantBroken(t, r)
			if r.Counts.Accepted != 8 || r.Counts.Keys != 8 || r.Sums.SourceRows != 8 || r.Sums.LedgerRows != 8 {
				t.Errorf("counts %+v, sums %+v", r.Counts, r.Sums)
			}
			if r.ClockLow > 0 || r.ClockHigh < 0 || r.ClockHigh-r.ClockLow > trip+time.Millisecond {
				t.Errorf("clock between %v and %v ahead, is the same", r.ClockLow, r.ClockHigh)
			}
		})
	}
}

// TestRun_ALossAtAnotherGeneratorIsFound acknowledges a donation to the second
// generator that the ledger does not hold.
func TestRun_ALossAtAnotherGeneratorIsFound(t *testing.T) {
	w := newWorld(t)
	w.give(row(1), oneLine(river, 100))
	part := w.split(0)
	w.give(row(2), oneLine(river, 100))
	w.send(row(3), oneLine(river, 100))
	w.answer(row(3), 202)
	r := w.judgeParts(part)
	lost := w.run.ID(row(3)).String()
	for _, c := range r.Checks {
		for _, v := range c.Violations {
			if v.ID == lost {
				return
			}
		}
	}
	t.Errorf("the loss of %s is not named: %+v", lost, r.Checks)
}

// TestRun_WithoutTheOtherRecordItsDonationsAreStrange leaves the second record out:
// nothing that came from it may pass as accounted for.
func TestRun_WithoutTheOtherRecordItsDonationsAreStrange(t *testing.T) {
	w := newWorld(t)
	w.give(row(1), oneLine(river, 100))
	w.split(0)
	w.give(row(2), oneLine(river, 100))
	r := w.judgeParts()
	broken := int64(0)
	for _, c := range r.Checks {
		broken += c.Broken
	}
	if broken == 0 {
		t.Error("a donation of nobody's record was called good")
	}
}
