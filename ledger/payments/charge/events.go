package charge

import (
	"context"
	"errors"
	"time"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// The roads by which events come, labels of a metric.
const (
	roadWebhook = "webhook"
	roadSweep   = "sweep"
	roadParked  = "parked"
)

// What becomes of events, beside the verdicts of their facts.
const (
	eventMalformed = "malformed"
	eventIgnored   = "ignored" // says nothing about money of ours
	eventUnknown   = "unknown" // of a type that this build does not know
	eventParked    = "parked"  // its donation is not there yet
	eventRefused   = "refused" // the database refuses what it says
	eventPayout    = "payout"
	eventOtherMode = "other_mode" // of the processor's other world, test or live
)

// handle applies events, each in its book, and parks those whose donation is not
// there yet. Each event is given once. refused are those that can never be applied,
// by ID, with the reason. Errors: the context's.
func (s *Service) handle(ctx context.Context, road string, events []payments.Event) (refused map[string]string, err error) {
	h := handling{s: s, road: road, refused: map[string]string{}}
	for i := range events {
		if err := h.sort(ctx, &events[i]); err != nil {
			return nil, err
		}
	}
	if err := h.name(ctx); err != nil {
		return nil, err
	}
	for i, d := range s.desks {
		if err := h.enter(ctx, d, i == len(s.desks)-1); err != nil {
			return nil, err
		}
	}
	for _, e := range h.absent {
		if err := h.park(ctx, e); err != nil {
			return nil, err
		}
	}
	for i := range events {
		s.seen.add(events[i].ID)
	}
	return h.refused, nil
}

// handling is the handling of some events.
type handling struct {
	s       *Service
	road    string
	refused map[string]string
	open    []*payments.Event // with facts that are still to be applied
	absent  []*payments.Event // their donation is in no book that they may be about
}

// first is the desk that counts, and keeps, what belongs to no book in particular.
func (h *handling) first() *desk { return h.s.desks[0] }

// desk is where e belongs as far as it says; nil for anywhere.
func (h *handling) desk(e *payments.Event) *desk {
	for _, d := range h.s.desks {
		if e.Book == d.book.Book.String() {
			return d
		}
	}
	return nil
}

// sort deals with what says nothing about a donation.
func (h *handling) sort(ctx context.Context, e *payments.Event) error {
	switch mode := h.s.config.Mode; {
	case mode == LiveMode && e.Test, mode == TestMode && !e.Test:
		h.first().metrics.event(h.road, eventOtherMode)
	case e.Payout != nil:
		return h.payout(ctx, e)
	case !e.Known:
		h.first().metrics.event(h.road, eventUnknown)
	case len(e.Facts) == 0:
		h.first().metrics.event(h.road, eventIgnored)
	default:
		h.open = append(h.open, e)
	}
	return nil
}

// name finds the donation of events that name none: about refunds and disputes made
// elsewhere, which name a charge. Our intents carry our name from their first moment,
// so an intent without it is somebody else's.
func (h *handling) name(ctx context.Context) error {
	var charges []string
	var open, nameless []*payments.Event
	for _, e := range h.open {
		switch {
		case e.Donation != [16]byte{}:
			open = append(open, e)
		case e.Charge == "" || e.Facts[0].Intent != nil:
			h.first().metrics.event(h.road, verdictWord(payments.NotOurs))
		default:
			nameless, charges = append(nameless, e), append(charges, e.Charge)
		}
	}
	h.open = open
	if len(nameless) == 0 {
		return nil
	}
	for _, d := range h.s.desks {
		var found map[string][16]byte
		err := d.persist(ctx, "donations of charges", func(ctx context.Context) (err error) {
			found, err = d.book.Store.FindDonation(ctx, charges)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range nameless {
			if id, ok := found[e.Charge]; ok && e.Donation == [16]byte{} {
				e.Donation, e.Book = id, d.book.Book.String()
				for i := range e.Facts {
					e.Facts[i].Donation = id
				}
			}
		}
	}
	for _, e := range nameless {
		if e.Donation != [16]byte{} {
			h.open = append(h.open, e)
		} else { // perhaps of a capture that is not booked yet, perhaps somebody else's
			h.absent = append(h.absent, e)
		}
	}
	return nil
}

// enter applies in one book what may belong there. What has no donation there stays
// open for the next book, unless it belongs here or this is the last one.
func (h *handling) enter(ctx context.Context, d *desk, last bool) error {
	var mine, others []*payments.Event
	var facts []payments.Fact
	for _, e := range h.open {
		if of := h.desk(e); of != nil && of != d {
			others = append(others, e)
			continue
		}
		mine = append(mine, e)
		facts = append(facts, e.Facts...)
	}
	h.open = others
	results, err := d.apply(ctx, facts)
	if err != nil {
		return err
	}
	for _, e := range mine {
		verdict, absent, refusal := sum(results[:len(e.Facts)])
		results = results[len(e.Facts):]
		switch {
		case refusal != nil:
			h.refused[e.ID] = refusal.Error()
			verdict = eventRefused
		case absent && (last || h.desk(e) == d):
			h.absent = append(h.absent, e)
			continue
		case absent:
			h.open = append(h.open, e)
			continue
		}
		d.metrics.event(h.road, verdict)
	}
	return nil
}

// sum says what became of an event by what became of its facts.
func sum(results []result) (verdict string, absent bool, refusal error) {
	v := payments.NoChange
	for _, r := range results {
		switch {
		case r.err != nil:
			refusal = r.err
		case r.Verdict == payments.NotYet || r.Verdict == payments.NotOurs:
			absent = true
		case r.Verdict == payments.Alarming, r.Verdict == payments.Applied && v != payments.Alarming, v == payments.NoChange:
			v = r.Verdict
		}
	}
	return verdictWord(v), absent, refusal
}

// park keeps an event until its donation is there.
func (h *handling) park(ctx context.Context, e *payments.Event) error {
	d := h.desk(e)
	if d == nil {
		d = h.first()
	}
	d.metrics.event(h.road, eventParked)
	err := d.persist(ctx, "park an event", func(ctx context.Context) error {
		return d.book.Store.Park(ctx, payments.ParkedEvent{EventID: e.ID, Type: e.Type, Created: e.CreatedAt, Body: e.Body, Donation: e.Donation})
	})
	var poison *ledger.PoisonError
	if errors.As(err, &poison) {
		h.refused[e.ID] = poison.Error()
		return nil
	}
	return err
}

// payout books a payout: it belongs to the account, and so to its first book.
func (h *handling) payout(ctx context.Context, e *payments.Event) error {
	entries := payoutEntries(e.Payout, e.CreatedAt)
	d := h.first()
	d.metrics.event(h.road, eventPayout)
	if len(entries) == 0 {
		return nil
	}
	err := d.move(ctx, "book a payout", func(ctx context.Context, lease ledger.Lease) ([]campaigns.SlotRow, error) {
		return d.book.Store.Post(ctx, lease, entries)
	})
	var poison *ledger.PoisonError
	if errors.As(err, &poison) {
		h.refused[e.ID] = poison.Error()
		return nil
	}
	return err
}

// payoutEntries are what a payout moved, as far as is known: the way to the bank,
// and the way back when it failed. Any event about it gives all of them, and each is
// booked once, so their order does not matter.
func payoutEntries(p *payments.PayoutSeen, seen time.Time) []journal.Entry {
	if p.AmountMinor == 0 {
		return nil
	}
	made := p.CreatedAt
	if made.IsZero() {
		made = seen
	}
	entries := []journal.Entry{journal.NewPayout(p.ID, p.AmountMinor, p.Currency, made)}
	if p.Status == payments.PayoutFailed || p.Status == payments.PayoutCanceled {
		entries = append(entries, journal.NewPayoutFailed(p.ID, p.AmountMinor, p.Currency, seen))
	}
	return entries
}

// parkedMax bounds what one step reads, and parkedEvery is its pace: an event whose
// donation came is not urgent, donors see the state by the call's own answer.
const (
	parkedMax   = 100
	parkedEvery = 2 * time.Second
)

// parked tries parked events again: the store gives those whose time has come.
func (d *desk) parked(ctx context.Context) (more bool, err error) {
	bounded, cancel := ask(ctx)
	defer cancel()
	found, err := d.book.Store.Parked(bounded, parkedMax)
	if err != nil {
		return false, err
	}
	var events []payments.Event
	for _, p := range found {
		e, err := d.s.deps.Processor.ParseEvent(p.Body)
		if err != nil { // it could be read when it was parked
			d.log.Error("a parked event that this build cannot read", "event", p.EventID, "error", err)
			continue
		}
		e.Body = p.Body
		events = append(events, e)
	}
	refused, err := d.s.handle(ctx, roadParked, events)
	if err != nil {
		return false, err
	}
	for _, p := range found {
		if why, ok := refused[p.EventID]; ok {
			d.log.Error("a parked event that cannot be booked", "event", p.EventID, "error", why)
			d.metrics.setAside.Inc()
		}
	}
	return len(found) == parkedMax, nil
}
