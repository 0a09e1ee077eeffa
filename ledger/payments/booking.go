package payments

import (
	"strconv"
	"time"

	"spillway/ledger/journal"
	"spillway/ledger/money"
)

// The entries of a payment; the chart of accounts in ledger/DESIGN.md explains each.
// book adds the donation.

func entry(kind journal.Kind, ref string, at time.Time, postings ...journal.Posting) journal.Entry {
	return journal.Entry{Kind: kind, Ref: ref, OccurredAt: at.UTC().Truncate(time.Microsecond), Postings: postings}
}

func posting(account string, currency money.Currency, minor int64) journal.Posting {
	return journal.Posting{Account: account, Currency: currency, AmountMinor: minor}
}

// captureEntry credits what was captured to the lines and the covered fee; a
// difference to them is on the suspense account.
func captureEntry(p *Payment) journal.Entry {
	postings := make([]journal.Posting, 1, len(p.Lines)+3)
	postings[0] = posting(journal.Processor, p.Currency, p.CapturedMinor)
	rest := p.CapturedMinor
	credit := func(account string, minor int64) {
		if minor != 0 {
			postings = append(postings, posting(account, p.Currency, -minor))
			rest -= minor
		}
	}
	for i := range p.Lines {
		credit(journal.Gifts(p.Lines[i].Campaign), p.Lines[i].AmountMinor)
	}
	credit(journal.FeesCovered, p.FeeCoverMinor)
	credit(journal.Suspense, rest)
	return entry(journal.Capture, "capture:"+p.Charge, p.CapturedAt, postings...)
}

func strangeEntry(o *OtherCharge, at time.Time) journal.Entry {
	return entry(journal.Capture, "capture:"+o.Charge, at,
		posting(journal.Processor, o.Currency, o.AmountMinor), posting(journal.Suspense, o.Currency, -o.AmountMinor))
}

// feeEntry is in the currency the processor settles in, which may differ from the charge's.
func feeEntry(seen *FeeSeen, charge string, currency money.Currency, at time.Time) journal.Entry {
	name := seen.BalanceTransaction
	if name == "" {
		name = charge
	}
	return entry(journal.ProcessingFee, "fee:"+name, at,
		posting(journal.FeesProcessing, currency, seen.FeeMinor), posting(journal.Processor, currency, -seen.FeeMinor))
}

func refundEntry(taken []journal.Posting, currency money.Currency, r *Refund) journal.Entry {
	return entry(journal.RefundMade, "refund:"+r.ID, r.CreatedAt,
		append(taken, posting(journal.Processor, currency, -r.AmountMinor))...)
}

func refundFailedEntry(taken []journal.Posting, currency money.Currency, r *Refund) journal.Entry {
	return entry(journal.RefundFailed, "refund_failed:"+r.ID, r.ChangedAt,
		append(taken, posting(journal.Processor, currency, r.AmountMinor))...)
}

// resplitEntry moves a refund between lines, once its command's split is known.
func resplitEntry(taken []journal.Posting, r *Refund, at time.Time) journal.Entry {
	return entry(journal.Correction, "refund_split:"+r.ID, at, taken...)
}

func disputeOpenedEntry(currency money.Currency, d *Dispute) journal.Entry {
	return entry(journal.DisputeOpened, "dispute_opened:"+d.ID, d.CreatedAt,
		posting(journal.DisputesHeld, currency, d.AmountMinor), posting(journal.Processor, currency, -d.AmountMinor))
}

func disputeWonEntry(currency money.Currency, d *Dispute) journal.Entry {
	return entry(journal.DisputeWon, "dispute_won:"+d.ID, d.ChangedAt,
		posting(journal.Processor, currency, d.AmountMinor), posting(journal.DisputesHeld, currency, -d.AmountMinor))
}

func disputeLostEntry(taken []journal.Posting, currency money.Currency, d *Dispute) journal.Entry {
	return entry(journal.DisputeLost, "dispute_lost:"+d.ID, d.ChangedAt,
		append(taken, posting(journal.DisputesHeld, currency, -d.AmountMinor))...)
}

// wonReversedEntry takes back a dispute that was won: the bank took the money again.
func wonReversedEntry(currency money.Currency, d *Dispute) journal.Entry {
	return entry(journal.DisputeReversed, "dispute_reversed:"+d.ID, d.ChangedAt,
		posting(journal.DisputesHeld, currency, d.AmountMinor), posting(journal.Processor, currency, -d.AmountMinor))
}

// lostReversedEntry takes back a dispute that was lost: the gifts are whole again.
func lostReversedEntry(taken []journal.Posting, currency money.Currency, d *Dispute) journal.Entry {
	return entry(journal.DisputeReversed, "dispute_reversed:"+d.ID, d.ChangedAt,
		append(taken, posting(journal.DisputesHeld, currency, d.AmountMinor))...)
}

// disputeFeeEntry and disputeFeeReturnedEntry book that a sum grew; the first growth
// has the dispute's plain name.
func disputeFeeEntry(d *Dispute, from, to int64) journal.Entry {
	return entry(journal.DisputeFee, "dispute_fee:"+d.ID+grown(from, to), d.CreatedAt,
		posting(journal.FeesDispute, d.FeeCurrency, to-from), posting(journal.Processor, d.FeeCurrency, from-to))
}

func disputeFeeReturnedEntry(d *Dispute, from, to int64) journal.Entry {
	return entry(journal.DisputeFeeReturned, "dispute_fee_returned:"+d.ID+grown(from, to), d.ChangedAt,
		posting(journal.Processor, d.FeeCurrency, to-from), posting(journal.FeesDispute, d.FeeCurrency, from-to))
}

func grown(from, to int64) string {
	if from == 0 {
		return ""
	}
	return ":" + strconv.FormatInt(to, 10)
}

// tookSince returns the postings of what was taken of a charge's money since an
// allocation, debits positive, and brings the lines up to date. minor is the whole
// of it, which the postings sum to.
func (s *step) tookSince(before allocation, charge string, minor int64) []journal.Posting {
	p := &s.p
	var postings []journal.Posting
	debit := func(account string, minor int64) {
		if minor != 0 {
			postings = append(postings, posting(account, p.currencyOf(charge), minor))
		}
	}
	if !p.isMain(charge) {
		debit(journal.Suspense, minor)
		return postings
	}
	after := allocate(p)
	for i := range p.Lines {
		p.Lines[i].RefundedMinor, p.Lines[i].LostMinor = after.refunded[i], after.lost[i]
		debit(journal.Gifts(p.Lines[i].Campaign), after.taken(i)-before.taken(i))
	}
	debit(journal.FeesCovered, after.cover-before.cover)
	debit(journal.Suspense, after.excess-before.excess)
	return postings
}

// currencyOf is the currency of a charge's money.
func (p *Payment) currencyOf(charge string) money.Currency {
	if !p.isMain(charge) {
		if o := p.other(charge); o >= 0 && p.Others[o].Currency != "" {
			return p.Others[o].Currency
		}
	}
	return p.Currency
}
