package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"spillway/ingest"
	"spillway/loadtest/gift"
)

// findBatch is how many IDs one look-up of absent rows asks for.
const findBatch = 1000

// judgePart compares one part of the IDs with the ledger.
func (a *auditor) judgePart(ctx context.Context, ledger Ledger, part, parts int) error {
	e, err := a.expect(part, parts)
	if err != nil {
		return err
	}
	from, to := partRange(part, parts)
	hours := opening{auditor: a}
	if a.till != nil {
		if err := a.till.open(ctx, ledger, from, to); err != nil {
			return err
		}
	}
	if err := ledger.Donations(ctx, a.run.SlugPrefix(), from, to, func(d *Donation) error {
		a.row(e, d, &hours)
		if a.till != nil {
			a.till.row(d)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := ledger.Conflicts(ctx, from, to, func(c Conflict) error {
		a.conflict(e, c)
		return nil
	}); err != nil {
		return err
	}
	if err := a.findStray(ctx, ledger, e); err != nil {
		return err
	}
	for i := range e.keys {
		a.settle(&e.keys[i])
	}
	if a.till != nil {
		a.till.close(e, part, parts)
	}
	if n := a.result.Counts.Orphans; n > 0 {
		a.result.unsent.Note = fmt.Sprintf("%d donations were there before the record began and are not judged", n)
	}
	return nil
}

// row judges one donation of the ledger.
func (a *auditor) row(e *expectation, d *Donation, hours *opening) {
	r := a.result
	r.unsent.Checked++
	for n, l := range d.Lines {
		if i, known := a.bySlug[l.Campaign]; known {
			a.campaigns[i].add(d, n)
		} else if strings.HasPrefix(l.Campaign, a.run.SlugPrefix()) {
			r.unsent.fail(d.ID, nil, "a line in campaign %s, which the run does not have", l.Campaign)
		}
	}
	k := e.find(d.ID)
	if k == nil && a.orphans {
		r.Counts.Orphans++
		return
	}
	if k == nil {
		r.unsent.fail(d.ID, nil, "in the ledger, and nobody sent its key")
		return
	}
	k.rows++
	k.fell = d.Payment.FellAt
	hours.received(d, k)
	if k.rows > 1 {
		c := r.unsent
		if k.accepted() {
			c = r.stored
		}
		c.fail(d.ID, k.ref, "in the ledger %d times", k.rows)
		return
	}
	if !k.maybe() {
		r.refused.fail(d.ID, k.ref, "in the ledger, though every answer was a definite refusal")
		return
	}
	a.content(k, d)
}

// content finds the variant that the row holds and compares every field.
func (a *auditor) content(k *key, d *Donation) {
	var same []*variant // the variants with the row's content; they differ in the token
	var nearest string
	k.each(func(v *variant) {
		g, ok := a.gift(k, v)
		if !ok {
			return
		}
		if g.Donation.Fingerprint() != d.Fingerprint {
			nearest = "its fingerprint is that of nothing that was sent"
			return
		}
		same = append(same, v)
	})
	if len(same) == 0 {
		if nearest == "" {
			nearest = "what was sent holds no donation"
		}
		c := a.result.unsent
		if k.accepted() {
			c = a.result.stored
		}
		c.fail(d.ID, k.ref, "%s", nearest)
		k.each(func(v *variant) { v.recorded = true }) // said once
		return
	}
	for _, v := range same {
		v.recorded, v.won = true, true
	}
	if !slices.ContainsFunc(same, (*variant).maybe) {
		a.result.refused.fail(d.ID, k.ref, "in the ledger with a content whose every answer was a definite refusal")
		return
	}
	if wrong := a.fields(k, same, d); wrong != "" {
		c := a.result.stored
		if !k.accepted() {
			c = a.result.unsent
		}
		c.fail(d.ID, k.ref, "%s", wrong)
	}
}

// fields compares a row with what was sent and says what differs, "" for nothing.
func (a *auditor) fields(k *key, same []*variant, d *Donation) string {
	g, _ := a.gift(k, same[0])
	want := &g.Donation
	var wrong []string
	differ := func(what string, is bool) {
		if is {
			wrong = append(wrong, what)
		}
	}
	var linesMinor int64
	for _, l := range want.Lines {
		linesMinor += l.AmountMinor
	}
	differ("amount_minor", d.AmountMinor != g.AmountMinor())
	differ("lines_minor", d.LinesMinor != linesMinor)
	differ("fee_cover_minor", d.FeeCoverMinor != want.FeeCoverMinor)
	differ("currency", d.Currency != string(want.Currency))
	differ("anonymous", d.Anonymous != want.Anonymous)
	differ("hide_amount", d.HideAmount != want.HideAmount)
	differ("lines", !sameLines(d.Lines, want.Lines))

	// The first stored token is used, and two variants' order in the ledger is
	// nobody's promise: any that was sent.
	token := false
	for _, v := range same {
		other, _ := a.gift(k, v)
		token = token || d.ConfirmationToken == other.Donation.Payment.ConfirmationToken
	}
	differ("confirmation_token", !token)
	differ("token_expires_at", !d.TokenExpiresAt.Equal(d.ReceivedAt.Add(ingest.TokenLife)))
	differ("received_at", !a.receivedFits(same, d.ReceivedAt))
	differ(a.personal(want, d))
	if len(wrong) == 0 {
		return ""
	}
	return "differs from what was sent in " + strings.Join(wrong, ", ")
}

// receivedFits tells whether the row's receive time is that of a request that was
// sent: exactly the 202's where there was one attempt and one answer, else within
// what happened to it.
func (a *auditor) receivedFits(same []*variant, received time.Time) bool {
	for _, v := range same {
		if a.orphans && !received.After(a.clock.latest(v.last)) {
			return true
		}
		if len(same) == 1 && v.attempts == 1 && !v.acceptedAt.IsZero() {
			return received.Equal(v.acceptedAt)
		}
		if received.Add(acceptedAtStep).Before(a.clock.earliest(v.firstSent)) {
			continue
		}
		if v.silent() || !received.After(a.clock.latest(v.last)) {
			return true
		}
	}
	return false
}

// personal opens the sealed fields, when there is a key, and compares them.
func (a *auditor) personal(want *ingest.Donation, d *Donation) (what string, wrong bool) {
	if want.Personal.IsZero() {
		return "sealed fields, where there were none", len(d.Sealed) > 0
	}
	if len(d.Sealed) == 0 {
		return "sealed fields, which are gone", true
	}
	if a.cfg.Keys == nil {
		return "", false
	}
	p, err := a.cfg.Keys.Open(d.ID, d.Sealed, d.SealKey)
	if err != nil {
		return "sealed fields, which do not open: " + err.Error(), true
	}
	a.result.Counts.OpenedFields++
	return "sealed fields", p != want.Personal
}

// sameLines compares regardless of order, as the fingerprint does.
func sameLines(a, b []ingest.Line) bool {
	if len(a) == 1 && len(b) == 1 {
		return a[0] == b[0]
	}
	by := func(x, y ingest.Line) int { return strings.Compare(x.Campaign, y.Campaign) }
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, by)
	slices.SortFunc(b, by)
	return slices.Equal(a, b)
}

// conflict judges one recorded conflict.
func (a *auditor) conflict(e *expectation, c Conflict) {
	k := e.find(c.ID)
	if k == nil {
		return // another run's
	}
	known := false
	k.each(func(v *variant) {
		g, ok := a.gift(k, v)
		if !ok || g.Donation.Fingerprint() != c.Fingerprint {
			return
		}
		known = true
		v.recorded = true
		if !v.maybe() {
			a.result.refused.fail(c.ID, k.ref, "a recorded conflict, though every answer was a definite refusal")
		}
		if v.won {
			a.result.repeats.fail(c.ID, k.ref, "the recorded conflict is the content that counts")
		}
	})
	if !known {
		a.result.unsent.fail(c.ID, k.ref, "a recorded conflict of a content that nobody sent")
	}
	if k.rows == 0 {
		a.result.repeats.fail(c.ID, k.ref, "a recorded conflict, and no donation that it conflicts with")
	}
}

// findStray looks up the keys that should be nowhere, and those that should be
// there and were not among the run's campaigns.
func (a *auditor) findStray(ctx context.Context, ledger Ledger, e *expectation) error {
	var ids []ingest.ID
	look := func() error {
		defer func() { ids = ids[:0] }()
		if len(ids) == 0 {
			return nil
		}
		return ledger.Find(ctx, ids, func(d *Donation) error {
			k := e.find(d.ID)
			if k == nil || k.rows > 0 {
				return fmt.Errorf("ledger found %s, which was not asked for", d.ID)
			}
			k.rows++
			if k.maybe() {
				a.result.stored.fail(d.ID, k.ref, "in the ledger with lines in campaigns that are not the run's")
				k.each(func(v *variant) { v.recorded = true }) // said once
				return nil
			}
			a.result.refused.fail(d.ID, k.ref, "in the ledger, though every answer was a definite refusal")
			return nil
		})
	}
	for i := range e.keys {
		k := &e.keys[i]
		if k.rows > 0 || k.maybe() && !k.accepted() {
			continue
		}
		ids = append(ids, a.run.ID(k.ref))
		if len(ids) == findBatch {
			if err := look(); err != nil {
				return err
			}
		}
	}
	return look()
}

// settle judges a key after everything about it was read.
func (a *auditor) settle(k *key) {
	r := a.result
	id := a.run.ID(k.ref)
	r.Counts.Keys++
	switch {
	case k.accepted():
		r.Counts.Accepted++
	case k.maybe():
		r.Counts.Unknown++
		if k.rows > 0 {
			r.Counts.UnknownRecorded++
		}
	default:
		r.Counts.Refused++
		r.refused.Checked++
	}
	if k.ref.Kind == gift.Row {
		for _, l := range k.first.lines {
			c := &a.campaigns[l.Campaign]
			c.attemptedRows++
			if k.rows > 0 || k.accepted() {
				c.settledRows++
			}
		}
	}
	several := false
	k.each(func(v *variant) {
		several = several || v.number > 0 || v.attempts > 1
		if len(a.leaks.order) > 0 {
			if g, ok := a.gift(k, v); ok {
				a.leaks.whose(id, refOf(k, v), &g)
			}
		}
		if v.accepted == 0 {
			return
		}
		r.stored.Checked++
		switch {
		case v.recorded:
		case k.rows > 0:
			r.repeats.fail(id, refOf(k, v), "acknowledged, and another content counts, and no conflict was recorded")
		default:
			r.stored.fail(id, refOf(k, v), "acknowledged at %s, and not in the ledger", stamp(v.accepted1))
		}
		if v.won || k.rows == 0 {
			a.watch.accepted(a, v, k.fell)
		}
	})
	if several {
		r.repeats.Checked++
	}
	a.watch.sent(a, k)
}

func refOf(k *key, v *variant) gift.Ref {
	ref := k.ref
	ref.Variant = v.number
	return ref
}
