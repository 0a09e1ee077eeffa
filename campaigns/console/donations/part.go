package donations

import (
	"slices"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
	"spillway/ledger/search"
)

// view is a donation as one person may see it.
type view struct {
	*search.Row
	// Part says that lines for campaigns that are not theirs are left out. Its amount is
	// then the sum of the lines that are left, and the covered fee, which is of the whole,
	// is not told.
	Part bool
	// SomeBack says of a part that something of the whole went back, and that it is not
	// known of which lines: RefundedMinor is 0 and must not be told.
	SomeBack bool
}

// seen is what whoever asks may see of a row whose lines are theirs already. It changes
// the row.
func seen(r *access.Principal, row *search.Row) view {
	if !r.Can(access.ViewPersonal, access.Some) {
		anonymise(row)
	}
	v := view{Row: row}
	if !r.Limited() {
		return v
	}
	own := int64(0)
	for _, l := range row.Lines {
		own += l.AmountMinor
	}
	if own+row.FeeCoverMinor >= row.AmountMinor {
		return v // the whole
	}
	v.Part = true
	whole := row.Status == payments.StatusRefunded
	v.SomeBack = row.RefundedMinor > 0 && !whole
	row.AmountMinor, row.FeeCoverMinor, row.RefundedMinor = own, 0, 0
	if whole {
		row.RefundedMinor = own
	}
	return v
}

// anonymise takes out what the donor said of themselves.
func anonymise(row *search.Row) { row.Name, row.Email, row.Message, row.Dedication = "", "", "", "" }

// seenStory leaves to a story what whoever asks may see. Of a part that is its lines and
// their sides of the journal; what the processor, the donor's bank and people moved is of
// the whole, and its amounts are taken out.
func seenStory(r *access.Principal, t *search.Story) view {
	mine := func(slug string) bool { return r.Can(access.ViewDonations, slug) }
	t.Lines = slices.DeleteFunc(t.Lines, func(l search.Line) bool { return !mine(l.Campaign) })
	v := seen(r, &t.Row)
	if !v.Part {
		return v
	}
	t.FeeKnown, t.FeeMinor = false, 0
	for i := range t.Entries {
		e := &t.Entries[i]
		e.Postings = slices.DeleteFunc(e.Postings, func(p search.StoryPosting) bool {
			slug, is := journal.CampaignOf(p.Account)
			return !is || !mine(slug)
		})
	}
	return v
}

// back is how much went back, nil where that is not known.
func (v view) back() *int64 {
	if v.SomeBack {
		return nil
	}
	return &v.RefundedMinor
}

// personal tells whether whoever asks may see what donors said of themselves.
func personal(r *frame.Request) bool { return r.Principal.Can(access.ViewPersonal, access.Some) }
