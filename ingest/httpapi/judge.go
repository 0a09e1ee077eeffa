package httpapi

import (
	"fmt"
	"unsafe"

	"spillway/campaigns"
	"spillway/ingest"
	"spillway/ledger"
)

// judge looks up every line's campaign, brings the donation into its canonical
// form, and sorts what is wrong into w.unknown, w.refused and w.closed. It judges
// everything, whatever it has found, so that each answer is complete; which of
// them is given is the caller's.
//
// It sets w.book and w.fingerprint.
func (s *Server) judge(w *scratch) {
	d := &w.donation
	w.campaigns, w.unknown, w.refused, w.closed = w.campaigns[:0], w.unknown[:0], w.refused[:0], w.closed[:0]
	w.book = ledger.Live
	if len(d.Lines) <= ingest.LinesMax { // else Validate refuses them unseen
		s.lookUp(w)
	}
	w.refused = d.Validate(w.book, w.received, w.refused)
	w.fingerprint = d.Fingerprint()
	for i, c := range w.campaigns {
		if c != nil {
			w.judgeLine(i, c)
		}
	}
}

// lookUp finds the campaigns and the book that they are of. A text that cannot
// be a slug is not looked up: Validate refuses it. A rehearsal's campaign does
// not exist for those without the credential.
func (s *Server) lookUp(w *scratch) {
	var rehearsals, live int
	for i := range w.donation.Lines {
		slug := w.donation.Lines[i].Campaign
		var found *campaigns.Campaign
		if campaigns.ValidSlug(slug) {
			c, ok := s.deps.Directory.Lookup(unsafe.Slice(unsafe.StringData(slug), len(slug)))
			if ok && (!c.Rehearsal || w.rehearsal) {
				found = c
			} else {
				w.unknown = append(w.unknown, ingest.FieldError{
					Pointer: ingest.LinePointer(i, "campaign"), Code: ingest.CodeUnknownCampaign, Detail: "no such campaign"})
			}
		}
		switch {
		case found == nil:
		case found.Rehearsal:
			rehearsals++
		default:
			live++
		}
		w.campaigns = append(w.campaigns, found)
	}
	switch {
	case live == 0 && rehearsals > 0:
		w.book = ledger.Rehearsal
	case live > 0 && rehearsals > 0:
		w.refused = append(w.refused, ingest.FieldError{
			Pointer: "/lines", Code: ingest.CodeMixedBooks, Detail: "real and rehearsal campaigns never go together"})
	}
}

// judgeLine holds line i to its campaign's own rules.
func (w *scratch) judgeLine(i int, c *campaigns.Campaign) {
	amount := w.donation.Lines[i].AmountMinor
	switch {
	case !w.donation.Currency.Valid():
	case c.Currency != w.donation.Currency:
		w.refuseLine(i, "campaign", ingest.CodeCurrencyMismatch, "the campaign takes "+string(c.Currency))
	case amount >= 1 && amount < c.MinMinor:
		w.refuseLine(i, "amount_minor", ingest.CodeTooSmall, fmt.Sprintf("the campaign takes %d minor units at least", c.MinMinor))
	case c.MaxMinor > 0 && amount > c.MaxMinor && amount <= ingest.AmountMinorMax:
		w.refuseLine(i, "amount_minor", ingest.CodeTooLarge, fmt.Sprintf("the campaign takes %d minor units at most", c.MaxMinor))
	}
	if phase := c.PhaseAt(w.received); phase != campaigns.Open {
		detail := "the campaign has ended"
		if phase == campaigns.Upcoming {
			detail = "the campaign has not started"
		}
		w.closed = append(w.closed, ingest.FieldError{
			Pointer: ingest.LinePointer(i, "campaign"), Code: ingest.CodeCampaignNotOpen, Detail: detail})
	}
}

func (w *scratch) refuseLine(i int, member, code, detail string) {
	w.refused = append(w.refused, ingest.FieldError{Pointer: ingest.LinePointer(i, member), Code: code, Detail: detail})
}
