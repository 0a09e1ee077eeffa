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
		if c := &a.campaigns[i]; !c.agreed {
			c.slots, c.slotCurrency = sums{}, ""
		}
	}
	return ledger.Slots(ctx, a.run.SlugPrefix(), func(s campaigns.SlotRow) error {
		i, known := a.bySlug[s.Campaign]
		if !known {
			a.result.totals.fail(nil, text(s.Campaign), "a slot of a campaign that the run does not have")
			return nil
		}
		c := &a.campaigns[i]
		if c.agreed {
			return nil
		}
		if c.slotCurrency != "" && c.slotCurrency != string(s.Currency) {
			a.result.totals.fail(nil, text(s.Campaign), "slots in %s and in %s", c.slotCurrency, s.Currency)
		}
		c.slotCurrency = string(s.Currency)
		c.slots.donations += s.Donations
		c.slots.pledged += s.PledgedMinor
		c.slots.raised += s.RaisedMinor
		return nil
	})
}

// judgeTotals compares rows, slots, public totals and the source.
//
// While gifts are still being charged some fail, at any moment: the public total of a
// busy campaign never stands still, and is held between what the rows said when the
// audit began and what they say after it was read.
func (a *auditor) judgeTotals(ctx context.Context) error {
	r := a.result
	for i := range a.campaigns {
		a.campaigns[i].before = a.campaigns[i].counted
	}
	if err := a.readTotals(ctx); err != nil {
		return err
	}
	// Where they differ something may have come between: look again at those that
	// were not found equal yet.
	for try := 1; try < settleTries && a.cfg.Totals != nil && a.differ(); try++ {
		if err := pause(ctx, a.cfg.settlePause); err != nil {
			return err
		}
		if err := a.readAgain(ctx); err != nil {
			return err
		}
		if err := a.readTotals(ctx); err != nil {
			return err
		}
	}
	if a.cfg.Totals != nil && !a.cfg.Charged && a.differ() {
		if err := a.readAgain(ctx); err != nil {
			return err
		}
	}
	r.Sums = Sums{Complete: true}
	for i := range a.campaigns {
		c := &a.campaigns[i]
		a.judgeCampaign(c)
		if c.Name == "" {
			continue
		}
		r.Sums.SourceRows += c.Rows
		r.Sums.SourceMinor += c.SumMinor
		r.Sums.LedgerRows += c.rows
		r.Sums.LedgerMinor += c.minor
		r.Sums.PledgedRows += c.counted.donations
		r.Sums.PledgedMinor += c.counted.pledged
		r.Sums.RaisedMinor += c.counted.raised
		r.Sums.PublicRows += c.public.Donations
		r.Sums.PublicMinor += c.public.PledgedMinor
		r.Sums.PublicRaisedMinor += c.public.RaisedMinor
		r.Sums.Complete = r.Sums.Complete && c.settledRows == c.Rows
	}
	if a.cfg.Totals == nil {
		r.Sums.PublicRows, r.Sums.PublicMinor, r.Sums.PublicRaisedMinor = -1, -1, -1
		r.totals.Note, r.raised.Note = "public totals were not read", "public totals were not read"
	} else if !a.cfg.Charged {
		r.raised.Note = "charging was not waited for, so the public ones were left out"
	}
	return nil
}

// readAgain reads rows and slots of one moment, of the campaigns that were not found
// equal yet.
func (a *auditor) readAgain(ctx context.Context) error {
	ledger, end, err := a.cfg.Open(ctx)
	if err != nil {
		return err
	}
	defer end()
	return errors.Join(a.readRows(ctx, ledger), a.readSlots(ctx, ledger))
}

// readRows sums the ledger's lines of the campaigns that were not found equal again.
func (a *auditor) readRows(ctx context.Context, ledger Ledger) error {
	for i := range a.campaigns {
		if c := &a.campaigns[i]; !c.agreed {
			c.rows, c.minor, c.counted, c.falls, c.fallsMinor = 0, 0, sums{}, 0, 0
		}
	}
	from, to := partRange(0, 1)
	return ledger.Donations(ctx, a.run.SlugPrefix(), from, to, func(d *Donation) error {
		for n, l := range d.Lines {
			if i, known := a.bySlug[l.Campaign]; known && !a.campaigns[i].agreed {
				a.campaigns[i].add(d, n)
			}
		}
		return nil
	})
}

// add takes the donation's line into the campaign's sums.
func (c *campaign) add(d *Donation, line int) {
	minor := d.Lines[line].AmountMinor
	c.rows++
	c.minor += minor
	c.falls += d.Payment.Falls
	c.fallsMinor += d.Payment.Falls * minor
	if d.Payment.Pledged() {
		c.counted.donations++
		c.counted.pledged += minor
	}
	c.counted.raised += d.Payment.Raised(line, minor)
}

// readTotals reads the public total of every campaign that was not found equal yet.
func (a *auditor) readTotals(ctx context.Context) error {
	if a.cfg.Totals == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(totalsAtOnce)
	for i := range a.campaigns {
		c := &a.campaigns[i]
		if c.Absent || c.agreed {
			continue
		}
		group.Go(func() error {
			t, err := a.cfg.Totals.Total(ctx, c.Slug)
			if errors.Is(err, ErrTotalUnknown) {
				err = nil // shown as a total of nothing, without an age
			}
			c.public = t
			if err != nil {
				return fmt.Errorf("total of %s: %w", c.Slug, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// differ notes the campaigns whose numbers are equal now, and tells whether there
// are others.
func (a *auditor) differ() bool {
	differ := false
	for i := range a.campaigns {
		c := &a.campaigns[i]
		c.agreed = c.agreed || c.slots == c.counted && (c.Absent || a.shows(c) && !c.public.AsOf.Before(a.drained()))
		differ = differ || !c.agreed
	}
	return differ
}

// shows tells whether the public total says what the rows do.
func (a *auditor) shows(c *campaign) bool {
	t := c.public
	return t.Donations == c.counted.donations && t.PledgedMinor == c.counted.pledged && (!a.cfg.Charged || t.RaisedMinor == c.counted.raised)
}

// told tells whether the public total is right about what is pledged: what the rows
// say, or, while gifts may still fail, between what they said before and after it.
func (a *auditor) told(c *campaign) bool {
	most := c.counted
	if !a.cfg.Charged && !c.agreed {
		most = c.before
	}
	within := func(n, least, most int64) bool { return least <= n && n <= most }
	return within(c.public.Donations, c.counted.donations, most.donations) && within(c.public.PledgedMinor, c.counted.pledged, most.pledged)
}

// drained is what as_of has to have passed: the last 202, on the target's clock.
func (a *auditor) drained() time.Time {
	if a.lastAnswer.IsZero() {
		return time.Time{}
	}
	return a.clock.earliest(a.lastAnswer)
}

// judgeCampaign compares one campaign's numbers.
func (a *auditor) judgeCampaign(c *campaign) {
	r, slug := a.result, text(c.Slug)
	r.totals.Checked++
	r.raised.Checked++
	if c.slots.donations != c.counted.donations || c.slots.pledged != c.counted.pledged {
		r.totals.fail(nil, slug, "slots say %d donations and %d minor units, the rows %d and %d", c.slots.donations, c.slots.pledged, c.counted.donations, c.counted.pledged)
	}
	if c.slots.raised != c.counted.raised {
		r.raised.fail(nil, slug, "slots say %d minor units raised, the payments %d", c.slots.raised, c.counted.raised)
	}
	if c.slotCurrency != "" && c.slotCurrency != string(c.Currency) {
		r.totals.fail(nil, slug, "its slots are in %s, and it takes %s", c.slotCurrency, c.Currency)
	}
	if c.Absent && (c.rows != 0 || c.slots.donations != 0) {
		r.totals.fail(nil, slug, "%d donations in a campaign that does not exist", c.rows)
	}
	if a.cfg.Totals != nil && !c.Absent {
		t := c.public
		if !a.told(c) || t.Currency != string(c.Currency) {
			r.totals.fail(nil, slug, "the public total says %d donations and %d minor units of %q, the rows %d and %d of %q",
				t.Donations, t.PledgedMinor, t.Currency, c.counted.donations, c.counted.pledged, c.Currency)
		}
		if a.cfg.Charged && t.RaisedMinor != c.counted.raised {
			r.raised.fail(nil, slug, "the public total says %d minor units raised, the payments %d", t.RaisedMinor, c.counted.raised)
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
