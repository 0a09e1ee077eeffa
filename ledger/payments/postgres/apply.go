package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"spillway/campaigns"
	"spillway/ledger"
	"spillway/ledger/journal"
	"spillway/ledger/money"
	"spillway/ledger/payments"
)

var (
	fenceSQL         = statement("apply_fence")
	knownEventsSQL   = statement("known_events")
	knownRequestsSQL = statement("known_requests")
)

const (
	// ApplyMax bounds the facts of one transaction, so that the slot is not locked for
	// much longer than a tenth of a second.
	ApplyMax = 2000
	// applyTries bounds how often a batch begins again because its donations had to be
	// expanded first, or because another transaction began the slot's chain at the
	// same moment. Each is settled by the next try, save that donations may then be
	// others.
	applyTries = 5
)

// Apply makes the payments what the facts make of them, in one transaction under a
// lease: payments, attempts, refunds, disputes, the journal's entries, the totals of
// the lease's slot and the marks of events and requests that were dealt with. It
// returns the rows of the slot that it changed, as they now are, and one outcome for
// each fact, in the order of the facts.
//
// len(facts) is 1..ApplyMax. Facts of one donation are applied in their order. A
// fact about a donation that is not recorded is left out (NotYet: park it), and so
// is one whose event or request was dealt with before (Duplicate). All facts of one
// event belong into one call, because the mark is committed with the first of them.
// Facts that were applied before change nothing, so repeating a batch is harmless.
// Apply keeps no reference to facts.
//
// Errors: ledger.ErrFenced, nothing written; *ledger.PoisonError with a
// *payments.FactError inside that names the fact, nothing written;
// ledger.ErrUnavailable, and any other error, when the outcome is not known: the
// batch may be applied, and then repeating it returns no rows.
func (b *Book) Apply(ctx context.Context, lease ledger.Lease, facts []payments.Fact) ([]campaigns.SlotRow, []payments.Outcome, error) {
	if len(facts) == 0 {
		return nil, nil, nil
	}
	if len(facts) > ApplyMax {
		return nil, nil, fmt.Errorf("apply %d facts: at most %d at once", len(facts), ApplyMax)
	}
	rows, outcomes, err := b.applyAll(ctx, lease, facts, commit)
	var poison *ledger.PoisonError
	if errors.As(err, &poison) {
		return nil, nil, b.isolate(ctx, lease, facts, err, poison)
	}
	return rows, outcomes, err
}

// ending says how a transaction ends that has done all its work.
type ending string

const (
	commit ending = "COMMIT"
	trial  ending = "ROLLBACK" // only to see whether the database takes it
)

func (b *Book) applyAll(ctx context.Context, lease ledger.Lease, facts []payments.Fact, end ending) ([]campaigns.SlotRow, []payments.Outcome, error) {
	conn, err := b.apply.Acquire(ctx)
	if err != nil {
		return nil, nil, sorted("apply: connect", err)
	}
	defer conn.Release()
	what := fmt.Sprintf("apply %d facts", len(facts))
	for range applyTries {
		a := newApplication(lease, facts, b.offset())
		err := a.run(ctx, conn, end)
		if err == nil {
			return a.changed, a.outcomes, nil
		}
		rollback(ctx, conn)
		var poison *ledger.PoisonError
		switch unmade := (*notMadeError)(nil); {
		case errors.As(err, &poison):
			return nil, nil, fmt.Errorf("%s: %w", what, err)
		case errors.As(err, &unmade):
			for _, id := range unmade.donations {
				if err := b.ExpandOne(ctx, id); err != nil {
					return nil, nil, err
				}
			}
		case lostRace(err):
		default:
			return nil, nil, sorted(what, err)
		}
	}
	return nil, nil, fmt.Errorf("%s: began anew %d times: %w", what, applyTries, ledger.ErrUnavailable)
}

// isolate names the fact that makes the database refuse a batch: the last one of the
// shortest beginning that is refused, found by halves, in transactions that are
// rolled back.
func (b *Book) isolate(ctx context.Context, lease ledger.Lease, facts []payments.Fact, refusal error, poison *ledger.PoisonError) error {
	if named := (*payments.FactError)(nil); errors.As(refusal, &named) {
		return refusal
	}
	taken, refused := 0, len(facts) // facts[:taken] is taken, facts[:refused] is not
	for refused-taken > 1 {
		middle := (taken + refused) / 2
		_, _, err := b.applyAll(ctx, lease, facts[:middle], trial)
		var p *ledger.PoisonError
		switch {
		case err == nil:
			taken = middle
		case errors.As(err, &p):
			refused, poison = middle, p
		default:
			return err
		}
	}
	culprit := refused - 1
	return fmt.Errorf("apply %d facts: %w", len(facts), &ledger.PoisonError{
		Err: &payments.FactError{Index: culprit, Donation: facts[culprit].Donation, Err: poison.Err},
	})
}

// notMadeError names recorded donations whose payments are not made yet.
type notMadeError struct{ donations [][16]byte }

func (e *notMadeError) Error() string {
	return fmt.Sprintf("%d payments are not made yet", len(e.donations))
}

// application is the work of one transaction.
type application struct {
	loading
	lease  ledger.Lease
	facts  []payments.Fact
	offset time.Duration // of the time of business from the database's clock

	events   []string
	known    map[string]bool // events that were dealt with before
	requests []pgtype.UUID
	done     map[[16]byte]bool // requests that were dealt with before

	chain    chain
	entries  []journal.Entry
	deltas   deltas
	outcomes []payments.Outcome
	changed  []campaigns.SlotRow
}

func newApplication(lease ledger.Lease, facts []payments.Fact, offset time.Duration) *application {
	a := &application{
		loading: loading{held: make(map[[16]byte]*held, len(facts))}, lease: lease, facts: facts, offset: offset,
		chain: chain{slot: lease.Slot}, outcomes: make([]payments.Outcome, len(facts)),
	}
	for i := range facts {
		f := &facts[i]
		if f.Donation != [16]byte{} && a.held[f.Donation] == nil {
			a.held[f.Donation] = &held{id: f.Donation}
			a.ids = append(a.ids, pgtype.UUID{Bytes: f.Donation, Valid: true})
		}
		if f.EventID != "" {
			a.events = append(a.events, f.EventID)
		}
		if id, ok := requestOf(f); ok {
			a.requests = append(a.requests, pgtype.UUID{Bytes: id, Valid: true})
		}
	}
	slices.SortFunc(a.ids, func(x, y pgtype.UUID) int { return bytes.Compare(x.Bytes[:], y.Bytes[:]) })
	return a
}

// requestOf returns the donor's request that a fact carries out.
func requestOf(f *payments.Fact) (id [16]byte, ok bool) {
	switch {
	case f.Card != nil:
		id = f.Card.Request
	case f.Cancel != nil:
		id = f.Cancel.Request
	}
	return id, id != [16]byte{}
}

// run is the transaction: lock and load; judge; write and lock the chain; append to
// the journal; commit. Four round trips. It leaves a failed one open.
func (a *application) run(ctx context.Context, conn *pgxpool.Conn, end ending) error {
	if err := a.load(ctx, conn); err != nil {
		return err
	}
	if err := a.judge(); err != nil {
		return err
	}
	if err := a.write(ctx, conn); err != nil {
		return err
	}
	last := &pgx.Batch{}
	if err := a.chain.append(ctx, conn.Conn(), a.entries, last); err != nil {
		return err
	}
	last.Queue(string(end))
	return conn.SendBatch(ctx, last).Close()
}

// load begins the transaction, takes the fence, and locks and reads the payments.
func (a *application) load(ctx context.Context, conn *pgxpool.Conn) error {
	batch := &pgx.Batch{}
	begin(batch, a.lease)
	a.loading.queue(batch)
	if len(a.events) > 0 {
		a.known = map[string]bool{}
		batch.Queue(knownEventsSQL, a.events).Query(func(rows pgx.Rows) error {
			var id string
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error { a.known[id] = true; return nil })
			return err
		})
	}
	if len(a.requests) > 0 {
		a.done = map[[16]byte]bool{}
		batch.Queue(knownRequestsSQL, a.requests).Query(func(rows pgx.Rows) error {
			var id pgtype.UUID
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error { a.done[id.Bytes] = true; return nil })
			return err
		})
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	unmade := &notMadeError{}
	for _, id := range a.ids {
		if h := a.held[id.Bytes]; h.recorded && !h.made {
			unmade.donations = append(unmade.donations, h.id)
		} else {
			h.now = h.was
		}
	}
	if len(unmade.donations) > 0 {
		return unmade
	}
	return nil
}

// begin adds to the batch what begins a transaction under the lease.
func begin(batch *pgx.Batch, lease ledger.Lease) {
	batch.Queue("BEGIN")
	batch.Queue(fenceSQL, lease.Slot, lease.Term, lease.Epoch).QueryRow(func(row pgx.Row) error {
		var held int
		err := row.Scan(&held)
		if errors.Is(err, pgx.ErrNoRows) {
			return ledger.ErrFenced
		}
		return err
	})
}

// judge lets every fact make of its payment what it makes of it.
func (a *application) judge() error {
	for i := range a.facts {
		f, out := &a.facts[i], &a.outcomes[i]
		out.Donation = f.Donation
		h := a.held[f.Donation]
		request, requested := requestOf(f)
		switch {
		case h == nil:
			out.Verdict = payments.NotOurs
			continue
		case !h.recorded:
			out.Verdict = payments.NotYet
			continue
		case len(h.now.Attempts) == 0:
			return &ledger.PoisonError{Err: &payments.FactError{Index: i, Donation: f.Donation, Err: errIncomplete}}
		case f.EventID != "" && a.known[f.EventID], requested && a.done[request]:
			out.Verdict = payments.Duplicate
			continue
		}
		fact := h.complete(f)
		next, effects, err := advance(&h.now, &fact)
		if err != nil {
			return &ledger.PoisonError{Err: &payments.FactError{Index: i, Donation: f.Donation, Err: err}}
		}
		h.now = next
		h.touched = true
		a.entries = append(a.entries, effects.Entries...)
		status, _ := payments.Status(next)
		out.Verdict, out.Status, out.Changed, out.Alarm = effects.Verdict, status, effects.Changed, effects.Alarm
	}
	for _, id := range a.ids {
		if h := a.held[id.Bytes]; h.touched {
			a.deltas.add(&h.was, &h.now)
		}
	}
	return nil
}

// advance is payments.Next, and refuses what must never be written. A machine that
// panics has met a payment that it cannot have made itself, rows that somebody wrote
// by hand for one: that is this fact's end and not the process's, which would meet the
// same fact again as soon as it is started.
func advance(was *payments.Payment, f *payments.Fact) (next payments.Payment, effects payments.Effects, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errPanic
		}
	}()
	next, effects = payments.Next(*was, *f)
	return next, effects, sound(was, &next, effects.Entries)
}

// errPanic stands for what the machine said, which may quote the books.
var errPanic = errors.New("the machine panics over this payment")

// errIncomplete says that rows are missing which are made together and never removed.
var errIncomplete = errors.New("a payment without attempts")

// errApart says that the totals would move other than the journal.
var errApart = errors.New("what a campaign raises is not what the journal owes it")

// sound refuses what must never be written: an entry that does not balance, and a
// change of what the payment's lines have raised that its entries do not book.
func sound(was, now *payments.Payment, entries []journal.Entry) error {
	owed := make([]int64, len(now.Lines)) // by line: what its campaign's account was credited
	for i := range entries {
		e := &entries[i]
		if err := journal.Balanced(e); err != nil {
			return fmt.Errorf("entry %s: %w", e.Kind, err)
		}
		for k := range e.Postings {
			campaign, ok := journal.CampaignOf(e.Postings[k].Account)
			if !ok {
				continue
			}
			line := slices.IndexFunc(now.Lines, func(l payments.Line) bool { return l.Campaign == campaign })
			if line < 0 || e.Postings[k].Currency != now.Currency {
				return errApart
			}
			owed[line] -= e.Postings[k].AmountMinor
		}
	}
	for i := range owed {
		if payments.Raised(*now, i)-payments.Raised(*was, i) != owed[i] {
			return errApart
		}
	}
	return nil
}

// complete returns the fact with what our own books know about it: how a refund that
// was asked for here is split over the lines. From then on the processor's ID stands
// for ours; also when nothing was asked here, which a restore may have forgotten and a
// replayed command will ask again.
func (h *held) complete(f *payments.Fact) payments.Fact {
	if f.Outcome != nil && f.Outcome.NothingDone && h.claimedAgain(f.Outcome.AttemptNo) {
		fact, outcome := *f, *f.Outcome
		outcome.NothingDone = false
		fact.Outcome = &outcome
		return fact
	}
	if f.Refund == nil || f.Refund.Ours == [16]byte{} || f.Refund.ID == "" {
		return *f
	}
	ours := f.Refund.Ours
	if _, named := h.refunds[f.Refund.ID]; !named && !h.names(ours) {
		if h.refunds == nil {
			h.refunds = map[string][16]byte{}
		}
		h.refunds[f.Refund.ID] = ours
	}
	for _, asked := range h.asked {
		if asked.id == ours && f.Refund.Lines == nil && asked.amountMinor == f.Refund.AmountMinor {
			fact, refund := *f, *f.Refund
			refund.Lines = asked.lines
			fact.Refund = &refund
			return fact
		}
	}
	return *f
}

// claimedAgain tells whether an attempt was claimed more than once since it was as if
// never called. Then an answer that says that nothing was done may come from a process
// that slept through its claim, and say nothing about the call that is under way.
func (h *held) claimedAgain(attemptNo int) bool {
	for i := range h.calls {
		if h.was.Attempts[i].No == attemptNo {
			return h.calls[i] > 1
		}
	}
	return false
}

// names tells whether a refund that the processor has named is ours of that ID.
func (h *held) names(ours [16]byte) bool {
	for _, id := range h.refunds {
		if id == ours {
			return true
		}
	}
	return false
}

// deltas are what a transaction adds to each campaign and currency, as columns.
type deltas struct {
	at                         map[deltaKey]int
	campaigns, currencies      []string
	pledged, raised, donations []int64
}

type deltaKey struct {
	campaign string
	currency money.Currency
}

// add counts the difference between what a payment was and what it is now.
func (d *deltas) add(was, now *payments.Payment) {
	counted := payments.Counted(*now) - payments.Counted(*was)
	for i := range now.Lines {
		d.move(now.Lines[i].Campaign, now.Currency,
			payments.Pledged(*now, i)-payments.Pledged(*was, i),
			payments.Raised(*now, i)-payments.Raised(*was, i),
			counted)
	}
}

func (d *deltas) move(campaign string, currency money.Currency, pledged, raised, donations int64) {
	if pledged == 0 && raised == 0 && donations == 0 {
		return
	}
	k := deltaKey{campaign, currency}
	n, ok := d.at[k]
	if !ok {
		if d.at == nil {
			d.at = map[deltaKey]int{}
		}
		n = len(d.campaigns)
		d.at[k] = n
		d.campaigns, d.currencies = append(d.campaigns, campaign), append(d.currencies, string(currency))
		d.pledged, d.raised, d.donations = append(d.pledged, 0), append(d.raised, 0), append(d.donations, 0)
	}
	d.pledged[n] += pledged
	d.raised[n] += raised
	d.donations[n] += donations
}
