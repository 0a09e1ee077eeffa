package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"spillway/campaigns"
)

// Bounds of comparing totals.
const (
	// totalsAtOnce is how many public totals are read side by side.
	totalsAtOnce = 8
	// settleTries and settlePause: a total that differs from its slots may be one
	// that moved between the two readings, so both are read again.
	settleTries = 5
	settlePause = 500 * time.Millisecond
)

// ErrTotalUnknown is returned by Totals for a campaign that the target does not know.
var ErrTotalUnknown = errors.New("campaign has no total")

// readSlots sums the slots per campaign.
func (a *auditor) readSlots(ctx context.Context, ledger Ledger) error {
	for i := range a.campaigns {
		c := &a.campaigns[i]
		c.slotRows, c.slotMinor, c.slotCurrency = 0, 0, ""
	}
	return ledger.Slots(ctx, a.run.SlugPrefix(), func(s campaigns.SlotRow) error {
		i, known := a.bySlug[s.Campaign]
		if !known {
			a.result.totals.fail(nil, text(s.Campaign), "a slot of a campaign that the run does not have")
			return nil
		}
		c := &a.campaigns[i]
		if c.slotCurrency != "" && c.slotCurrency != string(s.Currency) {
			a.result.totals.fail(nil, text(s.Campaign), "slots in %s and in %s", c.slotCurrency, s.Currency)
		}
		c.slotCurrency = string(s.Currency)
		c.slotRows += s.Donations
		c.slotMinor += s.PledgedMinor
		return nil
	})
}

// judgeTotals compares rows, slots, public totals and the source.
func (a *auditor) judgeTotals(ctx context.Context) error {
	r := a.result
	public, err := a.readTotals(ctx)
	if err != nil {
		return err
	}
	// Where they differ a late donation may have come between: look again.
	for try := 1; try < settleTries && public != nil && a.differs(public); try++ {
		if err := pause(ctx, a.cfg.settlePause); err != nil {
			return err
		}
		ledger, end, err := a.cfg.Open(ctx)
		if err != nil {
			return err
		}
		err = errors.Join(a.readRows(ctx, ledger), a.readSlots(ctx, ledger))
		end()
		if err != nil {
			return err
		}
		if public, err = a.readTotals(ctx); err != nil {
			return err
		}
	}
	r.Sums = Sums{Complete: true}
	for i := range a.campaigns {
		c := &a.campaigns[i]
		a.judgeCampaign(c, public, i)
		if c.Name == "" {
			continue
		}
		r.Sums.SourceRows += c.Rows
		r.Sums.SourceMinor += c.SumMinor
		r.Sums.LedgerRows += c.rows
		r.Sums.LedgerMinor += c.minor
		if public != nil {
			r.Sums.PublicRows += public[i].Donations
			r.Sums.PublicMinor += public[i].PledgedMinor
		}
		r.Sums.Complete = r.Sums.Complete && c.settledRows == c.Rows
	}
	if public == nil {
		r.Sums.PublicRows, r.Sums.PublicMinor = -1, -1
		r.totals.Note = "public totals were not read"
	}
	return nil
}

// readRows sums the ledger's lines per campaign again.
func (a *auditor) readRows(ctx context.Context, ledger Ledger) error {
	for i := range a.campaigns {
		a.campaigns[i].rows, a.campaigns[i].minor = 0, 0
	}
	from, to := partRange(0, 1)
	return ledger.Donations(ctx, a.run.SlugPrefix(), from, to, func(d *Donation) error {
		for _, l := range d.Lines {
			if i, known := a.bySlug[l.Campaign]; known {
				a.campaigns[i].rows++
				a.campaigns[i].minor += l.AmountMinor
			}
		}
		return nil
	})
}

// readTotals reads the public total of every campaign; nil without a reader.
func (a *auditor) readTotals(ctx context.Context) ([]Total, error) {
	if a.cfg.Totals == nil {
		return nil, nil
	}
	totals := make([]Total, len(a.campaigns))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(totalsAtOnce)
	for i := range a.campaigns {
		if a.campaigns[i].Absent {
			continue
		}
		group.Go(func() error {
			t, err := a.cfg.Totals.Total(ctx, a.campaigns[i].Slug)
			if errors.Is(err, ErrTotalUnknown) {
				err = nil // shown as a total of nothing, without an age
			}
			totals[i] = t
			if err != nil {
				return fmt.Errorf("total of %s: %w", a.campaigns[i].Slug, err)
			}
			return nil
		})
	}
	return totals, group.Wait()
}

func (a *auditor) differs(public []Total) bool {
	for i := range a.campaigns {
		c := &a.campaigns[i]
		if c.slotRows != c.rows || c.slotMinor != c.minor {
			return true
		}
		if !c.Absent && (public[i].Donations != c.rows || public[i].PledgedMinor != c.minor || public[i].AsOf.Before(a.drained())) {
			return true
		}
	}
	return false
}

// drained is what as_of has to have passed: the last 202, on the target's clock.
func (a *auditor) drained() time.Time {
	if a.lastAnswer.IsZero() {
		return time.Time{}
	}
	return a.clock.earliest(a.lastAnswer)
}

// judgeCampaign compares one campaign's numbers.
func (a *auditor) judgeCampaign(c *campaign, public []Total, i int) {
	r, slug := a.result, text(c.Slug)
	r.totals.Checked++
	if c.slotRows != c.rows || c.slotMinor != c.minor {
		r.totals.fail(nil, slug, "slots say %d donations and %d minor units, the rows %d and %d", c.slotRows, c.slotMinor, c.rows, c.minor)
	}
	if c.Absent && (c.rows != 0 || c.slotRows != 0) {
		r.totals.fail(nil, slug, "%d donations in a campaign that does not exist", c.rows)
	}
	if public != nil && !c.Absent {
		t := public[i]
		if t.Donations != c.rows || t.PledgedMinor != c.minor || t.Currency != string(c.Currency) {
			r.totals.fail(nil, slug, "the public total says %d donations and %d minor units of %q, the rows %d and %d of %q",
				t.Donations, t.PledgedMinor, t.Currency, c.rows, c.minor, c.Currency)
		}
		r.agree.Checked++
		if t.AsOf.Before(a.drained()) {
			r.agree.fail(nil, slug, "as of %s, and the last 202 was given at %s", stamp(t.AsOf), stamp(a.lastAnswer))
		}
	}
	if c.Name == "" || c.settledRows != c.Rows {
		return // a probe's, or rows are missing: nothing to compare with
	}
	r.source.Checked++
	if c.rows != c.Rows || c.minor != c.SumMinor {
		r.source.fail(nil, slug, "the source gives %d donations and %d minor units, the ledger holds %d and %d", c.Rows, c.SumMinor, c.rows, c.minor)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
