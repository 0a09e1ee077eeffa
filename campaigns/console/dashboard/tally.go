package dashboard

import (
	"cmp"
	"slices"
	"sync"

	"spillway/campaigns"
	"spillway/campaigns/render"
	"spillway/ledger"
	"spillway/ledger/money"
)

// Sum is what all campaigns of a currency come to, rehearsals left out.
type Sum struct {
	Currency     money.Currency
	RaisedMinor  int64
	PledgedMinor int64
	Donations    int64 // lines: a basket counts once for each campaign in it
}

// Tally adds up the totals of all campaigns. It is a viewer of the feed: each total
// that changed replaces the one before, so that adding up ten thousand campaigns costs
// what has changed. The zero value is empty.
type Tally struct {
	mu   sync.Mutex
	of   map[string]campaigns.Total // by campaign
	sums map[money.Currency]*Sum
}

// Publish takes in totals that changed.
func (t *Tally) Publish(totals []*render.Total) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of, t.sums = map[string]campaigns.Total{}, map[money.Currency]*Sum{}
	}
	for _, total := range totals {
		if total.Book != ledger.Live {
			continue
		}
		if before, known := t.of[total.Campaign]; known {
			t.add(before, -1)
		}
		t.of[total.Campaign] = total.Total
		t.add(total.Total, 1)
	}
}

func (t *Tally) add(total campaigns.Total, sign int64) {
	s := t.sums[total.Currency]
	if s == nil {
		s = &Sum{Currency: total.Currency}
		t.sums[total.Currency] = s
	}
	s.RaisedMinor += sign * total.RaisedMinor
	s.PledgedMinor += sign * total.PledgedMinor
	s.Donations += sign * total.Donations
}

// Aged does nothing: the age is read when a moment is made.
func (t *Tally) Aged() {}

// Sums are the totals by currency, those with the most donations first.
func (t *Tally) Sums() []Sum {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Sum, 0, len(t.sums))
	for _, s := range t.sums {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Sum) int {
		return cmp.Or(cmp.Compare(b.Donations, a.Donations), cmp.Compare(a.Currency, b.Currency))
	})
	return all
}
