package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"spillway/ingest"
	"spillway/ledger/money"
)

// Entry is a journal entry of the rehearsal book. Its slices are of one length.
type Entry struct {
	Donation   ingest.ID // zero when it names none
	Kind, Ref  string
	Accounts   []string
	Currencies []string
	Amounts    []int64 // debits positive
}

// Journal is what a Ledger has when it charges.
type Journal interface {
	// Entries visits every entry whose donation is from <= ID <= to; those without a
	// donation are visited as of ID zero. e is valid during the call only.
	Entries(ctx context.Context, from, to ingest.ID, visit func(e *Entry) error) error
}

// Charge is one charge in the processor's own books, amounts in minor units.
type Charge struct {
	ID, Intent    string
	Donation      string // as our metadata names it, "" for none
	Currency      money.Currency
	AmountMinor   int64
	RefundedMinor int64
	FeeMinor      int64
	Succeeded     bool
}

// Processor reads the processor's own books.
type Processor interface {
	// Charges returns every charge that was tried, good or bad. Some 250 bytes each.
	Charges(ctx context.Context) ([]Charge, error)
}

// The kinds of entry that the audit compares, and the accounts: said once more, as
// the chart of accounts says them (ledger/DESIGN.md), so that the judge does not
// share names with the judged.
const (
	kindCapture      = "capture"
	kindFee          = "processing_fee"
	kindRefund       = "refund"
	kindRefundFailed = "refund_failed"

	accountProcessor = "processor:stripe"
	accountGifts     = "gifts:"
)

// Money is what became of the run's gifts at the processor and in the journal.
type Money struct {
	// Statuses count the run's donations by status, "failed" with its reason.
	Statuses map[string]int64 `json:"statuses"`
	// TooSmall are the donations below the processor's minimum, which have to fail;
	// TooSmallCount counts them all.
	TooSmall      []Small `json:"too_small,omitempty"`
	TooSmallCount int64   `json:"too_small_count"`
	// Currencies are both sides' sums over the run's donations.
	Currencies []*CurrencySums `json:"currencies"`
	// Entries counts the journal's entries that were looked at; Strangers are charges
	// at the processor that are not this run's.
	Entries   int64 `json:"entries"`
	Strangers int64 `json:"strangers"`
}

// Small is a donation that the processor does not take.
type Small struct {
	ID          string `json:"id"`
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	Status      string `json:"status"`
}

// smallListed bounds the donations below the minimum that are listed.
const smallListed = 1000

// CurrencySums are both sides of one currency.
type CurrencySums struct {
	Currency  string   `json:"currency"`
	Processor SideSums `json:"processor"`
	Journal   SideSums `json:"journal"`
}

// SideSums are what one side says, in minor units.
type SideSums struct {
	Charges       int64 `json:"charges"`
	ChargedMinor  int64 `json:"charged_minor"`
	RefundedMinor int64 `json:"refunded_minor"`
	FeeMinor      int64 `json:"fee_minor"`
}

func (s *SideSums) add(o SideSums) {
	s.Charges += o.Charges
	s.ChargedMinor += o.ChargedMinor
	s.RefundedMinor += o.RefundedMinor
	s.FeeMinor += o.FeeMinor
}

// sides are a donation's sums on both sides, in its currency.
type sides struct {
	processor, journal SideSums
	// credited is what the journal owes to campaigns of the run for it.
	credited []credit
	// oddity is what cannot be summed up, such as another currency's entry.
	oddity string
	seen   bool // by a row of the ledger
}

// credit is what the journal owes to one campaign.
type credit struct {
	campaign int32
	minor    int64
}

// owe adds to what the journal owes to a campaign.
func (s *sides) owe(campaign int32, minor int64) {
	for i := range s.credited {
		if s.credited[i].campaign == campaign {
			s.credited[i].minor += minor
			return
		}
	}
	s.credited = append(s.credited, credit{campaign, minor})
}

// till judges the money; nil when it was not asked for.
type till struct {
	a       *auditor
	charges map[ingest.ID][]Charge // of the whole run
	part    map[ingest.ID]*sides   // of the part under way
}

// openTill reads the processor's books.
func (a *auditor) openTill(ctx context.Context) error {
	if a.cfg.Processor == nil {
		return nil
	}
	a.cfg.Progress("reading the processor's books")
	charges, err := a.cfg.Processor.Charges(ctx)
	if err != nil {
		return fmt.Errorf("processor's books: %w", err)
	}
	a.result.withMoney()
	t := &till{a: a, charges: map[ingest.ID][]Charge{}}
	for _, c := range charges {
		id, err := ingest.ParseID([]byte(c.Donation))
		if err != nil {
			t.strange(c)
			continue
		}
		t.charges[id] = append(t.charges[id], c)
	}
	a.till = t
	return nil
}

// strange notes a charge that is not of this run.
func (t *till) strange(c Charge) {
	t.a.result.Money.Strangers++
	if t.a.cfg.Alone && c.Succeeded {
		t.a.result.agreed.fail(text(c.Donation), nil, "the processor charged %d minor units by %s for no donation of the ledger", c.AmountMinor, c.ID)
	}
}

// open begins a part: what the journal says of its donations.
func (t *till) open(ctx context.Context, ledger Ledger, from, to ingest.ID) error {
	journal, ok := ledger.(Journal)
	if !ok {
		return fmt.Errorf("the ledger has no journal to read")
	}
	t.part = map[ingest.ID]*sides{}
	return journal.Entries(ctx, from, to, func(e *Entry) error {
		t.entry(e)
		return nil
	})
}

func (t *till) of(id ingest.ID) *sides {
	s := t.part[id]
	if s == nil {
		s = &sides{}
		t.part[id] = s
	}
	return s
}

// entry judges one entry, and sums it up for its donation and its campaigns.
func (t *till) entry(e *Entry) {
	r := t.a.result
	r.Money.Entries++
	r.balanced.Checked++
	sums := map[string]int64{}
	for i, amount := range e.Amounts {
		sums[e.Currencies[i]] += amount
	}
	for currency, sum := range sums {
		if sum != 0 {
			r.balanced.fail(e.Donation, text(e.Ref), "%s is off by %d minor units", currency, sum)
		}
	}
	for i, account := range e.Accounts {
		if slug, ok := strings.CutPrefix(account, accountGifts); ok {
			if c, ours := t.a.bySlug[slug]; ours {
				t.a.campaigns[c].journalMinor -= e.Amounts[i]
				if e.Donation != (ingest.ID{}) {
					t.of(e.Donation).owe(c, -e.Amounts[i])
				}
			}
		}
	}
	if e.Donation == (ingest.ID{}) {
		return
	}
	var moved int64
	for i, account := range e.Accounts {
		if account == accountProcessor {
			moved += e.Amounts[i]
		}
	}
	s := t.of(e.Donation)
	switch e.Kind {
	case kindCapture:
		s.journal.Charges++
		s.journal.ChargedMinor += moved
	case kindFee:
		s.journal.FeeMinor -= moved
	case kindRefund, kindRefundFailed:
		s.journal.RefundedMinor -= moved
	}
	if len(sums) > 1 {
		s.oddity = "an entry in several currencies: " + e.Ref
	}
}

// row compares a donation of the run with both sides.
func (t *till) row(d *Donation) {
	r, p := t.a.result, &d.Payment
	s := t.of(d.ID)
	s.seen = true
	word := p.Status
	if p.Reason != "" {
		word += " " + p.Reason
	}
	r.Money.Statuses[word]++
	r.ended.Checked++
	if !final(p.Status) {
		r.ended.fail(d.ID, nil, "still %s", p.Status)
	}
	t.small(d)

	for _, c := range t.charges[d.ID] {
		if !c.Succeeded {
			continue
		}
		s.processor.add(SideSums{1, c.AmountMinor, c.RefundedMinor, c.FeeMinor})
		if string(c.Currency) != d.Currency {
			s.oddity = fmt.Sprintf("charged in %s, given in %s", c.Currency, d.Currency)
		}
	}
	if s.processor.Charges > 0 || s.journal.Charges > 0 {
		r.once.Checked++
		if s.processor.Charges > 1 || s.journal.Charges > 1 {
			r.once.fail(d.ID, nil, "%d charges succeeded at the processor, %d are in the journal", s.processor.Charges, s.journal.Charges)
		}
	}
	r.agreed.Checked++
	switch {
	case s.oddity != "":
		r.agreed.fail(d.ID, nil, "%s", s.oddity)
	case s.processor != s.journal:
		r.agreed.fail(d.ID, nil, "the processor says %+v, the journal %+v; it is %s", s.processor, s.journal, word)
	case (p.Charge != "") != (s.processor.Charges > 0):
		r.agreed.fail(d.ID, nil, "%d charges succeeded, and the payment says %q", s.processor.Charges, p.Charge)
	case p.Charge != "" && (s.processor.ChargedMinor != d.AmountMinor || p.CapturedMinor != d.AmountMinor):
		r.agreed.fail(d.ID, nil, "given %d minor units, charged %d, the payment says %d", d.AmountMinor, s.processor.ChargedMinor, p.CapturedMinor)
	}
	t.told(d, s)
	t.credited(d, s)
	both := r.currency(d.Currency)
	both.Processor.add(s.processor)
	both.Journal.add(s.journal)
}

// told holds what the donor is told against what became of the money.
func (t *till) told(d *Donation, s *sides) {
	r, p := t.a.result, &d.Payment
	if !final(p.Status) {
		return // another check speaks of it
	}
	r.told.Checked++
	charged := s.processor.Charges > 0
	whole := charged && s.processor.RefundedMinor >= s.processor.ChargedMinor
	switch {
	case charged && !p.Pledged():
		r.told.fail(d.ID, nil, "it was charged, and its donor is told that it is %s", p.Status)
	case !charged && p.Pledged():
		r.told.fail(d.ID, nil, "it was never charged, and its donor is told that it is %s", p.Status)
	case whole && p.Status == statusSucceeded, !whole && p.Status == statusRefunded:
		r.told.fail(d.ID, nil, "%d of %d minor units were given back, and its donor is told that it is %s", s.processor.RefundedMinor, s.processor.ChargedMinor, p.Status)
	}
}

// credited holds what the journal owes to campaigns for a donation against what its
// lines have raised.
func (t *till) credited(d *Donation, s *sides) {
	r := t.a.result
	r.booked.Checked++
	for n, l := range d.Lines {
		if c, ours := t.a.bySlug[l.Campaign]; ours {
			s.owe(c, -d.Payment.Raised(n, l.AmountMinor))
		}
	}
	for _, c := range s.credited {
		if c.minor != 0 {
			r.booked.fail(d.ID, text(t.a.campaigns[c.campaign].Slug), "the journal credits %d minor units more for it than its payment has raised", c.minor)
		}
	}
}

// small looks at the processor's minimum: what is below fails, and nothing else is
// refused.
func (t *till) small(d *Donation) {
	r, p := t.a.result, &d.Payment
	below := d.AmountMinor < money.Currency(d.Currency).MinimumMinor()
	if below {
		r.Money.TooSmallCount++
		if len(r.Money.TooSmall) < smallListed {
			r.Money.TooSmall = append(r.Money.TooSmall, Small{d.ID.String(), d.AmountMinor, d.Currency, p.Status})
		}
	}
	r.least.Checked++
	switch {
	case below && final(p.Status) && p.Pledged():
		r.least.fail(d.ID, nil, "%d minor units of %s are below the minimum, and it is %s", d.AmountMinor, d.Currency, p.Status)
	case !below && p.Status == statusFailed && p.Reason == reasonRefused:
		r.least.fail(d.ID, nil, "%d minor units of %s were refused", d.AmountMinor, d.Currency)
	}
}

// close ends a part: what is on either side and not in the ledger.
func (t *till) close(e *expectation, part, parts int) {
	for id, s := range t.part {
		switch {
		case s.seen:
		case e.find(id) != nil && s.journal != (SideSums{}):
			t.a.result.agreed.fail(id, nil, "in the journal, and no donation of the ledger")
		case len(s.credited) > 0:
			t.a.result.booked.fail(id, nil, "the journal credits a campaign of the run for it, and it is no donation of the run")
		}
	}
	for id, charges := range t.charges {
		if partOf(id, parts) != part {
			continue
		}
		if s := t.part[id]; s != nil && s.seen {
			continue
		}
		for _, c := range charges {
			if k := e.find(id); k != nil && c.Succeeded {
				t.a.result.agreed.fail(id, k.ref, "the processor charged it, and it is not in the ledger")
				continue
			}
			t.strange(c)
		}
	}
}

// judgeRaised compares the campaigns' sums with the journal's, once all parts were read.
func (t *till) judgeRaised() {
	r := t.a.result
	for i := range t.a.campaigns {
		c := &t.a.campaigns[i]
		r.booked.Checked++
		if c.journalMinor != c.counted.raised {
			r.booked.fail(nil, text(c.Slug), "the journal says %d minor units, the payments %d", c.journalMinor, c.counted.raised)
		}
	}
	slices.SortFunc(r.Money.Currencies, func(a, b *CurrencySums) int { return strings.Compare(a.Currency, b.Currency) })
	slices.SortFunc(r.Money.TooSmall, func(a, b Small) int { return strings.Compare(a.ID, b.ID) })
}

// currency finds the sums of a currency.
func (r *Result) currency(code string) *CurrencySums {
	for _, c := range r.Money.Currencies {
		if c.Currency == code {
			return c
		}
	}
	c := &CurrencySums{Currency: code}
	r.Money.Currencies = append(r.Money.Currencies, c)
	return c
}

// withMoney adds the checks of the money.
func (r *Result) withMoney() {
	r.Money = &Money{Statuses: map[string]int64{}}
	r.balanced = r.add("I4", "every journal entry sums to zero per currency")
	r.booked = r.add("I5", "raised = journal, per donation and per campaign")
	r.once = r.add("I7", "at most one successful charge per donation, at the processor and in the journal")
	r.agreed = r.add("I7", "the processor's own books and the journal agree on every donation: charge, refunds and fee, to the minor unit")
	r.told = r.add("I7", "donors are told what became of the money: charged or not, given back or not")
	r.ended = r.add("I7", "every donation came to an end: charged, failed or canceled")
	r.least = r.add("I7", "gifts below the processor's minimum fail, and no other is refused")
}
