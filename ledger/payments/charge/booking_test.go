package charge_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

func (b *books) Apply(_ context.Context, _ ledger.Lease, facts []payments.Fact) ([]campaigns.SlotRow, []payments.Outcome, error) {
	leave, err := b.enter("Apply")
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	outcomes := make([]payments.Outcome, len(facts))
	changed, entries, marks, done := map[[16]byte]payments.Payment{}, []journal.Entry{}, map[string]bool{}, map[[16]byte]bool{}
	for i, f := range facts {
		if b.refuseAll != nil {
			if err := b.refuseAll(f); errors.Is(err, errUnnamed) {
				return nil, nil, err
			} else if err != nil {
				return nil, nil, &ledger.PoisonError{Err: err}
			}
		}
		if b.refuse != nil {
			if err := b.refuse(f); err != nil {
				return nil, nil, &ledger.PoisonError{Err: &payments.FactError{Index: i, Donation: f.Donation, Err: err}}
			}
		}
		o := payments.Outcome{Donation: f.Donation}
		p, ok := changed[f.Donation]
		if !ok {
			p, ok = b.payments[f.Donation]
		}
		if !ok {
			if p, ok = b.recorded[f.Donation]; ok { // made out of its turn
				delete(b.recorded, f.Donation)
				b.payments[f.Donation] = p
			}
		}
		switch {
		case !ok:
			o.Verdict = payments.NotYet
		case f.EventID != "" && b.marks[f.EventID]:
			o.Verdict = payments.Duplicate
		default:
			next, effects := payments.Next(p, f)
			changed[f.Donation] = next
			entries = append(entries, effects.Entries...)
			o.Verdict, o.Changed, o.Alarm = effects.Verdict, effects.Changed, effects.Alarm
			o.Status, _ = payments.Status(next)
			if f.EventID != "" {
				marks[f.EventID] = true
			}
			if f.Card != nil {
				done[f.Card.Request] = true
			}
			if f.Cancel != nil {
				done[f.Cancel.Request] = true
			}
		}
		outcomes[i] = o
	}
	for d, p := range changed {
		b.payments[d] = p
		a := p.Attempts[len(p.Attempts)-1]
		if a.State == payments.Due || !a.NotBefore.IsZero() {
			b.claims[d] = a.NotBefore
		}
	}
	for _, e := range entries {
		if _, there := b.entries[e.Ref]; there {
			b.twice = append(b.twice, e.Ref)
		}
		b.entries[e.Ref] = e
	}
	for event := range marks {
		b.marks[event] = true
		delete(b.parkedAt, event)
	}
	b.requests = slices.DeleteFunc(b.requests, func(f payments.Fact) bool {
		return f.Card != nil && done[f.Card.Request] || f.Cancel != nil && done[f.Cancel.Request]
	})
	b.applied = append(b.applied, slices.Clone(facts))
	b.version++
	return []campaigns.SlotRow{{Campaign: "harbour", Currency: "USD", Version: b.version}}, outcomes, nil
}

func (b *books) Post(_ context.Context, _ ledger.Lease, entries []journal.Entry) ([]campaigns.SlotRow, error) {
	leave, err := b.enter("Post")
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, e := range entries {
		if err := journal.Balanced(&e); err != nil {
			return nil, &ledger.PoisonError{Err: err}
		}
		if _, there := b.entries[e.Ref]; !there {
			b.entries[e.Ref] = e
		}
	}
	return nil, nil
}

func (b *books) Command(_ context.Context, _ ledger.Lease, c *payments.Command) ([]campaigns.SlotRow, payments.CommandResult, error) {
	leave, err := b.enter("Command")
	if err != nil {
		return nil, payments.CommandResult{}, err
	}
	defer leave()
	if r, there := b.commands[c.ID]; there {
		return nil, r, nil
	}
	p, ok := b.payments[c.Refund.Donation]
	if !ok {
		return nil, payments.CommandResult{Word: payments.CommandNotYet}, nil
	}
	b.refunds = append(b.refunds, payments.RefundDue{
		Refund: c.ID, Donation: p.Donation, Intent: p.Intent, Charge: p.Charge, AmountMinor: c.Refund.AmountMinor, Currency: p.Currency, Lines: c.Refund.Lines,
	})
	b.commands[c.ID] = payments.CommandResult{Word: payments.CommandDone}
	return nil, b.commands[c.ID], nil
}

func (b *books) FindDonation(_ context.Context, names []string) (map[string][16]byte, error) {
	leave, err := b.enter("FindDonation")
	if err != nil {
		return nil, err
	}
	defer leave()
	found := map[string][16]byte{}
	for _, p := range b.payments {
		if p.Charge != "" && slices.Contains(names, p.Charge) {
			found[p.Charge] = p.Donation
		}
	}
	return found, nil
}

func (b *books) Park(_ context.Context, e payments.ParkedEvent) error {
	leave, err := b.enter("Park")
	if err != nil {
		return err
	}
	defer leave()
	if !b.marks[e.EventID] {
		b.parkedAt[e.EventID] = e
	}
	return nil
}

func (b *books) Parked(context.Context, int) (all []payments.ParkedEvent, err error) {
	leave, err := b.enter("Parked")
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, e := range b.parkedAt {
		all = append(all, e)
	}
	return all, nil
}

func (b *books) Requests(context.Context, int) ([]payments.Fact, error) {
	leave, err := b.enter("Requests")
	if err != nil {
		return nil, err
	}
	defer leave()
	return slices.Clone(b.requests), nil
}

func (b *books) ToCancel(context.Context, int) (due []payments.Cancellation, err error) {
	leave, err := b.enter("ToCancel")
	if err != nil {
		return nil, err
	}
	defer leave()
	for d, p := range b.payments {
		a := p.Attempts[len(p.Attempts)-1]
		if p.Cancel != payments.NoCancel && p.Intent != "" && a.State == payments.RequiresAction && time.Now().After(b.canceled[d]) {
			b.canceled[d] = time.Now().Add(time.Minute)
			due = append(due, payments.Cancellation{Donation: d, AttemptNo: a.No, Intent: p.Intent, Reason: p.Cancel})
		}
	}
	return due, nil
}

func (b *books) OpenRefunds(context.Context, int) ([]payments.RefundDue, error) {
	leave, err := b.enter("OpenRefunds")
	if err != nil {
		return nil, err
	}
	defer leave()
	due := b.refunds
	b.refunds = nil
	return due, nil
}

func (b *books) RefundRefused(_ context.Context, refund [16]byte, detail string) error {
	leave, err := b.enter("RefundRefused")
	if err != nil {
		return err
	}
	defer leave()
	b.refused[refund] = detail
	return nil
}

func (b *books) Quarantine(_ context.Context, rejected []ledger.Rejected) error {
	leave, err := b.enter("Quarantine")
	if err != nil {
		return err
	}
	defer leave()
	b.rejected = append(b.rejected, rejected...)
	return nil
}

// slot lends a lease; the books are one transaction at a time anyway.
type slot struct{}

func (slot) Move(ctx context.Context, apply func(context.Context, ledger.Lease) ([]campaigns.SlotRow, error)) error {
	_, err := apply(ctx, ledger.Lease{Book: ledger.Live, Slot: 1, Term: 1, Epoch: 1})
	return err
}
