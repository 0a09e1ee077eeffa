package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/money"
)

// totalKey is what a total is of: a campaign has one total in each currency that
// it was ever given in, which should be one.
type totalKey struct {
	campaign string
	currency money.Currency
}

func (k totalKey) String() string { return k.campaign + " " + string(k.currency) }

func compareTotalKeys(a, b totalKey) int {
	return cmp.Or(cmp.Compare(a.campaign, b.campaign), cmp.Compare(a.currency, b.currency))
}

// sum is a total as this package adds it up.
type sum struct {
	pledgedMinor, raisedMinor, donations int64
}

func (s sum) String() string {
	return fmt.Sprintf("pledged %d, raised %d, donations %d", s.pledgedMinor, s.raisedMinor, s.donations)
}

func (s sum) plus(o sum) (sum, error) {
	var errs [3]error
	s.pledgedMinor, errs[0] = money.Add(s.pledgedMinor, o.pledgedMinor)
	s.raisedMinor, errs[1] = money.Add(s.raisedMinor, o.raisedMinor)
	s.donations, errs[2] = money.Add(s.donations, o.donations)
	return s, errors.Join(errs[:]...)
}

func sumOf(row campaigns.SlotRow) sum {
	return sum{pledgedMinor: row.PledgedMinor, raisedMinor: row.RaisedMinor, donations: row.Donations}
}

// rebuild recomputes every total of a book from zero, line by line in this
// process, and entry by entry, and compares it with the sum of its slots. It shares no
// SQL and no arithmetic with the queries "totals" and "raised" or with what moves the
// slots.
func (r *run) rebuild(ctx context.Context, book ledger.Book) {
	r.check(Result{
		Check: "rebuild", Invariant: "I5", Scope: book.String(),
		Holds: "totals recomputed from zero equal the sum of the slots",
	}, Broken, func(res *Result, t *tally) error {
		rebuilt := map[totalKey]sum{}
		var overflow error
		add := func(k totalKey, more sum) {
			s, err := rebuilt[k].plus(more)
			if err != nil {
				overflow = fmt.Errorf("%s: %w", k, err)
			}
			rebuilt[k] = s
		}
		err := r.db.Lines(ctx, book, func(campaign string, currency money.Currency, amountMinor int64, standing bool) {
			// A donation names a campaign once (the check "campaign-once"), so a
			// line is a donation to its campaign.
			if standing {
				add(totalKey{campaign, currency}, sum{pledgedMinor: amountMinor, donations: 1})
			}
			if res.Examined++; res.Examined%progressEvery == 0 {
				r.Progress("rebuild "+book.String()+", lines", res.Examined, 0)
			}
		})
		if err = errors.Join(err, overflow); err != nil {
			return err
		}
		err = r.db.Entries(ctx, book, func(_ journal.Link, e *journal.Entry) {
			if res.Examined++; res.Examined%progressEvery == 0 {
				r.Progress("rebuild "+book.String()+", entries", res.Examined, 0)
			}
			for _, p := range e.Postings {
				campaign, ok := journal.CampaignOf(p.Account)
				if !ok {
					continue
				}
				more := sum{raisedMinor: -p.AmountMinor}
				switch { // what people book pledges too: no donation does
				case e.Kind == journal.OfflineGift:
					more.pledgedMinor, more.donations = -p.AmountMinor, 1
				case strings.HasPrefix(e.Ref, commandedCorrection):
					more.pledgedMinor = -p.AmountMinor
				}
				add(totalKey{campaign, p.Currency}, more)
			}
		})
		if err = errors.Join(err, overflow); err != nil {
			return err
		}
		slots := map[totalKey]sum{}
		err = r.db.Slots(ctx, book, func(_ int32, row *campaigns.SlotRow) {
			k := totalKey{row.Campaign, row.Currency}
			s, err := slots[k].plus(sumOf(*row))
			if err != nil {
				overflow = fmt.Errorf("%s: %w", k, err)
			}
			slots[k] = s
		})
		if err = errors.Join(err, overflow); err != nil {
			return err
		}
		all := maps.Clone(rebuilt)
		maps.Copy(all, slots)
		for _, k := range slices.SortedFunc(maps.Keys(all), compareTotalKeys) {
			if rebuilt[k] != slots[k] {
				t.add(k.String(), fmt.Sprintf("from zero: %s; slots say: %s", rebuilt[k], slots[k]))
			}
		}
		return nil
	})
}

// commandedCorrection begins the ref of a correction that a person asked for; others
// are of a refund's split and pledge nothing.
const commandedCorrection = "correction:"

// progressEvery is how many lines or donations pass between two reports of progress.
const progressEvery = 1 << 16
