package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

var (
	savePaymentsSQL  = statement("save_payments")
	saveGivenBackSQL = statement("save_given_back")
	saveAttemptsSQL  = statement("save_attempts")
	addAttemptsSQL   = statement("add_attempts")
	saveRefundSQL    = statement("save_refund")
	saveDisputeSQL   = statement("save_dispute")
	markEventsSQL    = statement("mark_events")
	markRequestsSQL  = statement("mark_requests")
	moveSlotsSQL     = statement("move_slots")
)

// putOffMax bounds how long an attempt waits for its next call: above all that is ever
// asked for, ten minutes and a bit.
const putOffMax = 15 * time.Minute

// write sends everything that changed, in the order of the locks, and locks the
// chain last when there is something to book. What did not change is not written.
func (a *application) write(ctx context.Context, conn *pgxpool.Conn) error {
	batch := &pgx.Batch{}
	var paid paymentColumns
	var changed, added attemptColumns
	for _, id := range a.ids {
		h := a.held[id.Bytes]
		if !h.touched {
			continue
		}
		if !h.samePayment() {
			paid.add(&h.now)
		}
		for i := range h.now.Attempts {
			switch at := &h.now.Attempts[i]; {
			case i >= len(h.was.Attempts):
				added.add(h, at, false)
			default:
				moved := !at.NotBefore.IsZero() && !sameMoment(at.NotBefore, h.turns[i])
				if moved || !sameAttempt(at, &h.was.Attempts[i]) {
					changed.add(h, at, moved)
				}
			}
		}
	}
	paid.queue(batch)
	changed.queueChanged(batch, a.offset)
	added.queueAdded(batch)
	for _, id := range a.ids {
		if h := a.held[id.Bytes]; h.touched {
			if err := h.queueGivenBack(batch); err != nil {
				return err
			}
		}
	}
	a.queueMarks(batch)
	a.deltas.queue(batch, a.lease.Slot, &a.changed)
	if len(a.entries) > 0 {
		a.chain.lock(batch)
	}
	if batch.Len() == 0 {
		return nil
	}
	return conn.SendBatch(ctx, batch).Close()
}

// sameMoment compares times as the database keeps them, in microseconds.
func sameMoment(a, b time.Time) bool {
	return a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond))
}

func sameAttempt(a, b *payments.Attempt) bool {
	return a.State == b.State && sameMoment(a.FirstCalledAt, b.FirstCalledAt) && a.LookFirst == b.LookFirst && sameMoment(a.ChangedAt, b.ChangedAt) &&
		a.Charge == b.Charge && a.ClientSecret == b.ClientSecret && sameMoment(a.ActionBy, b.ActionBy) && a.Reason == b.Reason && a.Decline == b.Decline
}

// samePayment tells whether the payment's own row is as it was.
func (h *held) samePayment() bool {
	was, now := &h.was, &h.now
	status, reason := payments.Status(*was)
	statusNow, reasonNow := payments.Status(*now)
	return was.Intent == now.Intent && was.Charge == now.Charge && was.CapturedMinor == now.CapturedMinor && sameMoment(was.CapturedAt, now.CapturedAt) &&
		was.FeeKnown == now.FeeKnown && was.FeeMinor == now.FeeMinor && was.FeeCurrency == now.FeeCurrency && was.Cancel == now.Cancel &&
		len(was.Attempts) == len(now.Attempts) && status == statusNow && reason == reasonNow
}

// paymentColumns are rows of payments as columns.
type paymentColumns struct {
	ids             []pgtype.UUID
	intents         []string
	charges         []string
	captured        []int64
	capturedAt      []pgtype.Timestamptz
	fees            []pgtype.Int8
	feeCurrencies   []pgtype.Text
	cancels         []int16
	attemptNos      []int32
	statuses, words []string
}

func (c *paymentColumns) add(p *payments.Payment) {
	status, reason := payments.Status(*p)
	c.ids = append(c.ids, pgtype.UUID{Bytes: p.Donation, Valid: true})
	c.intents = append(c.intents, p.Intent)
	c.charges = append(c.charges, p.Charge)
	c.captured = append(c.captured, p.CapturedMinor)
	c.capturedAt = append(c.capturedAt, stamp(p.CapturedAt))
	c.fees = append(c.fees, pgtype.Int8{Int64: p.FeeMinor, Valid: p.FeeKnown})
	c.feeCurrencies = append(c.feeCurrencies, pgtype.Text{String: string(p.FeeCurrency), Valid: p.FeeKnown})
	c.cancels = append(c.cancels, int16(p.Cancel))
	c.attemptNos = append(c.attemptNos, int32(p.Attempts[len(p.Attempts)-1].No))
	c.statuses, c.words = append(c.statuses, status), append(c.words, string(reason))
}

func (c *paymentColumns) queue(batch *pgx.Batch) {
	if len(c.ids) > 0 {
		batch.Queue(savePaymentsSQL, c.ids, c.intents, c.charges, c.captured, c.capturedAt, c.fees, c.feeCurrencies, c.cancels, c.attemptNos, c.statuses, c.words)
	}
}

// attemptColumns are rows of attempts as columns.
type attemptColumns struct {
	ids                      []pgtype.UUID
	nos                      []int32
	states                   []int16
	sources                  []int64
	tokens                   []string
	expires, called, changed []pgtype.Timestamptz
	requests                 []pgtype.UUID
	look                     []bool
	charges, secrets         []string
	actionBy, notBefore      []pgtype.Timestamptz
	reasons, declines        []string
}

func (c *attemptColumns) add(h *held, at *payments.Attempt, moved bool) {
	c.ids = append(c.ids, pgtype.UUID{Bytes: h.id, Valid: true})
	c.nos = append(c.nos, int32(at.No))
	c.states = append(c.states, int16(at.State))
	c.sources = append(c.sources, h.source)
	c.tokens = append(c.tokens, at.Token)
	c.expires = append(c.expires, stamp(at.TokenExpiresAt))
	c.requests = append(c.requests, optionalUUID(at.Request))
	c.called = append(c.called, stamp(at.FirstCalledAt))
	c.changed = append(c.changed, stamp(at.ChangedAt))
	c.look = append(c.look, at.LookFirst)
	c.charges, c.secrets = append(c.charges, at.Charge), append(c.secrets, at.ClientSecret)
	c.actionBy = append(c.actionBy, stamp(at.ActionBy))
	notBefore := pgtype.Timestamptz{}
	if moved && (at.State == payments.Due || at.State == payments.Calling) {
		notBefore = stamp(at.NotBefore)
	}
	c.notBefore = append(c.notBefore, notBefore)
	c.reasons, c.declines = append(c.reasons, string(at.Reason)), append(c.declines, string(at.Decline))
}

func (c *attemptColumns) queueChanged(batch *pgx.Batch, offset time.Duration) {
	if len(c.ids) > 0 {
		batch.Queue(saveAttemptsSQL, c.ids, c.nos, c.states, c.called, c.look, c.changed, c.charges, c.secrets, c.actionBy, c.reasons, c.declines, c.notBefore, offset, putOffMax)
	}
}

func (c *attemptColumns) queueAdded(batch *pgx.Batch) {
	if len(c.ids) > 0 {
		batch.Queue(addAttemptsSQL, c.ids, c.nos, c.states, c.sources, c.tokens, c.expires, c.requests, c.changed, c.called, c.look, c.charges, c.secrets,
			c.actionBy, c.reasons, c.declines)
	}
}

// queueGivenBack adds the refunds and disputes that changed, what they took from the
// payment's lines, and its other charges.
func (h *held) queueGivenBack(batch *pgx.Batch) error {
	id := pgtype.UUID{Bytes: h.id, Valid: true}
	for i := range h.now.Refunds {
		r := &h.now.Refunds[i]
		if was := refundOf(&h.was, r.ID); was == nil || !sameRefund(r, was) {
			batch.Queue(saveRefundSQL, pgtype.UUID{Bytes: h.refundID(r.ID), Valid: true}, id, r.ID, r.Charge, r.AmountMinor, orNone(r.Lines),
				string(r.Status), stamp(r.CreatedAt), stamp(r.ChangedAt)).Exec(oneRow)
		}
	}
	for i := range h.now.Disputes {
		d := &h.now.Disputes[i]
		if was := disputeOf(&h.was, d.ID); was == nil || !sameDispute(d, was) {
			batch.Queue(saveDisputeSQL, d.ID, id, d.Charge, d.AmountMinor, string(d.Status), d.Turned, d.FeeMinor, d.FeeReturnedMinor,
				string(d.FeeCurrency), stamp(d.CreatedAt), stamp(d.ChangedAt)).Exec(oneRow)
		}
	}
	if slices.Equal(h.was.Lines, h.now.Lines) && slices.Equal(h.was.Others, h.now.Others) {
		return nil
	}
	refunded, lost := make([]int64, len(h.now.Lines)), make([]int64, len(h.now.Lines))
	for i := range h.now.Lines {
		refunded[i], lost[i] = h.now.Lines[i].RefundedMinor, h.now.Lines[i].LostMinor
	}
	var others []byte // NULL for none
	if len(h.now.Others) > 0 {
		var err error
		if others, err = json.Marshal(h.now.Others); err != nil {
			return err
		}
	}
	batch.Queue(saveGivenBackSQL, id, refunded, lost, others)
	return nil
}

// errOfAnother says that a refund or dispute is another donation's: the processor
// never moves one, so somebody wrote its metadata by hand.
var errOfAnother = errors.New("refund or dispute is another donation's")

func oneRow(tag pgconn.CommandTag) error {
	if tag.RowsAffected() != 1 {
		return &ledger.PoisonError{Err: errOfAnother}
	}
	return nil
}

func refundOf(p *payments.Payment, id string) *payments.Refund {
	for i := range p.Refunds {
		if p.Refunds[i].ID == id {
			return &p.Refunds[i]
		}
	}
	return nil
}

func disputeOf(p *payments.Payment, id string) *payments.Dispute {
	for i := range p.Disputes {
		if p.Disputes[i].ID == id {
			return &p.Disputes[i]
		}
	}
	return nil
}

func sameRefund(a, b *payments.Refund) bool {
	return a.Charge == b.Charge && a.AmountMinor == b.AmountMinor && a.Status == b.Status && slices.Equal(a.Lines, b.Lines) &&
		sameMoment(a.CreatedAt, b.CreatedAt) && sameMoment(a.ChangedAt, b.ChangedAt)
}

func sameDispute(a, b *payments.Dispute) bool {
	return a.Charge == b.Charge && a.AmountMinor == b.AmountMinor && a.Status == b.Status && a.Turned == b.Turned && a.FeeMinor == b.FeeMinor &&
		a.FeeReturnedMinor == b.FeeReturnedMinor && a.FeeCurrency == b.FeeCurrency && sameMoment(a.CreatedAt, b.CreatedAt) && sameMoment(a.ChangedAt, b.ChangedAt)
}

// orNone is an empty array for nil, which would be NULL.
func orNone(minor []int64) []int64 {
	if minor == nil {
		return []int64{}
	}
	return minor
}

// refundID is our ID of a refund that the processor has named: the one under which
// it was asked for here, else derived.
func (h *held) refundID(processorID string) [16]byte {
	if id, ok := h.refunds[processorID]; ok {
		return id
	}
	return derivedID("refund elsewhere", processorID)
}

// derivedID makes the same ID of the same name everywhere.
func derivedID(kind, name string) (id [16]byte) {
	sum := sha256.Sum256([]byte("spillway " + kind + "\x00" + name))
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80 // version 8, as RFC 9562 has it for IDs of one's own making
	id[8] = id[8]&0x3f | 0x80
	return id
}

// queueMarks adds the marks of the events and requests that were dealt with.
func (a *application) queueMarks(batch *pgx.Batch) {
	var (
		events   []string
		kinds    []string
		created  []pgtype.Timestamptz
		verdicts []int16
		about    []pgtype.UUID
		requests []pgtype.UUID
	)
	at := map[string]int{}
	for i := range a.facts {
		f, verdict := &a.facts[i], a.outcomes[i].Verdict
		switch verdict {
		case payments.NotOurs, payments.NotYet, payments.Duplicate:
			continue
		}
		if request, ok := requestOf(f); ok {
			requests = append(requests, pgtype.UUID{Bytes: request, Valid: true})
		}
		if f.EventID == "" {
			continue
		}
		if n, marked := at[f.EventID]; marked {
			if verdicts[n] == int16(payments.NoChange) {
				verdicts[n] = int16(verdict)
			}
			continue
		}
		at[f.EventID] = len(events)
		events, kinds = append(events, f.EventID), append(kinds, kindOf(f))
		created = append(created, stamp(f.At))
		verdicts = append(verdicts, int16(verdict))
		about = append(about, pgtype.UUID{Bytes: f.Donation, Valid: true})
	}
	if len(events) > 0 {
		batch.Queue(markEventsSQL, events, kinds, created, verdicts, about)
	}
	if len(requests) > 0 {
		batch.Queue(markRequestsSQL, requests)
	}
}

// kindOf names what a fact is about, for people who read the events' marks.
func kindOf(f *payments.Fact) string {
	switch {
	case f.Intent != nil:
		return "intent"
	case f.Fee != nil:
		return "fee"
	case f.Refund != nil:
		return "refund"
	case f.Dispute != nil:
		return "dispute"
	}
	return "other"
}

// queue adds what moves the slot; changed receives its rows.
func (d *deltas) queue(batch *pgx.Batch, slot int32, changed *[]campaigns.SlotRow) {
	if len(d.campaigns) == 0 {
		return
	}
	batch.Queue(moveSlotsSQL, slot, d.campaigns, d.currencies, d.pledged, d.raised, d.donations).Query(func(rows pgx.Rows) (err error) {
		*changed, err = pgx.CollectRows(rows, slotRow)
		slices.SortFunc(*changed, func(a, b campaigns.SlotRow) int {
			return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(a.Currency, b.Currency))
		})
		return err
	})
}

func slotRow(row pgx.CollectableRow) (s campaigns.SlotRow, err error) {
	var currency string
	err = row.Scan(&s.Campaign, &currency, &s.PledgedMinor, &s.RaisedMinor, &s.Donations, &s.Version)
	s.Currency = money.Currency(currency)
	return s, err
}
